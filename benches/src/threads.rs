//! One and two workers on the two cores, which load and upstream share with them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::Effort;
use crate::accounting::{cpu_time, thread_times};
use crate::load::Load;
use crate::material::KeyKind;
use crate::peer::Peer;
use crate::results::{Threads, ThreadsSample, Turn, Work};
use crate::rounds::{Competitor, survive};
use crate::setup::{Back, Front, Ground};

/// Numbers of workers.
const WORKERS: [usize; 2] = [1, 2];

/// HTTP/1.1 in clear text on 64 connections, as in row a; then 64 new TLS connections at a time.
///
/// # Errors
/// When ours does not start or fails requests.
pub(crate) fn measure(effort: &Effort, rounds: usize) -> Result<Threads> {
    let mut threads = Threads::default();
    for (work, workers) in
        [Work::Requests, Work::Handshakes].into_iter().flat_map(|work| WORKERS.map(|workers| (work, workers)))
    {
        for peer in &effort.peers {
            let one = one(*peer, work, workers, rounds, effort.seconds);
            let one = one.with_context(|| format!("{workers} workers"));
            let Some(turns) = survive(*peer, one, &mut threads.failed)? else { continue };
            threads.samples.push(ThreadsSample { work, peer: peer.to_string(), workers, turns });
        }
    }
    Ok(threads)
}

fn one(peer: Peer, work: Work, workers: usize, rounds: usize, seconds: u64) -> Result<Vec<Turn>> {
    let ground = Ground::prepare()?;
    let (front, load) = match work {
        Work::Requests => (Front::Http, Load::http(64)),
        Work::Handshakes => {
            (Front::Https(KeyKind::Rsa4096), Load::Connect { connections: 64, resume: false })
        }
    };
    let mut setup = ground.setup(peer, front, Back::Clear, 0)?;
    // With one worker too: what is compared is what the second one brings.
    (setup.workers, setup.shared) = (workers, true);
    let competitor = Competitor::start(peer, setup)?;
    let (id, target) = (competitor.proxy.id(), competitor.setup.target());
    let mut turns = Vec::new();
    for _ in 0..rounds {
        load.run(&target, 1)?;
        let (before, threads_before) = (cpu_time(id)?, thread_times(id)?);
        let begun = Instant::now();
        let outcome = load.run(&target, seconds)?;
        // What was begun in time is waited for, which counts when each takes milliseconds.
        let (elapsed, used) = (begun.elapsed(), cpu_time(id)? - before);
        let mut each = thread_times(id)?;
        for (thread, time) in &mut each {
            *time = time.saturating_sub(threads_before.get(thread).copied().unwrap_or_default());
        }
        let turn = Turn {
            rate: outcome.completed as f64 / elapsed.as_secs_f64(),
            per_cpu_second: outcome.completed as f64 / used.as_secs_f64(),
            busiest: busiest_share(each.into_values(), workers),
        };
        println!(
            "  {peer:8} {workers} workers {:9.0}/s {:9.0} per CPU second, busiest {:.2}",
            turn.rate, turn.per_cpu_second, turn.busiest
        );
        turns.push(turn);
    }
    Ok(turns)
}

/// The busiest worker's share of what all workers used. Which threads are workers nobody says: those that work most.
fn busiest_share(times: impl Iterator<Item = Duration>, workers: usize) -> f64 {
    let mut times = times.map(|time| time.as_secs_f64()).collect::<Vec<_>>();
    times.sort_by(|a, b| b.total_cmp(a));
    times.truncate(workers);
    let all = times.iter().sum::<f64>();
    times.first().map_or(0.0, |most| if all > 0.0 { most / all } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::busiest_share;

    #[test]
    fn the_busiest_of_the_workers_only() {
        let times = [10, 600, 0, 200].map(Duration::from_millis);
        assert!((busiest_share(times.into_iter(), 2) - 0.75).abs() < 1e-9);
        assert!((busiest_share(times.into_iter(), 1) - 1.0).abs() < 1e-9);
        assert!(busiest_share([].into_iter(), 2).abs() < 1e-9);
    }
}

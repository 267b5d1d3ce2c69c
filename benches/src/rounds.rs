//! The usual comparison: the same load for every proxy, in turns.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use plenipo_testkit::Process;

use crate::Effort;
use crate::accounting::cpu_time;
use crate::load::Load;
use crate::peer::{Peer, Running, start_upstream};
use crate::results::{LoadSamples, Sample};
use crate::setup::{Back, Front, Ground, Setup};

/// A proxy with its upstream.
pub(crate) struct Competitor {
    pub(crate) peer: Peer,
    pub(crate) setup: Setup,
    pub(crate) proxy: Running,
    _upstream: Process,
}

impl Competitor {
    /// Starts both.
    ///
    /// # Errors
    /// When one does not start.
    pub(crate) fn start(peer: Peer, setup: Setup) -> Result<Self> {
        let upstream = start_upstream(&setup)?;
        let proxy = peer.start(&setup)?;
        Ok(Self { peer, setup, proxy, _upstream: upstream })
    }

    /// One turn; the first after a second to warm up.
    fn turn(&self, load: Load, seconds: u64, is_first: bool) -> Result<Sample> {
        if is_first {
            load.run(&self.setup.target(), 1)?;
        }
        let before = cpu_time(self.proxy.id())?;
        let outcome = load.run(&self.setup.target(), seconds)?;
        let used = cpu_time(self.proxy.id())? - before;
        Ok(Sample {
            microseconds: used.as_secs_f64() * 1e6 / outcome.completed as f64,
            rate: outcome.completed as f64 / seconds as f64,
            p50: outcome.p50,
            p99: outcome.p99,
        })
    }
}

/// Starts all proxies, then lets each do its turn per round. Those whose turn it is not are idle. One that does not start or
/// fails requests is measured no further: the result says why.
///
/// # Errors
/// When ours is one of those, or none is left.
pub(crate) fn measure(
    effort: &Effort,
    rounds: usize,
    front: Front,
    back: Back,
    load: Load,
) -> Result<LoadSamples> {
    let ground = Ground::prepare()?;
    let mut failed = BTreeMap::new();
    let mut running = Vec::new();
    for peer in &effort.peers {
        let competitor =
            ground.setup(*peer, front, back, 0).and_then(|setup| Competitor::start(*peer, setup));
        running.extend(survive(*peer, competitor, &mut failed)?);
    }
    let mut samples = BTreeMap::<String, Vec<Sample>>::new();
    for round in 0..rounds {
        // The list is turned round after every round: who goes first must not always be the same.
        running.reverse();
        let mut left = Vec::new();
        for competitor in running {
            let peer = competitor.peer;
            let sample = competitor.turn(load, effort.seconds, round == 0);
            let sample = sample.with_context(|| format!("round {}", round + 1));
            let Some(sample) = survive(peer, sample, &mut failed)? else { continue };
            println!("  {peer:8} {:7.1} us {:9.0}/s", sample.microseconds, sample.rate);
            samples.entry(peer.to_string()).or_default().push(sample);
            left.push(competitor);
        }
        running = left;
    }
    Ok(LoadSamples { samples, failed })
}

/// What came of it; of a failure of another proxy only a note.
///
/// # Errors
/// When it is ours that failed.
pub(crate) fn survive<T>(
    peer: Peer,
    outcome: Result<T>,
    failed: &mut BTreeMap<String, String>,
) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if peer.is_ours() => Err(error.context(peer.to_string())),
        Err(error) => {
            eprintln!("  {peer} is out: {error:#}");
            // On one line, and no longer than a note may be.
            let why = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            failed.insert(peer.to_string(), why.chars().take(160).collect());
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use anyhow::anyhow;

    use super::survive;
    use crate::peer::Peer;

    #[test]
    fn a_failure_of_another_is_a_note_and_ours_is_an_error() {
        let mut failed = BTreeMap::new();
        assert_eq!(survive(Peer::Nginx, Ok(1), &mut failed).ok(), Some(Some(1)));
        let lost = survive::<u8>(Peer::Envoy, Err(anyhow!("it\n  ended")), &mut failed);
        assert_eq!(lost.ok(), Some(None));
        assert_eq!(failed.get("envoy").map(String::as_str), Some("it ended"));
        assert!(survive::<u8>(Peer::Plenipo, Err(anyhow!("it ended")), &mut failed).is_err());
    }
}

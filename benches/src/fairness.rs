//! What a light client notices of heavy ones: alone, beside a thousand busy streams, during a storm of handshakes.

use std::process::Child;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::Effort;
use crate::generator::Outcome;
use crate::load::{Load, background};
use crate::material::KeyKind;
use crate::peer::Peer;
use crate::results::{Beside, Fairness, FairnessSample, Latency};
use crate::rounds::{Competitor, survive};
use crate::setup::{Back, Front, Ground, Target};

/// The light client: kept TLS connections, and so many requests a second on all of them together.
const LIGHT: Load = Load::Paced { connections: 8, rate: 400 };

/// Streams that are kept busy, on as many connections as the proxy's limit of streams asks for.
const STREAMS: usize = 1_000;

/// Connections being opened at any moment of the storm.
const STORM: usize = 64;

/// So many seconds heavy clients would go on after the light one: they must be there all the time.
const AFTER: u64 = 30;

/// So long heavy clients have for coming up.
const COME_UP: Duration = Duration::from_millis(700);

/// Each phase with each proxy, as often as there are rounds.
///
/// # Errors
/// When ours does not start, or the light client's requests fail.
pub(crate) fn measure(effort: &Effort, rounds: usize) -> Result<Fairness> {
    let mut fairness = Fairness::default();
    for peer in &effort.peers {
        let samples = one(*peer, rounds, effort.seconds);
        fairness.samples.extend(survive(*peer, samples, &mut fairness.failed)?.unwrap_or_default());
    }
    Ok(fairness)
}

fn one(peer: Peer, rounds: usize, seconds: u64) -> Result<Vec<FairnessSample>> {
    let ground = Ground::prepare()?;
    let setup = ground.setup(peer, Front::Https(KeyKind::EcdsaP256), Back::Clear, 0)?;
    let competitor = Competitor::start(peer, setup)?;
    let target = competitor.setup.target();
    // A new proxy's first connections are not what is measured.
    Load::http(16).run(&target, 1)?;
    let mut samples = Vec::new();
    for beside in [Beside::Nothing, Beside::Streams, Beside::Handshakes] {
        let mut latencies = Vec::new();
        for _ in 0..rounds {
            let outcome = light(peer, &target, beside, seconds).with_context(|| format!("{beside:?}"))?;
            let (p50, p99) = outcome.p50.zip(outcome.p99).context("no latencies")?;
            println!("  {peer:8} beside {beside:?}: p50 {p50} us, p99 {p99} us");
            latencies.push(Latency { p50, p99 });
        }
        samples.push(FairnessSample { peer: peer.to_string(), beside, latencies });
    }
    Ok(samples)
}

/// The light client's turn, beside the heavy ones.
fn light(peer: Peer, target: &Target, beside: Beside, seconds: u64) -> Result<Outcome> {
    let heavy = match beside {
        Beside::Nothing => None,
        Beside::Streams => {
            let streams = peer.streams();
            Some(Load::Http2 { connections: STREAMS.div_ceil(streams), streams })
        }
        Beside::Handshakes => Some(Load::Connect { connections: STORM, resume: false }),
    };
    let Some(heavy) = heavy else { return LIGHT.run(target, seconds) };
    let mut others = Kept(background(heavy, target, seconds + AFTER)?);
    thread::sleep(COME_UP);
    let outcome = LIGHT.run(target, seconds)?;
    ensure!(others.0.try_wait()?.is_none(), "the heavy clients ended before the light one");
    Ok(outcome)
}

/// Ends with its place: the next phase shall be alone.
struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

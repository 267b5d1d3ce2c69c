//! The usual comparison: the same load for every proxy, in turns.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::Effort;
use crate::accounting::cpu_time;
use crate::load::Load;
use crate::peer::start_upstream;
use crate::results::{LoadSamples, Sample};
use crate::setup::{Back, Front, Ground};

/// Starts all proxies, then lets each do its turn per round. Those whose turn it is not are idle.
///
/// # Errors
/// When a proxy does not start or fails requests.
pub(crate) fn measure(effort: &Effort, front: Front, back: Back, load: Load) -> Result<LoadSamples> {
    let ground = Ground::prepare()?;
    let mut running = Vec::new();
    for peer in &effort.peers {
        let setup = ground.setup(*peer, front, back, 0)?;
        let upstream = start_upstream(&setup)?;
        let proxy = peer.start(&setup).with_context(|| peer.to_string())?;
        running.push((*peer, setup, proxy, upstream));
    }
    let tls = matches!(front, Front::Https(_) | Front::TlsToTcp(_));
    let mut samples = BTreeMap::<String, Vec<Sample>>::new();
    for round in 0..effort.rounds {
        // The list is turned round after every round: who goes first must not always be the same.
        running.reverse();
        for (peer, setup, proxy, _upstream) in &running {
            let turn = || -> Result<Sample> {
                load.run(setup.address(), tls, 1)?;
                let before = cpu_time(proxy.id())?;
                let outcome = load.run(setup.address(), tls, effort.seconds)?;
                let used = cpu_time(proxy.id())? - before;
                Ok(Sample {
                    microseconds: used.as_secs_f64() * 1e6 / outcome.completed as f64,
                    rate: outcome.completed as f64 / effort.seconds as f64,
                    p50: outcome.p50,
                    p99: outcome.p99,
                })
            };
            let sample = turn().with_context(|| format!("{peer}, round {}", round + 1))?;
            println!("  {peer:8} {:7.1} us {:9.0}/s", sample.microseconds, sample.rate);
            samples.entry(peer.to_string()).or_default().push(sample);
        }
    }
    Ok(LoadSamples { samples })
}

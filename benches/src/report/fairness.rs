//! The table of a light client beside heavy ones.

use super::{NOTHING, failures, names};
use crate::peer::Peer;
use crate::results::{Beside, Fairness, Latency};
use crate::summary::Summary;

/// Medians over the rounds of both percentiles, phase by phase.
pub(super) fn fairness(fairness: &Fairness) -> String {
    let phases = [
        (Beside::Nothing, "alone"),
        (Beside::Streams, "beside 1,000 busy streams"),
        (Beside::Handshakes, "during a storm of handshakes"),
    ];
    let mut text = format!("| p50 / p99 in microseconds | {} |\n|---|---|---|---|---|\n", names(&Peer::ALL));
    for (beside, title) in phases {
        let cells = Peer::ALL.map(|peer| {
            let mut samples = fairness.samples.iter();
            let sample = samples.find(|sample| sample.beside == beside && sample.peer == peer.to_string())?;
            let of = |pick: fn(&Latency) -> u64| {
                Summary::of(sample.latencies.iter().map(|latency| pick(latency) as f64))
            };
            let (p50, p99) = (of(|latency| latency.p50)?, of(|latency| latency.p99)?);
            Some(format!("{:.0} / {:.0}", p50.median, p99.median))
        });
        let cells = cells.map(|cell| cell.unwrap_or_else(|| NOTHING.into()));
        text += &format!("| {title} | {} |\n", cells.join(" | "));
    }
    text + &failures("fairness", &fairness.failed)
}

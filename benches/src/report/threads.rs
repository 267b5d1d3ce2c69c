//! The table of workers.

use std::fmt::Write;

use super::{NOTHING, failures};
use crate::peer::Peer;
use crate::results::{Threads, ThreadsSample, Turn};
use crate::summary::Summary;

/// Medians by proxy, with one worker and with two.
pub(super) fn threads(threads: &Threads) -> String {
    let mut text = String::from(
        "| proxy | requests a second, 1 worker | 2 workers | gain | requests per CPU second, 1 worker | 2 workers | gain | busiest of 2 |\n|---|---|---|---|---|---|---|---|\n",
    );
    for peer in Peer::ALL {
        let sample = |workers: usize| {
            let mut samples = threads.samples.iter();
            samples.find(|sample| sample.workers == workers && sample.peer == peer.to_string())
        };
        let (one, two) = (sample(1), sample(2));
        if one.is_none() && two.is_none() {
            continue;
        }
        let (rate, per_cpu_second) = (|turn: &Turn| turn.rate, |turn: &Turn| turn.per_cpu_second);
        let busiest = spread(two, |turn| turn.busiest).map_or_else(
            || NOTHING.into(),
            |share| {
                format!("{:.0}/{:.0}/{:.0} %", share.min * 100.0, share.median * 100.0, share.max * 100.0)
            },
        );
        let (rates, efficiency) = (pair(one, two, rate), pair(one, two, per_cpu_second));
        let _ = writeln!(text, "| {peer} | {rates} | {efficiency} | {busiest} |");
    }
    text + &failures("threads", &threads.failed)
}

/// With one, with two, and the second by the first.
fn pair(one: Option<&ThreadsSample>, two: Option<&ThreadsSample>, of: fn(&Turn) -> f64) -> String {
    let medians = [one, two].map(|sample| spread(sample, of).map(|summary| summary.median));
    let cells = medians.map(|median| median.map_or_else(|| NOTHING.into(), |median| format!("{median:.0}")));
    let gain = medians[0].zip(medians[1]).map(|(one, two)| two / one);
    let gain = gain.map_or_else(|| NOTHING.into(), |gain| format!("{gain:.2}"));
    format!("{} | {gain}", cells.join(" | "))
}

fn spread(sample: Option<&ThreadsSample>, of: fn(&Turn) -> f64) -> Option<Summary> {
    Summary::of(sample.into_iter().flat_map(|sample| &sample.turns).map(of))
}

//! The table of workers.

use std::fmt::Write;

use super::{NOTHING, failures};
use crate::peer::Peer;
use crate::results::{Threads, ThreadsSample, Turn, Work};
use crate::summary::Summary;

/// Medians by proxy, with one worker and with two.
pub(super) fn threads(threads: &Threads) -> String {
    let mut text = String::from(
        "| load | proxy | a second, 1 worker | 2 workers | gain | per CPU second, 1 worker | 2 workers | gain | busiest of 2 |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let works = [(Work::Requests, "requests"), (Work::Handshakes, "handshakes, RSA-4096")];
    for ((work, load), peer) in works.into_iter().flat_map(|work| Peer::ALL.map(|peer| (work, peer))) {
        let sample = |workers: usize| {
            let mut samples = threads.samples.iter();
            samples.find(|sample| {
                (sample.work, sample.workers) == (work, workers) && sample.peer == peer.to_string()
            })
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
        let _ = writeln!(text, "| {load} | {peer} | {rates} | {efficiency} | {busiest} |");
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

//! The table of targets that are missed.

use std::fmt::Write;

use super::others;
use crate::peer::Peer;
use crate::results::{Measured, Results, RoutesSample};
use crate::scenario::Scenario;
use crate::summary::Summary;
use crate::targets::{
    CHANGES, IDLE, LOOKUP, MANY_ROUTES, instructions_target, latency_targets, ratio_target,
};

/// A target, and what was measured.
struct Reached {
    what: String,
    target: f64,
    measured: f64,
}

/// Those that are missed, with their numbers; how many there are in all.
pub(super) fn missed(results: &Results) -> String {
    let all = all(results);
    if all.is_empty() {
        return String::new();
    }
    let missed = all.iter().filter(|one| one.measured > one.target).collect::<Vec<_>>();
    let mut text = format!("\n### Targets: {} met, {} missed\n\n", all.len() - missed.len(), missed.len());
    if !missed.is_empty() {
        text += "| missed (medians) | target | measured |\n|---|---|---|\n";
    }
    for Reached { what, target, measured } in missed {
        let digits = if *target < 2.0 { 2 } else { 0 };
        let _ = writeln!(text, "| {what} | {target} | {measured:.digits$} |");
    }
    text
}

fn all(results: &Results) -> Vec<Reached> {
    let mut all = Vec::new();
    for scenario in Scenario::all() {
        let Some(entry) = results.scenarios.get(&scenario.name()) else { continue };
        let name = scenario.name();
        let mut add = |what: String, target: Option<f64>, measured: Option<f64>| {
            all.extend(target.zip(measured).map(|(target, measured)| Reached { what, target, measured }));
        };
        match &entry.measured {
            Measured::Load(load) => {
                for peer in others() {
                    let median = |ratio: Option<Summary>| ratio.map(|ratio| ratio.median);
                    add(format!("{name} / {peer}"), ratio_target(scenario, peer), median(load.ratio(peer)));
                    let (p50, p99) = latency_targets(peer).unzip();
                    let ratio = load.ratio_of(peer, |sample| sample.p50.map(|time| time as f64));
                    add(format!("{name}, p50 / {peer}"), p50, median(ratio));
                    let ratio = load.ratio_of(peer, |sample| sample.p99.map(|time| time as f64));
                    add(format!("{name}, p99 / {peer}"), p99, median(ratio));
                }
            }
            Measured::Idle(samples) => {
                for sample in samples.iter().filter(|sample| sample.peer == Peer::Plenipo.to_string()) {
                    let kind = if sample.tls { "TLS" } else { "clear" };
                    let target = IDLE[usize::from(sample.tls)];
                    add(format!("{name}, KiB per {kind} connection"), Some(target), Some(sample.each));
                }
            }
            Measured::Routes(samples) => routes(samples, &mut add),
            Measured::Instructions(counted) => {
                let of = |peer: Peer| {
                    let mut samples = counted.samples.iter();
                    let found = samples.find(|one| one.row == "a" && one.peer == peer.to_string());
                    found.map(|sample| sample.instructions)
                };
                for peer in others() {
                    let ratio = of(Peer::Plenipo).zip(of(peer)).map(|(ours, theirs)| ours / theirs);
                    add(format!("instructions of row a / {peer}"), instructions_target(peer), ratio);
                }
            }
            Measured::Lookup(samples) => {
                let most = samples.iter().map(|sample| sample.instructions).reduce(f64::max);
                add("instructions of a look-up, at most".to_owned(), Some(LOOKUP), most);
            }
            Measured::Edge(_) | Measured::Cluster(_) | Measured::Threads(_) | Measured::Fairness(_) => {}
        }
    }
    all
}

fn routes(samples: &[RoutesSample], add: &mut impl FnMut(String, Option<f64>, Option<f64>)) {
    let of = |routes: usize| {
        let mut samples = samples.iter();
        samples.find(|sample| sample.routes == routes && sample.peer == Peer::Plenipo.to_string())
    };
    let median = |numbers: &[f64]| Summary::of(numbers.iter().copied()).map(|summary| summary.median);
    for (routes, target) in CHANGES {
        let measured = of(routes).and_then(|sample| median(&sample.change));
        add(format!("ms until a change among {routes} routes serves"), Some(target), measured);
    }
    let cost = |routes: usize| of(routes).and_then(|sample| median(&sample.microseconds));
    let ratio = cost(1).zip(cost(10_000)).map(|(one, many)| many / one);
    add("CPU per request, 10,000 routes / 1 route".to_owned(), Some(MANY_ROUTES), ratio);
}

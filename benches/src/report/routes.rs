//! The tables of routes: served, and looked up.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::NOTHING;
use crate::peer::Peer;
use crate::results::{Layout, LookupSample, RoutesSample};
use crate::summary::Summary;

/// By number and proxy; what a route costs in memory is the difference from the same proxy with one.
pub(super) fn routes(samples: &[RoutesSample]) -> String {
    let mut text = String::from(
        "| routes | proxy | CPU us per request | start to serving, ms | change to serving, ms (min/median/max) | memory, MiB | KiB per route |\n|---|---|---|---|---|---|---|\n",
    );
    let with_one = samples.iter().filter(|sample| sample.routes == 1);
    let base = with_one.map(|sample| (sample.peer.as_str(), sample.memory)).collect::<BTreeMap<_, _>>();
    let mut samples = samples.iter().collect::<Vec<_>>();
    samples.sort_by_key(|sample| {
        (sample.routes, Peer::ALL.iter().position(|peer| peer.to_string() == sample.peer))
    });
    for sample in samples {
        let median = |numbers: &[f64]| Summary::of(numbers.iter().copied());
        let cost = median(&sample.microseconds)
            .map_or_else(|| NOTHING.into(), |summary| format!("{:.1}", summary.median));
        let change = median(&sample.change).map_or_else(
            || NOTHING.into(),
            |summary| format!("{:.0}/{:.0}/{:.0}", summary.min, summary.median, summary.max),
        );
        let memory = sample.memory as f64 / 1024.0;
        let each = base.get(sample.peer.as_str()).filter(|_| sample.routes >= 1_000).map_or_else(
            || NOTHING.into(),
            |base| format!("{:.1}", sample.memory.saturating_sub(*base) as f64 / sample.routes as f64),
        );
        let (routes, peer, start) = (sample.routes, &sample.peer, sample.start);
        let _ =
            writeln!(text, "| {routes} | {peer} | {cost} | {start:.0} | {change} | {memory:.0} | {each} |");
    }
    text
}

/// By number of routes and how they are spread over hosts.
pub(super) fn lookup(samples: &[LookupSample]) -> String {
    let mut text = String::from(
        "| routes | ten on each host | all on one host | a host with a wildcard for each |\n|---|---|---|---|\n",
    );
    let mut sizes = samples.iter().map(|sample| sample.routes).collect::<Vec<_>>();
    sizes.sort_unstable();
    sizes.dedup();
    for routes in sizes {
        let cells = [Layout::TenAHost, Layout::OneHost, Layout::Wildcards].map(|layout| {
            let found = samples.iter().find(|sample| sample.routes == routes && sample.layout == layout);
            found.map_or_else(|| NOTHING.into(), |sample| format!("{:.0}", sample.instructions))
        });
        let _ = writeln!(text, "| {routes} | {} |", cells.join(" | "));
    }
    text
}

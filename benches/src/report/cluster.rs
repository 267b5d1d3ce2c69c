//! The table of a gateway of a cluster.

use std::fmt::Write;

use super::NOTHING;
use crate::peer::Peer;
use crate::results::{ClusterSample, Measured, Results, RoutesSample};
use crate::scenario::Scenario;
use crate::summary::{Summary, percentile};

/// Beside Envoy's figures of as many routes, which it has by file: nothing translates a cluster for it there.
pub(super) fn cluster(sample: &ClusterSample, others: &Results) -> String {
    let envoy = match others.scenarios.get(&Scenario::I.name()).map(|entry| &entry.measured) {
        Some(Measured::Routes(samples)) => {
            samples.iter().find(|sample| sample.peer == Peer::Envoy.to_string() && sample.routes == 10_000)
        }
        _ => None,
    };
    let mebibytes = |kibibytes: f64| kibibytes / 1024.0;
    let spread = |numbers: &mut dyn Iterator<Item = f64>| {
        let summary = Summary::of(numbers);
        summary.map_or_else(|| NOTHING.into(), |s| format!("{:.0}/{:.0}/{:.0}", s.min, s.median, s.max))
    };
    let of_envoy = |pick: &dyn Fn(&RoutesSample) -> String| envoy.map_or_else(|| NOTHING.into(), pick);
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&sample.change, share).unwrap_or_default());
    let start = spread(&mut sample.start.iter().copied());
    let memory = spread(&mut sample.memory.iter().map(|each| mebibytes(*each as f64)));
    let (changes, answered, idle) = (sample.change.len(), sample.answered, sample.idle);
    let changed = mebibytes(sample.changed as f64);
    let lines = [
        ("start to serving, ms (min/median/max)", start, of_envoy(&|envoy| format!("{:.0}", envoy.start))),
        ("memory then, MiB", memory, NOTHING.into()),
        (
            "memory later, MiB",
            format!("{changed:.0}"),
            of_envoy(&|envoy| format!("{:.0}", mebibytes(envoy.memory as f64))),
        ),
        (
            "EndpointSlice written to first request there, ms (p50/p99/max)",
            format!("{p50:.0}/{p99:.0}/{max:.0}"),
            NOTHING.into(),
        ),
        (
            "change of a route to serving, ms (min/median/max)",
            NOTHING.into(),
            of_envoy(&|envoy| spread(&mut envoy.change.iter().copied())),
        ),
        ("requests meanwhile", format!("{answered}, 0 lost"), NOTHING.into()),
        ("CPU seconds a minute while idle", format!("{idle:.2}"), NOTHING.into()),
    ];
    let mut text =
        String::from("| | plenipo, of a cluster | envoy, 10,000 routes by file (table i) |\n|---|---|---|\n");
    for (title, ours, theirs) in lines {
        let _ = writeln!(text, "| {title} | {ours} | {theirs} |");
    }
    let busy = if sample.others > 15.0 { "on a busy machine" } else { "on a quiet machine" };
    let (starts, others) = (sample.start.len(), sample.others);
    let _ = write!(
        text,
        "\nThe gateway has core 0 and one worker; API server, etcd, clients and upstreams share core 1. {starts} starts of a replica, \
         as in a\ncluster where every object has its status; {changes} changes of an endpoint of the last Mapping, {busy} (while the \
         gateway idled,\nall programs together used {others:.0} CPU seconds a minute). What Envoy has is by file, and its changes are \
         of routes.\n"
    );
    text
}

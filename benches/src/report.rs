//! The tables of docs/performance.md, between two markers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};

use crate::peer::{Peer, root};
use crate::results::{ClusterSample, IdleSample, LoadSamples, Measured, Results, RoutesSample, Sample};
use crate::scenario::Scenario;
use crate::summary::{Summary, percentile};

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";
const NOTHING: &str = "–";

/// One scenario as Markdown, beside figures of those measured before.
pub(crate) fn one(scenario: Scenario, measured: &Measured, others: &Results) -> String {
    match measured {
        Measured::Load(load) => format!("{}{}", heads(), load_line(scenario, load)),
        Measured::Idle(samples) => idle(samples),
        Measured::Routes(samples) => routes(samples),
        Measured::Edge(load) => edge(load),
        Measured::Cluster(sample) => cluster(sample, others),
    }
}

/// Writes all results into the page.
///
/// # Errors
/// When the page is missing or has no markers.
pub(crate) fn write(results: &Results) -> Result<()> {
    let path = root().join("docs/performance.md");
    let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let (before, rest) = page.split_once(BEGIN).context("docs/performance.md has no begin marker")?;
    let (_, after) = rest.split_once(END).context("docs/performance.md has no end marker")?;
    Ok(fs::write(path, format!("{before}{BEGIN}\n{}{END}{after}", tables(results)))?)
}

fn tables(results: &Results) -> String {
    let mut text = String::new();
    let entries = Scenario::all()
        .into_iter()
        .filter_map(|scenario| Some((scenario, results.scenarios.get(&scenario.name())?)));
    let entries = entries.collect::<Vec<_>>();
    if let Some((_, newest)) = entries.iter().max_by_key(|(_, entry)| entry.time) {
        let versions = newest.versions.iter().map(|(peer, version)| format!("{peer}: {version}"));
        let versions = versions.collect::<Vec<_>>().join("; ");
        let _ = write!(text, "\nMachine: {}. Versions: {versions}.\n", newest.machine);
    }
    let mut lines = String::new();
    let mut latencies = String::new();
    let mut others = String::new();
    for (scenario, entry) in entries {
        match &entry.measured {
            Measured::Load(load) => {
                lines += &load_line(scenario, load);
                latencies += &latency(scenario, load);
            }
            other => {
                let _ = write!(
                    others,
                    "\n### {}: {}\n\n{}",
                    scenario.name(),
                    scenario.title(),
                    one(scenario, other, results)
                );
            }
        }
    }
    if !lines.is_empty() {
        let _ =
            write!(text, "\n### CPU time of the proxy per request, in microseconds\n\n{}{lines}", heads());
    }
    if !latencies.is_empty() {
        let _ = write!(
            text,
            "\n### Latency, p50 / p99 in microseconds\n\n| scenario | {} |\n|---|---|---|---|---|\n{latencies}",
            names(&Peer::ALL)
        );
    }
    text + &others + "\n"
}

fn others() -> [Peer; 3] {
    [Peer::Envoy, Peer::Haproxy, Peer::Nginx]
}

fn names(peers: &[Peer]) -> String {
    peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

fn heads() -> String {
    let ratios = others().map(|peer| format!("/ {peer}")).join(" | ");
    format!(
        "| scenario | {} | rounds | {ratios} |\n|---|---|---|---|---|---|---|---|---|\n",
        names(&Peer::ALL)
    )
}

/// Medians of all, and our ratio to each of the others: least, middle, greatest over the rounds.
fn load_line(scenario: Scenario, load: &LoadSamples) -> String {
    let medians = Peer::ALL.map(|peer| {
        let samples = load.samples.get(&peer.to_string());
        let median = Summary::of(samples.into_iter().flatten().map(|sample| sample.microseconds));
        median.map_or_else(|| NOTHING.into(), |summary| format!("{:.1}", summary.median))
    });
    let ratios = others().map(|peer| ratio(&load.samples, peer));
    let rounds = load.samples.values().map(Vec::len).max().unwrap_or_default();
    format!(
        "| {} {} | {} | {rounds} | {} |\n",
        scenario.name(),
        scenario.title(),
        medians.join(" | "),
        ratios.join(" | ")
    )
}

fn ratio(samples: &BTreeMap<String, Vec<Sample>>, other: Peer) -> String {
    let of =
        |peer: Peer| samples.get(&peer.to_string()).into_iter().flatten().map(|sample| sample.microseconds);
    let ratios = of(Peer::Plenipo).zip(of(other)).map(|(ours, theirs)| ours / theirs);
    Summary::of(ratios).map_or_else(|| NOTHING.into(), |summary| summary.to_string())
}

/// Ours alone, and behind a load balancer in the same process.
fn edge(load: &LoadSamples) -> String {
    let of = |peer: Peer| {
        load.samples.get(&peer.to_string()).into_iter().flatten().map(|sample| sample.microseconds)
    };
    let ratios = of(Peer::Plenipo).zip(of(Peer::PlenipoEdge)).map(|(alone, both)| alone / both);
    let ratio = Summary::of(ratios).map_or_else(|| NOTHING.into(), |summary| summary.to_string());
    let mut text =
        String::from("| | CPU us per request | requests per CPU second, of the gateway's |\n|---|---|---|\n");
    for (peer, share) in [(Peer::Plenipo, "1".to_owned()), (Peer::PlenipoEdge, ratio)] {
        let cost =
            Summary::of(of(peer)).map_or_else(|| NOTHING.into(), |summary| format!("{:.1}", summary.median));
        let _ = writeln!(text, "| {peer} | {cost} | {share} |");
    }
    text
}

fn latency(scenario: Scenario, load: &LoadSamples) -> String {
    let cells = Peer::ALL.map(|peer| {
        let samples = load.samples.get(&peer.to_string());
        let of = |pick: fn(&Sample) -> Option<u64>| {
            Summary::of(samples.into_iter().flatten().filter_map(pick).map(|value| value as f64))
        };
        let (p50, p99) = (of(|sample| sample.p50)?, of(|sample| sample.p99)?);
        Some(format!("{:.0} / {:.0}", p50.median, p99.median))
    });
    if cells.iter().all(Option::is_none) {
        return String::new();
    }
    let cells = cells.map(|cell| cell.unwrap_or_else(|| NOTHING.into()));
    format!("| {} {} | {} |\n", scenario.name(), scenario.title(), cells.join(" | "))
}

fn idle(samples: &[IdleSample]) -> String {
    let line = |title: &str, cell: &dyn Fn(&IdleSample) -> Option<String>| {
        let cells = Peer::ALL.map(|peer| {
            let found = samples.iter().filter(|sample| sample.peer == peer.to_string()).find_map(cell);
            found.unwrap_or_else(|| NOTHING.into())
        });
        format!("| {title} | {} |\n", cells.join(" | "))
    };
    let each =
        |tls: bool| move |sample: &IdleSample| (sample.tls == tls).then(|| format!("{:.1}", sample.each));
    let base = |sample: &IdleSample| (!sample.tls).then(|| format!("{:.0}", sample.base as f64 / 1024.0));
    let head = format!("| | {} |\n|---|---|---|---|---|\n", names(&Peer::ALL));
    head + &line("KiB per clear connection", &each(false))
        + &line("KiB per TLS connection", &each(true))
        + &line("MiB before", &base)
}

/// Beside Envoy's figures of as many routes, which it has by file: nothing translates a cluster for it there.
fn cluster(sample: &ClusterSample, others: &Results) -> String {
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

fn routes(samples: &[RoutesSample]) -> String {
    let mut text = String::from(
        "| routes | proxy | CPU us per request | start to serving, ms | change to serving, ms (min/median/max) | memory, MiB |\n|---|---|---|---|---|---|\n",
    );
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
        let (routes, peer, start) = (sample.routes, &sample.peer, sample.start);
        let _ = writeln!(text, "| {routes} | {peer} | {cost} | {start:.0} | {change} | {memory:.0} |");
    }
    text
}

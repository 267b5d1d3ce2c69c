//! The tables of docs/performance.md, between two markers.

mod cluster;
mod edge;
mod fairness;
mod idle;
mod instructions;
mod routes;
mod targets;
mod threads;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use time::OffsetDateTime;

use crate::peer::{Peer, root};
use crate::plot;
use crate::results::{Entry, LoadSamples, Measured, Results, Sample};
use crate::scenario::Scenario;
use crate::summary::Summary;

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";
const NOTHING: &str = "–";
/// What the plot is, for those who do not see it too.
const PLOT: &str = "![Plenipo's CPU time per request by that of Envoy, HAProxy and nginx; the table has the numbers](performance.svg)";

/// One scenario as Markdown, beside figures of those measured before.
pub(crate) fn one(scenario: Scenario, measured: &Measured, others: &Results) -> String {
    match measured {
        Measured::Load(load) => format!("{}{}", heads(), load_line(scenario, load, "now")),
        Measured::Idle(samples) => idle::idle(samples),
        Measured::Routes(samples) => routes::routes(samples),
        Measured::Edge(load) => edge::edge(load),
        Measured::Cluster(sample) => cluster::cluster(sample, others),
        Measured::Instructions(counted) => instructions::instructions(counted),
        Measured::Lookup(samples) => routes::lookup(samples),
        Measured::Threads(samples) => threads::threads(samples),
        Measured::Fairness(samples) => fairness::fairness(samples),
    }
}

/// Writes all results into the page, and the plot beside it.
///
/// # Errors
/// When the page is missing or has no markers, or the plot cannot be written.
pub(crate) fn write(results: &Results) -> Result<()> {
    let folder = root().join("docs");
    let path = folder.join("performance.md");
    let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    fs::write(folder.join("performance.svg"), plot::svg(&plot::rows(results)))?;
    Ok(fs::write(path, with_tables(&page, &tables(results))?)?)
}

/// The page with these tables in the place of those that it has.
fn with_tables(page: &str, tables: &str) -> Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("docs/performance.md has no begin marker")?;
    let (_, after) = rest.split_once(END).context("docs/performance.md has no end marker")?;
    Ok(format!("{before}{BEGIN}\n{tables}{END}{after}"))
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
    let (mut lines, mut latencies, mut others, mut failed) =
        (String::new(), String::new(), String::new(), String::new());
    for (scenario, entry) in entries {
        match &entry.measured {
            Measured::Load(load) => {
                lines += &load_line(scenario, load, &made(entry));
                latencies += &latency(scenario, load);
                failed += &failures(&scenario.name(), &load.failed);
            }
            other => {
                let (name, title, table) = (scenario.name(), scenario.title(), one(scenario, other, results));
                let _ = write!(others, "\n### {name}: {title}\n\n{table}\nBuild: {}.\n", made(entry));
            }
        }
    }
    if !lines.is_empty() {
        let title = "CPU time of the proxy per request, in microseconds";
        let _ = write!(text, "\n### {title}\n\n{PLOT}\n\n{}{lines}{failed}", heads());
    }
    if !latencies.is_empty() {
        let _ = write!(
            text,
            "\n### Latency, p50 / p99 in microseconds\n\n| scenario | {} |\n|---|---|---|---|---|\n{latencies}",
            names(&Peer::ALL)
        );
    }
    text + &others + &targets::missed(results) + "\n"
}

/// Which build a scenario was measured with, and when.
fn made(entry: &Entry) -> String {
    let build = if entry.build.is_empty() { "earlier" } else { &entry.build };
    let seconds = i64::try_from(entry.time).unwrap_or_default();
    let date = OffsetDateTime::from_unix_timestamp(seconds).map(|time| time.date().to_string());
    format!("{build} {}", date.unwrap_or_default()).trim().to_owned()
}

/// A line for each proxy that was measured no further.
fn failures(scenario: &str, failed: &BTreeMap<String, String>) -> String {
    let lines =
        failed.iter().map(|(peer, why)| format!("\n{scenario}, {peer}: not measured further: {why}\n"));
    lines.collect()
}

fn others() -> [Peer; 3] {
    [Peer::Envoy, Peer::Haproxy, Peer::Nginx]
}

fn names(peers: &[Peer]) -> String {
    peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

/// All proxies, and our ratio to each of the others, with further columns in between.
fn heads_of(first: &str, between: &[&str]) -> String {
    let ratios = others().map(|peer| format!("/ {peer}"));
    let columns = [first.to_owned(), names(&Peer::ALL)].into_iter();
    let columns = columns.chain(between.iter().map(ToString::to_string)).chain(ratios).collect::<Vec<_>>();
    let count = Peer::ALL.len() + 1 + between.len() + others().len();
    format!("| {} |\n|{}\n", columns.join(" | "), "---|".repeat(count))
}

fn heads() -> String {
    heads_of("scenario", &["rounds", "build"])
}

/// Medians of all, and our ratio to each of the others: least, middle, greatest over the rounds.
fn load_line(scenario: Scenario, load: &LoadSamples, build: &str) -> String {
    let medians = Peer::ALL.map(|peer| {
        let samples = load.samples.get(&peer.to_string());
        let median = Summary::of(samples.into_iter().flatten().map(|sample| sample.microseconds));
        median.map_or_else(|| NOTHING.into(), |summary| format!("{:.1}", summary.median))
    });
    let ratios = others().map(|peer| match load.ratio(peer) {
        Some(summary) => summary.to_string(),
        None if load.failed.contains_key(&peer.to_string()) => "failed".to_owned(),
        None => NOTHING.to_owned(),
    });
    let rounds = load.samples.values().map(Vec::len).max().unwrap_or_default();
    format!(
        "| {} {} | {} | {rounds} | {build} | {} |\n",
        scenario.name(),
        scenario.title(),
        medians.join(" | "),
        ratios.join(" | ")
    )
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

#[cfg(test)]
mod tests;

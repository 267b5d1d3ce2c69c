//! What was read, what came of it, and the certificates that serve.

use std::collections::BTreeMap;

use plenipo_resources::{Severity, Standing, State};

use crate::exposition::{Kind, Page};
use crate::metrics::Facts;
use crate::state::Published;

pub(super) fn write(page: &mut Page, facts: &Facts<'_>) {
    let version = facts.state.identity.version;
    page.family("plenipo_build_info", Kind::Gauge, "Always 1.").sample(&[("version", &version)], 1);
    let ready = u8::from(facts.health.ready);
    page.family("plenipo_ready", Kind::Gauge, "1 while serving and not draining.").sample(&[], ready);
    let revision = facts.published.as_ref().map_or(0, |published| published.revision);
    page.family("plenipo_revision", Kind::Gauge, "Configurations published so far.").sample(&[], revision);
    source(page, facts);
    status(page, facts);
    certificates(page, facts);
    key_fetches(page, facts);
    let Some(published) = &facts.published else { return };
    let [translate, build] = [published.translated_in, published.built_in].map(|time| time.as_secs_f64());
    page.family(
        "plenipo_revision_build_seconds",
        Kind::Gauge,
        "Time that the last configuration took, by stage.",
    )
    .sample(&[("stage", &"translate")], translate)
    .sample(&[("stage", &"build")], build);
    objects(page, published);
    problems(page, published);
    emissary(page, facts, published);
}

/// A directory is one thing, a cluster is as many as it has kinds.
fn source(page: &mut Page, facts: &Facts<'_>) {
    let source = facts.state.source.borrow();
    let name = source.name.split(' ').next().unwrap_or_default();
    let help = "1 while changes of these objects are noticed.";
    let mut family = page.family("plenipo_source_synced", Kind::Gauge, help);
    if source.kinds.is_empty() {
        family.sample(&[("source", &name), ("kind", &"")], u8::from(source.is_synced()));
    }
    for (kind, state) in source.kinds.iter().filter(|(_, state)| state.standing != Standing::LeftOut) {
        let synced = u8::from(state.standing == Standing::Synced);
        family.sample(&[("source", &name), ("kind", kind)], synced);
    }
}

/// What is written back to the cluster.
fn status(page: &mut Page, facts: &Facts<'_>) {
    let Some(writer) = &facts.state.status else { return };
    let numbers = writer.numbers();
    page.family("plenipo_leader", Kind::Gauge, "1 on the replica that writes status.")
        .sample(&[], u8::from(numbers.leads));
    let help = "Writes of a status, by what became of them.";
    let mut family = page.family("plenipo_status_writes_total", Kind::Counter, help);
    for (result, count) in &numbers.writes {
        family.sample(&[("result", result)], count);
    }
    page.family("plenipo_status_waiting", Kind::Gauge, "Objects whose status waits to be written.")
        .sample(&[], numbers.waiting);
    let (told, dropped) = numbers.events;
    page.family("plenipo_events_total", Kind::Counter, "Kubernetes Events for what is refused.")
        .sample(&[("result", &"told")], told)
        .sample(&[("result", &"dropped")], dropped);
}

fn certificates(page: &mut Page, facts: &Facts<'_>) {
    // Two listeners may serve the same certificate; a series may stand on the page once.
    let mut by_labels: BTreeMap<(&str, String), i64> = BTreeMap::new();
    for (source, names, not_after) in &facts.measured.certificates {
        let end = by_labels.entry((source.as_str(), names.join(","))).or_insert(*not_after);
        *end = (*end).min(*not_after);
    }
    let help = "End of the validity of a serving certificate, in seconds since 1970.";
    let mut family = page.family("plenipo_certificate_expiry_timestamp_seconds", Kind::Gauge, help);
    for ((source, names), end) in &by_labels {
        family.sample(&[("source", source), ("host", names)], end);
    }
}

fn key_fetches(page: &mut Page, facts: &Facts<'_>) {
    let help = "Fetches of key sets that tokens are verified with.";
    let mut family = page.family("plenipo_token_key_fetches_total", Kind::Counter, help);
    for (url, (fetched, failed)) in &facts.measured.key_fetches {
        family.sample(&[("url", url), ("outcome", &"fetched")], fetched);
        family.sample(&[("url", url), ("outcome", &"failed")], failed);
    }
}

fn objects(page: &mut Page, published: &Published) {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (object, verdict) in published.report.verdicts.iter() {
        let state = match verdict.state {
            State::Accepted => "accepted",
            State::Refused => "refused",
            State::Ignored => "ignored",
        };
        *counts.entry((&object.kind, state)).or_insert(0) += 1;
    }
    let mut family = page.family("plenipo_objects", Kind::Gauge, "Objects by what became of them.");
    for ((kind, state), count) in counts {
        family.sample(&[("kind", &kind), ("state", &state)], count);
    }
}

fn problems(page: &mut Page, published: &Published) {
    let mut counts: BTreeMap<(&str, Severity), u64> = BTreeMap::new();
    for problem in published.report.problems() {
        *counts.entry((problem.code.0, problem.severity)).or_insert(0) += 1;
    }
    let mut family = page.family("plenipo_problems", Kind::Gauge, "Problems of the configuration.");
    for ((code, severity), count) in counts {
        family.sample(&[("code", &code), ("severity", &severity)], count);
    }
    let unbound = published.unbound.len();
    page.family("plenipo_listeners_unbound", Kind::Gauge, "Addresses that could not be bound.")
        .sample(&[], unbound);
    let broken = published.broken.len();
    page.family(
        "plenipo_parts_broken",
        Kind::Gauge,
        "Parts that could not be compiled and refuse their traffic.",
    )
    .sample(&[], broken);
}

/// Emissary's own names.
fn emissary(page: &mut Page, facts: &Facts<'_>, published: &Published) {
    let identity = &facts.state.identity;
    let problems = published.report.problems();
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let notices = problems.len() - errors;
    let time = (published.translated_in + published.built_in).as_secs_f64();
    page.family("ambassador_diagnostics_errors", Kind::Gauge, "Problems of severity error.")
        .sample(&[], errors);
    page.family("ambassador_diagnostics_notices", Kind::Gauge, "Milder problems.").sample(&[], notices);
    page.family("ambassador_diagnostics_info", Kind::Gauge, "Always 1.").sample(
        &[
            ("version", &identity.version),
            ("ambassador_id", &identity.ambassador_id),
            ("single_namespace", &identity.single_namespace),
        ],
        1,
    );
    page.family(
        "ambassador_reconfiguration_time_seconds",
        Kind::Gauge,
        "Time that the last configuration took.",
    )
    .sample(&[], time);
}

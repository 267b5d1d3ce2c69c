//! Alive, ready, and why not.

use std::fmt::Write;

use plenipo_proxy::Handle;
use plenipo_resources::{Severity, SourceState, Standing};

use crate::state::{Published, State};

/// Health at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Health {
    /// All data threads answered.
    pub alive: bool,
    /// They serve something and are not draining.
    pub ready: bool,
}

impl Health {
    /// Asks the data plane.
    pub(crate) async fn ask(proxy: &Handle) -> Self {
        let alive = proxy.turning().await;
        Self { alive, ready: alive && proxy.ready().await }
    }

    /// What a person wants to know, one line each.
    pub(crate) fn explain(&self, state: &State) -> String {
        let mut text = format!("ready: {}\ndata threads answer: {}\n", self.ready, self.alive);
        match state.current() {
            None => text.push_str("configuration: nothing has been read yet\n"),
            Some(published) => explain_configuration(&mut text, &published),
        }
        explain_source(&mut text, &state.source.borrow());
        text
    }
}

fn explain_configuration(text: &mut String, published: &Published) {
    let errors = published.report.problems().iter().filter(|p| p.severity == Severity::Error).count();
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("a String takes all that is written");
    };
    line(format_args!(
        "configuration: revision {}, {} objects",
        published.revision,
        published.set.objects().len()
    ));
    line(format_args!("listeners: {}", published.edge.listeners.len()));
    if published.edge.listeners.is_empty() {
        line(format_args!("nothing to serve: no Listener (and no TCPMapping) was accepted"));
    }
    line(format_args!("problems of severity error: {errors}"));
    for (source, why) in &published.broken {
        line(format_args!("broken: {source}: {why}"));
    }
    for (address, why) in &published.unbound {
        line(format_args!("not bound: {address}: {why}"));
    }
}

/// Where objects come from, and which of them may have changed without anybody here knowing.
fn explain_source(text: &mut String, source: &SourceState) {
    let mut line = |line: std::fmt::Arguments<'_>| {
        writeln!(text, "{line}").expect("a String takes all that is written");
    };
    let standing = match (source.complete, source.is_synced()) {
        (true, true) => "synced",
        (true, false) => "not synced; what was read last is served",
        (false, _) => "not yet read",
    };
    line(format_args!("source: {}, {standing}", source.name));
    if let Some(error) = &source.error {
        line(format_args!("source: {error}"));
    }
    for (kind, state) in source.kinds.iter().filter(|(_, state)| state.standing != Standing::Synced) {
        let seconds = state.since.elapsed().unwrap_or_default().as_secs();
        let why = state.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        line(format_args!("source: {kind} {} for {seconds} s{why}", state.standing));
    }
}

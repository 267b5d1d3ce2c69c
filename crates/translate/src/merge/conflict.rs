//! Who is told that another object has what it asked for.

use std::collections::BTreeSet;

use plenipo_model::Source;
use plenipo_resources::{Code, Problem, Set, Severity};

use crate::findings::Findings;

const CODE: &str = "conflict";

/// Findings about parts of edges, which know their objects by name only.
pub(super) struct Conflicts<'f> {
    set: &'f Set,
    findings: &'f mut Findings,
    /// Told already: one thing is often met at several addresses and chains.
    told: BTreeSet<(String, String)>,
}

impl<'f> Conflicts<'f> {
    pub(super) fn new(set: &'f Set, findings: &'f mut Findings) -> Self {
        Self { set, findings, told: BTreeSet::new() }
    }

    /// What this object asked for is not done.
    pub(super) fn lost(&mut self, loser: &Source, message: String, fix: &str) {
        self.tell(Severity::Error, loser, message, fix);
    }

    /// Something of what it asked for does not come to anything.
    pub(super) fn idle(&mut self, loser: &Source, message: String, fix: &str) {
        self.tell(Severity::Warning, loser, message, fix);
    }

    /// It works, by another's rules.
    pub(super) fn changed(&mut self, loser: &Source, message: String, fix: &str) {
        self.tell(Severity::Note, loser, message, fix);
    }

    fn tell(&mut self, severity: Severity, loser: &Source, message: String, fix: &str) {
        if !self.told.insert((loser.as_str().to_owned(), message.clone())) {
            return;
        }
        // `Kind namespace/name`, perhaps with a field.
        let mut words = loser.as_str().splitn(3, ' ');
        let kind = words.next().unwrap_or_default();
        let (namespace, name) = words.next().and_then(|id| id.split_once('/')).unwrap_or_default();
        let field = words.next().unwrap_or("spec");
        self.findings.add(match self.set.get(kind, namespace, name) {
            Some(object) => object.problem(severity, Code(CODE), field, message, fix),
            // The gateway itself: nobody would have to do anything.
            None if severity == Severity::Note => return,
            None => Problem {
                severity,
                code: Code(CODE),
                object: None,
                origin: None,
                field: String::new(),
                message: format!("{loser}: {message}"),
                fix: fix.to_owned(),
            },
        });
    }
}

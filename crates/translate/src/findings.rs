//! Collects problems while objects are translated.

use std::collections::BTreeSet;
use std::sync::Arc;

use plenipo_resources::{Code, Object, ObjectId, Report, Set, Severity, State, Verdict};

/// The report being written.
#[derive(Debug)]
pub(crate) struct Findings {
    report: Report,
    /// Kinds of objects that are there and could not be read.
    unreadable: BTreeSet<Arc<str>>,
    /// Objects that are accepted unless the report says otherwise.
    accepted: Vec<ObjectId>,
}

impl Findings {
    /// Begins with what was found while reading.
    pub(crate) fn new(set: &Set) -> Self {
        let mut report = Report::default();
        let mut unreadable = BTreeSet::new();
        for problem in set.problems() {
            let lost =
                problem.object.as_ref().filter(|id| set.get(&id.kind, &id.namespace, &id.name).is_none());
            match lost.filter(|_| problem.severity == Severity::Error) {
                Some(id) => {
                    unreadable.insert(Arc::clone(&id.kind));
                    report.refuse(problem.clone());
                }
                None => report.add(problem.clone()),
            }
        }
        Self { report, unreadable, accepted: Vec::new() }
    }

    /// Was there an object of this kind that could not be read?
    pub(crate) fn unreadable(&self, kind: &str) -> bool {
        self.unreadable.contains(kind)
    }

    pub(crate) fn into_report(self) -> Report {
        let fine = || Verdict { state: State::Accepted, problems: Vec::new() };
        let accepted = self.accepted.into_iter().map(|id| (id, fine()));
        // Of two entries for one object the later one stays: the one with problems.
        let verdicts = accepted.chain(self.report.verdicts).collect();
        Report { verdicts, general: self.report.general }
    }

    /// The object is one we act on.
    pub(crate) fn accept(&mut self, object: &Object) {
        self.accepted.push(object.id.clone());
    }

    /// The object is not for us, or nothing refers to it.
    pub(crate) fn ignore(&mut self, object: &Object) {
        self.report.verdict(&object.id).state = State::Ignored;
    }

    /// Worth knowing.
    pub(crate) fn note(
        &mut self,
        object: &Object,
        code: &'static str,
        field: &str,
        message: String,
        fix: &str,
    ) {
        self.report.add(object.problem(Severity::Note, Code(code), field, message, fix));
    }

    /// Works, but not as its author probably thinks.
    pub(crate) fn warn(
        &mut self,
        object: &Object,
        code: &'static str,
        field: &str,
        message: String,
        fix: &str,
    ) {
        self.report.add(object.problem(Severity::Warning, Code(code), field, message, fix));
    }

    /// The named part does not work.
    pub(crate) fn error(
        &mut self,
        object: &Object,
        code: &'static str,
        field: &str,
        message: String,
        fix: &str,
    ) {
        self.report.add(object.problem(Severity::Error, Code(code), field, message, fix));
    }

    /// The object as a whole does not work.
    pub(crate) fn refuse(
        &mut self,
        object: &Object,
        code: &'static str,
        field: &str,
        message: String,
        fix: &str,
    ) {
        self.report.refuse(object.problem(Severity::Error, Code(code), field, message, fix));
    }

    /// A flaw that was found where the object was not at hand.
    pub(crate) fn flaw(&mut self, object: &Object, flaw: &Flaw) {
        self.error(object, flaw.code, &flaw.field, flaw.message.clone(), flaw.fix);
    }

    /// A flaw that costs the object everything.
    pub(crate) fn fatal(&mut self, object: &Object, flaw: &Flaw) {
        self.refuse(object, flaw.code, &flaw.field, flaw.message.clone(), flaw.fix);
    }
}

/// Why a part of an object cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Flaw {
    pub(crate) code: &'static str,
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) fix: &'static str,
}

impl Flaw {
    pub(crate) fn new(
        code: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
        fix: &'static str,
    ) -> Self {
        Self { code, field: field.into(), message: message.into(), fix }
    }
}

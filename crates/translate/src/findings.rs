//! Collects problems while objects are translated.

use std::collections::BTreeSet;
use std::sync::Arc;

use plenipo_model::Source;
use plenipo_resources::{Code, Object, ObjectId, Problem, Set, Severity, State};

/// One thing found about an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    /// What became of it.
    State(ObjectId, State),
    /// What is wrong with it (or with no object in particular).
    Problem(Arc<Problem>),
}

/// What is found while something is read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<Finding>,
    /// Kinds of objects that are there and could not be read.
    unreadable: BTreeSet<Arc<str>>,
}

impl Findings {
    /// Begins with what was found while the set was read.
    pub(crate) fn new(set: &Set) -> Self {
        let mut findings = Self::default();
        for problem in set.problems() {
            let lost =
                problem.object.as_ref().filter(|id| set.get(&id.kind, &id.namespace, &id.name).is_none());
            if let Some(id) = lost.filter(|_| problem.severity == Severity::Error) {
                findings.unreadable.insert(Arc::clone(&id.kind));
                findings.found.push(Finding::State(id.clone(), State::Refused));
            }
            findings.add(problem.clone());
        }
        findings
    }

    /// Was there an object of this kind that could not be read?
    pub(crate) fn unreadable(&self, kind: &str) -> bool {
        self.unreadable.contains(kind)
    }

    /// All that was found.
    pub(crate) fn into_found(self) -> Vec<Finding> {
        self.found
    }

    /// What was found earlier holds here too.
    pub(crate) fn repeat(&mut self, found: &[Finding]) {
        self.found.extend_from_slice(found);
    }

    /// The object is one we act on.
    pub(crate) fn accept(&mut self, object: &Object) {
        self.found.push(Finding::State(object.id.clone(), State::Accepted));
    }

    /// The object is not for us, or nothing refers to it.
    pub(crate) fn ignore(&mut self, object: &Object) {
        self.found.push(Finding::State(object.id.clone(), State::Ignored));
    }

    /// Adds one that was made elsewhere.
    pub(crate) fn add(&mut self, problem: Problem) {
        self.found.push(Finding::Problem(Arc::new(problem)));
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
        self.add(object.problem(Severity::Note, Code(code), field, message, fix));
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
        self.add(object.problem(Severity::Warning, Code(code), field, message, fix));
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
        self.add(object.problem(Severity::Error, Code(code), field, message, fix));
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
        self.found.push(Finding::State(object.id.clone(), State::Refused));
        self.error(object, code, field, message, fix);
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

/// `Mapping default/quote`. (There are ten thousand of them, and a formatter takes its time.)
pub(crate) fn source_of(object: &Object) -> Source {
    let id = &object.id;
    Source::new([&*id.kind, " ", &*id.namespace, "/", &*id.name].concat())
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

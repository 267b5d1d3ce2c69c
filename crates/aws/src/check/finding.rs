//! What a rule has found, and how it is mended.

use plenipo_resources::{Code, Object, ObjectId, Origin, Problem, Set};
use serde::Serialize;
use serde_json::Value;

use super::IGNORE;
use super::rules::{RULES, Rule};

/// One place where a rule does not hold.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub rule: &'static Rule,
    /// The object to look at.
    pub object: ObjectId,
    /// Where it was read from.
    pub origin: Origin,
    /// JSON pointer (RFC 6901) of the field; empty = the object as a whole.
    pub field: String,
    /// What is wrong, a sentence without a full stop.
    pub message: String,
    /// What to do about it, a sentence without a full stop.
    pub fix: String,
    /// What mends it; none = a person must decide.
    pub patch: Option<Patch>,
}

/// Changes that belong together.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Patch {
    /// Changes of objects, in order.
    pub edits: Vec<Edit>,
    /// Objects to create.
    pub create: Vec<Value>,
}

/// One change of one object.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Edit {
    /// The object, under the name it has now.
    pub object: ObjectId,
    /// The change.
    #[serde(flatten)]
    pub operation: Operation,
}

/// A change in the manner of RFC 6902. Unlike there, `add` makes the maps that are missing on the way, and removing what
/// is not there is no error: several patches may be about the same field.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
#[allow(missing_docs, reason = "the fields are those of RFC 6902")]
pub enum Operation {
    /// Sets a field of a map, or inserts into a list (`-` = at its end).
    Add { path: String, value: Value },
    /// Sets a field or an element.
    Replace { path: String, value: Value },
    /// Takes a field or an element out.
    Remove { path: String },
    /// Takes out there, adds here.
    Move { from: String, path: String },
}

impl Finding {
    /// What to do, in words.
    pub(super) fn fix(&mut self, fix: impl Into<String>) -> &mut Self {
        self.fix = fix.into();
        self
    }

    /// The patch replaces (or adds) the field itself.
    pub(super) fn set(&mut self, value: impl Into<Value>) -> &mut Self {
        let path = self.field.clone();
        // Adding to a list would put it in front.
        let is_element = path.rsplit('/').next().is_some_and(|last| last.parse::<usize>().is_ok());
        if is_element { self.replace(path, value) } else { self.add(path, value) }
    }

    /// The patch takes the field itself out.
    pub(super) fn unset(&mut self) -> &mut Self {
        let path = self.field.clone();
        self.remove(path)
    }

    /// The patch sets a field of the same object.
    pub(super) fn add(&mut self, path: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        let object = self.object.clone();
        self.edit(object, Operation::Add { path: path.into(), value: value.into() })
    }

    /// The patch replaces a field or an element of the same object.
    pub(super) fn replace(&mut self, path: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        let object = self.object.clone();
        self.edit(object, Operation::Replace { path: path.into(), value: value.into() })
    }

    /// The patch takes a field of the same object out.
    pub(super) fn remove(&mut self, path: impl Into<String>) -> &mut Self {
        let object = self.object.clone();
        self.edit(object, Operation::Remove { path: path.into() })
    }

    /// The patch changes some object.
    pub(super) fn edit(&mut self, object: ObjectId, operation: Operation) -> &mut Self {
        self.patch.get_or_insert_default().edits.push(Edit { object, operation });
        self
    }

    /// The patch creates an object.
    pub(super) fn create(&mut self, object: Value) -> &mut Self {
        self.patch.get_or_insert_default().create.push(object);
        self
    }

    /// As a problem of the report.
    #[must_use]
    pub fn problem(&self) -> Problem {
        Problem {
            severity: self.rule.severity,
            code: Code(self.rule.id),
            object: Some(self.object.clone()),
            origin: Some(self.origin.clone()),
            field: self.field.clone(),
            message: self.message.clone(),
            fix: self.fix.clone(),
        }
    }
}

/// What is found, while the rules are applied.
#[derive(Default)]
pub(super) struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    /// Adds a finding of rule `number` (1–98).
    pub(super) fn on(
        &mut self,
        number: usize,
        object: &Object,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.found.push(Finding {
            rule: &RULES[number - 1],
            object: object.id.clone(),
            origin: object.origin.clone(),
            field: field.into(),
            message: message.into(),
            fix: String::new(),
            patch: None,
        });
        self.found.last_mut().expect("one was pushed just now")
    }

    /// What was found so far.
    pub(super) fn so_far(&self) -> &[Finding] {
        &self.found
    }

    /// All of it in order, each once, without what objects ask not to be told.
    pub(super) fn into_list(mut self, set: &Set) -> Vec<Finding> {
        self.found.retain(|finding| !is_ignored(set, finding));
        self.found.sort_by(|a, b| {
            let key = |finding: &Finding| {
                (finding.rule.id, finding.object.clone(), finding.field.clone(), finding.message.clone())
            };
            b.rule.severity.cmp(&a.rule.severity).then_with(|| key(a).cmp(&key(b)))
        });
        self.found.dedup_by(|later, first| {
            later.rule == first.rule
                && later.object == first.object
                && later.field == first.field
                && later.message == first.message
        });
        self.found
    }
}

fn is_ignored(set: &Set, finding: &Finding) -> bool {
    let id = &finding.object;
    let object = set.get(&id.kind, &id.namespace, &id.name);
    let listed = object.and_then(|object| object.meta.annotations.get(IGNORE));
    listed.is_some_and(|list| list.split([',', ' ']).any(|one| one.trim() == finding.rule.id))
}

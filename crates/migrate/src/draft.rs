//! The set on its way to what Emissary takes it for.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_resources::{Object, ObjectId, Problem, Report, Set, State, View};

use crate::difference::{Difference, Rule};

/// The objects with what was changed about them, and what was said.
pub(crate) struct Draft<'a> {
    pub(crate) set: &'a Set,
    pub(crate) report: &'a Report,
    /// None: Emissary makes nothing of it.
    changed: BTreeMap<ObjectId, Option<Object>>,
    pub(crate) differences: Vec<Difference>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(set: &'a Set, report: &'a Report) -> Self {
        Self { set, report, changed: BTreeMap::new(), differences: Vec::new() }
    }

    /// The objects that are for this gateway, as they were written, in the order of their ids.
    pub(crate) fn ours(&self) -> impl Iterator<Item = &'a Object> + use<'a> {
        let report = self.report;
        self.set.objects().iter().map(AsRef::as_ref).filter(move |object| {
            report.verdicts.get(&object.id).is_some_and(|verdict| verdict.state != State::Ignored)
        })
    }

    /// What was found about an object.
    pub(crate) fn problems(&self, id: &ObjectId) -> &'a [Problem] {
        self.report.verdicts.get(id).map_or(&[], |verdict| verdict.problems.as_slice())
    }

    /// Does Plenipo refuse it?
    pub(crate) fn is_refused(&self, id: &ObjectId) -> bool {
        self.report.verdicts.get(id).is_some_and(|verdict| verdict.state == State::Refused)
    }

    /// Emissary takes the object for something else.
    pub(crate) fn edit(&mut self, object: &Object, edit: impl FnOnce(&mut View)) {
        self.change(object, |object| edit(&mut object.view));
    }

    /// As [`Self::edit`], with its metadata.
    pub(crate) fn change(&mut self, object: &Object, change: impl FnOnce(&mut Object)) {
        let entry = self.changed.entry(object.id.clone()).or_insert_with(|| Some(object.clone()));
        if let Some(object) = entry {
            change(object);
        }
    }

    /// As [`Self::edit`], when `edit` says that it changed something.
    pub(crate) fn edit_if(&mut self, object: &Object, edit: impl FnOnce(&mut View) -> bool) {
        let Some(mut current) = self.changed.get(&object.id).cloned().unwrap_or_else(|| Some(object.clone()))
        else {
            return;
        };
        if edit(&mut current.view) {
            self.changed.insert(object.id.clone(), Some(current));
        }
    }

    /// Emissary makes nothing of the object.
    pub(crate) fn remove(&mut self, id: &ObjectId) {
        self.changed.insert(id.clone(), None);
    }

    /// Does Emissary still make something of it?
    pub(crate) fn remains(&self, id: &ObjectId) -> bool {
        self.changed.get(id).is_none_or(Option::is_some)
    }

    /// Notes that an object comes under a rule.
    pub(crate) fn say(&mut self, rule: &'static Rule, object: &Object, field: &str, about: String) {
        let difference = Difference { rule, object: Some(object.id.clone()), field: field.to_owned(), about };
        if !self.differences.contains(&difference) {
            self.differences.push(difference);
        }
    }

    /// Notes that the configuration as a whole comes under a rule.
    pub(crate) fn say_of_all(&mut self, rule: &'static Rule, about: String) {
        self.differences.push(Difference { rule, object: None, field: String::new(), about });
    }

    /// The set as Emissary takes it. An object that cannot be read is none to Emissary, not a reason to be careful.
    pub(crate) fn finish(self) -> (Set, Vec<Difference>) {
        let objects = self.set.objects().iter().filter_map(|object| match self.changed.get(&object.id) {
            None => Some(Arc::clone(object)),
            Some(changed) => changed.clone().map(Arc::new),
        });
        let set = Set::in_order(objects.collect(), Vec::new());
        let mut differences = self.differences;
        differences.sort_by(|a, b| {
            let key = |one: &Difference| (one.rule.effect, one.object.clone(), one.field.clone());
            key(a).cmp(&key(b))
        });
        (set, differences)
    }
}

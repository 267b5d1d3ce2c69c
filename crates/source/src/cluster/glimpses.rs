//! Kinds of which few objects are needed: all are known by name, and those that something refers to are fetched.

use std::collections::BTreeMap;

use plenipo_resources::ObjectId;

use super::api::Failure;
use super::watch::Glimpse;

/// What is known of kinds that are [`Referenced`](super::kinds::Need::Referenced).
#[derive(Debug, Default)]
pub(super) struct Glimpses {
    /// All that are there.
    seen: BTreeMap<ObjectId, Glimpse>,
    /// Those that are asked for at this moment, and the version that was seen when they were.
    asked: BTreeMap<ObjectId, String>,
    /// Those that were read, and the version that was seen when they were asked for.
    read: BTreeMap<ObjectId, String>,
    /// Those that could not be fetched, and are tried again; the version that was seen, and whether we may not.
    failed: BTreeMap<ObjectId, (String, bool)>,
    /// Why those that could not be fetched the last time could not.
    complaints: BTreeMap<ObjectId, Failure>,
}

/// What has to be done so that everything that is wanted is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Errands {
    /// To be fetched, with the version that was seen.
    pub(super) fetch: Vec<(ObjectId, String)>,
    /// To be forgotten: not there any more, or not wanted.
    pub(super) forget: Vec<ObjectId>,
}

impl Glimpses {
    /// One that is there, in this version.
    pub(super) fn see(&mut self, id: ObjectId, glimpse: Glimpse) {
        self.seen.insert(id, glimpse);
    }

    /// One that is not there.
    pub(super) fn lose(&mut self, id: &ObjectId) {
        self.seen.remove(id);
    }

    /// Those of a kind that are there.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &ObjectId> {
        self.seen.keys().filter(move |id| &*id.kind == kind)
    }

    /// Those that were read.
    pub(super) fn read(&self) -> impl Iterator<Item = &ObjectId> {
        self.read.keys()
    }

    /// Is something wanted not known yet that may come to be?
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked.is_empty() || self.failed.values().any(|(_, forbidden)| !forbidden)
    }

    /// What has to be done for one that was seen, or wanted, or either no longer.
    pub(super) fn errand(&mut self, id: &ObjectId, is_wanted: bool, errands: &mut Errands) {
        let seen = self.seen.get(id).filter(|_| is_wanted);
        let Some(seen) = seen else {
            self.asked.remove(id);
            self.failed.remove(id);
            self.complaints.remove(id);
            if self.read.remove(id).is_some() {
                errands.forget.push(id.clone());
            }
            return;
        };
        let failed = || self.failed.get(id).map(|(version, _)| version);
        let known = self.asked.get(id).or_else(failed).or_else(|| self.read.get(id));
        if known != Some(&seen.version) {
            self.asked.insert(id.clone(), seen.version.clone());
            self.failed.remove(id);
            errands.fetch.push((id.clone(), seen.version.clone()));
        }
    }

    /// What is asked for again after it failed.
    pub(super) fn again(&mut self) -> Vec<(ObjectId, String)> {
        let failed = std::mem::take(&mut self.failed);
        let seen = |id: ObjectId| Some((id.clone(), self.seen.get(&id)?.version.clone()));
        let again: Vec<_> = failed.into_keys().filter_map(seen).collect();
        self.asked.extend(again.iter().cloned());
        again
    }

    /// Whether an answer is of interest: of several questions about the same, that to the last one.
    pub(super) fn answered(&mut self, id: &ObjectId, version: &str) -> bool {
        let is_last = self.asked.get(id).is_some_and(|asked| asked == version);
        if is_last {
            self.asked.remove(id);
            self.complaints.remove(id);
            self.read.insert(id.clone(), version.to_owned());
        }
        is_last
    }

    /// There was no answer. Whether that is new.
    pub(super) fn unanswered(&mut self, id: &ObjectId, version: &str, failure: &Failure) -> bool {
        let is_new = self.complaints.insert(id.clone(), failure.clone()).as_ref() != Some(failure);
        let forbidden = matches!(failure, Failure::Forbidden(_));
        if self.asked.get(id).is_some_and(|asked| asked == version) {
            self.asked.remove(id);
            self.failed.insert(id.clone(), (version.to_owned(), forbidden));
        }
        is_new
    }

    /// The labels of one that is there.
    pub(super) fn labels(&self, id: &ObjectId) -> Option<&BTreeMap<String, String>> {
        self.seen.get(id).map(|glimpse| &glimpse.labels)
    }

    /// Those that could not be fetched, and why.
    pub(super) fn complaints(&self) -> impl Iterator<Item = (&ObjectId, &Failure)> {
        self.complaints.iter()
    }
}

#[cfg(test)]
mod tests;

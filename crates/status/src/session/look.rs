//! What an outcome means for what the cluster holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_resources::{Object, ObjectId, Origin, State, Verdict};
use tokio::time::Instant;

use super::{EVENTS_WAITING, SOON, Session};
use crate::condition::Condition;
use crate::content::{Content, written};
use crate::event::{Event, Subject};
use crate::judgement::{Facts, Judgement, judge};
use crate::kinds::{self, KINDS, Kind};
use crate::outcome::{Fault, Outcome};
use crate::review::{Change, Entry, changes};
use crate::shape::Shape;

/// What is to be written of an object.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// This.
    Write(Wanted),
    /// What follows from the verdict on an object that could not be read: it is looked up first.
    Unread(Arc<Verdict>),
}

/// What a status shall hold, and whose.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Wanted {
    /// `getambassador.io/v2`.
    pub(super) api_version: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) content: Content,
    pub(super) shape: Arc<Shape>,
}

/// Faults by the object that asked for what could not be done: `Listener edge/http`.
type Faults<'a> = BTreeMap<&'a str, Vec<&'a Fault>>;

impl Session {
    /// Looks at what is different about an outcome; at the first, at what the cluster holds before.
    pub(super) async fn look_at(&mut self, outcome: Arc<Outcome>) {
        if self.last.is_none() {
            self.learn(&outcome).await;
        }
        let last = self.last.take();
        self.review(&outcome, last.as_deref());
        self.last = Some(outcome);
    }

    /// Looks at everything.
    pub(super) fn review_all(&mut self) {
        if let Some(outcome) = self.last.take() {
            self.review(&outcome, None);
            self.last = Some(outcome);
        }
    }

    fn review(&mut self, outcome: &Outcome, last: Option<&Outcome>) {
        let mut faults = Faults::new();
        for fault in &outcome.faults {
            faults.entry(asker(&fault.source)).or_default().push(fault);
        }
        let moved = last.is_some_and(|last| self.options.publication.moved(outcome, last));
        for kind in &KINDS {
            let last = last.filter(|_| !(moved && kind.content == kinds::Content::Addresses));
            for change in changes(kind.name, outcome, last) {
                match change {
                    Change::Now(entry) => self.consider(kind, entry, outcome, &faults),
                    Change::Gone(id) => {
                        self.backlog.remove(id);
                        self.records.forget(id);
                    }
                }
            }
        }
    }

    fn consider(&mut self, kind: &Kind, entry: Entry<'_>, outcome: &Outcome, faults: &Faults<'_>) {
        let Some(object) = entry.object else {
            // Whether it is ours is known when it has been looked up.
            let judged = entry.verdict.filter(|verdict| is_from_cluster(verdict));
            if let Some(verdict) = judged.filter(|_| kind.content == kinds::Content::Conditions) {
                self.backlog.put(entry.id.clone(), Job::Unread(Arc::clone(verdict)));
            }
            return;
        };
        let faults = match faults.is_empty() {
            true => None,
            false => faults.get(&*entry.id.to_string()),
        };
        let judgement = entry.verdict.and_then(|verdict| {
            judge(Facts {
                kind: kind.name,
                generation: object.meta.generation,
                verdict,
                faults: faults.map_or(&[], Vec::as_slice),
                serving: outcome.serving,
            })
        });
        let is_ours = kind.content != kinds::Content::Addresses || outcome.addresses.contains_key(entry.id);
        if let Some(judgement) = judgement.as_ref().filter(|_| is_ours) {
            self.tell(outcome, object, judgement);
        }
        let content = match kind.content {
            kinds::Content::Conditions => judgement.map(Content::Judged),
            kinds::Content::Addresses if is_ours => {
                self.options.publication.addresses(entry.id, outcome).map(Content::Addresses)
            }
            // What was written when it was ours is taken back.
            kinds::Content::Addresses => Some(Content::Addresses(Vec::new())),
        };
        match content.filter(|_| object.origin == Origin::Cluster) {
            Some(content) => self.want(kind, object, content),
            None => self.backlog.remove(entry.id),
        }
    }

    /// Sees to it that the status holds this.
    fn want(&mut self, kind: &Kind, object: &Object, content: Content) {
        let (id, meta) = (&object.id, &object.meta);
        let Some(shape) = self.shapes.of(kind, &meta.api_version) else {
            // A definition that has just been made is published a moment later.
            if !self.shapes.knows(kind, &meta.api_version) {
                self.definitions_at = self.definitions_at.min(Instant::now() + SOON);
            }
            return;
        };
        if self.records.lacks(id, (&meta.uid, meta.generation), &content, &shape) || self.backlog.is_begun(id)
        {
            let (api_version, uid) = (meta.api_version.clone(), meta.uid.clone());
            let wanted = Wanted { api_version, uid, generation: meta.generation, content, shape };
            self.backlog.put(id.clone(), Job::Write(wanted));
        } else {
            self.backlog.remove(id);
        }
    }

    fn tell(&mut self, outcome: &Outcome, object: &Object, judgement: &Judgement) {
        if let Some(subject) = Subject::of(&outcome.set, object) {
            self.tell_of(&subject, judgement);
        }
    }

    /// Tells what the cluster has not been told in the object's conditions.
    pub(super) fn tell_of(&mut self, subject: &Subject<'_>, judgement: &Judgement) {
        let record = self.records.of(subject.id, subject.uid);
        let is_known = |condition: &Condition| {
            let found = record.and_then(|record| written(&record.status, condition.aspect));
            found.is_some_and(|it| {
                it["reason"] == condition.reason.name() && it["observedGeneration"] == condition.generation
            })
        };
        for event in subject.events(judgement, is_known) {
            self.queue(event);
        }
    }

    fn queue(&mut self, event: Event) {
        if self.events.len() < EVENTS_WAITING {
            self.events.put(event.name.clone(), event);
        } else {
            self.numbers.dropped();
        }
    }
}

/// `Listener edge/http` of `Listener edge/http spec.port`.
fn asker(source: &str) -> &str {
    let end = source.match_indices(' ').nth(1).map_or(source.len(), |(at, _)| at);
    &source[..end]
}

fn is_from_cluster(verdict: &Verdict) -> bool {
    verdict.state == State::Refused
        && verdict.problems.iter().any(|problem| problem.origin == Some(Origin::Cluster))
}

/// The facts of an object that could not be read and was looked up.
pub(super) fn of_unread(id: &ObjectId, generation: i64, verdict: &Verdict) -> Option<Content> {
    judge(Facts { kind: &id.kind, generation, verdict, faults: &[], serving: true }).map(Content::Judged)
}

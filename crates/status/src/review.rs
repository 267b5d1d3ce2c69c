//! What must be looked at again, because it is not as it was.

use std::iter::Peekable;
use std::sync::Arc;

use plenipo_resources::{Object, ObjectId, Verdict};

use crate::outcome::Outcome;

/// What there is of one object: it was read, or judged, or both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) id: &'a ObjectId,
    /// None when it could not be read.
    pub(crate) object: Option<&'a Arc<Object>>,
    /// None when nobody had anything to say.
    pub(crate) verdict: Option<&'a Arc<Verdict>>,
}

/// What became of an object since the last time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// It is new, or something about it is.
    Now(Entry<'a>),
    /// It is gone.
    Gone(&'a ObjectId),
}

/// What is different about the objects of a kind. What two outcomes share is not looked into: there may be ten thousand.
pub(crate) fn changes<'a>(kind: &str, now: &'a Outcome, before: Option<&'a Outcome>) -> Vec<Change<'a>> {
    // What is said of an object may depend on these.
    let same_terms =
        before.filter(|before| before.serving == now.serving && before.faults == now.faults).is_some();
    let mut changes = Vec::new();
    let mut old = before.map(|before| entries(kind, before)).unwrap_or_default().into_iter().peekable();
    for entry in entries(kind, now) {
        while let Some(gone) = old.next_if(|old| old.id < entry.id) {
            changes.push(Change::Gone(gone.id));
        }
        let old = old.next_if(|old| old.id == entry.id);
        if !(same_terms && old.is_some_and(|old| entry.is(old))) {
            changes.push(Change::Now(entry));
        }
    }
    changes.extend(old.map(|gone| Change::Gone(gone.id)));
    changes
}

/// All objects of a kind, in the order of their ids.
fn entries<'a>(kind: &str, outcome: &'a Outcome) -> Vec<Entry<'a>> {
    let objects = outcome.set.of_kind(kind);
    let first = ObjectId::new(kind, "", "");
    let mut verdicts =
        outcome.report.verdicts.range(first..).take_while(|(id, _)| &*id.kind == kind).peekable();
    let mut entries = Vec::with_capacity(objects.len());
    for object in objects {
        entries.extend(unread_before(&mut verdicts, &object.id));
        let verdict = verdicts.next_if(|(id, _)| **id == object.id).map(|(_, verdict)| verdict);
        entries.push(Entry { id: &object.id, object: Some(object), verdict });
    }
    entries.extend(verdicts.map(unread));
    entries
}

type Judged<'a> = (&'a ObjectId, &'a Arc<Verdict>);

fn unread_before<'a>(
    verdicts: &mut Peekable<impl Iterator<Item = Judged<'a>>>,
    id: &ObjectId,
) -> Vec<Entry<'a>> {
    std::iter::from_fn(|| verdicts.next_if(|(other, _)| *other < id)).map(unread).collect()
}

fn unread<'a>((id, verdict): Judged<'a>) -> Entry<'a> {
    Entry { id, object: None, verdict: Some(verdict) }
}

impl Entry<'_> {
    /// Is it the same? (It mostly is the very same, which is seen at once.)
    fn is(&self, other: Entry<'_>) -> bool {
        fn same<T: PartialEq>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
                (None, None) => true,
                _ => false,
            }
        }
        same(self.object, other.object) && same(self.verdict, other.verdict)
    }
}

#[cfg(test)]
mod tests;

//! What the cluster is known to hold, and what must be written because of it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use plenipo_resources::ObjectId;
use serde_json::Value;

use crate::content::{Content, FIELD_MANAGER, remembered};
use crate::reason::Aspect;
use crate::shape::Shape;

/// What is known of one object's status.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// Of which object: one that is deleted and created again is another.
    pub(crate) uid: String,
    /// What the apiserver had last, as far as it concerns us.
    pub(crate) status: Value,
    /// Have we written any of it?
    pub(crate) ours: bool,
    /// What was asked for last, by which definition. What the apiserver made of it is its business: it is not asked for again.
    asked: Option<u64>,
}

/// Of all objects.
#[derive(Debug, Default)]
pub(crate) struct Records {
    known: HashMap<ObjectId, Record>,
}

impl Record {
    /// From an object as the apiserver gives it.
    pub(crate) fn of(object: &Value) -> Self {
        let managers = object["metadata"]["managedFields"].as_array();
        Self {
            uid: object["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            status: remembered(&object["status"]),
            ours: managers.into_iter().flatten().any(|it| it["manager"] == FIELD_MANAGER),
            asked: None,
        }
    }

    /// The newest generation that a condition of ours speaks of.
    pub(crate) fn generation(&self) -> i64 {
        let of = |aspect| crate::content::written(&self.status, aspect)?["observedGeneration"].as_i64();
        Aspect::ALL.into_iter().filter_map(of).max().unwrap_or(0)
    }
}

impl Records {
    /// What is known of an object; nothing of one that only had its name.
    pub(crate) fn of(&self, id: &ObjectId, uid: &str) -> Option<&Record> {
        self.known.get(id).filter(|record| record.uid == uid)
    }

    /// This is what the apiserver has.
    pub(crate) fn found(&mut self, id: ObjectId, record: Record) {
        self.known.insert(id, record);
    }

    /// This is what the apiserver has after it was asked for `content`.
    pub(crate) fn settled(&mut self, id: ObjectId, content: &Content, shape: &Shape, object: &Value) {
        let record = Record { asked: Some(hash(content, shape)), ours: true, ..Record::of(object) };
        self.known.insert(id, record);
    }

    /// The apiserver does not take it, whatever it has; asking again would change nothing.
    pub(crate) fn refused(&mut self, id: ObjectId, uid: &str, content: &Content, shape: &Shape) {
        let record = self.known.entry(id).or_default();
        if record.uid != uid {
            *record = Record { uid: uid.to_owned(), ..Record::default() };
        }
        record.asked = Some(hash(content, shape));
    }

    /// Nothing is known of any.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// The object is gone.
    pub(crate) fn forget(&mut self, id: &ObjectId) {
        self.known.remove(id);
    }

    /// Must this be written? Not when it is there, nor when it was asked for last, nor when somebody has written of a newer
    /// generation than we have seen.
    pub(crate) fn lacks(
        &self,
        id: &ObjectId,
        (uid, generation): (&str, i64),
        content: &Content,
        shape: &Shape,
    ) -> bool {
        let Some(record) = self.of(id, uid) else {
            return !matches!(content, Content::Addresses(it) if it.is_empty());
        };
        if record.asked == Some(hash(content, shape)) || record.generation() > generation {
            return false;
        }
        match content {
            // Others' addresses are others'.
            Content::Addresses(addresses) if addresses.is_empty() => {
                record.ours && !content.is_in(&record.status, shape)
            }
            _ => !content.is_in(&record.status, shape),
        }
    }
}

fn hash(content: &Content, shape: &Shape) -> u64 {
    let mut hasher = DefaultHasher::new();
    (content, shape).hash(&mut hasher);
    hasher.finish()
}

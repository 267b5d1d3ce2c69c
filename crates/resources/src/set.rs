//! All objects at one moment, immutable and indexed.

use std::sync::Arc;

use crate::object::Object;
use crate::problem::{Code, Problem, Severity};

/// All objects at one moment. Two sets with the same objects are the same set, whatever the order they were read in.
///
/// Objects are shared: a set made after one change holds the same `Arc`s for everything else. A clone costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Set {
    objects: Arc<[Arc<Object>]>,
    problems: Arc<[Problem]>,
}

/// Collects objects into a [`Set`].
#[derive(Debug, Default)]
pub struct SetBuilder {
    objects: Vec<Arc<Object>>,
    problems: Vec<Problem>,
}

impl SetBuilder {
    /// Adds an object.
    pub fn add(&mut self, object: Arc<Object>) {
        self.objects.push(object);
    }

    /// Adds a problem met while reading.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The set. Of two objects with the same id the one whose origin sorts first is kept (for files: path, then line),
    /// the other is a problem.
    pub fn build(self) -> Set {
        let Self { mut objects, mut problems } = self;
        objects.sort_by(|a, b| a.id.cmp(&b.id).then_with(|| a.origin.cmp(&b.origin)));
        objects.dedup_by(|later, first| {
            let same = later.id == first.id;
            if same {
                problems.push(later.problem(
                    Severity::Error,
                    Code("duplicate-object"),
                    "metadata.name",
                    format!("{} was already read from {}, which is used", later.id, first.origin),
                    "keep one of the two, or give this one another name",
                ));
            }
            same
        });
        Set::in_order(objects, problems)
    }
}

impl Set {
    /// Of objects that are in the order of their ids already, each id once: what a source that keeps them so saves the
    /// sorting of. (Comparing ten thousand ids takes longer than everything else about a small change.)
    pub fn in_order(objects: Vec<Arc<Object>>, mut problems: Vec<Problem>) -> Self {
        debug_assert!(objects.is_sorted_by(|a, b| a.id < b.id), "the caller promised");
        problems.sort();
        problems.dedup();
        Self { objects: objects.into(), problems: problems.into() }
    }

    /// All objects, in the order of their ids.
    pub fn objects(&self) -> &[Arc<Object>] {
        &self.objects
    }

    /// The objects of one kind, in the order of their ids.
    pub fn of_kind(&self, kind: &str) -> &[Arc<Object>] {
        let start = self.objects.partition_point(|object| &*object.id.kind < kind);
        let length = self.objects[start..].partition_point(|object| &*object.id.kind == kind);
        &self.objects[start..start + length]
    }

    /// One object.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        let key = (kind, namespace, name);
        let at = self.objects.binary_search_by(|object| {
            let id = &object.id;
            (&*id.kind, &*id.namespace, &*id.name).cmp(&key)
        });
        at.ok().map(|index| &self.objects[index])
    }

    /// What could not be read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The same set, but with these objects instead of those with their ids, or beside the others.
    #[must_use]
    pub fn with(&self, versions: impl IntoIterator<Item = Arc<Object>>) -> Self {
        let mut objects = self.objects.to_vec();
        for version in versions {
            match objects.binary_search_by(|object| object.id.cmp(&version.id)) {
                Ok(at) => objects[at] = version,
                Err(at) => objects.insert(at, version),
            }
        }
        Self { objects: objects.into(), problems: Arc::clone(&self.problems) }
    }
}

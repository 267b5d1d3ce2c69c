//! Objects in the order of their ids, so that a set of them needs no sorting.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use plenipo_resources::{Object, ObjectId, Origin, Problem, Set, SetBuilder};

/// Every object of a source, in order.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    objects: BTreeSet<Placed>,
    /// How many of them have an id that another has too. Mostly none.
    doubles: usize,
}

/// An object with its place among all: by id, then origin, then what makes it unique: the place it is from (an origin can
/// be the annotation of an object that two files have) and the rank there (the items of a `List` have one origin).
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) object: Arc<Object>,
    pub(crate) place: Arc<str>,
    pub(crate) rank: usize,
}

impl Shelf {
    /// Adds an object.
    pub(crate) fn insert(&mut self, placed: Placed) {
        self.doubles += usize::from(self.is_double(&placed));
        self.objects.insert(placed);
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, placed: &Placed) {
        self.objects.remove(placed);
        self.doubles -= usize::from(self.is_double(placed));
    }

    /// All of them, with these problems.
    pub(crate) fn set(&self, problems: impl Iterator<Item = Problem>) -> Set {
        let objects = self.objects.iter().map(|placed| Arc::clone(&placed.object));
        if self.doubles == 0 {
            return Set::in_order(objects.collect(), problems.collect());
        }
        let mut set = SetBuilder::default();
        objects.for_each(|object| set.add(object));
        problems.for_each(|problem| set.problem(problem));
        set.build()
    }

    /// Whether there is another object with the id of this one, which is not among them.
    fn is_double(&self, placed: &Placed) -> bool {
        let before = self.objects.range(..placed).next_back();
        let mut beside = before.into_iter().chain(self.objects.range(placed..).next());
        beside.any(|other| other.object.id == placed.object.id)
    }
}

/// Whether two sets hold the very same objects and problems.
pub(crate) fn is_same(a: &Set, b: &Set) -> bool {
    a.objects().len() == b.objects().len()
        && a.objects().iter().zip(b.objects()).all(|(a, b)| Arc::ptr_eq(a, b))
        && a.problems() == b.problems()
}

impl Placed {
    pub(crate) fn identity(&self) -> (*const Object, usize) {
        (Arc::as_ptr(&self.object), self.rank)
    }

    fn key(&self) -> (&ObjectId, &Origin, &str, usize) {
        (&self.object.id, &self.object.origin, &self.place, self.rank)
    }
}

impl Ord for Placed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Placed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Placed {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Placed {}

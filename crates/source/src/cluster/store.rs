//! The objects of a cluster as they are now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use plenipo_resources::{Decoded, Object, ObjectId, Origin, Problem, Set, references};

use super::watch::Place;
use crate::shelf::{Placed, Shelf};

/// Every object of a cluster is from the same place.
static CLUSTER: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from("cluster"));

/// The objects of a cluster.
#[derive(Debug)]
pub(super) struct Store {
    /// The namespaces that the gateway is in.
    gateways: Vec<String>,
    kinds: BTreeMap<&'static str, BTreeMap<Place, Entry>>,
    shelf: Shelf,
    /// Those that have problems. Mostly none.
    flawed: BTreeSet<(&'static str, Place)>,
    /// Secrets and ConfigMaps that objects refer to, and how many do.
    wanted: BTreeMap<ObjectId, usize>,
    /// Whether there is another set since the last one was made.
    changed: bool,
    /// Whether anything else is wanted since somebody asked.
    wants_changed: bool,
}

/// What one object of the cluster was read as.
#[derive(Debug, Default)]
struct Entry {
    /// Itself, and those written in its annotations.
    objects: Vec<Arc<Object>>,
    problems: Vec<Problem>,
}

impl Store {
    /// Nothing yet; `needed` are wanted whatever objects say.
    pub(super) fn new(gateways: Vec<String>, needed: &[ObjectId]) -> Self {
        Self {
            gateways,
            kinds: BTreeMap::new(),
            shelf: Shelf::default(),
            flawed: BTreeSet::new(),
            wanted: needed.iter().map(|id| (id.clone(), 1)).collect(),
            changed: false,
            wants_changed: true,
        }
    }

    /// An object as it was read just now.
    pub(super) fn put(&mut self, kind: &'static str, place: Place, decoded: Decoded) {
        let previous = self.kinds.entry(kind).or_default().remove(&place);
        let entry = Entry::new(decoded, previous.as_ref());
        self.exchange(kind, &place, previous.as_ref(), Some(&entry));
        self.kinds.entry(kind).or_default().insert(place, entry);
    }

    /// An object that is no more, or that nobody needs any more.
    pub(super) fn remove(&mut self, kind: &'static str, place: &Place) {
        let previous = self.kinds.get_mut(kind).and_then(|entries| entries.remove(place));
        self.exchange(kind, place, previous.as_ref(), None);
    }

    /// The places of a kind.
    pub(super) fn places(&self, kind: &str) -> impl Iterator<Item = &Place> {
        self.kinds.get(kind).into_iter().flat_map(BTreeMap::keys)
    }

    /// How many objects of a kind there are.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.kinds.get(kind).map_or(0, BTreeMap::len)
    }

    /// Secrets and ConfigMaps that objects refer to.
    pub(super) fn wants(&self, id: &ObjectId) -> bool {
        self.wanted.contains_key(id)
    }

    /// All of them.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &ObjectId> {
        self.wanted.keys()
    }

    /// Whether anything else is wanted since this was asked last.
    pub(super) fn wants_changed(&mut self) -> bool {
        std::mem::take(&mut self.wants_changed)
    }

    /// Whether there is another set since the last one was made.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// There is another set for a reason that is not here.
    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    /// Everything.
    pub(super) fn set(&mut self, problems: impl Iterator<Item = Problem>) -> Set {
        self.changed = false;
        let flawed = self.flawed.iter().filter_map(|(kind, place)| self.kinds.get(kind)?.get(place));
        self.shelf.set(flawed.flat_map(|entry| entry.problems.iter().cloned()).chain(problems))
    }

    fn exchange(&mut self, kind: &'static str, place: &Place, old: Option<&Entry>, new: Option<&Entry>) {
        let (old_objects, new_objects) = (objects(old), objects(new));
        let (old_problems, new_problems) = (problems(old), problems(new));
        if old_problems != new_problems {
            self.changed = true;
            if new_problems.is_empty() {
                self.flawed.remove(&(kind, place.clone()));
            } else {
                self.flawed.insert((kind, place.clone()));
            }
        }
        let same = old_objects.len() == new_objects.len()
            && old_objects.iter().zip(new_objects).all(|(a, b)| Arc::ptr_eq(a, b));
        if same {
            return;
        }
        self.changed = true;
        for (rank, object) in old_objects.iter().enumerate() {
            self.shelf.remove(&placed(rank, object));
            for id in references(object, &self.gateways) {
                self.release(&id);
            }
        }
        for (rank, object) in new_objects.iter().enumerate() {
            for id in references(object, &self.gateways) {
                self.want(id);
            }
            self.shelf.insert(placed(rank, object));
        }
    }

    fn want(&mut self, id: ObjectId) {
        let count = self.wanted.entry(id).or_insert(0);
        *count += 1;
        self.wants_changed |= *count == 1;
    }

    fn release(&mut self, id: &ObjectId) {
        let Some(count) = self.wanted.get_mut(id) else { return };
        *count -= 1;
        if *count == 0 {
            self.wanted.remove(id);
            self.wants_changed = true;
        }
    }
}

fn objects(entry: Option<&Entry>) -> &[Arc<Object>] {
    entry.map_or(&[], |entry| &entry.objects)
}

fn problems(entry: Option<&Entry>) -> &[Problem] {
    entry.map_or(&[], |entry| &entry.problems)
}

fn placed(rank: usize, object: &Arc<Object>) -> Placed {
    Placed { object: Arc::clone(object), place: Arc::clone(&CLUSTER), rank }
}

impl Entry {
    /// Objects that turn out as they were before are those. What cannot be read any more stays what it was: it serves
    /// until it is mended.
    fn new(decoded: Decoded, previous: Option<&Self>) -> Self {
        let before = |id: &ObjectId| objects(previous).iter().find(|object| object.id == *id);
        let same = |object: Object| match before(&object.id) {
            Some(before) if **before == object => Arc::clone(before),
            _ => Arc::new(object),
        };
        let mut entry =
            Self { objects: decoded.objects.into_iter().map(same).collect(), problems: decoded.problems };
        let is_lost = |object: &Object| {
            entry.problems.iter().any(|problem| match (&problem.object, &object.origin) {
                (Some(id), _) if *id == object.id => true,
                (Some(id), Origin::Annotation { parent, .. }) => {
                    problem.field.contains("annotations") && *id == **parent
                }
                _ => false,
            })
        };
        let is_there = |object: &Object| entry.objects.iter().any(|other| other.id == object.id);
        let kept = objects(previous).iter().filter(|object| !is_there(object) && is_lost(object));
        let kept: Vec<_> = kept.cloned().collect();
        entry.objects.extend(kept);
        entry
    }
}

//! What is different between two sets.

use std::cmp::Ordering;
use std::sync::Arc;

use plenipo_resources::{Object, Set};

/// The objects that only one of two sets has; an object in a new version is among both.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) gone: Vec<Arc<Object>>,
    pub(crate) new: Vec<Arc<Object>>,
}

impl Changes {
    /// From one set to the next. What they share is told by its address, without a look into it.
    pub(crate) fn between(old: &Set, new: &Set) -> Self {
        let (mut old, mut new) = (old.objects().iter().peekable(), new.objects().iter().peekable());
        let mut changes = Self::default();
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
                (Some(a), Some(b)) => {
                    let order = a.id.cmp(&b.id);
                    if order.is_eq() {
                        changes.gone.push(Arc::clone(a));
                        changes.new.push(Arc::clone(b));
                    }
                    order
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
            };
            match order {
                Ordering::Less => changes.gone.extend(old.next().cloned()),
                Ordering::Greater => changes.new.extend(new.next().cloned()),
                Ordering::Equal => {
                    old.next();
                    new.next();
                }
            }
        }
    }

    /// Everything that is different.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.gone.iter().chain(&self.new)
    }
}

//! What waits to be written: at most once for each object, and always the newest.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// Things to do, each for a key, in the order in which the keys first came.
#[derive(Debug)]
pub(crate) struct Backlog<K, T> {
    order: VecDeque<K>,
    /// Those that are in `order`, perhaps with nothing to do any more.
    ordered: HashSet<K>,
    waiting: HashMap<K, T>,
    /// Being done now: nothing else is begun for these.
    begun: HashSet<K>,
}

impl<K, T> Default for Backlog<K, T> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            ordered: HashSet::new(),
            waiting: HashMap::new(),
            begun: HashSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash, T> Backlog<K, T> {
    /// To be done for the key, instead of what was to be done for it until now.
    pub(crate) fn put(&mut self, key: K, thing: T) {
        self.waiting.insert(key.clone(), thing);
        if !self.begun.contains(&key) {
            self.line_up(key);
        }
    }

    /// To be done again, unless something newer waits.
    pub(crate) fn put_back(&mut self, key: K, thing: T) {
        if !self.waiting.contains_key(&key) {
            self.put(key, thing);
        }
    }

    /// Nothing is to be done for the key any more.
    pub(crate) fn remove(&mut self, key: &K) {
        self.waiting.remove(key);
    }

    /// The next thing to do, until [`Backlog::finish`].
    pub(crate) fn begin(&mut self) -> Option<(K, T)> {
        while let Some(key) = self.order.pop_front() {
            self.ordered.remove(&key);
            if let Some(thing) = self.waiting.remove(&key) {
                self.begun.insert(key.clone());
                return Some((key, thing));
            }
        }
        None
    }

    /// What was begun for the key is done.
    pub(crate) fn finish(&mut self, key: &K) {
        if self.begun.remove(key) && self.waiting.contains_key(key) {
            self.line_up(key.clone());
        }
    }

    /// Is something being done for the key?
    pub(crate) fn is_begun(&self, key: &K) -> bool {
        self.begun.contains(key)
    }

    /// So much is being done.
    pub(crate) fn begun(&self) -> usize {
        self.begun.len()
    }

    /// Is there something that could be begun?
    pub(crate) fn is_ready(&self) -> bool {
        self.order.iter().any(|key| self.waiting.contains_key(key))
    }

    /// So many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn line_up(&mut self, key: K) {
        if self.ordered.insert(key.clone()) {
            self.order.push_back(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_in_the_order_of_their_coming() {
        let mut backlog = Backlog::default();
        for (key, thing) in [("a", 1), ("b", 1), ("a", 2), ("c", 1), ("c", 2)] {
            backlog.put(key, thing);
        }
        assert_eq!(backlog.len(), 3);
        let done: Vec<_> = std::iter::from_fn(|| backlog.begin()).collect();
        assert_eq!(done, [("a", 2), ("b", 1), ("c", 2)]);
        assert!(!backlog.is_ready());
    }

    #[test]
    fn what_is_begun_is_not_begun_twice() {
        let mut backlog = Backlog::default();
        backlog.put("a", 1);
        assert_eq!(backlog.begin(), Some(("a", 1)));
        backlog.put("a", 2);
        assert_eq!((backlog.begin(), backlog.is_ready(), backlog.begun()), (None, false, 1));
        backlog.finish(&"a");
        assert_eq!(backlog.begin(), Some(("a", 2)));
    }

    #[test]
    fn what_is_put_back_gives_way_to_what_is_newer() {
        let mut backlog = Backlog::default();
        backlog.put("a", 1);
        backlog.begin();
        backlog.put("a", 2);
        backlog.finish(&"a");
        backlog.put_back("a", 1);
        assert_eq!(backlog.begin(), Some(("a", 2)));
        backlog.finish(&"a");
        backlog.put_back("a", 2);
        assert_eq!(backlog.begin(), Some(("a", 2)));
    }

    #[test]
    fn what_is_removed_is_not_done_and_leaves_nothing_behind() {
        let mut backlog = Backlog::default();
        for _ in 0..1000 {
            backlog.put("a", 1);
            backlog.remove(&"a");
        }
        assert!(!backlog.is_ready());
        assert_eq!(backlog.order.len(), 1);
        backlog.put("a", 2);
        assert_eq!((backlog.begin(), backlog.begin()), (Some(("a", 2)), None));
    }
}

//! Circuit breakers: how much may be under way towards a cluster.
//!
//! A limit holds for the whole process. Where it is the default, far above ordinary load, each data thread counts for
//! itself, and nothing is shared; where somebody chose it, the threads count together, so that one means one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use plenipo_model::{LimitSet, Limits, Priority};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Connections, those being made among them.
    Connections,
    /// Requests waiting for a connection.
    Pending,
    /// Requests under way.
    Requests,
    /// Retries under way.
    Retries,
}

/// A circuit breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

/// What all threads count together, by priority and kind.
#[derive(Debug, Default)]
pub(crate) struct SharedCounts([[Arc<AtomicU32>; 4]; 2]);

/// One thread's side of a cluster's circuit breakers.
#[derive(Debug)]
pub(crate) struct Breakers {
    limits: Limits,
    counts: [[Rc<Count>; 4]; 2],
}

#[derive(Debug, Default)]
struct Count {
    own: Cell<u32>,
    shared: Option<Arc<AtomicU32>>,
}

/// A place under a limit, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Rc<Count>);

impl Breakers {
    pub(crate) fn new(limits: Limits, shared: &SharedCounts) -> Self {
        let count = |priority: Priority, kind: usize| {
            let chosen = of(&limits, priority) != LimitSet::default();
            let shared = chosen.then(|| Arc::clone(&shared.0[priority as usize][kind]));
            Rc::new(Count { own: Cell::new(0), shared })
        };
        let counts = [Priority::Default, Priority::High]
            .map(|priority| [0, 1, 2, 3].map(|kind| count(priority, kind)));
        Self { limits, counts }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When none is left.
    pub(crate) fn take(&self, kind: Kind, priority: Priority) -> Result<Slot, Overflow> {
        let limits = of(&self.limits, priority);
        let limit = match kind {
            Kind::Connections => limits.connections,
            Kind::Pending => limits.pending,
            Kind::Requests => limits.requests,
            Kind::Retries => limits.retries,
        };
        let count = &self.counts[priority as usize][kind as usize];
        match &count.shared {
            Some(shared) if shared.fetch_add(1, Ordering::Relaxed) >= limit => {
                shared.fetch_sub(1, Ordering::Relaxed);
                return Err(Overflow);
            }
            None if count.own.get() >= limit => return Err(Overflow),
            _ => {}
        }
        count.own.set(count.own.get() + 1);
        Ok(Slot(Rc::clone(count)))
    }
}

fn of(limits: &Limits, priority: Priority) -> LimitSet {
    match priority {
        Priority::Default => limits.default,
        Priority::High => limits.high,
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.own.set(self.0.own.get() - 1);
        if let Some(shared) = &self.0.shared {
            shared.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_limits_hold_for_all_threads_together() {
        let limits =
            Limits { default: LimitSet { requests: 2, ..LimitSet::default() }, high: LimitSet::default() };
        let shared = SharedCounts::default();
        let (one, two) = (Breakers::new(limits, &shared), Breakers::new(limits, &shared));
        let first = one.take(Kind::Requests, Priority::Default).expect("the first of two");
        let _second = two.take(Kind::Requests, Priority::Default).expect("the second of two");
        assert_eq!(one.take(Kind::Requests, Priority::Default).err(), Some(Overflow));
        assert!(one.take(Kind::Requests, Priority::High).is_ok(), "priorities are apart");
        assert!(one.take(Kind::Retries, Priority::Default).is_ok(), "kinds are apart");
        drop(first);
        assert!(two.take(Kind::Requests, Priority::Default).is_ok());
    }

    #[test]
    fn no_place_is_no_place() {
        let limits =
            Limits { default: LimitSet { connections: 0, ..LimitSet::default() }, ..Limits::default() };
        let breakers = Breakers::new(limits, &SharedCounts::default());
        assert!(breakers.take(Kind::Connections, Priority::Default).is_err());
    }
}

//! Circuit breakers: how much may be under way towards a cluster.
//!
//! A limit is so many places, for the whole process. A data thread takes them from what all share a few at a time, keeps
//! those given back to it, and gives away what it does not need: the count on a request's way is one that no other thread
//! touches, until hardly a place is left. Then each looks for what the others keep, so that the limit is exact.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

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

/// Limits: for each priority one of each kind.
const LIMITS: usize = 8;
/// A thread takes this part of a limit from the others at a time: 16 of the default's 1024.
const PART: u32 = 64;

/// Places of each limit.
type Places = [AtomicU32; LIMITS];

/// The places of a cluster, made when it is first used.
#[derive(Debug, Default)]
pub(crate) struct SharedPlaces(OnceLock<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    limits: [u32; LIMITS],
    /// Not taken by any thread.
    free: Places,
    /// Taken by a thread, and not in use. Threads beyond their number share one.
    kept: Box<[Kept]>,
    threads: AtomicU32,
}

/// What one thread keeps. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Kept(Places);

/// One thread's side of a cluster's circuit breakers.
#[derive(Debug, Clone)]
pub(crate) struct Breakers(Rc<Own>);

#[derive(Debug)]
struct Own {
    shared: Arc<Shared>,
    thread: usize,
}

/// A place under a limit, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    own: Rc<Own>,
    limit: usize,
}

static THREADS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));

impl Breakers {
    /// One more thread takes part.
    pub(crate) fn new(limits: Limits, shared: &SharedPlaces) -> Self {
        let shared = Arc::clone(shared.0.get_or_init(|| Arc::new(Shared::new(&limits))));
        let thread = shared.threads.fetch_add(1, Ordering::Relaxed) as usize % shared.kept.len();
        Self(Rc::new(Own { shared, thread }))
    }

    /// Takes a place.
    ///
    /// # Errors
    /// When none is left.
    pub(crate) fn take(&self, kind: Kind, priority: Priority) -> Result<Slot, Overflow> {
        let limit = priority as usize * 4 + kind as usize;
        let Own { shared, thread } = &*self.0;
        let kept = &shared.kept[*thread].0[limit];
        if withdraw(kept, 1) == 1 || shared.refill(limit, kept) {
            Ok(Slot { own: Rc::clone(&self.0), limit })
        } else {
            Err(Overflow)
        }
    }
}

impl Shared {
    fn new(limits: &Limits) -> Self {
        let of = |set: &LimitSet| [set.connections, set.pending, set.requests, set.retries];
        let [a, b, c, d] = of(&limits.default);
        let [e, f, g, h] = of(&limits.high);
        let limits = [a, b, c, d, e, f, g, h];
        let kept = (0..*THREADS).map(|_| Kept::default()).collect();
        Self { limits, free: limits.map(AtomicU32::new), kept, threads: AtomicU32::new(0) }
    }

    /// So many places are taken at a time, and at most twice as many kept.
    fn part(&self, limit: usize) -> u32 {
        (self.limits[limit] / PART).max(1)
    }

    /// Takes a place for use and some to keep, of those that are free or that another thread keeps.
    fn refill(&self, limit: usize, kept: &AtomicU32) -> bool {
        let mut taken = withdraw(&self.free[limit], self.part(limit));
        let mut others = self.kept.iter().map(|other| &other.0[limit]);
        while taken == 0
            && let Some(other) = others.next()
        {
            taken = other.swap(0, Ordering::Relaxed);
        }
        if taken > 1 {
            kept.fetch_add(taken - 1, Ordering::Relaxed);
        }
        taken > 0
    }
}

/// Takes so many places, or as many as there are.
fn withdraw(places: &AtomicU32, wanted: u32) -> u32 {
    // An atomic update that finds nothing to take says so.
    let before = places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |places| {
        (places > 0).then(|| places.saturating_sub(wanted))
    });
    before.map_or(0, |before| before.min(wanted))
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Own { shared, thread } = &*self.own;
        let kept = &shared.kept[*thread].0[self.limit];
        let part = shared.part(self.limit);
        if kept.fetch_add(1, Ordering::Relaxed) >= 2 * part {
            shared.free[self.limit].fetch_add(withdraw(kept, part), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(requests: u32) -> Limits {
        Limits { default: LimitSet { requests, ..LimitSet::default() }, high: LimitSet::default() }
    }

    fn request(breakers: &Breakers) -> Result<Slot, Overflow> {
        breakers.take(Kind::Requests, Priority::Default)
    }

    #[test]
    fn limits_hold_for_all_threads_together() {
        let shared = SharedPlaces::default();
        let (one, two) = (Breakers::new(limits(2), &shared), Breakers::new(limits(2), &shared));
        let first = request(&one).expect("the first of two");
        let _second = request(&two).expect("the second of two");
        assert_eq!(request(&one).err(), Some(Overflow));
        assert!(one.take(Kind::Requests, Priority::High).is_ok(), "priorities are apart");
        assert!(one.take(Kind::Retries, Priority::Default).is_ok(), "kinds are apart");
        drop(first);
        assert!(request(&two).is_ok());
    }

    #[test]
    fn the_last_place_is_found_wherever_it_is_kept() {
        let limit = LimitSet::default().requests;
        let shared = SharedPlaces::default();
        let threads: Vec<_> = (0..3).map(|_| Breakers::new(Limits::default(), &shared)).collect();
        // Each keeps some.
        threads.iter().for_each(|thread| drop(request(thread)));
        let mut slots: Vec<_> = (0..limit).map(|_| request(&threads[0]).expect("a place")).collect();
        assert!(threads.iter().all(|thread| request(thread).is_err()));
        slots.truncate(100);
        slots.extend((100..limit).map(|turn| request(&threads[turn as usize % 3]).expect("a place")));
        assert!(threads.iter().all(|thread| request(thread).is_err()));
    }

    #[test]
    fn no_place_is_lost_or_made_by_threads_at_the_same_time() {
        const LIMIT: u32 = 40;
        let (shared, under_way) = (SharedPlaces::default(), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let breakers = Breakers::new(limits(LIMIT), &shared);
                    for turn in 0..20_000 {
                        let slots: Vec<_> = (0..turn % 16).filter_map(|_| request(&breakers).ok()).collect();
                        let count = slots.len() as u32;
                        assert!(under_way.fetch_add(count, Ordering::SeqCst) + count <= LIMIT);
                        under_way.fetch_sub(count, Ordering::SeqCst);
                        drop(slots);
                    }
                });
            }
        });
        let breakers = Breakers::new(limits(LIMIT), &shared);
        let slots: Vec<_> = std::iter::from_fn(|| request(&breakers).ok()).collect();
        assert_eq!(slots.len(), LIMIT as usize);
    }

    #[test]
    fn the_largest_limit_is_none() {
        let shared = SharedPlaces::default();
        let threads: Vec<_> = (0..3).map(|_| Breakers::new(limits(u32::MAX), &shared)).collect();
        let slots: Vec<_> = (0..9000).map(|turn| request(&threads[turn % 3])).collect();
        assert!(slots.iter().all(Result::is_ok));
        drop(slots);
        assert!(threads.iter().all(|thread| request(thread).is_ok()));
    }

    #[test]
    fn no_place_is_no_place() {
        let limits =
            Limits { default: LimitSet { connections: 0, ..LimitSet::default() }, ..Limits::default() };
        let breakers = Breakers::new(limits, &SharedPlaces::default());
        assert!(breakers.take(Kind::Connections, Priority::Default).is_err());
    }
}

//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a request to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Result {
    /// Written.
    Written,
    /// The apiserver has a newer object, or another one of that name.
    Conflict,
    /// The object is gone.
    Gone,
    /// The apiserver has too much to do, or cannot be reached; tried again.
    Deferred,
    /// The apiserver does not take it.
    Refused,
}

impl Result {
    const ALL: [Self; 5] = [Self::Written, Self::Conflict, Self::Gone, Self::Deferred, Self::Refused];

    fn name(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
        }
    }
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    writes: [AtomicU64; 5],
    events: AtomicU64,
    events_dropped: AtomicU64,
    waiting: AtomicU64,
}

impl Numbers {
    pub(crate) fn wrote(&self, result: Result) {
        self.writes[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn told(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self) {
        self.events_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wait(&self, count: usize) {
        self.waiting.store(count as u64, Ordering::Relaxed);
    }

    /// Writes by their result.
    pub(crate) fn writes(&self) -> Vec<(&'static str, u64)> {
        let count = |result: Result| self.writes[result as usize].load(Ordering::Relaxed);
        Result::ALL.into_iter().map(|result| (result.name(), count(result))).collect()
    }

    /// Events told, and left untold because there were too many.
    pub(crate) fn events(&self) -> (u64, u64) {
        (self.events.load(Ordering::Relaxed), self.events_dropped.load(Ordering::Relaxed))
    }

    /// Objects that wait to be written.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

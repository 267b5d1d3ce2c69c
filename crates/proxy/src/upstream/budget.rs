//! How many retries may be under way, by how many requests are.
//!
//! Counted for the whole process, and only for clusters that want it: the two numbers are shared by all data threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use plenipo_model::RetryBudget;

use super::breakers::Overflow;

/// The requests and retries of one cluster that are under way.
#[derive(Debug)]
pub(crate) struct Budget {
    rules: RetryBudget,
    requests: AtomicU32,
    retries: AtomicU32,
}

/// A request or retry, counted while it lives.
#[derive(Debug)]
pub(crate) struct Counted {
    budget: Arc<Budget>,
    retry: bool,
}

impl Budget {
    pub(crate) fn new(rules: RetryBudget) -> Arc<Self> {
        Arc::new(Self { rules, requests: AtomicU32::new(0), retries: AtomicU32::new(0) })
    }

    /// Counts a request; none is turned away.
    pub(crate) fn request(self: &Arc<Self>) -> Counted {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Counted { budget: Arc::clone(self), retry: false }
    }

    /// Lets a retry in.
    ///
    /// # Errors
    /// When as many as may be are under way.
    pub(crate) fn retry(self: &Arc<Self>) -> Result<Counted, Overflow> {
        let requests = u64::from(self.requests.load(Ordering::Relaxed));
        let most = (requests * u64::from(self.rules.part) / 1_000_000).max(u64::from(self.rules.least));
        let taken = self.retries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |retries| {
            (u64::from(retries) < most).then(|| retries + 1)
        });
        taken.map_err(|_| Overflow)?;
        Ok(Counted { budget: Arc::clone(self), retry: true })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = if self.retry { &self.budget.retries } else { &self.budget.requests };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_part_of_requests_and_some_in_any_case() {
        for (part, least, requests, expected) in [
            (200_000, 3, 0, 3),
            (200_000, 3, 10, 3),
            (200_000, 3, 20, 4),
            (200_000, 3, 24, 4),
            (0, 0, 100, 0),
            (1_000_000, 0, 5, 5),
            (u32::MAX, u32::MAX, 1, 20),
        ] {
            let budget = Budget::new(RetryBudget { part, least });
            let _requests: Vec<_> = (0..requests).map(|_| budget.request()).collect();
            let mut retries: Vec<_> = (0..20).filter_map(|_| budget.retry().ok()).collect();
            assert_eq!(retries.len(), expected, "{part} {least} {requests}");
            if retries.pop().is_some() {
                assert!(budget.retry().is_ok(), "one that ended makes room");
            }
        }
    }
}

//! How often something may be done.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Budget {
    per_second: f64,
    burst: f64,
    tokens: f64,
    /// When `tokens` was right.
    at: Instant,
}

impl Budget {
    /// Full. Rates and bursts below one are one: nothing would ever be done.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let (per_second, burst) = (f64::from(per_second.max(1)), f64::from(burst.max(1)));
        Self { per_second, burst, tokens: burst, at: now }
    }

    /// When the next token is there: now, or later.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        let missing = 1.0 - self.tokens_at(now);
        if missing <= 0.0 { now } else { now + Duration::from_secs_f64(missing / self.per_second) }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.tokens = self.tokens_at(now);
        self.at = now;
        // What adding up fractions loses must not cost a turn.
        let there = self.tokens > 1.0 - 1e-6;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        (self.tokens + gained).min(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_there_is_one_for_each_part_of_a_second() {
        let start = Instant::now();
        let mut budget = Budget::new(20, 50, start);
        let (mut now, mut taken) = (start, Vec::new());
        while taken.len() < 150 {
            now = budget.next(now);
            assert!(budget.take(now), "it was promised for now");
            taken.push(now - start);
        }
        assert_eq!(taken[49], Duration::ZERO);
        let whole = taken[149].as_secs_f64();
        assert!((whole - 5.0).abs() < 0.01, "100 more take 5 s, not {whole}");
    }

    #[test]
    fn what_is_not_used_is_saved_up_to_the_burst() {
        let start = Instant::now();
        let mut budget = Budget::new(10, 3, start);
        for _ in 0..3 {
            assert!(budget.take(start));
        }
        assert!(!budget.take(start));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..10).filter(|_| budget.take(later)).count(), 3);
    }
}

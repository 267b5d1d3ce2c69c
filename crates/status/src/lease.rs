//! Who of the replicas writes: the one that holds a Lease.
//!
//! The rules are client-go's. Nobody's clock is compared with anybody else's: a lease has run out when its record has not
//! changed for its duration by our own clock, and its holder gives up earlier when it cannot renew it.

mod keeper;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use keeper::{Claim, keep};

/// How long a lease holds that is not renewed.
pub(crate) const DURATION: Duration = Duration::from_secs(15);
/// The holder gives up after so long without having renewed it.
const RENEWAL: Duration = Duration::from_secs(10);
/// Between two attempts.
pub(crate) const RETRY: Duration = Duration::from_secs(2);

/// What a Lease says of its holder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Record {
    /// Who has it; empty when it was given back.
    pub(crate) holder: String,
    /// For how long without renewal.
    pub(crate) duration: Duration,
    /// When it was renewed, as written. Only ever compared with itself.
    pub(crate) renewed: String,
    /// How often it changed hands.
    pub(crate) transitions: i32,
}

/// What to do about a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// There is none: create it.
    Create,
    /// Take it: it was given back, or it ran out. So often it will have changed hands.
    Take(i32),
    /// It is ours: renew it.
    Renew,
    /// Another has it.
    Wait,
}

/// One replica's part in who leads.
#[derive(Debug)]
pub(crate) struct Election {
    identity: String,
    /// What was seen last, and since when it has been so.
    seen: Option<(Record, Instant)>,
    /// When we asked for what was the last time granted.
    granted: Option<Instant>,
}

impl Election {
    pub(crate) fn new(identity: String) -> Self {
        Self { identity, seen: None, granted: None }
    }

    /// What to do when the lease is like this.
    pub(crate) fn step(&mut self, now: Instant, found: Option<Record>) -> Step {
        let Some(found) = found else {
            self.seen = None;
            return Step::Create;
        };
        let since = match self.seen.take() {
            Some((seen, since)) if seen == found => since,
            _ => now,
        };
        let step = if found.holder == self.identity {
            Step::Renew
        } else if found.holder.is_empty() || now >= since + found.duration {
            Step::Take(found.transitions.saturating_add(1))
        } else {
            Step::Wait
        };
        if step == Step::Wait {
            self.granted = None;
        }
        self.seen = Some((found, since));
        step
    }

    /// What we asked for at this moment was granted: we lead, for a while.
    pub(crate) fn granted(&mut self, asked: Instant) {
        self.granted = Some(asked);
    }

    /// Until when we lead; none when we do not.
    pub(crate) fn leads_until(&self) -> Option<Instant> {
        self.granted.map(|granted| granted + RENEWAL)
    }

    /// We do not lead any more.
    pub(crate) fn give_up(&mut self) {
        self.granted = None;
    }
}

#[cfg(test)]
mod tests;

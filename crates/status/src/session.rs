//! What the replica that leads does: it looks at every outcome, and writes what the cluster lacks.

mod learn;
mod look;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use plenipo_resources::ObjectId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Options;
use crate::backlog::Backlog;
use crate::budget::Budget;
use crate::event::Event;
use crate::numbers::Numbers;
use crate::outcome::Outcome;
use crate::record::Records;
use learn::Shapes;
use look::Job;
use write::Done;

/// So many requests wait for their answer at once.
const AT_ONCE: usize = 8;
/// The definitions are looked at so often: what a status may hold changes with them.
const DEFINITIONS: Duration = Duration::from_secs(30);
/// A kind that was seen and has no definition yet is looked for so soon.
const SOON: Duration = Duration::from_secs(2);
/// What is in the cluster is read anew so often: others may have changed it.
const ANEW: Duration = Duration::from_secs(30 * 60);
/// Events per second, and at once.
const EVENTS: (u32, u32) = (5, 25);
/// More events do not wait.
const EVENTS_WAITING: usize = 1000;

/// Writes whenever this replica leads.
pub(crate) async fn run(
    client: Client,
    options: Arc<Options>,
    outcomes: watch::Receiver<Option<Arc<Outcome>>>,
    mut leading: watch::Receiver<bool>,
    numbers: Arc<Numbers>,
) {
    while becomes(&mut leading, true).await {
        let session = Session::new(client.clone(), Arc::clone(&options), Arc::clone(&numbers));
        // Whatever was begun is let go with the session.
        tokio::select! {
            biased;
            _ = becomes(&mut leading, false) => {}
            () = session.lead(outcomes.clone()) => return,
        }
        numbers.wait(0);
    }
}

async fn becomes(leading: &mut watch::Receiver<bool>, wanted: bool) -> bool {
    leading.wait_for(|leads| *leads == wanted).await.is_ok()
}

struct Session {
    client: Client,
    options: Arc<Options>,
    numbers: Arc<Numbers>,
    /// What a status may hold.
    shapes: Shapes,
    /// What the cluster holds.
    records: Records,
    /// What shall be written.
    backlog: Backlog<ObjectId, Job>,
    budget: Budget,
    /// What shall be told, by the Event's name.
    events: Backlog<String, Event>,
    event_budget: Budget,
    /// Nothing is sent before.
    not_before: Instant,
    /// So often in a row the apiserver could not do what it was asked.
    failures: u32,
    /// What was refused and has been said, so that it is said once.
    said: BTreeSet<String>,
    in_flight: JoinSet<Done>,
    /// What was looked at last.
    last: Option<Arc<Outcome>>,
    definitions_at: Instant,
    anew_at: Instant,
}

impl Session {
    fn new(client: Client, options: Arc<Options>, numbers: Arc<Numbers>) -> Self {
        let now = Instant::now();
        Self {
            budget: Budget::new(options.writes_per_second, options.write_burst, now),
            event_budget: Budget::new(EVENTS.0, EVENTS.1, now),
            client,
            options,
            numbers,
            shapes: Shapes::default(),
            records: Records::default(),
            backlog: Backlog::default(),
            events: Backlog::default(),
            not_before: now,
            failures: 0,
            said: BTreeSet::new(),
            in_flight: JoinSet::new(),
            last: None,
            definitions_at: now,
            anew_at: now,
        }
    }

    /// Returns when there will be no more outcomes.
    async fn lead(mut self, mut outcomes: watch::Receiver<Option<Arc<Outcome>>>) {
        loop {
            let next = self.next_request();
            tokio::select! {
                biased;
                Some(done) = self.in_flight.join_next() => match done {
                    Ok(done) => self.settle(done),
                    Err(error) => tracing::error!(%error, "a write of a status came to no end"),
                },
                newest = newest(&mut outcomes, self.last.as_ref()) => match newest {
                    Some(outcome) => self.look_at(outcome).await,
                    None => return,
                },
                () = sleep_until(self.definitions_at), if self.last.is_some() => self.look_at_definitions().await,
                () = sleep_until(self.anew_at), if self.last.is_some() => self.look_anew().await,
                () = wait(next) => self.send_next(),
            }
            self.numbers.wait(self.backlog.len());
        }
    }

    /// When something can be sent; none as long as there is nothing.
    fn next_request(&self) -> Option<Instant> {
        if self.backlog.begun() + self.events.begun() >= AT_ONCE {
            return None;
        }
        let now = Instant::now();
        let write = self.backlog.is_ready().then(|| self.budget.next(now));
        let event = self.events.is_ready().then(|| self.event_budget.next(now));
        let next = write.into_iter().chain(event).min()?;
        Some(next.max(self.not_before))
    }

    fn send_next(&mut self) {
        let now = Instant::now();
        if self.backlog.is_ready() && self.budget.next(now) <= now {
            self.write_next(now);
        } else if self.events.is_ready() && self.event_budget.take(now) {
            self.tell_next();
        }
    }
}

/// The next outcome that is another than the last; none when there will be no more.
async fn newest(
    outcomes: &mut watch::Receiver<Option<Arc<Outcome>>>,
    last: Option<&Arc<Outcome>>,
) -> Option<Arc<Outcome>> {
    let is_news = |outcome: &Option<Arc<Outcome>>| match (outcome, last) {
        (Some(outcome), Some(last)) => !Arc::ptr_eq(outcome, last),
        (outcome, None) => outcome.is_some(),
        (None, Some(_)) => false,
    };
    let found = outcomes.wait_for(is_news).await.ok()?;
    found.clone()
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

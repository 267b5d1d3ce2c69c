//! Passive health: an endpoint that fails several times in a row is put out for a while.
//!
//! As Envoy does it, and for the whole process: what all data threads hear of an endpoint goes into one record, so that a
//! threshold of five is five failures and not five for each thread, and an endpoint is out for all at once. An endpoint that
//! answers well costs a look at its record, which nobody writes to; a lock is taken only by the failure that is one too many.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use plenipo_model::{Cluster, OutlierDetection};
use tokio::time::Instant;

use crate::fields::Fields;
use crate::headers::grpc_status;
use crate::metrics::OutlierNumbers;
use crate::snapshot::clusters::{EndpointSet, EndpointState, Upstream};

/// Longest time out, unless the time for the first offence is longer (Envoy's `max_ejection_time`).
const LONGEST: Duration = Duration::from_secs(300);

/// What came of a request or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An answer of this status.
    Status(u16),
    /// A connection, all that a relay waits for.
    Connection,
    /// Nothing: no connection, or it ended.
    Failure,
    /// Nothing in time.
    Silence,
}

impl Heard {
    /// What the head of a response tells; nothing when it is a gRPC call's whose status is still to come.
    pub(crate) fn in_head(status: StatusCode, headers: &Fields) -> Option<Self> {
        let is_grpc = || {
            let kind = headers.get(CONTENT_TYPE);
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
        };
        match grpc_status(headers.get("grpc-status")) {
            Some(grpc) if status.is_success() => Some(Self::of_grpc(grpc)),
            None if status.is_success() && is_grpc() => None,
            _ => Some(Self::Status(status.as_u16())),
        }
    }

    /// The HTTP status that Envoy takes a gRPC status for.
    pub(crate) fn of_grpc(status: u16) -> Self {
        Self::Status(match status {
            0 => 200,
            1 => 499,
            3 | 9 | 11 => 400,
            4 => 504,
            5 => 404,
            6 | 10 => 409,
            7 => 403,
            8 => 429,
            12 => 501,
            14 => 503,
            16 => 401,
            _ => 500,
        })
    }
}

/// Why an endpoint was put out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offence {
    FiveXx,
    Gateway,
    LocalOrigin,
}

/// Outlier detection of one cluster.
#[derive(Debug)]
pub(crate) struct Outliers {
    cluster: Arc<str>,
    rules: OutlierDetection,
    /// Held while it is decided whether one more may go.
    deciding: Mutex<()>,
    detected: [AtomicU64; 3],
    enforced: [AtomicU64; 3],
    overflows: AtomicU64,
}

/// What is known of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// In a row, by [`Offence`].
    failures: [AtomicU32; 3],
    ejection: Mutex<Ejection>,
}

#[derive(Debug, Default)]
struct Ejection {
    since: Option<Instant>,
    /// How many times lately; a quiet interval takes one away.
    times: u32,
}

impl Outliers {
    /// None where the cluster wants none.
    pub(crate) fn of(cluster: &Cluster) -> Option<Self> {
        let rules = cluster.outlier.as_ref()?;
        Some(Self {
            cluster: Arc::clone(&cluster.name),
            rules: rules.clone(),
            deciding: Mutex::default(),
            detected: Default::default(),
            enforced: Default::default(),
            overflows: AtomicU64::new(0),
        })
    }

    /// Notes what was heard of an endpoint, and puts it out if that was one failure too many.
    pub(crate) fn note(&self, set: &EndpointSet, endpoint: &EndpointState, heard: Heard) {
        let Some(record) = endpoint.record() else { return };
        let local = self.rules.split_local_origin;
        let status = match heard {
            Heard::Failure | Heard::Silence if local => {
                return self.count(set, endpoint, record, Offence::LocalOrigin);
            }
            Heard::Connection if local => return record.forgive(Offence::LocalOrigin),
            Heard::Status(status) => status,
            Heard::Connection => 200,
            Heard::Failure => 503,
            Heard::Silence => 504,
        };
        if local {
            record.forgive(Offence::LocalOrigin);
        }
        if !matches!(status, 502..=504) {
            record.forgive(Offence::Gateway);
        }
        if status < 500 {
            return record.forgive(Offence::FiveXx);
        }
        if matches!(status, 502..=504) {
            self.count(set, endpoint, record, Offence::Gateway);
        }
        self.count(set, endpoint, record, Offence::FiveXx);
    }

    fn count(&self, set: &EndpointSet, endpoint: &EndpointState, record: &Record, offence: Offence) {
        let threshold = match offence {
            Offence::FiveXx => self.rules.consecutive_5xx,
            Offence::Gateway => self.rules.consecutive_gateway,
            Offence::LocalOrigin => self.rules.consecutive_local_origin,
        };
        let Some(threshold) = threshold.filter(|threshold| *threshold > 0) else { return };
        if record.failures[offence as usize].fetch_add(1, Ordering::Relaxed).wrapping_add(1) != threshold {
            return;
        }
        let _deciding = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        record.forgive(offence);
        // Another thread was faster; what comes in late of one that is out counts for nothing.
        if endpoint.is_ejected() {
            return;
        }
        self.detected[offence as usize].fetch_add(1, Ordering::Relaxed);
        if self.another_may_go(set) {
            self.enforced[offence as usize].fetch_add(1, Ordering::Relaxed);
            let time = self.eject(endpoint, record);
            tracing::warn!(cluster = %self.cluster, endpoint = %endpoint.address, ?offence, ?time, "endpoint put out");
        } else {
            self.overflows.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One may always go unless it is the only one; of more, no larger part than the rules say.
    fn another_may_go(&self, set: &EndpointSet) -> bool {
        let out = set.endpoints.iter().filter(|endpoint| endpoint.is_ejected()).count();
        let (all, percent) = (set.endpoints.len() as u64, u64::from(self.rules.max_ejection_percent));
        (out == 0 && all > 1) || (out as u64 + 1) * 100 <= percent * all
    }

    fn eject(&self, endpoint: &EndpointState, record: &Record) -> Duration {
        let mut ejection = record.ejection();
        if self.rules.base_ejection.saturating_mul(ejection.times) < self.longest() {
            ejection.times += 1;
        }
        ejection.since = Some(Instant::now());
        endpoint.set_ejected(true);
        self.time_out(&ejection)
    }

    /// Takes back those whose time is over; forgives one offence to those that were in use for the whole interval.
    fn review(&self, set: &EndpointSet) {
        for endpoint in &set.endpoints {
            let Some(record) = endpoint.record() else { continue };
            let mut ejection = record.ejection();
            match ejection.since {
                None => ejection.times = ejection.times.saturating_sub(1),
                Some(since) if since.elapsed() >= self.time_out(&ejection) => {
                    ejection.since = None;
                    record.failures.iter().for_each(|count| count.store(0, Ordering::Relaxed));
                    endpoint.set_ejected(false);
                    tracing::info!(cluster = %self.cluster, endpoint = %endpoint.address, "endpoint taken back");
                }
                Some(_) => {}
            }
        }
    }

    fn time_out(&self, ejection: &Ejection) -> Duration {
        self.rules.base_ejection.saturating_mul(ejection.times).min(self.longest())
    }

    fn longest(&self) -> Duration {
        LONGEST.max(self.rules.base_ejection)
    }

    /// What was counted, and how many of these are out.
    pub(crate) fn numbers(&self, set: Option<&EndpointSet>) -> OutlierNumbers {
        let read = |counts: &[AtomicU64; 3]| [0, 1, 2].map(|at| counts[at].load(Ordering::Relaxed));
        let out = set.map_or(0, |set| set.endpoints.iter().filter(|endpoint| endpoint.is_ejected()).count());
        OutlierNumbers {
            active: out as u64,
            detected: read(&self.detected),
            enforced: read(&self.enforced),
            overflows: self.overflows.load(Ordering::Relaxed),
        }
    }
}

impl Record {
    /// Begins to count anew. In the usual case there is nothing to write.
    fn forgive(&self, offence: Offence) {
        let count = &self.failures[offence as usize];
        if count.load(Ordering::Relaxed) != 0 {
            count.store(0, Ordering::Relaxed);
        }
    }

    fn ejection(&self) -> MutexGuard<'_, Ejection> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks, forever, for endpoints to take back.
pub(crate) async fn watch(upstream: Arc<Upstream>) {
    let Some(outliers) = &upstream.live.outliers else { return };
    let mut interval = tokio::time::interval(outliers.rules.interval.max(Duration::from_millis(1)));
    // The first tick is at once.
    interval.tick().await;
    loop {
        interval.tick().await;
        if let Some(set) = upstream.endpoints() {
            outliers.review(&set);
        }
    }
}

#[cfg(test)]
mod tests;

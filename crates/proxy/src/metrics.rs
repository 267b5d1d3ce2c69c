//! What is counted, and how it is read.
//!
//! Each data thread counts for itself in plain cells, resolved before the request path needs them; nothing is shared.
//! A reading adds up what every thread has ([`Measurements`]), and every exposition is a projection of that.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::Source;
use rustc_hash::FxHashMap;

/// Upper bounds of the histogram, in microseconds: the union of what every exposition needs, so that each can be made
/// from one histogram exactly.
pub const BOUNDS: [u64; 22] = [
    500,
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    75_000,
    100_000,
    250_000,
    500_000,
    750_000,
    1_000_000,
    2_500_000,
    5_000_000,
    7_500_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];

/// Series of one thread beyond which new routes are counted together, under `_OTHER`.
const MAX_SERIES: usize = 20_000;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.set(self.0.get() + amount);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.get()
    }
}

/// Durations, counted by size. Not cumulative; the last bucket is what exceeds all bounds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// One for each of [`BOUNDS`], and one more.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Of all durations, in microseconds.
    pub sum: u64,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BOUNDS.partition_point(|bound| *bound < micros)] += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    /// How many durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// A thread's numbers for a cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterMeter {
    statuses: RefCell<BTreeMap<u16, u64>>,
    time: RefCell<Histogram>,
    pub(crate) active: Cell<u64>,
    pub(crate) retries: Counter,
    pub(crate) timeouts: Counter,
    pub(crate) overflows: Counter,
    pub(crate) connections: Cell<u64>,
    pub(crate) connections_total: Counter,
    pub(crate) connect_failures: Counter,
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
}

impl ClusterMeter {
    /// A response (or none: 0) to one attempt.
    pub(crate) fn answered(&self, status: u16, time: Duration) {
        *self.statuses.borrow_mut().entry(status).or_insert(0) += 1;
        self.time.borrow_mut().add(time);
    }

    pub(crate) fn read(&self) -> ClusterNumbers {
        ClusterNumbers {
            statuses: self.statuses.borrow().clone(),
            time: self.time.borrow().clone(),
            active: self.active.get(),
            retries: self.retries.value(),
            timeouts: self.timeouts.value(),
            overflows: self.overflows.value(),
            connections: self.connections.get(),
            connections_total: self.connections_total.value(),
            connect_failures: self.connect_failures.value(),
            sent: self.sent.value(),
            received: self.received.value(),
            outliers: None,
        }
    }
}

/// A thread's numbers for the listeners of one stats prefix.
#[derive(Debug, Default)]
pub(crate) struct ListenerMeter {
    pub(crate) connections: Cell<u64>,
    pub(crate) connections_total: Counter,
    pub(crate) tls_connections: Counter,
    pub(crate) tls_failures: Counter,
    pub(crate) proxy_protocol_failures: Counter,
    pub(crate) requests_active: Cell<u64>,
    classes: [Counter; 6],
    refused: RefCell<BTreeMap<&'static str, u64>>,
    time: RefCell<Histogram>,
    pub(crate) received: Counter,
    pub(crate) sent: Counter,
}

impl ListenerMeter {
    /// A connection ended before it served anything, or broke the rules of its protocol.
    pub(crate) fn refused(&self, reason: &'static str) {
        *self.refused.borrow_mut().entry(reason).or_insert(0) += 1;
    }

    /// A request ended with this status.
    pub(crate) fn finished(&self, status: u16, time: Duration) {
        self.classes[usize::from(status / 100).min(5)].add(1);
        self.time.borrow_mut().add(time);
    }

    pub(crate) fn read(&self) -> ListenerNumbers {
        let mut classes = [0; 6];
        for (number, counter) in classes.iter_mut().zip(&self.classes) {
            *number = counter.value();
        }
        ListenerNumbers {
            connections: self.connections.get(),
            connections_total: self.connections_total.value(),
            tls_connections: self.tls_connections.value(),
            tls_failures: self.tls_failures.value(),
            proxy_protocol_failures: self.proxy_protocol_failures.value(),
            requests_active: self.requests_active.get(),
            refused: self.refused.borrow().clone(),
            classes,
            time: self.time.borrow().clone(),
            received: self.received.value(),
            sent: self.sent.value(),
        }
    }
}

/// What tells requests apart in the request histogram (OpenTelemetry's `http.server.request.duration`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestLabels {
    /// Method; unknown ones are `_OTHER`.
    pub method: &'static str,
    /// Status.
    pub status: u16,
    /// The path pattern of the route as written; empty = no route.
    pub route: Arc<str>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// `1.0`, `1.1`, `2`.
    pub version: &'static str,
    /// Envoy's response flags, when the answer was made here; else empty.
    pub error: &'static str,
}

/// What differs most tells enough.
impl Hash for RequestLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.status, self.method.len(), &self.route).hash(state);
    }
}

/// A thread's request histogram.
#[derive(Debug, Default)]
pub(crate) struct RequestMeter(RefCell<FxHashMap<RequestLabels, Histogram>>);

impl RequestMeter {
    pub(crate) fn finished(&self, mut labels: RequestLabels, time: Duration) {
        let mut series = self.0.borrow_mut();
        if let Some(histogram) = series.get_mut(&labels) {
            histogram.add(time);
            return;
        }
        if series.len() >= MAX_SERIES {
            labels.route = "_OTHER".into();
        }
        series.entry(labels).or_default().add(time);
    }

    pub(crate) fn read(&self) -> BTreeMap<RequestLabels, Histogram> {
        self.0.borrow().iter().map(|(labels, histogram)| (labels.clone(), histogram.clone())).collect()
    }
}

/// OpenTelemetry's list of known methods.
pub(crate) fn known_method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "CONNECT" => "CONNECT",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "PATCH" => "PATCH",
        _ => "_OTHER",
    }
}

/// All numbers at one moment.
#[derive(Debug, Clone, Default)]
pub struct Measurements {
    /// By stats prefix (`ingress_http`).
    pub listeners: BTreeMap<Arc<str>, ListenerNumbers>,
    /// By cluster name.
    pub clusters: BTreeMap<Arc<str>, ClusterNumbers>,
    /// Requests.
    pub requests: BTreeMap<RequestLabels, Histogram>,
    /// Tasks of the data threads: what each does for itself, connections, and what they have begun.
    pub tasks: u64,
    /// Endpoints by cluster name; none while its name has never been resolved.
    pub endpoints: BTreeMap<Arc<str>, Option<Vec<EndpointHealth>>>,
    /// Names that Envoy-style metrics give to clusters.
    pub stats_names: BTreeMap<Arc<str>, Arc<str>>,
    /// Revision of the snapshot that serves.
    pub revision: u64,
    /// Access-log lines lost because they came faster than they could be written.
    pub log_lines_dropped: u64,
    /// Certificates that serve: who asked for them, their names, and the end of their validity (seconds since 1970).
    pub certificates: Vec<(Source, Vec<String>, i64)>,
    /// Fetches of key sets for tokens, by URL: those that brought keys, and those that did not.
    pub key_fetches: BTreeMap<String, (u64, u64)>,
}

/// An endpoint and its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Where it is.
    pub address: SocketAddr,
    /// Whether its health checks pass and outlier detection has not put it out.
    pub healthy: bool,
    /// Whether outlier detection has put it out.
    pub ejected: bool,
    /// 0 comes first.
    pub priority: u32,
}

/// What outlier detection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutlierNumbers {
    /// Endpoints that are out.
    pub active: u64,
    /// Thresholds reached: 5xx in a row, gateway errors, failures of our side.
    pub detected: [u64; 3],
    /// Endpoints put out, for each of these.
    pub enforced: [u64; 3],
    /// Endpoints that stayed because enough were out.
    pub overflows: u64,
}

/// Numbers of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterNumbers {
    /// Attempts by status; 0 = no response.
    pub statuses: BTreeMap<u16, u64>,
    /// Time to the head of the response.
    pub time: Histogram,
    /// Requests under way.
    pub active: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Attempts that took too long.
    pub timeouts: u64,
    /// Requests turned away by circuit breakers.
    pub overflows: u64,
    /// Open connections.
    pub connections: u64,
    /// Connections made.
    pub connections_total: u64,
    /// Connections that could not be made.
    pub connect_failures: u64,
    /// Bytes of bodies (or of relayed streams) sent to it.
    pub sent: u64,
    /// Bytes received from it.
    pub received: u64,
    /// What outlier detection did, for the whole process; none where there is none.
    pub outliers: Option<OutlierNumbers>,
}

/// Numbers of the listeners of one stats prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerNumbers {
    /// Open connections.
    pub connections: u64,
    /// Connections accepted.
    pub connections_total: u64,
    /// TLS handshakes that succeeded.
    pub tls_connections: u64,
    /// TLS handshakes that failed.
    pub tls_failures: u64,
    /// Connections closed for a missing or malformed PROXY header.
    pub proxy_protocol_failures: u64,
    /// Requests under way.
    pub requests_active: u64,
    /// Connections refused, by the reason as `docs/metrics.md` lists them.
    pub refused: BTreeMap<&'static str, u64>,
    /// Requests by class of status: index 2 = 2xx; index 0 = no response.
    pub classes: [u64; 6],
    /// From the head of the request to the end of the response.
    pub time: Histogram,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

impl Measurements {
    /// Adds the numbers of another thread.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, numbers) in other.listeners {
            self.listeners.entry(name).or_default().merge(&numbers);
        }
        for (name, numbers) in other.clusters {
            self.clusters.entry(name).or_default().merge(&numbers);
        }
        for (labels, histogram) in other.requests {
            self.requests.entry(labels).or_default().merge(&histogram);
        }
        self.tasks += other.tasks;
    }
}

impl ClusterNumbers {
    pub(crate) fn merge(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_insert(0) += count;
        }
        self.time.merge(&other.time);
        self.active += other.active;
        self.retries += other.retries;
        self.timeouts += other.timeouts;
        self.overflows += other.overflows;
        self.connections += other.connections;
        self.connections_total += other.connections_total;
        self.connect_failures += other.connect_failures;
        self.sent += other.sent;
        self.received += other.received;
    }
}

impl ListenerNumbers {
    fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.connections_total += other.connections_total;
        self.tls_connections += other.tls_connections;
        self.tls_failures += other.tls_failures;
        self.proxy_protocol_failures += other.proxy_protocol_failures;
        self.requests_active += other.requests_active;
        for (class, more) in self.classes.iter_mut().zip(other.classes) {
            *class += more;
        }
        for (reason, count) in &other.refused {
            *self.refused.entry(reason).or_insert(0) += count;
        }
        self.time.merge(&other.time);
        self.received += other.received;
        self.sent += other.sent;
    }
}

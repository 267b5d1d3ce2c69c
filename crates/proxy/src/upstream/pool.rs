//! Connections of one data thread to the endpoints of a cluster, and what is counted there.
//!
//! Everything here belongs to one thread: no lock, no atomic. An HTTP/1 connection is lent to one exchange and comes
//! back when the response has ended; an HTTP/2 connection is shared.

use std::cell::{Cell, RefCell};
use std::future::{Future as _, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use plenipo_model::{LimitSet, Priority, UpstreamProtocol};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::connect::{ConnectError, Connected, connect};
use super::lease::{Lease, Lent, LocalEndpoint, STREAMS_PER_CONNECTION, Shared};
use crate::body::RequestBody;
use crate::exchange::Connection;
use crate::metrics::ClusterMeter;
use crate::snapshot::clusters::Upstream;
use crate::worker::LocalExecutor;

/// Bytes of a response's head over HTTP/2.
const MAX_HEADERS: u32 = 64 * 1024;
/// A cluster, as one data thread knows it.
pub(crate) struct LocalCluster {
    /// The newest form of it.
    pub(crate) upstream: RefCell<Arc<Upstream>>,
    endpoints: RefCell<FxHashMap<SocketAddr, Rc<LocalEndpoint>>>,
    /// The balancer's position.
    pub(crate) turn: Cell<u32>,
    /// What is counted.
    pub(crate) meter: ClusterMeter,
    default: Usage,
    high: Usage,
}

/// What counts against the circuit breakers of one priority.
#[derive(Default)]
struct Usage {
    requests: Cell<u32>,
    pending: Cell<u32>,
    retries: Cell<u32>,
}

/// Counts a request against the circuit breakers while it lives.
pub(crate) struct Admission {
    cluster: Rc<LocalCluster>,
    priority: Priority,
    retry: bool,
}

/// A circuit breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

impl LocalCluster {
    pub(crate) fn new(upstream: &Arc<Upstream>) -> Rc<Self> {
        Rc::new(Self {
            upstream: RefCell::new(Arc::clone(upstream)),
            endpoints: RefCell::default(),
            turn: Cell::new(0),
            meter: ClusterMeter::default(),
            default: Usage::default(),
            high: Usage::default(),
        })
    }

    fn usage(&self, priority: Priority) -> &Usage {
        match priority {
            Priority::Default => &self.default,
            Priority::High => &self.high,
        }
    }

    fn limits(&self, priority: Priority) -> LimitSet {
        let upstream = self.upstream.borrow();
        match priority {
            Priority::Default => upstream.model.limits.default,
            Priority::High => upstream.model.limits.high,
        }
    }

    /// Lets a request (or a retry) in, if the circuit breakers allow.
    pub(crate) fn admit(self: &Rc<Self>, priority: Priority, retry: bool) -> Result<Admission, Overflow> {
        let (usage, limits) = (self.usage(priority), self.limits(priority));
        let full = if retry {
            usage.retries.get() >= limits.retries
        } else {
            usage.requests.get() >= limits.requests
        };
        if full {
            self.meter.overflows.add(1);
            return Err(Overflow);
        }
        let count = if retry { &usage.retries } else { &usage.requests };
        count.set(count.get() + 1);
        if !retry {
            self.meter.active.set(self.meter.active.get() + 1);
        }
        Ok(Admission { cluster: Rc::clone(self), priority, retry })
    }

    /// Requests of this thread under way at an endpoint.
    pub(crate) fn load(&self, address: SocketAddr) -> u32 {
        self.endpoints.borrow().get(&address).map_or(0, |endpoint| endpoint.active.get())
    }

    fn endpoint(&self, address: SocketAddr) -> Rc<LocalEndpoint> {
        Rc::clone(self.endpoints.borrow_mut().entry(address).or_default())
    }

    /// A connection to an endpoint: one at hand (unless it has to be `fresh`), or a new one.
    pub(crate) async fn lease(
        self: &Rc<Self>,
        address: SocketAddr,
        priority: Priority,
        downstream: &Connection,
        fresh: bool,
    ) -> Result<Lease, LeaseError> {
        let endpoint = self.endpoint(address);
        let upstream = Arc::clone(&self.upstream.borrow());
        // Connections that begin with the address of one client serve that client only.
        let shareable = upstream.model.send_proxy.is_none();
        match upstream.model.protocol {
            UpstreamProtocol::Http1 => {
                if let Some(idle) = (shareable && !fresh).then(|| endpoint.take_idle(&upstream)).flatten() {
                    let connection = Lent::Http1 { sender: Some(idle.sender), born: idle.born };
                    return Ok(Lease::new(self, endpoint, address, idle.local, true, connection));
                }
                let connected = self.open(&upstream, address, priority, downstream).await?;
                let local = connected.local;
                let sender = self.start_http1(connected).await?;
                let connection = Lent::Http1 { sender: Some(sender), born: Instant::now() };
                Ok(Lease::new(self, endpoint, address, local, false, connection))
            }
            UpstreamProtocol::Http2 => {
                let at_hand = || (shareable && !fresh).then(|| endpoint.take_shared(&upstream)).flatten();
                let mut shared = at_hand();
                let connecting = Rc::clone(&endpoint);
                let mut one_at_a_time = None;
                if shared.is_none() && shareable {
                    // Those behind a connection that nobody accepts wait for it once, not one after the other.
                    let limit = upstream.model.connect_timeout;
                    let turn = tokio::time::timeout(limit, connecting.connecting.lock()).await;
                    let turn = turn.map_err(|_| LeaseError::Connect(ConnectError::TimedOut(limit)))?;
                    one_at_a_time = Some(turn);
                    shared = at_hand();
                }
                if let Some(shared) = shared {
                    let local = shared.local;
                    return Ok(Lease::new(self, endpoint, address, local, true, Lent::Http2(shared)));
                }
                let connected = self.open(&upstream, address, priority, downstream).await?;
                let shared = self.start_http2(connected).await?;
                if shareable {
                    endpoint.shared.borrow_mut().push(Rc::clone(&shared));
                }
                drop(one_at_a_time);
                let local = shared.local;
                Ok(Lease::new(self, endpoint, address, local, false, Lent::Http2(shared)))
            }
        }
    }

    /// Opens a connection, counted against the circuit breakers.
    async fn open(
        &self,
        upstream: &Upstream,
        address: SocketAddr,
        priority: Priority,
        downstream: &Connection,
    ) -> Result<Connected, LeaseError> {
        let limits = self.limits(priority);
        let pending = &self.usage(priority).pending;
        if self.meter.connections.get() >= u64::from(limits.connections) || pending.get() >= limits.pending {
            self.meter.overflows.add(1);
            return Err(LeaseError::Overflow);
        }
        let _waiting = Counted::up(pending);
        match connect(upstream, address, Some(downstream)).await {
            Ok(connected) => {
                self.meter.connections_total.add(1);
                Ok(connected)
            }
            Err(error) => {
                self.meter.connect_failures.add(1);
                Err(LeaseError::Connect(error))
            }
        }
    }

    async fn start_http1(
        self: &Rc<Self>,
        connected: Connected,
    ) -> Result<http1::SendRequest<RequestBody>, LeaseError> {
        let (sender, connection) = http1::Builder::new()
            .max_headers(200)
            .handshake(TokioIo::new(connected.stream))
            .await
            .map_err(LeaseError::Handshake)?;
        let cluster = Rc::clone(self);
        cluster.connection_opened();
        tokio::task::spawn_local(async move {
            // An error here is the exchange's error too; it is reported there.
            let _ = connection.with_upgrades().await;
            cluster.connection_closed();
        });
        Ok(sender)
    }

    async fn start_http2(self: &Rc<Self>, connected: Connected) -> Result<Rc<Shared>, LeaseError> {
        let local = connected.local;
        let (sender, mut connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_header_list_size(MAX_HEADERS)
            .handshake(TokioIo::new(connected.stream))
            .await
            .map_err(LeaseError::Handshake)?;
        let cluster = Rc::clone(self);
        cluster.connection_opened();
        let allowed = Rc::new(Cell::new(STREAMS_PER_CONNECTION));
        let told = Rc::clone(&allowed);
        tokio::task::spawn_local(async move {
            let served = poll_fn(|cx| {
                let polled = Pin::new(&mut connection).poll(cx);
                if polled.is_pending() {
                    told.set(connection.current_max_send_streams());
                }
                polled
            });
            // As with HTTP/1.
            let _ = served.await;
            cluster.connection_closed();
        });
        let now = Instant::now();
        let idle_since = Cell::new(now);
        Ok(Rc::new(Shared { sender, streams: Cell::new(0), allowed, born: now, idle_since, local }))
    }

    pub(crate) fn connection_opened(&self) {
        self.meter.connections.set(self.meter.connections.get() + 1);
    }

    pub(crate) fn connection_closed(&self) {
        self.meter.connections.set(self.meter.connections.get().saturating_sub(1));
    }

    /// Closes connections that were idle for too long, and forgets endpoints that are gone.
    pub(crate) fn tidy(&self) {
        let upstream = Arc::clone(&self.upstream.borrow());
        let current = upstream.endpoints();
        self.endpoints.borrow_mut().retain(|address, endpoint| {
            let known = current
                .as_ref()
                .is_none_or(|set| set.endpoints.iter().any(|endpoint| endpoint.address == *address));
            let fresh = |since: Instant, born: Instant| {
                known
                    && upstream.model.idle_timeout.is_none_or(|limit| since.elapsed() < limit)
                    && upstream.model.max_connection_lifetime.is_none_or(|limit| born.elapsed() < limit)
            };
            endpoint
                .idle
                .borrow_mut()
                .retain(|idle| !idle.sender.is_closed() && fresh(idle.since, idle.born));
            endpoint.shared.borrow_mut().retain(|shared| {
                let busy = shared.streams.get() > 0;
                !shared.sender.is_closed() && (busy || fresh(shared.idle_since.get(), shared.born))
            });
            known || endpoint.active.get() > 0
        });
    }
}

/// Why there is no connection to send on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaseError {
    #[error("a circuit breaker is open")]
    Overflow,
    #[error(transparent)]
    Connect(ConnectError),
    #[error("HTTP: {0}")]
    Handshake(#[source] hyper::Error),
}

/// Counts one up while it lives.
struct Counted<'a>(&'a Cell<u32>);

impl<'a> Counted<'a> {
    fn up(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let usage = self.cluster.usage(self.priority);
        let count = if self.retry { &usage.retries } else { &usage.requests };
        count.set(count.get() - 1);
        if !self.retry {
            self.cluster.meter.active.set(self.cluster.meter.active.get() - 1);
        }
    }
}

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
use std::time::Duration;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use plenipo_model::{Cluster, Priority, UpstreamProtocol};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::breakers::{Breakers, Kind, Overflow, Slot};
use super::budget::Counted;
use super::connect::{ConnectError, Connected, connect_for};
use super::interim::Answers;
use super::lease::{Idle, Lease, Lent, LocalEndpoint, STREAMS_PER_CONNECTION, Shared};
use crate::exchange::Connection;
use crate::http1;
use crate::http2::outbox::Outbox;
use crate::metrics::ClusterMeter;
use crate::snapshot::clusters::Upstream;

/// Bytes of a response's head over HTTP/2.
const MAX_HEADERS: u32 = 64 * 1024;
/// How long who waits for a connection does so before it looks for one that another thread gave back.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// Connections by endpoint and by the host of the requests they are for.
type Named = FxHashMap<(SocketAddr, Box<str>), Rc<LocalEndpoint>>;

/// A cluster, as one data thread knows it.
pub(crate) struct LocalCluster {
    /// The newest form of it.
    pub(crate) upstream: RefCell<Arc<Upstream>>,
    endpoints: RefCell<FxHashMap<SocketAddr, Rc<LocalEndpoint>>>,
    /// Where the host of a request is the name sent: the connections for each.
    named: RefCell<Named>,
    /// The balancer's position; it begins anywhere, so that threads and replicas do not all begin at the same endpoint.
    pub(crate) turn: Cell<u32>,
    /// What is counted.
    pub(crate) meter: ClusterMeter,
    breakers: Breakers,
    /// A connection of this thread came back, or was closed.
    pub(super) freed: Notify,
}

/// Counts a request against the circuit breakers while it lives.
pub(crate) struct Admission {
    cluster: Rc<LocalCluster>,
    _slot: Option<Slot>,
    _counted: Option<Counted>,
    retry: bool,
}

/// A connection to the cluster, counted while it is open.
pub(crate) struct Open {
    cluster: Rc<LocalCluster>,
    /// Of the circuit breakers; none for the one connection that each endpoint may have in any case.
    _slot: Option<Slot>,
    endpoint: Option<Rc<LocalEndpoint>>,
}

impl LocalCluster {
    pub(crate) fn new(upstream: &Arc<Upstream>, turn: u32) -> Rc<Self> {
        Rc::new(Self {
            upstream: RefCell::new(Arc::clone(upstream)),
            endpoints: RefCell::default(),
            named: RefCell::default(),
            turn: Cell::new(turn),
            meter: ClusterMeter::default(),
            breakers: Breakers::new(upstream.model.limits, &upstream.live.places),
            freed: Notify::new(),
        })
    }

    /// Lets a request (or a retry) in, if the circuit breakers allow.
    pub(crate) fn admit(self: &Rc<Self>, priority: Priority, retry: bool) -> Result<Admission, Overflow> {
        let counted = match self.upstream.borrow().live.budget.as_ref() {
            Some(budget) if retry => Some(budget.retry().inspect_err(|_| self.meter.overflows.add(1))?),
            Some(budget) => Some(budget.request()),
            None => None,
        };
        let slot = match retry {
            // The budget stands in place of the limit.
            true if counted.is_some() => None,
            true => Some(self.take(Kind::Retries, priority)?),
            false => Some(self.take(Kind::Requests, priority)?),
        };
        if !retry {
            self.meter.active.set(self.meter.active.get() + 1);
        }
        Ok(Admission { cluster: Rc::clone(self), _slot: slot, _counted: counted, retry })
    }

    /// Lets a connection be made, if the circuit breakers allow.
    pub(crate) fn admit_connection(self: &Rc<Self>, priority: Priority) -> Result<Open, Overflow> {
        let slot = self.take(Kind::Connections, priority)?;
        Ok(self.counted(Some(slot), None))
    }

    fn counted(self: &Rc<Self>, slot: Option<Slot>, endpoint: Option<&Rc<LocalEndpoint>>) -> Open {
        self.meter.connections.set(self.meter.connections.get() + 1);
        if let Some(endpoint) = endpoint {
            endpoint.open.set(endpoint.open.get() + 1);
        }
        Open { cluster: Rc::clone(self), _slot: slot, endpoint: endpoint.cloned() }
    }

    fn take(&self, kind: Kind, priority: Priority) -> Result<Slot, Overflow> {
        self.breakers.take(kind, priority).inspect_err(|_| self.meter.overflows.add(1))
    }

    /// Requests of this thread under way at an endpoint.
    pub(crate) fn load(&self, address: SocketAddr) -> u32 {
        let named = self.named.borrow();
        let named =
            named.iter().filter(|((of, _), _)| *of == address).map(|(_, endpoint)| endpoint.active.get());
        let named: u32 = named.sum();
        named + self.endpoints.borrow().get(&address).map_or(0, |endpoint| endpoint.active.get())
    }

    fn endpoint(&self, address: SocketAddr, host: Option<&str>) -> Rc<LocalEndpoint> {
        match host {
            None => Rc::clone(self.endpoints.borrow_mut().entry(address).or_default()),
            Some(host) => Rc::clone(self.named.borrow_mut().entry((address, host.into())).or_default()),
        }
    }

    /// A connection to an endpoint: one at hand (unless it has to be `fresh`), or a new one. `host` is that of the request
    /// it is for, as it goes upstream.
    ///
    /// Where there may be no more connections, it waits for one to come back, as one of those that may.
    pub(crate) async fn lease(
        self: &Rc<Self>,
        wanted: (SocketAddr, Option<&str>, UpstreamProtocol),
        priority: Priority,
        downstream: &Connection,
        fresh: bool,
    ) -> Result<Lease, LeaseError> {
        match self.at_hand(wanted, fresh) {
            Some(lease) => Ok(lease),
            // In a box, which most requests do without.
            None => Box::pin(self.awaited(wanted, priority, downstream, fresh)).await,
        }
    }

    /// A connection that is there and serves at once.
    fn at_hand(
        self: &Rc<Self>,
        (address, host, protocol): (SocketAddr, Option<&str>, UpstreamProtocol),
        fresh: bool,
    ) -> Option<Lease> {
        let upstream = self.upstream.borrow();
        // Connections that begin with the address of one client serve that client only.
        if fresh || upstream.model.send_proxy.is_some() {
            return None;
        }
        let host = host.filter(|_| upstream.model.tls.as_ref().is_some_and(|tls| tls.name_by_host));
        let endpoint = self.endpoint(address, host);
        let (local, lent) = match protocol {
            UpstreamProtocol::Http1 => {
                let Idle { connection, asked, born, local, .. } = endpoint.take_idle(&upstream)?;
                (local, Lent::Http1 { connection, asked, born })
            }
            UpstreamProtocol::Http2 => {
                let shared = endpoint.take_shared(&upstream)?;
                (shared.local, Lent::Http2(shared))
            }
        };
        Some(Lease::new(self, endpoint, address, local, true, lent))
    }

    /// A new connection, or one that comes back while there may be no more.
    async fn awaited(
        self: &Rc<Self>,
        wanted: (SocketAddr, Option<&str>, UpstreamProtocol),
        priority: Priority,
        downstream: &Connection,
        fresh: bool,
    ) -> Result<Lease, LeaseError> {
        let (mut place, mut pause) = (None, SHORTEST_PAUSE);
        loop {
            match self.made(wanted, priority, downstream, fresh, &mut place).await {
                Err(LeaseError::Full) => {}
                outcome => return outcome,
            }
            // Those of other threads say nothing: hence the pause.
            let _ = tokio::time::timeout(pause, self.freed.notified()).await;
            tokio::task::yield_now().await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            if let Some(lease) = self.at_hand(wanted, fresh) {
                return Ok(lease);
            }
        }
    }

    /// Makes a connection (or shares one that is being made); [`LeaseError::Full`] when it is worth to wait.
    async fn made(
        self: &Rc<Self>,
        (address, host, protocol): (SocketAddr, Option<&str>, UpstreamProtocol),
        priority: Priority,
        downstream: &Connection,
        fresh: bool,
        place: &mut Option<Slot>,
    ) -> Result<Lease, LeaseError> {
        let upstream = Arc::clone(&self.upstream.borrow());
        let host = host.filter(|_| upstream.model.tls.as_ref().is_some_and(|tls| tls.name_by_host));
        let endpoint = self.endpoint(address, host);
        let wanted = (address, host, protocol);
        match protocol {
            UpstreamProtocol::Http1 => {
                let (connected, open) =
                    self.open(&upstream, &endpoint, wanted, (priority, place), downstream).await?;
                let local = connected.local;
                let connection = http1::client::Connection::new(connected.stream, open);
                let connection = Lent::Http1 { connection, asked: 0, born: Instant::now() };
                Ok(Lease::new(self, endpoint, address, local, false, connection))
            }
            UpstreamProtocol::Http2 => {
                let shareable = upstream.model.send_proxy.is_none();
                let connecting = Rc::clone(&endpoint);
                let mut one_at_a_time = None;
                if shareable {
                    // Those behind a connection that nobody accepts wait for it once, not one after the other.
                    let limit = upstream.model.connect_timeout;
                    let turn = tokio::time::timeout(limit, connecting.connecting.lock()).await;
                    let turn = turn.map_err(|_| LeaseError::Connect(ConnectError::TimedOut(limit)))?;
                    one_at_a_time = Some(turn);
                    if let Some(lease) = self.at_hand(wanted, fresh) {
                        return Ok(lease);
                    }
                }
                let (connected, open) =
                    self.open(&upstream, &endpoint, wanted, (priority, place), downstream).await?;
                let shared = start_http2(connected, open, &upstream.model).await?;
                if shareable {
                    endpoint.shared.borrow_mut().push(Rc::clone(&shared));
                }
                drop(one_at_a_time);
                let local = shared.local;
                Ok(Lease::new(self, endpoint, address, local, false, Lent::Http2(shared)))
            }
        }
    }

    /// Opens a connection, counted against the circuit breakers. An endpoint that has none gets one in any case, as in
    /// Envoy: connections that are idle elsewhere would shut it out.
    async fn open(
        self: &Rc<Self>,
        upstream: &Upstream,
        endpoint: &Rc<LocalEndpoint>,
        (address, host, protocol): (SocketAddr, Option<&str>, UpstreamProtocol),
        (priority, place): (Priority, &mut Option<Slot>),
        downstream: &Connection,
    ) -> Result<(Connected, Open), LeaseError> {
        let first_try = place.is_none();
        if first_try {
            *place = Some(self.take(Kind::Pending, priority).map_err(|Overflow| LeaseError::Overflow)?);
        }
        let slot = self.breakers.take(Kind::Connections, priority).ok();
        if slot.is_none() && first_try {
            self.meter.overflows.add(1);
        }
        if slot.is_none() && endpoint.open.get() > 0 {
            return Err(LeaseError::Full);
        }
        let open = self.counted(slot, Some(endpoint));
        match connect_for(upstream, address, (host, protocol), Some(downstream)).await {
            Ok(connected) => {
                self.meter.connections_total.add(1);
                Ok((connected, open))
            }
            Err(error) => {
                self.meter.connect_failures.add(1);
                Err(LeaseError::Connect(error))
            }
        }
    }

    /// Closes connections that were idle for too long, and forgets endpoints that are gone.
    pub(crate) fn tidy(&self) {
        let upstream = Arc::clone(&self.upstream.borrow());
        let current = upstream.endpoints();
        let tidied = |address: &SocketAddr, endpoint: &LocalEndpoint| {
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
                .retain(|idle| !idle.connection.is_closed() && fresh(idle.since, idle.born));
            endpoint.shared.borrow_mut().retain(|shared| {
                let busy = shared.streams.get() > 0;
                let serves = shared.left.get() > 0 && fresh(shared.idle_since.get(), shared.born);
                !shared.sender.is_closed() && (busy || serves)
            });
            known
        };
        let mut endpoints = self.endpoints.borrow_mut();
        endpoints.retain(|address, endpoint| tidied(address, endpoint) || endpoint.active.get() > 0);
        self.named.borrow_mut().retain(|(address, _), endpoint| {
            tidied(address, endpoint);
            endpoint.active.get() > 0 || endpoint.has_any()
        });
    }
}

/// Why there is no connection to send on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaseError {
    #[error("a circuit breaker is open")]
    Overflow,
    #[error("there may be no more connections")]
    Full,
    #[error(transparent)]
    Connect(ConnectError),
    #[error("HTTP: {0}")]
    Handshake(#[source] hyper::Error),
}

async fn start_http2(connected: Connected, open: Open, cluster: &Cluster) -> Result<Rc<Shared>, LeaseError> {
    let local = connected.local;
    let outbox = Outbox::new(Answers::new(connected.stream));
    let mut builder = http2::Builder::new(outbox.clone());
    if let Some(keepalive) = cluster.http2_keepalive {
        builder
            .keep_alive_interval(keepalive.interval)
            .keep_alive_timeout(keepalive.timeout)
            .keep_alive_while_idle(true);
    }
    let (sender, mut connection) = builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_header_list_size(MAX_HEADERS)
        .handshake(TokioIo::new(outbox))
        .await
        .map_err(LeaseError::Handshake)?;
    let most = cluster.max_concurrent_streams.map_or(STREAMS_PER_CONNECTION, |most| most.max(1) as usize);
    let allowed = Rc::new(Cell::new(most));
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
        drop(open);
    });
    let now = Instant::now();
    let idle_since = Cell::new(now);
    let left = Cell::new(cluster.max_requests_per_connection.unwrap_or(u32::MAX));
    let (streams, given_up) = (Cell::new(0), Cell::new(0));
    Ok(Rc::new(Shared { sender, streams, allowed, most, left, given_up, born: now, idle_since, local }))
}

impl Drop for Open {
    fn drop(&mut self) {
        let connections = &self.cluster.meter.connections;
        connections.set(connections.get() - 1);
        if let Some(endpoint) = &self.endpoint {
            endpoint.open.set(endpoint.open.get() - 1);
        }
        self.cluster.freed.notify_one();
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.retry {
            self.cluster.meter.active.set(self.cluster.meter.active.get() - 1);
        }
    }
}

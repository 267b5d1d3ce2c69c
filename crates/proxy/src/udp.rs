//! Relays of datagrams: all that come from one address and port are a flow, with one endpoint and a socket of its own
//! towards it.
//!
//! A flow belongs to the data thread whose socket the kernel hands its datagrams to, which is the same one as long as the
//! listener lives. Datagrams that cannot be sent at once are dropped, as any router does.

mod flows;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::exchange::{Connection, Exchange};
use crate::metrics::ListenerMeter;
use crate::snapshot::CompiledUdp;
use crate::snapshot::clusters::{EndpointState, Upstream};
use crate::tcp;
use crate::upstream::pool::LocalCluster;
use crate::upstream::{balance, hashing};
use crate::worker::Worker;
use flows::Flows;

/// The largest datagram there is.
const MAX_DATAGRAM: usize = 65_535;
/// Datagrams taken from one socket before others have their turn.
const BATCH: usize = 64;
/// When no flow can be forgotten, this is soon enough to look again.
const NOTHING_TO_FORGET: Duration = Duration::from_secs(3600);

/// One data thread's side of a listener.
struct Relay {
    worker: Rc<Worker>,
    bind: SocketAddr,
    socket: UdpSocket,
    local: SocketAddr,
    flows: RefCell<Flows<Rc<Flow>>>,
    /// Flows of the listener, on all data threads.
    open: Arc<AtomicU32>,
    closing: CancellationToken,
    /// Where datagrams are read to; lent out between two waits only.
    buffer: RefCell<Box<[u8]>>,
}

/// All datagrams between a client and an endpoint.
struct Flow {
    client: SocketAddr,
    route: Arc<CompiledUdp>,
    /// Revision of the snapshot that it was last found to fit.
    revision: Cell<u64>,
    upstream: Arc<Upstream>,
    endpoint: Arc<EndpointState>,
    /// Connected to the endpoint.
    socket: UdpSocket,
    cluster: Rc<LocalCluster>,
    meter: Rc<ListenerMeter>,
    up: Cell<u64>,
    down: Cell<u64>,
    /// Says that it is forgotten, and why.
    forgotten: RefCell<&'static str>,
    over: CancellationToken,
}

/// Relays what comes to a socket until the listener closes; its flows end with it.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    bind: SocketAddr,
    socket: UdpSocket,
    open: Arc<AtomicU32>,
    closing: CancellationToken,
) {
    let relay = Rc::new(Relay {
        worker,
        bind,
        local: socket.local_addr().unwrap_or(bind),
        socket,
        flows: RefCell::default(),
        open,
        closing,
        buffer: RefCell::new(vec![0; MAX_DATAGRAM].into()),
    });
    let mut alarm = std::pin::pin!(tokio::time::sleep(NOTHING_TO_FORGET));
    loop {
        tokio::select! {
            readable = relay.socket.readable() => match readable {
                // A socket that always has more is always ready: nothing else would make this task wait.
                Ok(()) if relay.take() => tokio::task::yield_now().await,
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(%bind, %error, "datagrams cannot be received");
                    return;
                }
            },
            () = &mut alarm => {}
            () = relay.closing.cancelled() => return,
        }
        let next = relay.forget_idle().unwrap_or_else(|| Instant::now() + NOTHING_TO_FORGET);
        if alarm.is_elapsed() || next < alarm.deadline() {
            alarm.as_mut().reset(next);
        }
    }
}

impl Relay {
    /// Takes what has come. Is there more?
    fn take(self: &Rc<Self>) -> bool {
        let mut buffer = self.buffer.borrow_mut();
        for _ in 0..BATCH {
            match self.socket.try_recv_from(&mut buffer) {
                Ok((length, client)) => self.pass(client, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // A client's host says that nobody is there: its flow will be idle.
                Err(_) => {}
            }
        }
        true
    }

    /// Passes a client's datagram on.
    fn pass(self: &Rc<Self>, client: SocketAddr, datagram: &[u8]) {
        let Some(flow) = self.flow(client) else { return };
        flow.meter.received.add(datagram.len() as u64);
        // Not through the runtime: a new socket has not been found writable yet.
        if SockRef::from(&flow.socket).send(datagram).is_ok() {
            flow.up.set(flow.up.get() + datagram.len() as u64);
            flow.cluster.meter.sent.add(datagram.len() as u64);
        }
    }

    /// The flow of a client, which moves to the end of those that may be forgotten.
    fn flow(self: &Rc<Self>, client: SocketAddr) -> Option<Rc<Flow>> {
        let snapshot = self.worker.snapshot();
        let route = snapshot.datagrams(self.bind)?;
        if let Some(flow) = self.flows.borrow_mut().touch(client)
            && flow.fits(route, snapshot.revision())
        {
            return Some(Rc::clone(flow));
        }
        self.forget(client, "route_changed");
        let meter = self.worker.meter(&route.stats_prefix);
        match self.begin(client, route, snapshot.revision(), &meter) {
            Ok(flow) => Some(flow),
            Err(reason) => {
                meter.refused(reason);
                None
            }
        }
    }

    fn begin(
        self: &Rc<Self>,
        client: SocketAddr,
        route: &Arc<CompiledUdp>,
        revision: u64,
        meter: &Rc<ListenerMeter>,
    ) -> Result<Rc<Flow>, &'static str> {
        let upstream = tcp::pick(&self.worker, &route.model.targets, &route.upstreams).ok_or("no_route")?;
        let cluster = self.worker.cluster(upstream);
        let endpoints = upstream.endpoints().ok_or("no_endpoint")?;
        let key = Some(hashing::key(client.ip().to_canonical().to_string().as_bytes()));
        let balance = upstream.model.balance;
        let endpoint =
            balance::choose(&endpoints, balance, &cluster.turn, key, |_| 0, &[]).ok_or("no_endpoint")?;
        if self.open.load(Ordering::Relaxed) >= route.model.max_flows
            && let Some(oldest) = self.flows.borrow_mut().pop_oldest()
        {
            oldest.forget("evicted");
        }
        let from = upstream.model.from_client.then(|| client.ip().to_canonical());
        let socket = connected(endpoint.address, from).map_err(|error| {
            tracing::debug!(endpoint = %endpoint.address, %error, "no socket for a flow");
            "no_socket"
        })?;
        cluster.meter.connections_total.add(1);
        let flow = Rc::new(Flow {
            client,
            route: Arc::clone(route),
            revision: Cell::new(revision),
            upstream: Arc::clone(upstream),
            endpoint: Arc::clone(endpoint),
            socket,
            cluster,
            meter: Rc::clone(meter),
            up: Cell::new(0),
            down: Cell::new(0),
            forgotten: RefCell::new(""),
            over: CancellationToken::new(),
        });
        self.flows.borrow_mut().insert(client, Rc::clone(&flow));
        let open = Open::count(&self.open, meter);
        self.worker.tasks.spawn_local(Rc::clone(self).live(Rc::clone(&flow), open));
        Ok(flow)
    }

    /// The life of a flow: answers go back until it is forgotten or loses its endpoint.
    async fn live(self: Rc<Self>, flow: Rc<Flow>, _open: Open) {
        let connection = Rc::new(Connection {
            id: Connection::next_id(),
            direct: flow.client,
            peer: flow.client,
            peer_text: Connection::text(flow.client.ip()),
            local: self.local,
            declared_port: flow.route.declared_port,
            tls: None,
        });
        let mut exchange = Exchange::begin(&connection);
        let why = tokio::select! {
            () = flow.over.cancelled() => *flow.forgotten.borrow(),
            () = self.closing.cancelled() => "drain",
            why = flow.loses_its_endpoint() => why,
            why = self.answer(&flow) => why,
        };
        self.flows.borrow_mut().remove_if(flow.client, |other| Rc::ptr_eq(other, &flow));
        exchange.route = Some(flow.route.model.name.as_str().into());
        exchange.cluster = Some(Arc::clone(&flow.upstream.model.name));
        exchange.upstream = Some(flow.endpoint.address);
        exchange.upstream_local = flow.socket.local_addr().ok();
        (exchange.bytes_received, exchange.bytes_sent) = (flow.up.get(), flow.down.get());
        exchange.details = why;
        tcp::report(&self.worker, flow.route.log.as_deref(), &exchange);
    }

    /// Sends the endpoint's datagrams to the client, until its socket fails.
    async fn answer(&self, flow: &Flow) -> &'static str {
        loop {
            match flow.socket.readable().await.and_then(|()| self.pass_back(flow)) {
                // As in [`serve`].
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => {}
                Err(_) => return "upstream_failure",
            }
        }
    }

    /// Sends to the client what has come from the endpoint. Is there more?
    fn pass_back(&self, flow: &Flow) -> io::Result<bool> {
        let mut buffer = self.buffer.borrow_mut();
        for _ in 0..BATCH {
            let length = match flow.socket.try_recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // The endpoint's host says that nobody is there; somebody may be soon.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            self.flows.borrow_mut().touch(flow.client);
            flow.cluster.meter.received.add(length as u64);
            if SockRef::from(&self.socket).send_to(&buffer[..length], &flow.client.into()).is_ok() {
                flow.down.set(flow.down.get() + length as u64);
                flow.meter.sent.add(length as u64);
            }
        }
        Ok(true)
    }

    fn forget(&self, client: SocketAddr, why: &'static str) {
        if let Some(flow) = self.flows.borrow_mut().remove_if(client, |_| true) {
            flow.forget(why);
        }
    }

    /// Forgets flows that have been idle for long enough, and tells when the next one may have been.
    fn forget_idle(&self) -> Option<Instant> {
        let idle_timeout = self.worker.snapshot().datagrams(self.bind)?.model.idle_timeout;
        let mut flows = self.flows.borrow_mut();
        loop {
            let end = flows.oldest()? + idle_timeout;
            if end > Instant::now() {
                return Some(end);
            }
            if let Some(flow) = flows.pop_oldest() {
                flow.forget("idle_timeout");
            }
        }
    }
}

/// A socket that sends to, and hears, this endpoint only; from this address if this machine has it.
fn connected(endpoint: SocketAddr, from: Option<IpAddr>) -> io::Result<UdpSocket> {
    let any: SocketAddr = match endpoint {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let own = from.filter(|ip| ip.is_ipv4() == endpoint.is_ipv4());
    let socket = own.and_then(|ip| StdSocket::bind((ip, 0)).ok()).map_or_else(|| StdSocket::bind(any), Ok)?;
    socket.connect(endpoint)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

impl Flow {
    fn forget(&self, why: &'static str) {
        *self.forgotten.borrow_mut() = why;
        self.over.cancel();
    }

    /// Does it go where the route says? Looked at anew with every snapshot.
    fn fits(&self, route: &CompiledUdp, revision: u64) -> bool {
        let fits = self.revision.get() == revision
            || route.upstreams.iter().any(|upstream| upstream.live.id == self.upstream.live.id);
        if fits {
            self.revision.set(revision);
        }
        fits
    }

    /// Ends when another endpoint serves the client better: this one is unhealthy, or gone and drained.
    async fn loses_its_endpoint(&self) -> &'static str {
        let drained = async {
            self.endpoint.leaves().await;
            tokio::time::sleep(self.upstream.model.drain.unwrap_or_default()).await;
        };
        tokio::select! {
            () = self.endpoint.sickens() => "endpoint_unhealthy",
            () = drained => "endpoint_drained",
        }
    }
}

/// Counts a flow while it lives.
struct Open {
    everywhere: Arc<AtomicU32>,
    meter: Rc<ListenerMeter>,
}

impl Open {
    fn count(everywhere: &Arc<AtomicU32>, meter: &Rc<ListenerMeter>) -> Self {
        everywhere.fetch_add(1, Ordering::Relaxed);
        meter.connections_total.add(1);
        meter.connections.set(meter.connections.get() + 1);
        Self { everywhere: Arc::clone(everywhere), meter: Rc::clone(meter) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.everywhere.fetch_sub(1, Ordering::Relaxed);
        self.meter.connections.set(self.meter.connections.get() - 1);
    }
}

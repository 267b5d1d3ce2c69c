//! Relays: bytes from one connection to another, and back.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::Priority;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::conn::Understood;
use crate::exchange::{Connection, Exchange};
use crate::render::Facts;
use crate::snapshot::clusters::Upstream;
use crate::snapshot::{CompiledTcp, Log};
use crate::upstream::balance;
use crate::upstream::connect::{Connected, connect};
use crate::upstream::hashing;
use crate::upstream::pool::{LocalCluster, Open};
use crate::worker::Worker;

/// Bytes read at once, at first and at most: a stream that fills its buffer gets a larger one.
const FIRST_READ: usize = 16 * 1024;
const MOST_READ: usize = 256 * 1024;
/// Endpoints tried before a connection is given up.
const ATTEMPTS: usize = 3;
/// After the word to drain, a relay may go on for so long before the process's own limit ends it.
const AFTER_CLOSE: Duration = Duration::from_secs(3600);

/// What was carried, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Carried {
    /// From the client to the upstream.
    pub(crate) up: u64,
    /// From the upstream to the client.
    pub(crate) down: u64,
}

/// Relays a connection to one of the clusters of a route.
pub(crate) async fn relay(worker: Rc<Worker>, understood: Understood, route: Arc<CompiledTcp>) {
    let Understood { stream, connection, closing, meter, .. } = understood;
    let mut exchange = Exchange::begin(&connection);
    exchange.route = Some(route.model.name.as_str().into());
    if let Some(upstream) = pick(&worker, &route) {
        let cluster = worker.cluster(&upstream);
        exchange.cluster = Some(Arc::clone(&upstream.model.name));
        if let Some((connected, open)) = reach(&cluster, &upstream, &connection, &mut exchange).await {
            let carried = carry(stream, connected.stream, route.model.idle_timeout, &closing).await;
            drop(open);
            cluster.meter.sent.add(carried.up);
            cluster.meter.received.add(carried.down);
            (exchange.bytes_received, exchange.bytes_sent) = (carried.up, carried.down);
        }
    } else {
        (exchange.flags, exchange.details) = ("NR", "route_not_found");
    }
    meter.received.add(exchange.bytes_received);
    meter.sent.add(exchange.bytes_sent);
    report(&worker, route.log.as_deref(), &exchange);
}

/// One of the targets, by weight.
fn pick(worker: &Worker, route: &CompiledTcp) -> Option<Arc<Upstream>> {
    let total: u64 = route.model.targets.iter().map(|target| u64::from(target.weight)).sum();
    let mut draw = worker.random.next().checked_rem(total)?;
    for (target, upstream) in route.model.targets.iter().zip(&route.upstreams) {
        let weight = u64::from(target.weight);
        if draw < weight {
            return Some(Arc::clone(upstream));
        }
        draw -= weight;
    }
    None
}

/// Connects to an endpoint of the cluster, and to another one when that fails.
async fn reach(
    cluster: &Rc<LocalCluster>,
    upstream: &Arc<Upstream>,
    connection: &Connection,
    exchange: &mut Exchange,
) -> Option<(Connected, Open)> {
    let limit = upstream.model.connect_timeout;
    let Ok(endpoints) = tokio::time::timeout(limit, upstream.live.resolved()).await else {
        (exchange.flags, exchange.details) = ("UH", "no_healthy_upstream");
        return None;
    };
    let Ok(open) = cluster.admit_connection(Priority::Default) else {
        (exchange.flags, exchange.details) = ("UO", "overflow");
        return None;
    };
    let key = Some(hashing::key(connection.peer.ip().to_string().as_bytes()));
    let mut tried = Vec::new();
    for _ in 0..ATTEMPTS {
        let load = |address| cluster.load(address);
        let balance = upstream.model.balance;
        let Some(chosen) = balance::choose(&endpoints, balance, &cluster.turn, key, load, &tried) else {
            (exchange.flags, exchange.details) = ("UH", "no_healthy_upstream");
            return None;
        };
        exchange.upstream = Some(chosen.address);
        match connect(upstream, chosen.address, Some(connection)).await {
            Ok(connected) => {
                cluster.meter.connections_total.add(1);
                exchange.upstream_local = connected.local;
                exchange.upstream_failure = None;
                return Some((connected, open));
            }
            Err(error) => {
                cluster.meter.connect_failures.add(1);
                exchange.upstream_failure = Some(error.to_string());
                tried.push(chosen.address);
            }
        }
        if tried.len() >= endpoints.endpoints.len() {
            break;
        }
    }
    (exchange.flags, exchange.details) = ("UF", "connection_failure");
    None
}

/// Carries bytes both ways until both sides have ended, one has failed, or nothing moves for too long. Each direction ends
/// by itself (half-close).
pub(crate) async fn carry(
    client: impl AsyncRead + AsyncWrite,
    upstream: impl AsyncRead + AsyncWrite,
    idle_timeout: Option<Duration>,
    closing: &CancellationToken,
) -> Carried {
    let moved = Cell::new(Instant::now());
    let (up, down) = (Cell::new(0), Cell::new(0));
    let (client_read, client_write) = tokio::io::split(client);
    let (upstream_read, upstream_write) = tokio::io::split(upstream);
    let both = async {
        tokio::try_join!(
            one_way(client_read, upstream_write, &up, &moved),
            one_way(upstream_read, client_write, &down, &moved),
        )
    };
    tokio::select! {
        // An error here is the end of a connection like any other: the counts are what is left of it.
        _ = pin!(both) => {}
        () = quiet(idle_timeout, &moved) => {}
        () = after(closing) => {}
    }
    Carried { up: up.get(), down: down.get() }
}

async fn after(closing: &CancellationToken) {
    closing.cancelled().await;
    tokio::time::sleep(AFTER_CLOSE).await;
}

/// Ends when nothing has moved for the given time.
async fn quiet(limit: Option<Duration>, moved: &Cell<Instant>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let end = moved.get() + limit;
        if end <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(end).await;
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &Cell<u64>,
    moved: &Cell<Instant>,
) -> io::Result<()> {
    let mut buffer = vec![0; FIRST_READ];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
        to.flush().await?;
        count.set(count.get() + read as u64);
        moved.set(Instant::now());
        if read == buffer.len() && read < MOST_READ {
            buffer.resize(read * 4, 0);
        }
    }
}

fn report(worker: &Worker, log: Option<&Log>, exchange: &Exchange) {
    if let Some(log) = log {
        let facts = Facts { duration: Some(exchange.begun.elapsed()), ..Facts::of(exchange) };
        worker.log(log, |line| log.formatter.write(&facts, line));
    }
}

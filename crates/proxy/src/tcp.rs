//! Relays: bytes from one connection to another, and back.
//!
//! [`carry()`] is the relay itself, made of two [`way`]s; between two sockets in clear text bytes in bulk stay in the kernel, in a
//! [pipe](crate::pipe).

mod carry;
mod way;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{Cluster, Priority, TcpTarget};
use tokio_util::sync::CancellationToken;

use crate::authorization::{Subject, Verdict};
use crate::conn::Understood;
use crate::exchange::{Connection, Exchange};
use crate::render::Facts;
use crate::snapshot::clusters::{EndpointState, Upstream};
use crate::snapshot::{CompiledTcp, Log};
use crate::upstream::balance;
use crate::upstream::connect::{ConnectError, Connected, connect};
use crate::upstream::hashing;
use crate::upstream::outlier::Heard;
use crate::upstream::pool::{LocalCluster, Open};
use crate::worker::Worker;
use carry::End;
pub(crate) use carry::{Carried, carry};

/// Endpoints tried before a connection is given up.
const ATTEMPTS: usize = 3;
/// After the word to drain, a relay may go on for so long before the process's own limit ends it.
const AFTER_CLOSE: Duration = Duration::from_secs(3600);

/// Relays a connection to one of the clusters of a route.
pub(crate) async fn relay(worker: Rc<Worker>, understood: Understood, route: Arc<CompiledTcp>) {
    let Understood { mut stream, connection, closing, meter, .. } = understood;
    let mut exchange = Exchange::begin(&connection);
    exchange.route = Some(route.model.name.as_str().into());
    let mut end = End::Failed;
    if !is_let_in(&route, &connection) {
        (exchange.flags, exchange.details) = ("UAEX", "rbac_access_denied_matched_policy[none]");
        if route.model.reset {
            stream.reset_at_end();
        }
        return report(&worker, route.log.as_deref(), &exchange);
    }
    if let Some(upstream) = pick(&worker, &route.model.targets, &route.upstreams) {
        let cluster = worker.cluster(upstream);
        exchange.cluster = Some(Arc::clone(&upstream.model.name));
        // In boxes, so that a relay at rest is small: this one is gone when it is connected,
        if let Some(mut reached) = Box::pin(reach(&cluster, upstream, &connection, &mut exchange)).await {
            // and this one is handed on.
            let cut = Box::pin(async {
                tokio::select! {
                    why = told_to_go(&closing) => why,
                    why = lasts_too_long(&upstream.model) => {
                        exchange.flags = "DT";
                        why
                    }
                    why = loses_its_endpoint(route.model.end_unhealthy, &upstream.model, &reached.endpoint) => why,
                }
            });
            let idle = route.model.idle_timeout.or(upstream.model.relay_idle_timeout);
            let other = &mut reached.connected.stream;
            let carried = carry(&mut stream, &mut *other, idle, cut).await;
            cluster.meter.sent.add(carried.up);
            cluster.meter.received.add(carried.down);
            (exchange.bytes_received, exchange.bytes_sent) = (carried.up, carried.down);
            end = carried.end;
            if end != End::Closed && route.model.reset {
                other.reset_at_end();
            }
        }
    } else {
        (exchange.flags, exchange.details) = ("NR", "route_not_found");
    }
    if let End::Cut(why) = end {
        exchange.details = why;
    }
    if end != End::Closed && route.model.reset {
        stream.reset_at_end();
    }
    meter.received.add(exchange.bytes_received);
    meter.sent.add(exchange.bytes_sent);
    report(&worker, route.log.as_deref(), &exchange);
}

/// Nobody is asked about a connection: what an external service would have to say yes to is not let in.
fn is_let_in(route: &CompiledTcp, connection: &Connection) -> bool {
    let Some(rules) = &route.model.authorization else { return true };
    let subject = Subject::connection(connection);
    let asked =
        rules.external.iter().any(|rule| rule.policies.iter().any(|policy| subject.is_taken_by(policy)));
    !asked && subject.judged(rules) == Verdict::Allowed
}

/// One of the targets, by weight.
pub(crate) fn pick<'a>(
    worker: &Worker,
    targets: &[TcpTarget],
    upstreams: &'a [Arc<Upstream>],
) -> Option<&'a Arc<Upstream>> {
    let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    let mut draw = worker.random.next().checked_rem(total)?;
    for (target, upstream) in targets.iter().zip(upstreams) {
        let weight = u64::from(target.weight);
        if draw < weight {
            return Some(upstream);
        }
        draw -= weight;
    }
    None
}

/// Ends when a relay to this cluster has lasted for as long as it may.
async fn lasts_too_long(cluster: &Cluster) -> &'static str {
    match cluster.max_relay_duration {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
    "max_duration_reached"
}

/// Ends when a connection to this endpoint may not go on: it is gone and drained, or (where that counts) unhealthy.
async fn loses_its_endpoint(
    end_unhealthy: bool,
    cluster: &Cluster,
    endpoint: &EndpointState,
) -> &'static str {
    let sickens = async {
        match end_unhealthy {
            true => endpoint.sickens().await,
            false => std::future::pending().await,
        }
    };
    let drained = async {
        match cluster.drain {
            Some(time) => {
                endpoint.leaves().await;
                tokio::time::sleep(time).await;
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = sickens => "endpoint_unhealthy",
        () = drained => "endpoint_drained",
    }
}

/// A connection for a relay.
struct Reached {
    connected: Connected,
    endpoint: Arc<EndpointState>,
    /// Its place among those that the cluster's limits allow.
    _open: Open,
}

/// Connects to an endpoint of the cluster, and to another one when that fails.
async fn reach(
    cluster: &Rc<LocalCluster>,
    upstream: &Arc<Upstream>,
    connection: &Connection,
    exchange: &mut Exchange,
) -> Option<Reached> {
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
                upstream.live.heard(chosen.address, Heard::Connection);
                exchange.upstream_local = connected.local;
                exchange.upstream_failure = None;
                return Some(Reached { connected, endpoint: Arc::clone(chosen), _open: open });
            }
            Err(error) => {
                cluster.meter.connect_failures.add(1);
                let late = matches!(error, ConnectError::TimedOut(_));
                upstream.live.heard(chosen.address, if late { Heard::Silence } else { Heard::Failure });
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

/// Ends some time after the word that all connections shall.
pub(crate) async fn told_to_go(closing: &CancellationToken) -> &'static str {
    closing.cancelled().await;
    tokio::time::sleep(AFTER_CLOSE).await;
    "drain"
}

/// Writes the line of a connection that has ended.
pub(crate) fn report(worker: &Worker, log: Option<&Log>, exchange: &Exchange) {
    if let Some(log) = log {
        let facts = Facts { duration: Some(exchange.begun.elapsed()), ..Facts::of(exchange) };
        worker.log(log, |line| log.formatter.write(&facts, line));
    }
}

#[cfg(test)]
mod tests;

//! The data plane in this process, on real sockets of the loopback, with real clients and upstreams.

mod access;
mod attacks;
mod balance;
mod balancer;
mod balancer_answers;
mod balancer_l4;
mod balancer_targets;
mod bodies;
mod client_identity;
mod desync;
mod frames;
mod framing;
mod hostile;
mod http;
mod leaks;
mod messages;
mod outlier;
mod records;
mod refusals;
mod reload;
mod resumption;
mod retries;
mod rules;
mod smuggling;
mod tcp;
mod timeouts;
mod tls;
mod tokens;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;

use plenipo_model::{
    Accepts, Action, Chain, ChainTls, Cluster, Edge, Endpoints, Forward, HostPattern, HttpServer, Listener,
    PathMatch, ProxyProtocol, Route, Serve, Source, Target, VirtualHost,
};
use plenipo_proxy::{Proxy, Settings, Snapshot};
use plenipo_testkit::{Upstream, free_port};

/// A running data plane.
struct Gateway {
    proxy: Proxy,
    snapshot: Arc<Snapshot>,
}

impl Gateway {
    async fn start(edge: Edge) -> Self {
        Self::start_with(edge, 2).await
    }

    async fn start_with(edge: Edge, workers: usize) -> Self {
        let settings = Settings { workers, min_drain: std::time::Duration::ZERO, ..Settings::default() };
        let mut proxy = Proxy::start(settings).expect("threads");
        let snapshot = Snapshot::build(Arc::new(edge), None);
        let failed = proxy.publish(Arc::clone(&snapshot)).await;
        assert!(failed.is_empty(), "{failed:?}");
        Self { proxy, snapshot }
    }

    async fn publish(&mut self, edge: Edge) {
        let snapshot = Snapshot::build(Arc::new(edge), Some(&self.snapshot));
        let failed = self.proxy.publish(Arc::clone(&snapshot)).await;
        assert!(failed.is_empty(), "{failed:?}");
        self.snapshot = snapshot;
    }
}

fn source() -> Source {
    Source::new("test")
}

fn loopback() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

/// Where nobody listens: the port of the discard service, which no other test is ever given.
fn refusing() -> SocketAddr {
    ([127, 0, 0, 1], 9).into()
}

fn cluster(name: &str, address: SocketAddr) -> Cluster {
    Cluster::new(name, source(), Endpoints::addresses([address]))
}

/// A route for everything under a prefix, to a cluster, with path and host kept.
fn route(prefix: &str, cluster: &str) -> Route {
    let forward = Forward::to(Target::all(source(), cluster.into()));
    Route::new(prefix, source(), PathMatch::Prefix(prefix.into()), Action::Forward(Box::new(forward)))
}

fn forward_of(route: &mut Route) -> &mut Forward {
    match &mut route.action {
        Action::Forward(forward) => forward,
        other => panic!("{other:?} does not forward"),
    }
}

fn server(routes: Vec<Route>) -> HttpServer {
    let routes: Vec<_> = routes.into_iter().map(Arc::new).collect();
    HttpServer::new(source(), vec![VirtualHost::new(source(), HostPattern::Any, routes)])
}

fn listener(bind: SocketAddr, chains: Vec<Chain>) -> Listener {
    Listener {
        name: format!("listener-{bind}"),
        source: source(),
        bind,
        transport: plenipo_model::Transport::Tcp,
        declared_port: bind.port(),
        proxy_protocol: ProxyProtocol::Off,
        inner_proxy_from: Vec::new(),
        stats_prefix: "ingress_http".into(),
        max_connections: None,
        chains,
    }
}

fn clear(server: HttpServer) -> Chain {
    Chain {
        source: source(),
        accepts: Accepts::ClearText,
        tls: ChainTls::Untouched,
        serve: Serve::Http(Arc::new(server)),
    }
}

fn edge(listeners: Vec<Listener>, clusters: Vec<Cluster>) -> Edge {
    let clusters =
        clusters.into_iter().map(|cluster| (Arc::clone(&cluster.name), Arc::new(cluster))).collect();
    Edge { listeners, clusters }
}

/// One clear-text listener in front of one cluster.
fn simple(bind: SocketAddr, server: HttpServer, upstream: SocketAddr) -> Edge {
    edge(vec![listener(bind, vec![clear(server)])], vec![cluster("up", upstream)])
}

/// A gateway with one route to an echoing upstream, changed as a test wants it.
async fn started(
    change: impl FnOnce(&mut HttpServer, &mut Cluster, &mut Route),
) -> (Gateway, Upstream, SocketAddr) {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut route = route("/", "up");
    let mut cluster = cluster("up", upstream.address());
    let mut http = server(vec![]);
    change(&mut http, &mut cluster, &mut route);
    let before = http.hosts[0].routes.iter().cloned();
    http.hosts[0].routes = before.chain([Arc::new(route)]).collect();
    let gateway = Gateway::start(edge(vec![listener(bind, vec![clear(http)])], vec![cluster])).await;
    (gateway, upstream, bind)
}

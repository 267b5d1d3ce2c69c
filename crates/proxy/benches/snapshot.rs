//! How long a changed edge takes to become a snapshot, with ten thousand routes.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use plenipo_model::{
    Accepts, Action, Chain, ChainTls, Cluster, Edge, Endpoints, Forward, HostPattern, HttpServer, Listener,
    PathMatch, ProxyProtocol, Route, Serve, Source, Target, Transport, VirtualHost,
};
use plenipo_proxy::Snapshot;

fn source() -> Source {
    Source::new("bench")
}

fn route(name: &str, path: &str, cluster: &str) -> Arc<Route> {
    let action = Action::Forward(Box::new(Forward::to(Target::all(source(), cluster.into()))));
    Arc::new(Route::new(name, source(), PathMatch::Prefix(path.to_owned()), action))
}

fn edge(hosts: &[Arc<[Arc<Route>]>], clusters: &BTreeMap<Arc<str>, Arc<Cluster>>) -> Arc<Edge> {
    let host = |(at, routes): (usize, &Arc<[Arc<Route>]>)| {
        VirtualHost::new(source(), HostPattern::Exact(format!("h{at}.example.com")), Arc::clone(routes))
    };
    let server = HttpServer::new(source(), hosts.iter().enumerate().map(host).collect());
    let chain = Chain {
        source: source(),
        accepts: Accepts::ClearText,
        tls: ChainTls::Untouched,
        serve: Serve::Http(Arc::new(server)),
    };
    let listener = Listener {
        name: "bench".to_owned(),
        source: source(),
        bind: SocketAddr::from(([127, 0, 0, 1], 80)),
        transport: Transport::Tcp,
        declared_port: 80,
        proxy_protocol: ProxyProtocol::Off,
        inner_proxy_from: Vec::new(),
        stats_prefix: "bench".to_owned(),
        max_connections: None,
        chains: vec![chain],
    };
    Arc::new(Edge { listeners: vec![listener], clusters: clusters.clone() })
}

/// One route of `routes` gets another path, and its old one again.
fn changes(criterion: &mut Criterion) {
    for (hosts, routes) in [(1, 10_000), (1000, 10_000), (1000, 100_000), (1, 100_000)] {
        let cluster =
            |at: usize| Cluster::new(&format!("service-{at}:80"), source(), Endpoints::addresses([]));
        let clusters = (0..routes).map(cluster).map(|cluster| (Arc::clone(&cluster.name), Arc::new(cluster)));
        let clusters = clusters.collect();
        let path = |at: usize| {
            route(&format!("r{at}"), &format!("/api/v1/service-{at}/"), &format!("service-{at}:80"))
        };
        let mut lists: Vec<Vec<Arc<Route>>> = vec![Vec::new(); hosts];
        (0..routes).for_each(|at| lists[at % hosts].push(path(at)));
        let mut lists: Vec<Arc<[Arc<Route>]>> = lists.into_iter().map(Into::into).collect();
        let first = edge(&lists, &clusters);
        let mut changed = lists[0].to_vec();
        let middle = changed.len() / 2;
        changed[middle] = route("other", "/api/v1/other/", "service-0:80");
        lists[0] = changed.into();
        let edges = [edge(&lists, &clusters), first];
        let mut snapshot = Snapshot::build(Arc::clone(&edges[1]), None);
        let mut turn = 0;
        criterion.bench_function(&format!("one change of {routes} routes, {hosts} hosts"), |bencher| {
            bencher.iter(|| {
                snapshot = Snapshot::build(Arc::clone(black_box(&edges[turn % 2])), Some(&snapshot));
                turn += 1;
            });
        });
    }
}

criterion_group!(benches, changes);
criterion_main!(benches);

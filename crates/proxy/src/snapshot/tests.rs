use http::Method;
use plenipo_model::{
    Action, Chain, ChainTls, Cluster, Endpoints, Forward, HeaderEdit, HttpServer, PathMatch, Pattern, Route,
    Serve, Target, Template, VirtualHost,
};
use proptest::prelude::*;

use super::routes::Asked;
use super::*;
use crate::fields::Fields;

fn source() -> Source {
    Source::new("test")
}

/// A route, by a few numbers: equal numbers make equal routes, in different `Arc`s.
fn route(path: usize, target: usize) -> Arc<Route> {
    let text = ["/", "/a", "/a/b", "/ab/", "/b"][path % 5].to_owned();
    let path = match path / 5 % 3 {
        0 => PathMatch::Prefix(text),
        1 => PathMatch::Exact(text),
        _ => PathMatch::Regex(Pattern::new(&format!("{text}.*")).expect("valid")),
    };
    let target = Target::all(source(), format!("cluster-{target}").into());
    let mut route = Route::new("r", source(), path, Action::Forward(Box::new(Forward::to(target))));
    if matches!(&route.matches.path, PathMatch::Exact(_)) {
        let value = Template::parse(&format!("%REQ(x-{})%", route.pattern.len())).expect("valid");
        let edit = HeaderEdit { name: http::HeaderName::from_static("x-out"), value, append: false };
        route.response_headers.add.push(edit);
    }
    Arc::new(route)
}

fn cluster(name: usize, port: u16) -> Arc<Cluster> {
    let endpoints = Endpoints::addresses([SocketAddr::from(([127, 0, 0, 1], port))]);
    let mut cluster = Cluster::new(&format!("cluster-{name}"), source(), endpoints);
    if port.is_multiple_of(2) {
        cluster.idle_timeout = None;
    }
    Arc::new(cluster)
}

/// One listener with these virtual hosts, and these clusters.
fn edge(hosts: &[Arc<[Arc<Route>]>], clusters: impl IntoIterator<Item = Arc<Cluster>>) -> Arc<Edge> {
    let host = |(at, routes): (usize, &Arc<[Arc<Route>]>)| {
        let pattern = HostPattern::parse(["a.test", "*.test", "b.*", "*"][at % 4]).expect("valid");
        VirtualHost::new(source(), pattern, Arc::clone(routes))
    };
    let server = HttpServer::new(source(), hosts.iter().enumerate().map(host).collect());
    let chain = Chain {
        source: source(),
        accepts: Accepts::ClearText,
        tls: ChainTls::Untouched,
        serve: Serve::Http(Arc::new(server)),
    };
    let listener = Listener {
        name: "test".into(),
        source: source(),
        bind: SocketAddr::from(([127, 0, 0, 1], 80)),
        transport: Transport::Tcp,
        declared_port: 80,
        proxy_protocol: plenipo_model::ProxyProtocol::Off,
        inner_proxy_from: Vec::new(),
        stats_prefix: "test".into(),
        max_connections: None,
        chains: vec![chain],
    };
    let clusters = clusters.into_iter().map(|cluster| (Arc::clone(&cluster.name), cluster)).collect();
    Arc::new(Edge { listeners: vec![listener], clusters })
}

fn http(snapshot: &Snapshot) -> &CompiledHttp {
    let listener = snapshot.listeners().next().expect("a listener");
    listener.http(false, None).expect("HTTP")
}

/// Is the snapshot what its edge says, whatever was before it?
fn check(snapshot: &Snapshot) {
    let edge = snapshot.edge();
    let http = http(snapshot);
    assert_eq!(snapshot.upstreams().count(), edge.clusters.len());
    for host in &http.model.hosts {
        let table = &http.hosts.of(&host.host).expect("the host").routes;
        assert_eq!(table.routes().len(), host.routes.len());
        for (compiled, model) in table.routes().iter().zip(host.routes.iter()) {
            assert_eq!(compiled.model, *model);
            let Action::Forward(forward) = &model.action else { panic!("all forward") };
            let upstream = &compiled.upstreams[0];
            match edge.clusters.get(&forward.targets[0].cluster) {
                Some(cluster) => assert_eq!(upstream.model, *cluster),
                None => assert_eq!(upstream.model.endpoints, Endpoints::addresses([])),
            }
            let newest = snapshot.upstreams.find(&forward.targets[0].cluster);
            assert!(newest.is_none_or(|newest| Arc::ptr_eq(newest, upstream)), "an upstream that was");
        }
        for path in ["/", "/a", "/a/b", "/a/b/c", "/ab/", "/b", "/c"] {
            let (method, headers) = (Method::GET, Fields::new());
            let asked = Asked {
                host: "a.test",
                port: None,
                path,
                query: None,
                method: &method,
                headers: &headers,
                authority: "a.test",
                scheme: Some("http"),
                peer: None,
                claims: None,
                draw: 0,
            };
            let naive = table.routes().iter().position(|route| route.accepts(&asked).is_ok());
            assert_eq!(table.pick(&asked).map(|picked| picked.position), naive, "{path}");
        }
    }
    let mut kept = http.kept_request.clone();
    let mut expected: Vec<_> =
        http.model.hosts.iter().flat_map(|host| kept::of_routes(&host.routes)).collect();
    kept.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    expected.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    expected.dedup();
    assert_eq!(kept, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Lists change by inserting, removing and exchanging routes, keep their `Arc`s or not; clusters change, come and go.
    #[test]
    fn a_snapshot_is_what_its_edge_says_whatever_was_before(
        steps in prop::collection::vec(
            (0..4usize, 0..12usize, 0..15usize, 0..4usize, 0..5usize, (0..4usize, 0..4u16)), 1..20,
        ),
    ) {
        let mut hosts: Vec<Arc<[Arc<Route>]>> =
            (0..4).map(|host| (0..6).map(|at| route(at * 3 + host, at % 4)).collect()).collect();
        let mut clusters: Vec<Option<Arc<Cluster>>> = (0..3).map(|at| Some(cluster(at, 1))).chain([None]).collect();
        let mut snapshot = Snapshot::build(edge(&hosts, clusters.iter().flatten().cloned()), None);
        check(&snapshot);
        for (host, at, path, target, how, (name, port)) in steps {
            let mut routes = hosts[host].to_vec();
            let at = at % (routes.len() + 1);
            match how {
                0 => routes.insert(at, route(path, target)),
                1 if at < routes.len() => drop(routes.remove(at)),
                2 if at < routes.len() => routes[at] = route(path, target),
                // Equal to what was there, but another list.
                3 => {}
                _ => clusters[name] = (port > 0).then(|| cluster(name, port)),
            }
            if how < 4 {
                hosts[host] = routes.into();
            }
            snapshot = Snapshot::build(edge(&hosts, clusters.iter().flatten().cloned()), Some(&snapshot));
            check(&snapshot);
        }
    }
}

#[test]
fn what_is_not_concerned_is_taken_over() {
    let clusters = [cluster(0, 1), cluster(1, 1)];
    let hosts: Vec<Arc<[Arc<Route>]>> =
        vec![vec![route(0, 0), route(1, 0)].into(), vec![route(2, 1), route(3, 1)].into()];
    let before = Snapshot::build(edge(&hosts, clusters.clone()), None);
    let tables = |snapshot: &Snapshot| -> Vec<_> {
        let http = http(snapshot);
        http.model
            .hosts
            .iter()
            .map(|host| Arc::clone(&http.hosts.of(&host.host).expect("it").routes))
            .collect()
    };
    let same = |a: &Snapshot, b: &Snapshot| -> Vec<bool> {
        tables(a).iter().zip(&tables(b)).map(|(a, b)| Arc::ptr_eq(a, b)).collect()
    };
    // A route of the first host changes.
    let changed = vec![vec![hosts[0][0].clone(), route(4, 0)].into(), Arc::clone(&hosts[1])];
    let after = Snapshot::build(edge(&changed, clusters.clone()), Some(&before));
    assert_eq!(same(&before, &after), [false, true]);
    // The second host's cluster gets other endpoints.
    let moved = Snapshot::build(edge(&changed, [Arc::clone(&clusters[0]), cluster(1, 3)]), Some(&after));
    assert_eq!(same(&after, &moved), [true, false]);
    // An equal list is the same list.
    let equal = vec![changed[0].to_vec().into(), Arc::clone(&changed[1])];
    let again = Snapshot::build(edge(&equal, [Arc::clone(&clusters[0]), cluster(1, 3)]), Some(&moved));
    assert_eq!(same(&moved, &again), [true, true]);
}

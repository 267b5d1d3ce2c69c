use std::sync::Arc;

use plenipo_model::{
    Accepts, AccessPolicy, Action, Authorization, Certificate, Chain, ChainTls, ClientAuth, ClientCertHeader,
    ClientRoots, Cluster, Edge, Endpoints, Forward, Guard, HostPattern, HttpServer, InsecureAction, Listener,
    PathMatch, ProxyProtocol, RootStore, Route, Serve, Source, Target, TcpRoute, TlsServer, TlsVersion,
    Transport, VirtualHost,
};
use plenipo_resources::{Origin, Problem, Set, SetBuilder, Severity, decode};
use proptest::prelude::*;

use super::join;
use crate::findings::{Finding, Findings};

fn source(text: &str) -> Source {
    Source::new(text)
}

fn pattern(text: &str) -> HostPattern {
    HostPattern::parse(text).unwrap()
}

fn route(name: &str, path: &str, cluster: &str) -> Arc<Route> {
    let forward = Forward::to(Target::all(source(name), cluster.into()));
    Arc::new(Route::new(
        name,
        source(name),
        PathMatch::Prefix(path.into()),
        Action::Forward(Box::new(forward)),
    ))
}

fn host(name: &str, routes: Vec<Arc<Route>>) -> VirtualHost {
    let owner = routes.first().map_or_else(|| source("Host a/none"), |route| route.source.clone());
    VirtualHost::new(owner, pattern(name), routes)
}

fn server(who: &str, hosts: Vec<VirtualHost>) -> HttpServer {
    HttpServer::new(source(who), hosts)
}

fn clear(server: HttpServer) -> Chain {
    let source = server.source.clone();
    Chain {
        source,
        accepts: Accepts::ClearText,
        tls: ChainTls::Untouched,
        serve: Serve::Http(Arc::new(server)),
    }
}

fn relay(who: &str, accepts: Accepts) -> Chain {
    let route = TcpRoute::new(who, source(who), Vec::new());
    Chain { source: source(who), accepts, tls: ChainTls::Untouched, serve: Serve::Tcp(Arc::new(route)) }
}

fn certificate(name: &str) -> Arc<Certificate> {
    let issued = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = issued.signing_key.serialize_pem();
    Arc::new(Certificate::from_pem(issued.cert.pem().as_bytes(), key.as_bytes()).unwrap())
}

fn ending_tls(who: &str, auth: ClientAuth) -> ChainTls {
    ChainTls::Terminate(Arc::new(TlsServer {
        source: source(who),
        certificates: vec![certificate("a.test")],
        client_auth: auth,
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        cipher_suites: vec![],
        alpn: vec![],
    }))
}

fn roots() -> ClientRoots {
    let issued = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    ClientRoots::new(Arc::new(RootStore::from_pem(issued.cert.pem().as_bytes()).unwrap()), None)
}

fn secured(names: &[&str], tls: ChainTls, server: HttpServer) -> Chain {
    let accepts = Accepts::Tls(names.iter().map(|name| pattern(name)).collect());
    Chain { source: server.source.clone(), accepts, tls, serve: Serve::Http(Arc::new(server)) }
}

fn listener(port: u16, chains: Vec<Chain>) -> Listener {
    Listener {
        name: format!("listener-{port}"),
        source: chains.first().map_or_else(|| source("Listener a/l"), |chain| chain.source.clone()),
        bind: ([0, 0, 0, 0], port).into(),
        transport: Transport::Tcp,
        declared_port: port,
        proxy_protocol: ProxyProtocol::Off,
        inner_proxy_from: Vec::new(),
        stats_prefix: "ingress_http".into(),
        max_connections: None,
        chains,
    }
}

fn edge(listeners: Vec<Listener>) -> Edge {
    Edge { listeners, ..Edge::default() }
}

/// The joint edge, and who was told what.
fn joined(first: Edge, others: &[Edge]) -> (Edge, Vec<(Severity, String)>) {
    let mut findings = Findings::default();
    let edge = join(first, others, &objects(), &mut findings);
    let told = findings.into_found().into_iter().filter_map(|finding| match finding {
        Finding::Problem(problem) => Some(text(&problem)),
        Finding::State(..) => None,
    });
    (edge, told.collect())
}

fn text(problem: &Problem) -> (Severity, String) {
    assert_eq!(problem.code.to_string(), "conflict");
    let message = &problem.message;
    let of = |id| format!("{id}: {message}");
    (problem.severity, problem.object.as_ref().map_or_else(|| message.clone(), of))
}

/// Some of those that ask for things here; nobody has to know the others.
fn objects() -> Set {
    let mut builder = SetBuilder::default();
    let ours = ("getambassador.io/v3alpha1", [("Host", "a"), ("Host", "any"), ("Listener", "l")].as_slice());
    let others = ("networking.istio.io/v1", [("Gateway", "g")].as_slice());
    for (version, objects) in [ours, others] {
        for (kind, name) in objects {
            let metadata = serde_json::json!({"name": name, "namespace": "a"});
            let object =
                serde_json::json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {}});
            let read = decode(object, Origin::Cluster).objects;
            read.into_iter().for_each(|object| builder.add(Arc::new(object)));
        }
    }
    builder.build()
}

fn http(chain: &Chain) -> &HttpServer {
    match &chain.serve {
        Serve::Http(server) => server,
        other => panic!("{other:?}"),
    }
}

fn routes(server: &HttpServer, host: &str) -> Vec<String> {
    let found = server.hosts.iter().find(|other| other.host == pattern(host)).expect("the host is there");
    found.routes.iter().map(|route| route.name.to_string()).collect()
}

fn refused(server: &HttpServer, host: &str) -> bool {
    let found = server.hosts.iter().find(|other| other.host == pattern(host)).expect("the host is there");
    assert!(found.refuse.is_none() || found.routes.is_empty());
    found.refuse.is_some()
}

#[test]
fn hosts_are_united_and_the_earlier_routes_go_first() {
    let first = clear(server("Listener a/l", vec![host("a.test", vec![route("Mapping a/m", "/x", "m")])]));
    let second = clear(server(
        "Gateway a/g",
        vec![
            host("a.test", vec![route("VirtualService a/v", "/", "v")]),
            host("*", vec![route("VirtualService a/w", "/", "w")]),
        ],
    ));
    let (edge, told) =
        joined(edge(vec![listener(80, vec![first])]), &[edge(vec![listener(80, vec![second])])]);
    let [chain] = edge.listeners[0].chains.as_slice() else { panic!("{edge:?}") };
    let server = http(chain);
    assert_eq!(server.hosts.iter().map(|host| host.host.to_string()).collect::<Vec<_>>(), ["a.test", "*"]);
    assert_eq!(routes(server, "a.test"), ["Mapping a/m", "VirtualService a/v"]);
    assert_eq!(told, []);
}

#[test]
fn routes_that_are_never_tried_are_told() {
    let first = clear(server(
        "Listener a/l",
        vec![
            host("a.test", vec![route("Mapping a/x", "/x", "m")]),
            host("b.test", vec![route("Mapping a/all", "/", "m")]),
        ],
    ));
    let second = clear(server(
        "Gateway a/g",
        vec![
            host(
                "a.test",
                vec![
                    route("VirtualService a/x", "/x", "v"),
                    route("VirtualService a/x", "/x/inside", "v"),
                    route("VirtualService a/y", "/y", "v"),
                ],
            ),
            host("b.test", vec![route("VirtualService a/z", "/z", "v")]),
        ],
    ));
    let (_, told) = joined(edge(vec![listener(80, vec![first])]), &[edge(vec![listener(80, vec![second])])]);
    let idle = |loser: &str, path: &str, winner: &str, which: &str, host: &str| {
        (
            Severity::Warning,
            format!("{loser}: {path} is never tried: {winner} takes {which} for {host} and goes first"),
        )
    };
    assert_eq!(
        told,
        [
            idle("VirtualService a/x", "/x", "Mapping a/x", "the same requests", "a.test"),
            idle("VirtualService a/x", "/x/inside", "Mapping a/x", "all requests under /x", "a.test"),
            idle("VirtualService a/z", "/z", "Mapping a/all", "all requests", "b.test"),
        ]
    );
}

#[test]
fn a_wildcard_is_told_of_a_closer_host() {
    let first = clear(server(
        "Listener a/l",
        vec![VirtualHost { source: source("Host a/any"), ..host("*", vec![route("Mapping a/m", "/", "m")]) }],
    ));
    let theirs =
        vec![host("a.test", vec![route("VirtualService a/v", "/", "v")]), host("*.test", Vec::new())];
    let second = clear(server("Gateway a/g", theirs));
    let (_, told) = joined(edge(vec![listener(80, vec![first])]), &[edge(vec![listener(80, vec![second])])]);
    let told: Vec<_> = told.iter().map(|(severity, message)| (*severity, message.as_str())).collect();
    assert_eq!(
        told,
        [
            (
                Severity::Note,
                "Host a/any: requests for a.test are VirtualService a/v's, which is closer than *"
            ),
            (Severity::Note, "Host a/any: requests for *.test are Host a/none's, which is closer than *"),
        ]
    );
}

#[test]
fn an_address_with_other_bytes_on_it_is_the_earlier_ones() {
    let http_chain =
        || clear(server("Gateway a/g", vec![host("*", vec![route("VirtualService a/v", "/", "v")])]));
    let tcp_chain = || relay("TCPMapping a/t", Accepts::Anything);
    for (mine, theirs) in
        [(http_chain(), tcp_chain()), (tcp_chain(), http_chain()), (tcp_chain(), tcp_chain())]
    {
        let first = edge(vec![listener(80, vec![mine.clone()])]);
        let (edge, told) = joined(first.clone(), &[edge(vec![listener(80, vec![theirs.clone()])])]);
        assert_eq!(edge, first);
        let [(Severity::Error, message)] = told.as_slice() else { panic!("{told:?}") };
        assert!(
            message.starts_with(theirs.source.as_str()) && message.contains(mine.source.as_str()),
            "{message}"
        );
    }
}

#[test]
fn tls_names_get_chains_of_their_own_or_share_one() {
    let hosts = |who: &str, names: &[&str]| {
        let hosts = names.iter().map(|name| host(name, vec![route(&format!("{who}{name}"), "/x", "c")]));
        server(who, hosts.collect())
    };
    let mine = secured(&["a.test"], ending_tls("Host a/a", ClientAuth::None), hosts("Host a/a", &["a.test"]));
    let theirs = secured(
        &["a.test", "b.test"],
        ending_tls("Gateway a/g", ClientAuth::None),
        hosts("Gateway a/g", &["a.test", "b.test"]),
    );
    let passed = relay("Gateway a/p", Accepts::Tls(vec![pattern("c.test")]));
    let (edge, told) =
        joined(edge(vec![listener(443, vec![mine])]), &[edge(vec![listener(443, vec![theirs, passed])])]);
    let [a, b, c] = edge.listeners[0].chains.as_slice() else { panic!("{edge:?}") };
    assert_eq!(routes(http(a), "a.test"), ["Host a/aa.test", "Gateway a/ga.test"]);
    assert_eq!(http(b).hosts.len(), 1, "what the other chain serves is not behind this one");
    assert_eq!(b.accepts, Accepts::Tls(vec![pattern("b.test")]));
    assert!(matches!(c.serve, Serve::Tcp(_)));
    for chain in [a, b] {
        assert_eq!(*http(chain).elsewhere, [pattern("a.test"), pattern("b.test")]);
    }
    let [(Severity::Note, message), (Severity::Warning, _)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(
        message,
        "Gateway a/g: clients that ask for a.test at 0.0.0.0:443 get the certificate of Host a/a"
    );
}

#[test]
fn a_chain_that_asks_for_less_does_not_take_in_hosts() {
    let hosts = |who: &str, name: &str| server(who, vec![host(name, vec![route(who, "/", "c")])]);
    let asked = roots();
    let none = || ending_tls("Host a/a", ClientAuth::None);
    for (mine, theirs, expected) in [
        (none(), ending_tls("Gateway a/g", ClientAuth::Required(asked.clone())), true),
        (none(), ending_tls("Gateway a/g", ClientAuth::Optional(asked.clone())), true),
        (
            ending_tls("Host a/a", ClientAuth::Required(roots())),
            ending_tls("Gateway a/g", ClientAuth::Required(asked.clone())),
            true,
        ),
        (
            ending_tls("Host a/a", ClientAuth::Required(asked.clone())),
            ending_tls("Gateway a/g", ClientAuth::Required(asked.clone())),
            false,
        ),
        (
            ending_tls("Host a/a", ClientAuth::Required(asked.clone())),
            ending_tls("Gateway a/g", ClientAuth::Optional(asked.clone())),
            false,
        ),
        (ending_tls("Host a/a", ClientAuth::Required(asked)), none(), false),
        (ChainTls::Broken("no Secret".to_owned()), none(), true),
        (none(), ChainTls::Broken("no Secret".to_owned()), true),
    ] {
        let mine = secured(&["*.test"], mine, hosts("Host a/a", "*.test"));
        let theirs = secured(&["*.test"], theirs, hosts("Gateway a/g", "x.test"));
        let (edge, told) =
            joined(edge(vec![listener(443, vec![mine])]), &[edge(vec![listener(443, vec![theirs])])]);
        let server = http(&edge.listeners[0].chains[0]);
        assert_eq!(refused(server, "x.test"), expected, "{told:?}");
        assert_eq!(told[0].0 == Severity::Error, expected, "{told:?}");
        assert!(told[0].1.contains("Host a/a"), "{told:?}");
    }
}

#[test]
fn what_a_chain_does_not_take_in_is_nobody_elses() {
    let hosts = |who: &str, path: &str| server(who, vec![host("a.test", vec![route(who, path, "c")])]);
    let chain = |who: &str, path: &str, auth| secured(&["a.test"], ending_tls(who, auth), hosts(who, path));
    let first = edge(vec![listener(443, vec![chain("Host a/a", "/x", ClientAuth::None)])]);
    let guarded = chain("Gateway a/g", "/guarded", ClientAuth::Required(roots()));
    let third = chain("Ingress a/i", "/", ClientAuth::None);
    let others = [edge(vec![listener(443, vec![guarded])]), edge(vec![listener(443, vec![third])])];
    let (edge, _) = joined(first, &others);
    let server = http(&edge.listeners[0].chains[0]);
    assert_eq!(routes(server, "a.test"), ["Host a/a", "Gateway a/g", "Ingress a/i"]);
    let guarded = &server.hosts[0].routes[1];
    assert!(matches!(&guarded.action, Action::Respond(respond) if respond.status == 503), "{guarded:?}");
}

#[test]
fn a_wildcard_is_no_way_around_another_ones_client_certificates() {
    let any = secured(
        &["*"],
        ending_tls("Host a/any", ClientAuth::None),
        server("Host a/any", vec![host("*", vec![route("Mapping a/m", "/", "m")])]),
    );
    let guarded = secured(
        &["a.test"],
        ending_tls("Gateway a/g", ClientAuth::Required(roots())),
        server("Gateway a/g", vec![host("a.test", vec![route("VirtualService a/v", "/", "v")])]),
    );
    for (first, second) in [(any.clone(), guarded.clone()), (guarded, any)] {
        let (edge, _) =
            joined(edge(vec![listener(443, vec![first])]), &[edge(vec![listener(443, vec![second])])]);
        let wide = |chain: &&Chain| chain.source.as_str() == "Host a/any";
        let wide = edge.listeners[0].chains.iter().find(wide).expect("it is there");
        assert!(refused(http(wide), "a.test"));
    }
}

/// A host of the second edge on the first one's server, after changes to both.
fn sharing(change: impl FnOnce(&mut HttpServer, &mut HttpServer)) -> (HttpServer, Vec<(Severity, String)>) {
    let mut mine = server("Listener a/l", vec![host("a.test", vec![route("Mapping a/m", "/x", "m")])]);
    let mut theirs = server(
        "Gateway a/g",
        vec![
            host("a.test", vec![route("VirtualService a/a", "/y", "v")]),
            host("b.test", vec![route("VirtualService a/b", "/", "v")]),
        ],
    );
    change(&mut mine, &mut theirs);
    let (edge, told) =
        joined(edge(vec![listener(80, vec![clear(mine)])]), &[edge(vec![listener(80, vec![clear(theirs)])])]);
    (http(&edge.listeners[0].chains[0]).clone(), told)
}

#[test]
fn what_the_place_does_not_give_is_refused() {
    type Change = fn(&mut HttpServer, &mut HttpServer);
    let changes: [(&str, Change); 7] = [
        ("refuse", |mine, _| {
            mine.refuse = Some(plenipo_model::Refusal { status: 503, reason: "no".to_owned() });
        }),
        ("tokens", |_, theirs| {
            theirs.authentication = Some(Arc::new(plenipo_model::Authentication { rules: Vec::new() }));
        }),
        ("addresses", |_, theirs| {
            theirs.addresses =
                Some(plenipo_model::AddressRules { allow: true, peer: Vec::new(), remote: Vec::new() });
        }),
        ("believed proxies", |mine, theirs| {
            mine.forwarding.use_remote_address = false;
            theirs.hosts.iter_mut().for_each(|host| host.insecure = InsecureAction::Redirect);
        }),
        ("proxies that only they believe", |_, theirs| {
            theirs.forwarding.trusted_hops = 1;
            theirs.authorization = Some(Arc::default());
        }),
        ("paths", |_, theirs| {
            theirs.path.merge_slashes = true;
            theirs.authorization = Some(Arc::default());
        }),
        ("certificates told by clients", |mine, _| mine.client_cert = ClientCertHeader::AlwaysForwardOnly),
    ];
    for (what, change) in changes {
        let (server, told) = sharing(change);
        assert!(refused(&server, "b.test"), "{what}");
        // Nobody's wider route takes what is refused.
        assert_eq!(routes(&server, "a.test"), ["Mapping a/m", "VirtualService a/a"], "{what}");
        let both = server.hosts.iter().find(|host| host.host == pattern("a.test")).unwrap();
        assert!(
            matches!(&both.routes[1].action, Action::Respond(respond) if respond.status == 503),
            "{what}"
        );
        let losers = told.iter().filter(|(severity, _)| *severity == Severity::Error);
        assert_eq!(
            losers.filter(|(_, message)| message.contains("Listener a/l")).count(),
            2,
            "{what}: {told:?}"
        );
    }
}

#[test]
fn what_can_go_along_with_routes_goes_along() {
    let rules = Arc::new(Authorization { allow: Some(Vec::new()), ..Authorization::default() });
    let (server, _) = sharing(|_, theirs| theirs.authorization = Some(Arc::clone(&rules)));
    assert_eq!(routes(&server, "a.test"), ["Mapping a/m", "VirtualService a/a"]);
    for host in &server.hosts {
        for route in host.routes.iter().filter(|route| route.name.starts_with("Virtual")) {
            let guard = route.guard.as_ref().expect("it is guarded");
            assert_eq!(guard.authorization.as_ref(), Some(&rules));
        }
    }
    assert!(server.hosts[0].routes[0].guard.is_none(), "the earlier one asked for nothing");
    let (server, told) = sharing(|_, theirs| {
        theirs.authorization = Some(Arc::clone(&rules));
        for host in &mut theirs.hosts {
            let mut own = (*host.routes[0]).clone();
            let authorization = Some(Arc::default());
            own.guard = Some(Arc::new(Guard { authorization, ..Guard::default() }));
            host.routes = Arc::from([Arc::new(own)]);
        }
    });
    assert!(refused(&server, "b.test"), "two lists of who is allowed cannot be one: {told:?}");
}

#[test]
fn whoever_is_not_guarded_beside_guarded_routes_is_told() {
    let policy = AccessPolicy { source: source("AuthorizationPolicy a/p"), rules: Vec::new() };
    let rules = Arc::new(Authorization { deny: vec![policy], ..Authorization::default() });
    let guard = |server: &mut HttpServer| {
        for host in &mut server.hosts {
            let authorization = Some(Arc::clone(&rules));
            let guard = Some(Arc::new(Guard { authorization, ..Guard::default() }));
            host.routes = Arc::from([Arc::new(Route { guard, ..(*host.routes[0]).clone() })]);
        }
    };
    let of_gateway = |server: &mut HttpServer| {
        server.hosts.iter_mut().for_each(|host| host.source = source("Gateway a/g"));
    };
    let (_, told) = sharing(|mine, theirs| {
        guard(mine);
        of_gateway(theirs);
    });
    let guarded = |(_, message): &&(Severity, String)| message.contains("AuthorizationPolicy a/p guards");
    assert_eq!(told.iter().filter(guarded).count(), 1, "{told:?}");
    let (_, told) = sharing(|mine, theirs| {
        guard(mine);
        of_gateway(theirs);
        theirs.authorization = Some(Arc::clone(&rules));
    });
    assert_eq!(told.iter().filter(guarded).count(), 0, "{told:?}");
}

#[test]
fn a_redirect_that_was_asked_for_is_made() {
    let redirect = |_: &mut HttpServer, theirs: &mut HttpServer| {
        theirs.hosts.iter_mut().for_each(|host| host.insecure = InsecureAction::Redirect);
    };
    let (server, told) = sharing(redirect);
    assert_eq!(told, []);
    assert_eq!(
        routes(&server, "a.test"),
        ["Mapping a/m", "VirtualService a/a (not secure)", "VirtualService a/a"]
    );
    let added = &server.hosts[0].routes[1];
    let Action::Redirect(rule) = &added.action else { panic!("{added:?}") };
    assert_eq!(rule.scheme.as_deref(), Some("https"));
    assert_eq!(added.matches.scheme, Some(plenipo_model::ValueMatch::Exact("http".to_owned())));
    assert_eq!(server.hosts[1].insecure, InsecureAction::Redirect, "a host of its own says so itself");
    assert_eq!(routes(&server, "b.test"), ["VirtualService a/b"]);
    let (server, told) = sharing(|mine, theirs| {
        mine.security = plenipo_model::SecurityModel::Secure;
        redirect(mine, theirs);
    });
    assert_eq!(
        routes(&server, "b.test"),
        ["VirtualService a/b (not secure)", "VirtualService a/b"],
        "{told:?}"
    );
}

#[test]
fn clusters_of_one_name_stay_two() {
    let cluster = |address: &str| {
        let cluster = Cluster::new("c", source("test"), Endpoints::addresses([address.parse().unwrap()]));
        (Arc::clone(&cluster.name), Arc::new(cluster))
    };
    let of = |who: &str, path: &str, address: &str| Edge {
        clusters: [cluster(address)].into(),
        ..edge(vec![listener(80, vec![clear(server(who, vec![host("*", vec![route(who, path, "c")])]))])])
    };
    let (edge, _) =
        joined(of("Mapping a/m", "/x", "10.0.0.1:1"), &[of("VirtualService a/v", "/y", "10.0.0.2:1")]);
    let names: Vec<_> = edge.clusters.keys().map(|name| &**name).collect();
    assert_eq!(names, ["c", "c (2)"]);
    assert_eq!(&*edge.clusters["c (2)"].name, "c (2)");
    let used: Vec<_> = http(&edge.listeners[0].chains[0]).hosts[0]
        .routes
        .iter()
        .map(|route| match &route.action {
            Action::Forward(forward) => forward.targets[0].cluster.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(used, ["c", "c (2)"]);
    let same = of("Mapping a/m", "/x", "10.0.0.1:1");
    assert_eq!(joined(same.clone(), std::slice::from_ref(&same)).0.clusters.len(), 1);
}

fn any_edge() -> impl Strategy<Value = Edge> {
    let name = || prop::sample::select(vec!["a.test", "b.test", "*.test", "*"]);
    let path = prop::sample::select(vec!["/", "/a", "/b"]);
    let one = (prop::sample::select(vec![80_u16, 443]), name(), path, any::<bool>());
    prop::collection::vec(one, 0..6).prop_map(|all| {
        let mut edge = Edge::default();
        for (number, (port, name, path, insecure)) in all.into_iter().enumerate() {
            let who = format!("Thing a/{number}");
            let mut host = host(name, vec![route(&who, path, "c")]);
            if insecure {
                host.insecure = InsecureAction::Redirect;
            }
            let one = self::edge(vec![listener(port, vec![clear(server(&who, vec![host]))])]);
            edge = joined(edge, &[one]).0;
        }
        edge
    })
}

proptest! {
    #[test]
    fn nothing_adds_nothing(edge in any_edge()) {
        prop_assert_eq!(&joined(edge.clone(), &[Edge::default()]), &(edge.clone(), Vec::new()));
        prop_assert_eq!(&joined(Edge::default(), std::slice::from_ref(&edge)), &(edge, Vec::new()));
    }

    #[test]
    fn all_hosts_are_there_once_and_earlier_routes_stay_where_they_were(first in any_edge(), second in any_edge()) {
        let (edge, _) = joined(first.clone(), std::slice::from_ref(&second));
        for part in [&first, &second] {
            for listener in &part.listeners {
                let joint = edge.listener(listener.bind).expect("it is there");
                for host in &http(&listener.chains[0]).hosts {
                    let same = |other: &&VirtualHost| other.host == host.host;
                    prop_assert_eq!(http(&joint.chains[0]).hosts.iter().filter(same).count(), 1);
                }
            }
        }
        for listener in &first.listeners {
            let joint = edge.listener(listener.bind).expect("it is there");
            for host in &http(&listener.chains[0]).hosts {
                let found = http(&joint.chains[0]).hosts.iter().find(|other| other.host == host.host);
                prop_assert_eq!(&found.expect("it is there").routes[..host.routes.len()], &*host.routes);
            }
        }
    }
}

//! The route index against the plain list that it stands for.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use plenipo_model::{
    Accepts, Action, Chain, ChainTls, Cluster, Edge, Endpoints, Forward, Fraction, HeaderMatch, HostPattern,
    HttpServer, Listener, PathMatch, Pattern, ProxyProtocol, QueryMatch, Respond, Route, Serve, Source,
    Target, ValueMatch, VirtualHost,
};
use plenipo_proxy::Snapshot;
use plenipo_proxy::explain::{Question, explain};
use plenipo_proxy::fields::Fields;
use plenipo_proxy::request::parse_authority;
use plenipo_proxy::snapshot::routes::Asked;

const HOSTS: [&str; 10] = ["a.b", "*.b", "*b", "a.*", "*", "x.a.b", "a.b:81", "*.a.b", "a*", "x.*"];
const AUTHORITIES: [&str; 8] = ["a.b", "x.a.b", "a.b:81", "a.b:82", "b", "a.c", "x.y", "X.a.B"];

/// Compiled once: that takes longer than everything else here.
static REGEXES: LazyLock<[Pattern; 6]> = LazyLock::new(|| {
    ["/a.*", "/(a|b)/[ab]*", ".*", "/", "(?i)/A", "[^/]+|/b?"]
        .map(|text| Pattern::new(text).expect("an expression"))
});

/// Bytes make a table of hosts and routes, and requests. For each request the index finds the first route of the list
/// that takes it, in the host whose pattern comes first; and `explain` says the same.
pub fn routes(input: &[u8]) {
    let mut choice = Choice(input);
    let mut hosts: Vec<VirtualHost> = Vec::new();
    for _ in 0..choice.below(4) + 1 {
        let pattern = HostPattern::parse(choice.of(&HOSTS)).expect("a pattern");
        if hosts.iter().all(|host| host.host != pattern) {
            let routes: Vec<_> = (0..choice.below(24)).map(|at| Arc::new(route(at, &mut choice))).collect();
            hosts.push(VirtualHost::new(source(), pattern, routes));
        }
    }
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    let bind: SocketAddr = ([127, 0, 0, 1], 80).into();
    let snapshot = Snapshot::build(Arc::new(edge(bind, hosts.clone())), None);
    let server = snapshot.listener(bind).and_then(|listener| listener.http(false, None)).expect("the chain");
    for _ in 0..8 {
        let question = question(&mut choice);
        let draw = u32::from_be_bytes([choice.byte(), choice.byte(), choice.byte(), choice.byte()]);
        let host = parse_authority(&question.authority).expect("a host");
        let (path, query) = question
            .path
            .split_once('?')
            .map_or((&*question.path, None), |(path, query)| (path, Some(query)));
        let asked = Asked {
            host: &host.name,
            port: host.port,
            path,
            query,
            method: &question.method,
            headers: &question.headers,
            authority: &question.authority,
            scheme: Some("http"),
            claims: None,
            peer: None,
            draw,
        };
        let with_port = host.port.map(|port| HostPattern::Exact(format!("{}:{port}", host.name)));
        let expected = hosts
            .iter()
            .find(|candidate| with_port.as_ref() == Some(&candidate.host))
            .or_else(|| hosts.iter().find(|candidate| candidate.host.matches(&host.name)));
        let found = server.hosts.find_authority(&host.name, host.port);
        assert_eq!(found.map(|found| &found.pattern), expected.map(|expected| &expected.host));
        let Some(found) = found else { continue };
        let list = found.routes.routes();
        let first = list.iter().position(|route| route.accepts(&asked).is_ok());
        let picked = found.routes.pick(&asked);
        assert_eq!(picked.map(|picked| picked.position), first, "{} {}", question.authority, question.path);
        if let Ok(canonical) = plenipo_proxy::request::canonical_path(&question.path, server.model.path)
            && canonical == question.path
        {
            let branches = explain(server, &question).branches;
            let told = |position| branches.iter().any(|branch| branch.position == position);
            assert!(first.is_none_or(told), "{first:?} is none of {branches:?}");
        }
    }
}

/// Takes decisions from the bytes; when they are used up, always the first.
struct Choice<'a>(&'a [u8]);

impl Choice<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn text(&mut self) -> String {
        (0..self.below(6)).map(|_| self.of(&['a', 'b', '/', 'A', '%', '\u{e4}', 'a', '/'])).collect()
    }
}

fn source() -> Source {
    Source::new("fuzz")
}

fn edge(bind: SocketAddr, hosts: Vec<VirtualHost>) -> Edge {
    let cluster = Cluster::new("c", source(), Endpoints::addresses([bind]));
    let chain = Chain {
        source: source(),
        accepts: Accepts::ClearText,
        tls: ChainTls::Untouched,
        serve: Serve::Http(Arc::new(HttpServer::new(source(), hosts))),
    };
    let listener = Listener {
        name: "l".to_owned(),
        source: source(),
        bind,
        transport: plenipo_model::Transport::Tcp,
        declared_port: 80,
        proxy_protocol: ProxyProtocol::Off,
        inner_proxy_from: Vec::new(),
        stats_prefix: "ingress_http".to_owned(),
        max_connections: None,
        chains: vec![chain],
    };
    Edge { listeners: vec![listener], clusters: [("c".into(), Arc::new(cluster))].into() }
}

fn value(choice: &mut Choice<'_>) -> ValueMatch {
    match choice.below(3) {
        0 => ValueMatch::Exact(choice.text()),
        1 => ValueMatch::Regex(REGEXES[choice.below(REGEXES.len())].clone()),
        _ => ValueMatch::Present,
    }
}

fn route(at: usize, choice: &mut Choice<'_>) -> Route {
    let text = format!("/{}", choice.text());
    let path = match choice.below(8) {
        0 | 6 => PathMatch::Prefix(text),
        1 | 7 => PathMatch::Segments(text),
        2 => PathMatch::Exact(text),
        3 => PathMatch::ExactIgnoreCase(text),
        4 => PathMatch::PrefixIgnoreCase(text),
        _ => PathMatch::Regex(REGEXES[choice.below(REGEXES.len())].clone()),
    };
    let mut route = Route::new(&at.to_string(), source(), path, action(choice));
    let parts = choice.byte();
    if parts & 1 != 0 {
        let pattern = HostPattern::parse(choice.of(&HOSTS)).expect("a pattern");
        route.matches.host = Some(ValueMatch::Host(pattern));
    }
    if parts & 2 != 0 {
        route.matches.method = Some(ValueMatch::Exact(choice.of(&["GET", "PUT"]).to_owned()));
    }
    if parts & 4 != 0 {
        let name = HeaderName::from_static(choice.of(&["x", "y"]));
        route
            .matches
            .headers
            .push(HeaderMatch { invert: choice.below(2) == 1, ..HeaderMatch::new(name, value(choice)) });
    }
    if parts & 8 != 0 {
        route.matches.query.push(QueryMatch { name: choice.text(), value: value(choice) });
    }
    if parts & 16 != 0 {
        route.matches.fraction = Some(Fraction(u32::from(choice.byte()) * 4000));
    }
    route
}

fn action(choice: &mut Choice<'_>) -> Action {
    if choice.below(2) == 0 {
        return Action::Respond(Respond { status: StatusCode::OK, content_type: None, body: "".into() });
    }
    let targets: Vec<Target> = (0..choice.below(3))
        .map(|_| Target { weight: choice.byte().into(), ..Target::all(source(), "c".into()) })
        .collect();
    let sum = targets.iter().map(|target| target.weight).sum();
    let mut forward = Forward::to(Target::all(source(), "c".into()));
    if !targets.is_empty() {
        forward.targets = targets;
        forward.total = 100.max(sum);
    }
    Action::Forward(Box::new(forward))
}

fn question(choice: &mut Choice<'_>) -> Question {
    let mut headers = Fields::new();
    for _ in 0..choice.below(3) {
        let name = HeaderName::from_static(choice.of(&["x", "y"]));
        headers.append(name, HeaderValue::from_bytes(choice.text().as_bytes()).expect("no control bytes"));
    }
    let mut path = format!("/{}", choice.text());
    if choice.below(2) == 1 {
        path = format!("{path}?{}={}&{}", choice.text(), choice.text(), choice.text());
    }
    Question {
        authority: choice.of(&AUTHORITIES).to_owned(),
        path,
        method: choice.of(&[Method::GET, Method::PUT].each_ref()).clone(),
        headers,
        scheme: Some("http"),
        named: false,
        peer: None,
    }
}

//! Rules of routes: what they match, what they change on the way, and what they do instead of forwarding.

use std::time::{Duration, Instant};

use ::http::{HeaderName, Request, StatusCode};
use plenipo_model::{
    Abort, ClientAuth, ClientRoots, Cors, Fault, Fraction, HeaderEdit, HeaderEdits, HeaderMatch, Mirror,
    OriginMatch, PathPolicy, PathRewrite, Pin, PortFrom, QueryMatch, Redirect, RedirectPath, Respond,
    Template, TlsServer, ValueMatch,
};
use plenipo_testkit::client::Target as To;
use plenipo_testkit::{Authority, Http, Issued, Leaf, eventually, tls};

use super::tls::{chain, roots, tls_server};
use super::*;

fn exact(text: &str) -> ValueMatch {
    ValueMatch::Exact(text.into())
}

fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

fn set(header: &'static str, value: &str) -> HeaderEdits {
    let value = Template::parse(value).expect("valid");
    HeaderEdits { remove: vec![], add: vec![HeaderEdit { name: name(header), value, append: false }] }
}

async fn status(bind: SocketAddr, request: ::http::request::Builder) -> u16 {
    Http::one(bind).send(request).await.expect("answered").status.as_u16()
}

#[tokio::test]
async fn every_part_of_a_request_can_be_matched() {
    type Change = fn(&mut Route);
    type Case<'c> = (&'c str, Change, &'c [(&'c str, &'c str)], &'c str, bool);
    let cases: [Case<'_>; 12] = [
        (
            "authority",
            |r| r.matches.authority = Some(exact("A.test:8080")),
            &[("host", "A.test:8080")],
            "/",
            true,
        ),
        (
            "authority",
            |r| r.matches.authority = Some(exact("a.test")),
            &[("host", "a.test:8080")],
            "/",
            false,
        ),
        ("scheme", |r| r.matches.scheme = Some(exact("http")), &[], "/", true),
        ("scheme", |r| r.matches.scheme = Some(ValueMatch::Prefix("https".into())), &[], "/", false),
        ("header", |r| prefix(r, false), &[("x-a", "abc")], "/", true),
        ("header", |r| prefix(r, false), &[("x-a", "xabc")], "/", false),
        ("without", |r| prefix(r, true), &[("x-a", "xabc")], "/", true),
        ("without", |r| prefix(r, true), &[("x-a", "abc")], "/", false),
        ("without an empty one", |r| empty(r), &[], "/", false),
        ("without an empty one", |r| empty(r), &[("x-a", "1")], "/", true),
        ("query", |r| query(r), &[], "/?b=1&a=one", true),
        ("query", |r| query(r), &[], "/?a=two&a=one", false),
    ];
    fn prefix(route: &mut Route, invert: bool) {
        let matches = HeaderMatch::new(name("x-a"), ValueMatch::Prefix("ab".into()));
        route.matches.headers = vec![HeaderMatch { invert, ..matches }];
    }
    fn empty(route: &mut Route) {
        let matches = HeaderMatch::new(name("x-a"), ValueMatch::Exact(String::new()));
        route.matches.headers = vec![HeaderMatch { invert: true, missing_is_empty: true, ..matches }];
    }
    fn query(route: &mut Route) {
        route.matches.query = vec![QueryMatch { name: "a".into(), value: ValueMatch::Prefix("on".into()) }];
    }
    for (what, change, headers, path, expected) in cases {
        let (_gateway, _upstream, bind) = started(|_, _, route| change(route)).await;
        let request =
            headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
        assert_eq!(
            status(bind, request).await,
            if expected { 200 } else { 404 },
            "{what} {headers:?} {path}"
        );
    }
}

#[tokio::test]
async fn a_claim_that_nobody_verified_is_not_matched() {
    for (invert, expected) in [(false, 404), (true, 200)] {
        let (_gateway, _upstream, bind) = started(|_, _, route| {
            let value = exact("admin");
            route.matches.claims =
                vec![plenipo_model::ClaimMatch { path: vec!["role".into()], value, invert }];
        })
        .await;
        assert_eq!(status(bind, Request::get("/")).await, expected);
    }
}

#[tokio::test]
async fn faults_delay_and_abort_before_anything_is_sent() {
    let time = Duration::from_millis(200);
    for (delay, abort, expected) in [
        (Some((Fraction::ALL, time)), None, 200),
        (Some((Fraction(0), Duration::from_secs(60))), None, 200),
        (None, Some((Fraction::ALL, Abort::Http(StatusCode::IM_A_TEAPOT))), 418),
        (Some((Fraction::ALL, time)), Some((Fraction::ALL, Abort::Grpc(14))), 503),
        (None, Some((Fraction(0), Abort::Http(StatusCode::IM_A_TEAPOT))), 200),
    ] {
        let (_gateway, upstream, bind) = started(|_, _, route| {
            route.fault = Some(Arc::new(Fault { delay, abort }));
        })
        .await;
        let begun = Instant::now();
        // Clients have no say in it.
        let request = Request::get("/")
            .header("x-envoy-fault-abort-request", "400")
            .header("x-envoy-fault-delay-request", "60000");
        assert_eq!(status(bind, request).await, expected);
        let delayed = matches!(delay, Some((Fraction::ALL, _)));
        assert_eq!(begun.elapsed() >= time, delayed, "{delay:?}");
        assert_eq!(upstream.seen().len(), usize::from(expected == 200));
    }
}

#[tokio::test]
async fn a_delay_put_in_is_not_the_upstreams() {
    let (_gateway, _upstream, bind) = started(|_, _, route| {
        let delay = Some((Fraction::ALL, Duration::from_millis(600)));
        route.fault = Some(Arc::new(Fault { delay, abort: None }));
        forward_of(route).targets[0].timeout = Some(Duration::from_millis(500));
    })
    .await;
    assert_eq!(status(bind, Request::get("/")).await, 200);
}

#[tokio::test]
async fn an_aborted_call_is_told_in_grpc() {
    for (abort, expected) in [(Abort::Grpc(7), "7"), (Abort::Http(StatusCode::SERVICE_UNAVAILABLE), "14")] {
        let (_gateway, upstream, bind) = started(|_, _, route| {
            route.fault = Some(Arc::new(Fault { delay: None, abort: Some((Fraction::ALL, abort)) }));
        })
        .await;
        let call = Request::post("/a.B/C").header("content-type", "application/grpc");
        let response = Http::two(bind).send(call).await.expect("answered");
        assert_eq!((response.status.as_u16(), response.header("grpc-status")), (200, expected));
        assert!(upstream.seen().is_empty());
    }
}

#[tokio::test]
async fn several_mirrors_get_copies_each_by_its_part() {
    let [up, one, two, never] = ["up", "one", "two", "never"].map(|name| Upstream::http(name).start());
    let (up, one, two, never) = tokio::join!(up, one, two, never);
    let bind = loopback();
    let mut copied = route("/", "up");
    let mirror = |cluster: &str, part, host_suffix| Mirror {
        source: source(),
        cluster: cluster.into(),
        part,
        host_suffix,
    };
    forward_of(&mut copied).mirrors = vec![
        mirror("one", Fraction::ALL, true),
        mirror("never", Fraction(0), true),
        mirror("two", Fraction::percent(100), false),
    ];
    let clusters = [("up", &up), ("one", &one), ("two", &two), ("never", &never)];
    let clusters = clusters.map(|(name, upstream)| cluster(name, upstream.address()));
    let listeners = vec![listener(bind, vec![clear(server(vec![copied]))])];
    let _gateway = Gateway::start(edge(listeners, clusters.into())).await;
    let request = Request::post("/x?y").header("host", "a.test:81");
    let response = Http::one(bind).send_with(request, "body").await.expect("answered");
    assert_eq!(response.echoed().expect("echo").host, "a.test:81");
    for (upstream, host) in [(&one, "a.test-shadow:81"), (&two, "a.test:81")] {
        eventually("a copy", async || upstream.seen().len() == 1).await;
        let seen = &upstream.seen()[0];
        assert_eq!((seen.host.as_str(), seen.path.as_str(), seen.body.length), (host, "/x?y", 4));
    }
    assert!(never.seen().is_empty());
}

#[tokio::test]
async fn each_destination_has_its_own_header_changes() {
    let (one, two) = (Upstream::http("one").start().await, Upstream::http("two").start().await);
    let bind = loopback();
    let mut split = route("/", "one");
    split.request_headers = set("x-route", "r");
    split.response_headers = set("x-route", "r");
    let forward = forward_of(&mut split);
    forward.targets = ["one", "two"]
        .map(|name| Target {
            request_headers: set("x-target", name),
            response_headers: set("x-target", name),
            ..Target::all(source(), name.into())
        })
        .into();
    forward.total = 200;
    let clusters = vec![cluster("one", one.address()), cluster("two", refusing())];
    let listeners = vec![listener(bind, vec![clear(server(vec![split]))])];
    let _gateway = Gateway::start(edge(listeners, clusters)).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let response = Http::one(bind).get("/").await.expect("answered");
        let target = response.header("x-target").to_owned();
        assert_eq!(response.header("x-route"), "r");
        if response.status == 200 {
            let echoed = response.echoed().expect("echo");
            assert_eq!(
                (target.as_str(), echoed.header("x-target"), echoed.header("x-route")),
                ("one", vec!["one"], vec!["r"])
            );
        } else {
            assert_eq!(
                (target.as_str(), response.status.as_u16()),
                ("two", 503),
                "answers made here are changed too"
            );
        }
        if seen.insert(target) && seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen.len(), 2);
    drop(two);
}

#[tokio::test]
async fn the_port_of_a_redirect_is_chosen() {
    let to = |scheme: Option<&str>, port, port_from| Redirect {
        scheme: scheme.map(str::to_owned),
        port,
        port_from,
        ..Redirect::new(StatusCode::TEMPORARY_REDIRECT)
    };
    for (rule, host, expected) in [
        (to(None, None, PortFrom::Host), "a.test:81", "http://a.test:81/p"),
        (to(Some("https"), None, PortFrom::Host), "a.test:80", "https://a.test/p"),
        (to(Some("https"), None, PortFrom::Host), "a.test:81", "https://a.test:81/p"),
        (to(Some("https"), Some(443), PortFrom::Host), "a.test:81", "https://a.test/p"),
        (to(Some("https"), Some(8443), PortFrom::Host), "a.test", "https://a.test:8443/p"),
        (to(Some("https"), None, PortFrom::Scheme), "a.test:81", "https://a.test/p"),
        (to(Some("https"), None, PortFrom::Request), "a.test:81", "https://a.test:81/p"),
        (to(None, None, PortFrom::Request), "a.test", "http://a.test:8080/p"),
        (to(Some("https"), None, PortFrom::Request), "[::1]:81", "https://[::1]:81/p"),
        (
            Redirect { host: Some("b.test".into()), ..to(None, None, PortFrom::Request) },
            "a.test:81",
            "http://b.test:81/p",
        ),
        (
            Redirect { host: Some("b.test:9".into()), ..to(None, None, PortFrom::Scheme) },
            "a.test",
            "http://b.test/p",
        ),
    ] {
        let bind = loopback();
        let action = Action::Redirect(Box::new(rule.clone()));
        let route = Route::new("r", source(), PathMatch::Prefix("/".into()), action);
        let listener = Listener { declared_port: 8080, ..listener(bind, vec![clear(server(vec![route]))]) };
        let _gateway = Gateway::start(edge(vec![listener], vec![])).await;
        let response = Http::one(bind).send(Request::get("/p").header("host", host)).await.expect("answered");
        assert_eq!(
            (response.status.as_u16(), response.header("location")),
            (307, expected),
            "{rule:?} {host}"
        );
    }
}

#[tokio::test]
async fn a_redirect_may_have_any_of_five_statuses_and_a_query_of_its_own() {
    for code in [301, 302, 303, 307, 308] {
        let (_gateway, _upstream, bind) = started(|_, _, route| {
            let path = RedirectPath::To("/there?own=1".into());
            let status = StatusCode::from_u16(code).expect("a status");
            route.action = Action::Redirect(Box::new(Redirect { path, ..Redirect::new(status) }));
        })
        .await;
        let response = Http::one(bind).get("/here?lost=1").await.expect("answered");
        assert_eq!(response.status.as_u16(), code);
        assert!(response.header("location").ends_with("/there?own=1"), "{}", response.header("location"));
    }
}

#[tokio::test]
async fn an_answer_may_be_any_bytes() {
    let (_gateway, _upstream, bind) = started(|_, _, route| {
        let body = vec![0xff, 0x00, 0xfe].into();
        route.action = Action::Respond(Respond { status: StatusCode::OK, content_type: None, body });
    })
    .await;
    assert_eq!(Http::one(bind).get("/").await.expect("answered").body.as_ref(), [0xff, 0x00, 0xfe]);
}

#[tokio::test]
async fn what_stands_before_is_replaced_with_one_slash() {
    for (prefix, replacement, path, expected) in [
        ("/foo", "/", "/foo", "/"),
        ("/foo", "/", "/foo/", "/"),
        ("/foo", "/", "/foo/bar", "/bar"),
        ("/foo/", "/", "/foo/bar", "/bar"),
        ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "/xyz", "/foo/", "/xyz/"),
        ("/", "/xyz", "/bar?a=/b", "/xyz/bar?a=/b"),
        ("/", "/xyz", "/", "/xyz/"),
    ] {
        let (_gateway, _upstream, bind) = started(|_, _, route| {
            route.matches.path = PathMatch::Segments(prefix.into());
            forward_of(route).targets[0].rewrite = PathRewrite::Segments(replacement.into());
        })
        .await;
        let response = Http::one(bind).get(path).await.expect("answered");
        assert_eq!(response.echoed().expect("echo").path, expected, "{prefix} → {replacement}: {path}");
    }
}

#[tokio::test]
async fn paths_are_normalised_as_asked() {
    let base = PathPolicy::default();
    let none = PathPolicy { as_written: true, ..base };
    let merge = PathPolicy { merge_slashes: true, ..base };
    let decode = PathPolicy { decode_escaped_slashes: true, ..merge };
    for (policy, path, expected) in [
        (none, r"/a//b/../%2fc\d%61", r"/a//b/../%2fc\d%61"),
        (base, r"/a//b/../%2fc\d%61", "/a//%2fc/da"),
        (merge, r"/a//b/../%2fc\d%61", "/a/%2fc/da"),
        (decode, r"/a//b/../%2fc\d%61", "/a/c/da"),
        (decode, "/a%5C..%2Fb?c=%2F", "/b?c=%2F"),
        (decode, "/a/%2e%2e%2f%2Fb", "/b"),
    ] {
        let (_gateway, _upstream, bind) = started(|http, _, _| http.path = policy).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
        let answer = plenipo_testkit::Raw::exchange(bind, request).await.expect("answered");
        let answer = String::from_utf8_lossy(&answer);
        let quoted = format!("\"path\": {expected:?}");
        assert!(answer.contains(&quoted), "{policy:?} {path}: {answer}");
    }
}

#[tokio::test]
async fn preflights_of_strangers_may_be_answered_here() {
    for forwarded in [true, false] {
        let (_gateway, upstream, bind) = started(|_, _, route| {
            route.cors = Some(Arc::new(Cors {
                source: source(),
                origins: vec![OriginMatch::Prefix("https://a.".into())],
                methods: Some("GET".into()),
                headers: None,
                exposed_headers: None,
                credentials: false,
                max_age: None,
                unmatched_preflights_forwarded: forwarded,
            }));
        })
        .await;
        let preflight = |origin: &str| {
            Request::options("/").header("origin", origin).header("access-control-request-method", "GET")
        };
        let client = Http::one(bind);
        let known = client.send(preflight("https://a.test")).await.expect("answered");
        assert_eq!(known.header("access-control-allow-origin"), "https://a.test");
        let other = client.send(preflight("https://b.test")).await.expect("answered");
        assert_eq!((other.status.as_u16(), other.header("access-control-allow-origin")), (200, ""));
        assert_eq!(upstream.seen().len(), usize::from(forwarded));
    }
}

#[tokio::test]
async fn a_call_may_ask_for_less_time_but_not_for_more() {
    // Connections are made, and nobody answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let bind = loopback();
    let mut route = route("/", "up");
    let target = &mut forward_of(&mut route).targets[0];
    (target.timeout, target.grpc_timeout) = (Some(Duration::from_millis(400)), true);
    let address = silent.local_addr().expect("bound");
    let _gateway = Gateway::start(simple(bind, server(vec![route]), address)).await;
    for (content_type, asked, at_least, at_most) in [
        ("application/grpc", "50m", 50, 400),
        ("application/grpc", "1H", 400, 5000),
        ("text/plain", "50m", 400, 5000),
    ] {
        let begun = Instant::now();
        let request = Request::post("/").header("content-type", content_type).header("grpc-timeout", asked);
        assert_eq!(status(bind, request).await, 504);
        let took = begun.elapsed();
        let between = Duration::from_millis(at_least)..Duration::from_millis(at_most);
        assert!(between.contains(&took), "{content_type} {asked}: {took:?}");
    }
}

#[tokio::test]
async fn client_certificates_are_judged_by_names_and_pins() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let issued = |uri: &str| clients.issue(&Leaf::client("c").uri(uri));
    let (known, other) = (issued("spiffe://test/known"), issued("spiffe://test/other"));
    let foreign = authority.issue(&Leaf::client("f").uri("spiffe://test/known"));
    let hash = |issued: &Issued| Pin::of(&issued.chain()[0]);
    let named =
        |rules: ClientRoots| ClientRoots { subject_alt_names: vec!["spiffe://test/known".into()], ..rules };
    let pinned = |rules: ClientRoots| ClientRoots { hash_pins: vec![hash(&known)], ..rules };
    let key = |rules: ClientRoots| ClientRoots { spki_pins: vec![spki(&known)], ..rules };
    let untrusted = |rules: ClientRoots| ClientRoots { accept_untrusted: true, ..rules };
    let plain = || ClientRoots::new(roots(&clients), None);
    for (what, rules, expected) in [
        ("roots", plain(), [true, true, false]),
        ("a name", named(plain()), [true, false, false]),
        ("a hash", pinned(plain()), [true, false, false]),
        ("a key", key(plain()), [true, false, false]),
        (
            "a key or another hash",
            ClientRoots { hash_pins: vec![hash(&other)], ..key(plain()) },
            [true, true, false],
        ),
        ("anybody", untrusted(plain()), [true, true, true]),
        ("anybody of a name", named(untrusted(plain())), [true, false, true]),
    ] {
        let upstream = Upstream::http("up").start().await;
        let bind = loopback();
        let client_auth = ClientAuth::Required(rules);
        let terminate = TlsServer { client_auth, ..tls_server(&authority.server(&["a.test"])) };
        let chains =
            vec![chain("a.test", ChainTls::Terminate(Arc::new(terminate)), server(vec![route("/", "up")]))];
        let _gateway =
            Gateway::start(edge(vec![listener(bind, chains)], vec![cluster("up", upstream.address())])).await;
        let get = async |certificate: Option<&Issued>| {
            let config = tls::client(&authority, certificate, &[]);
            Http::one(To::tls(bind, "a.test", config)).get("/").await.is_ok()
        };
        let let_in = [get(Some(&known)).await, get(Some(&other)).await, get(Some(&foreign)).await];
        assert_eq!(let_in, expected, "{what}");
        assert!(!get(None).await, "{what}: one has to be shown");
    }
}

fn spki(issued: &Issued) -> Pin {
    use x509_parser::prelude::{FromDer, X509Certificate};
    let der = &issued.chain()[0];
    let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
    Pin::of(certificate.public_key().raw)
}

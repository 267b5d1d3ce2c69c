//! Which endpoint, over which connection: stickiness, health, circuit breakers, connections that die.

use std::collections::BTreeSet;
use std::time::Duration;

use ::http::{HeaderName, Request};
use plenipo_model::{
    Balance, Dns, DnsFamily, DnsKind, HashKey, HeaderEdits, HealthCheck, HealthProbe, LimitSet, Priority,
    RetryOn, RetryPolicy, UpstreamProtocol,
};
use plenipo_testkit::{Answer, Http, HttpConnection, Raw, Scripted, Step, Upstream, eventually};

use super::*;

pub(crate) async fn several(count: usize) -> Vec<Upstream> {
    let mut upstreams = Vec::new();
    for number in 0..count {
        upstreams.push(Upstream::http(&format!("up{number}")).start().await);
    }
    upstreams
}

/// A gateway with one data thread (so that what it counts is exact) before several endpoints.
pub(crate) async fn spread(
    upstreams: &[Upstream],
    change: impl FnOnce(&mut Cluster, &mut Route),
) -> (Gateway, SocketAddr) {
    let bind = loopback();
    let mut route = route("/", "up");
    let mut cluster =
        Cluster::new("up", source(), Endpoints::addresses(upstreams.iter().map(Upstream::address)));
    change(&mut cluster, &mut route);
    let edge = edge(vec![listener(bind, vec![clear(server(vec![route]))])], vec![cluster]);
    (Gateway::start_with(edge, 1).await, bind)
}

fn hashed(balance: Balance, key: HashKey) -> impl FnOnce(&mut Cluster, &mut Route) {
    move |cluster, route| {
        cluster.balance = balance;
        forward_of(route).hash = Some(key);
    }
}

async fn backend(connection: &mut HttpConnection, name: &str, value: &str) -> String {
    let request = Request::get("/").header(name, value).body(String::new()).expect("valid");
    let response = connection.send(request).await.expect("answered");
    response.header("x-backend").to_owned()
}

pub(crate) async fn backends(bind: SocketAddr, count: usize) -> BTreeSet<String> {
    let mut connection = Http::one(bind).connect().await.expect("connected");
    let mut found = BTreeSet::new();
    for number in 0..count {
        found.insert(backend(&mut connection, "x-number", &number.to_string()).await);
    }
    found
}

#[tokio::test]
async fn a_header_a_cookie_and_an_address_stick() {
    let upstreams = several(5).await;
    for balance in [Balance::RingHash, Balance::Maglev] {
        let key = HashKey::Header(HeaderName::from_static("x-user"));
        let (_gateway, bind) = spread(&upstreams, hashed(balance, key)).await;
        let mut connection = Http::one(bind).connect().await.expect("connected");
        let mut found = BTreeSet::new();
        for user in 0..40 {
            let first = backend(&mut connection, "x-user", &user.to_string()).await;
            assert_eq!(backend(&mut connection, "x-user", &user.to_string()).await, first, "{balance:?}");
            found.insert(first);
        }
        assert_eq!(found.len(), 5, "{balance:?}: users are spread");
        assert!(backends(bind, 60).await.len() > 1, "{balance:?}: without the header anybody may serve");

        let (_gateway, bind) = spread(&upstreams, hashed(balance, HashKey::SourceIp)).await;
        assert_eq!(backends(bind, 20).await.len(), 1, "{balance:?}");

        let key = HashKey::Cookie { name: "stick".into(), path: None, ttl: None };
        let (_gateway, bind) = spread(&upstreams, hashed(balance, key)).await;
        let mut connection = Http::one(bind).connect().await.expect("connected");
        let first = backend(&mut connection, "cookie", "a=b; stick=me; c=d").await;
        for _ in 0..10 {
            assert_eq!(backend(&mut connection, "cookie", "stick=me").await, first, "{balance:?}");
        }
        let response = connection.get("/").await.expect("answered");
        assert_eq!(response.header("set-cookie"), "", "without a time to live the cookie is somebody else's");
    }
}

#[tokio::test]
async fn a_cookie_is_made_where_it_is_missing() {
    let upstreams = several(5).await;
    let key = HashKey::Cookie {
        name: "stick".into(),
        path: Some("/shop".into()),
        ttl: Some(Duration::from_secs(60)),
    };
    let (_gateway, bind) = spread(&upstreams, hashed(Balance::RingHash, key)).await;
    let mut connection = Http::one(bind).connect().await.expect("connected");
    let mut found = BTreeSet::new();
    for _ in 0..30 {
        let response = connection.get("/").await.expect("answered");
        let (first, cookie) =
            (response.header("x-backend").to_owned(), response.header("set-cookie").to_owned());
        assert!(cookie.ends_with("; HttpOnly; Max-Age=60; Path=/shop"), "{cookie}");
        let pair = cookie.split(';').next().expect("a pair");
        assert_eq!(
            backend(&mut connection, "cookie", pair).await,
            first,
            "the client comes back to where it was"
        );
        found.insert(first);
    }
    assert_eq!(found.len(), 5);
}

#[tokio::test]
async fn the_busy_endpoint_is_spared() {
    let upstreams = several(2).await;
    let (_gateway, bind) = spread(&upstreams, |cluster, _| cluster.balance = Balance::LeastRequest).await;
    upstreams[0].plan(std::iter::repeat_n(Answer::Silence, 10));
    let mut held = Vec::new();
    let seen = || upstreams[0].seen().len() + upstreams[1].seen().len();
    while upstreams[0].seen().len() < 10 {
        let before = seen();
        let mut raw = Raw::connect(bind).await.expect("connected");
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        held.push(raw);
        eventually("it arrived", async || seen() > before).await;
    }
    let before = upstreams[0].seen().len();
    let mut connection = Http::one(bind).connect().await.expect("connected");
    for _ in 0..50 {
        assert_eq!(connection.get("/").await.expect("answered").status, 200);
    }
    let more = upstreams[0].seen().len() - before;
    assert!(
        more <= 25,
        "two are drawn at random: the busy one serves only when it is drawn twice, not {more} times"
    );
}

#[tokio::test]
async fn a_name_is_resolved() {
    let upstream = Upstream::http("up").start().await;
    let (_gateway, bind) = spread(&[], |cluster, _| {
        cluster.endpoints = Endpoints::Dns(Dns {
            name: "localhost".into(),
            port: upstream.address().port(),
            kind: DnsKind::Strict,
            family: DnsFamily::V4,
            respect_ttl: false,
            others: Vec::new(),
        });
    })
    .await;
    assert_eq!(Http::one(bind).get("/").await.expect("answered").status, 200);
}

#[tokio::test]
async fn several_names_are_resolved_and_addresses_beside_them() {
    let upstreams = several(3).await;
    let port = |at: usize| upstreams[at].address().port();
    let (_gateway, bind) = spread(&[], |cluster, _| {
        cluster.endpoints = Endpoints::Dns(Dns {
            name: "localhost".into(),
            port: port(0),
            kind: DnsKind::Strict,
            family: DnsFamily::V4,
            respect_ttl: true,
            others: vec![("localhost".into(), port(1)), ("127.0.0.1".into(), port(2))],
        });
    })
    .await;
    eventually("all are used", async || backends(bind, 12).await.len() == 3).await;
}

fn check(probe: HealthProbe) -> HealthCheck {
    let (timeout, interval) = (Duration::from_millis(500), Duration::from_millis(20));
    HealthCheck { healthy_after: 1, unhealthy_after: 2, ..HealthCheck::new(timeout, interval, probe) }
}

#[tokio::test]
async fn endpoints_that_fail_their_checks_are_left_out_until_they_pass() {
    let http = HealthProbe::Http {
        path: "/healthy".into(),
        host: None,
        headers: HeaderEdits::default(),
        statuses: vec![],
    };
    let grpc = HealthProbe::Grpc { service: "s".into(), authority: None };
    for (probe, protocol) in [
        (http.clone(), UpstreamProtocol::Http1),
        (http, UpstreamProtocol::Http2),
        (grpc, UpstreamProtocol::Http2),
        (HealthProbe::Tcp, UpstreamProtocol::Http1),
    ] {
        let mut upstreams = several(3).await;
        let shown = format!("{probe:?} {protocol:?}");
        let (gateway, bind) = spread(&upstreams, |cluster, _| {
            cluster.protocol = protocol;
            cluster.health_checks = vec![check(probe)];
        })
        .await;
        let healthy = async || {
            let numbers = gateway.proxy.handle().measure().await;
            let states = numbers.endpoints["up"].clone().expect("resolved");
            states.iter().filter(|state| state.healthy).count()
        };
        let gone = upstreams.pop().expect("three");
        let address = gone.address();
        drop(gone);
        eventually(&shown, async || healthy().await == 2).await;
        assert_eq!(backends(bind, 12).await, BTreeSet::from(["up0".into(), "up1".into()]), "{shown}");
        upstreams.push(Upstream::http("back").bind(address).start().await);
        eventually(&shown, async || healthy().await == 3).await;
        assert!(backends(bind, 12).await.contains("back"), "{shown}");
    }
}

#[tokio::test]
async fn below_half_health_is_not_believed() {
    let upstreams = several(2).await;
    let never = HealthProbe::Http {
        path: "/".into(),
        host: None,
        headers: HeaderEdits::default(),
        statuses: vec![(299, 299)],
    };
    let (gateway, bind) = spread(&upstreams, |cluster, _| cluster.health_checks = vec![check(never)]).await;
    eventually("none is healthy", || async {
        let numbers = gateway.proxy.handle().measure().await;
        numbers.endpoints["up"].as_ref().is_some_and(|states| states.iter().all(|state| !state.healthy))
    })
    .await;
    assert_eq!(backends(bind, 10).await.len(), 2);
}

#[tokio::test]
async fn circuit_breakers_count_each_priority_for_itself() {
    let upstreams = several(1).await;
    let (gateway, bind) = spread(&upstreams, |cluster, route| {
        cluster.limits.default = LimitSet { requests: 0, ..LimitSet::default() };
        cluster.limits.high = LimitSet { retries: 0, ..LimitSet::default() };
        let forward = forward_of(route);
        forward.priority = Priority::High;
        forward.retry = Some(RetryPolicy::new(RetryOn::FiveXx, 3));
    })
    .await;
    upstreams[0].plan([Answer::Status(500)]);
    let client = Http::one(bind);
    assert_eq!(client.get("/").await.expect("answered").status, 500, "no retry is allowed");
    assert_eq!(client.get("/").await.expect("answered").status, 200);
    let numbers = gateway.proxy.handle().measure().await;
    assert_eq!((numbers.clusters["up"].retries, numbers.clusters["up"].overflows), (0, 1));
}

#[tokio::test]
async fn requests_beyond_the_limit_are_turned_away_until_one_ends() {
    let upstreams = several(1).await;
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let (gateway, bind) = spread(&upstreams, |cluster, _| {
            cluster.protocol = protocol;
            cluster.limits.default = LimitSet { requests: 1, ..LimitSet::default() };
        })
        .await;
        upstreams[0].plan([Answer::Silence]);
        let mut held = Raw::connect(bind).await.expect("connected");
        held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        let active = async || gateway.proxy.handle().measure().await.clusters["up"].active;
        eventually("it is under way", async || active().await == 1).await;
        let response = Http::one(bind).get("/").await.expect("answered");
        assert_eq!((response.status.as_u16(), response.header("x-envoy-overloaded")), (503, "true"));
        drop(held);
        eventually("its place is free", async || active().await == 0).await;
        upstreams[0].forget();
        assert_eq!(Http::one(bind).get("/").await.expect("answered").status, 200);
    }
}

#[tokio::test]
async fn unused_and_old_connections_are_closed() {
    let upstreams = several(1).await;
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let (_gateway, bind) = spread(&upstreams, |cluster, _| {
            cluster.protocol = protocol;
            cluster.idle_timeout = Some(Duration::from_millis(50));
        })
        .await;
        assert_eq!(Http::one(bind).get("/").await.expect("answered").status, 200);
        eventually("it is closed", || async { upstreams[0].open() == 0 }).await;
        let (_gateway, bind) = spread(&upstreams, |cluster, _| {
            cluster.protocol = protocol;
            cluster.max_connection_lifetime = Some(Duration::ZERO);
        })
        .await;
        let before = upstreams[0].accepted();
        for _ in 0..3 {
            assert_eq!(Http::one(bind).get("/").await.expect("answered").status, 200);
        }
        assert_eq!(upstreams[0].accepted() - before, 3, "each is too old for another request");
        eventually("they are closed", || async { upstreams[0].open() == 0 }).await;
    }
}

/// An upstream that closes (or resets) the connection as the second request arrives on it: it was idle for too long.
async fn closing(last: Step) -> Scripted {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    Scripted::start([Step::ReadUntil("\r\n\r\n"), Step::text(ok), Step::Read(1), last]).await
}

#[tokio::test]
async fn a_connection_that_closes_at_the_worst_moment_costs_only_who_cannot_be_repeated() {
    for last in [Step::Finish, Step::Reset] {
        let upstream = closing(last.clone()).await;
        let bind = loopback();
        let edge = simple(bind, server(vec![route("/", "up")]), upstream.address());
        let _gateway = Gateway::start_with(edge, 1).await;
        let mut client = Http::one(bind).connect().await.expect("connected");
        for _ in 0..5 {
            assert_eq!(client.get("/").await.expect("answered").status, 200, "{last:?}");
        }
        let before = upstream.received().iter().flatten().filter(|byte| **byte == b'\r').count();
        let post = Request::post("/").body("x=1".to_owned()).expect("valid");
        assert_eq!(client.send(post).await.expect("answered").status, 503, "{last:?}: it may have been done");
        let posts = upstream.received().concat();
        let posts = String::from_utf8_lossy(&posts).matches("POST / ").count();
        assert!(posts <= 1 && before > 0, "{last:?}: sent {posts} times");
    }
}

#[tokio::test]
async fn an_upstream_that_restarts_loses_no_get() {
    let upstream = Upstream::http("up").start().await;
    let address = upstream.address();
    let bind = loopback();
    let _gateway = Gateway::start(simple(bind, server(vec![route("/", "up")]), address)).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(Http::one(bind).connect().await.expect("connected"));
    }
    let requests = clients.iter_mut().map(|client| client.get("/"));
    futures(requests).await;
    drop(upstream);
    eventually("nobody listens", || async { Raw::connect(address).await.is_err() }).await;
    let _again = Upstream::http("again").bind(address).start().await;
    let requests = clients.iter_mut().map(|client| client.get("/"));
    futures(requests).await;
}

/// All at once, and all must succeed.
async fn futures<E: std::fmt::Debug>(
    all: impl Iterator<Item = impl Future<Output = Result<plenipo_testkit::Response, E>>>,
) {
    for response in futures_util::future::join_all(all).await {
        assert_eq!(response.expect("answered").status, 200);
    }
}

#[tokio::test]
async fn who_finds_no_connection_waits_for_one() {
    let upstreams = several(1).await;
    let (gateway, bind) = spread(&upstreams, |cluster, _| {
        cluster.limits.default = LimitSet { connections: 1, pending: 1, ..LimitSet::default() };
    })
    .await;
    upstreams[0].plan([Answer::Silence]);
    let mut held = Raw::connect(bind).await.expect("connected");
    held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    let active = async || gateway.proxy.handle().measure().await.clusters["up"].active;
    eventually("it has the connection", async || active().await == 1 && !upstreams[0].seen().is_empty())
        .await;
    let waiting = tokio::spawn(async move { Http::one(bind).get("/").await });
    eventually("the next one waits", async || active().await == 2).await;
    let response = Http::one(bind).get("/").await.expect("answered");
    assert_eq!((response.status.as_u16(), response.header("x-envoy-overloaded")), (503, "true"));
    drop(held);
    assert_eq!(waiting.await.expect("no panic").expect("answered").status, 200);
}

/// Connections that are kept for others would shut it out.
#[tokio::test]
async fn every_endpoint_has_a_connection() {
    let upstreams = several(3).await;
    let (_gateway, bind) = spread(&upstreams, |cluster, _| {
        cluster.limits.default = LimitSet { connections: 1, ..LimitSet::default() };
    })
    .await;
    assert_eq!(backends(bind, 9).await.len(), 3);
}

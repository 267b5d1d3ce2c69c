//! Which target a load balancer chooses, for how long a client stays there, and how targets come and go.

use std::collections::BTreeMap;
use std::time::Duration;

use ::http::Request;
use plenipo_model::{
    BalancerRules, FailOpen, HeaderEdits, HealthCheck, HealthProbe, HealthTransport, StickyEndpoint,
    StickyTargets, Target as Share, TlsClient, UpstreamProtocol,
};
use plenipo_testkit::client::Response;
use plenipo_testkit::{Authority, Http, HttpConnection, Scripted, Step, Upstream, eventually, tls};
use tokio::time::Instant;

use super::balancer::balanced;
use super::*;

async fn targets(count: usize) -> Vec<Upstream> {
    let mut targets = Vec::new();
    for number in 0..count {
        targets.push(Upstream::http(&format!("target{number}")).start().await);
    }
    targets
}

fn group(name: &str, targets: &[Upstream]) -> Cluster {
    Cluster::new(name, source(), Endpoints::addresses(targets.iter().map(Upstream::address)))
}

/// One listener before one group; with one data thread, what is counted is exact.
fn before(bind: SocketAddr, rules: BalancerRules, group: Cluster) -> Edge {
    let mut forward = route("/", &group.name);
    forward_of(&mut forward).upgrades = vec!["websocket".into()];
    edge(vec![listener(bind, vec![clear(balanced(rules, vec![forward]))])], vec![group])
}

fn by_cookie(cookie: &str, companion: Option<&str>) -> StickyEndpoint {
    StickyEndpoint {
        cookie: cookie.into(),
        companion: companion.map(str::to_owned),
        duration: Some(Duration::from_secs(60)),
        app_cookie: None,
    }
}

/// A client that keeps no cookies but those it is told to send.
struct Client(HttpConnection);

impl Client {
    async fn of(bind: SocketAddr) -> Self {
        Self(Http::one(bind).connect().await.expect("connected"))
    }

    async fn get(&mut self, cookies: &str, more: &[(&str, &str)]) -> Response {
        let request = Request::get("/").header("cookie", cookies);
        let request = more.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.0.send(request.body(String::new()).expect("valid")).await.expect("answered")
    }
}

/// The cookies that a response sets: name, value, attributes.
fn set(response: &Response) -> Vec<(String, String, String)> {
    let lines = response.headers.get_all("set-cookie").iter();
    lines
        .map(|line| {
            let (pair, attributes) = line.to_str().expect("text").split_once(';').expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            (name.to_owned(), value.to_owned(), attributes.trim().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn awsalb_keeps_clients_at_their_target() {
    let targets = targets(3).await;
    let bind = loopback();
    let mut sticky = group("up", &targets);
    sticky.sticky = Some(by_cookie("AWSALB", Some("AWSALBCORS")));
    let edge = before(bind, BalancerRules::application(), sticky);
    let mut gateway = Gateway::start_with(edge.clone(), 1).await;
    let mut client = Client::of(bind).await;
    let first = client.get("a=b", &[]).await;
    let home = first.header("x-backend").to_owned();
    let cookies = set(&first);
    let names: Vec<_> = cookies.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, ["AWSALB", "AWSALBCORS"]);
    let (value, attributes) = (cookies[0].1.clone(), &cookies[0].2);
    assert!(attributes.starts_with("Expires=") && attributes.ends_with(" GMT; Path=/"), "{attributes}");
    assert_eq!(cookies[1].1, value);
    assert_eq!(cookies[1].2, format!("{attributes}; SameSite=None; Secure"));
    for name in ["AWSALB", "AWSALBCORS"] {
        for _ in 0..6 {
            let again = client.get(&format!("x=1; {name}={value}"), &[]).await;
            assert_eq!(again.header("x-backend"), home, "{name}");
            assert_ne!(set(&again)[0].1, value, "written anew with every response");
        }
    }
    let mut spread = BTreeMap::new();
    for _ in 0..6 {
        let response = client.get(&format!("AWSALB=x{value}"), &[]).await;
        assert_eq!(set(&response).len(), 2, "a bad one is replaced");
        *spread.entry(response.header("x-backend").to_owned()).or_insert(0) += 1;
    }
    assert_eq!(spread.values().copied().collect::<Vec<_>>(), [2, 2, 2], "and decides nothing");

    // A target that is gone keeps nobody.
    let left: Vec<_> = targets.iter().filter(|target| target.name() != home).map(Upstream::address).collect();
    let mut edge = edge;
    let mut cluster = (*edge.clusters["up"]).clone();
    cluster.endpoints = Endpoints::addresses(left);
    edge.clusters.insert("up".into(), Arc::new(cluster));
    gateway.publish(edge).await;
    let moved = client.get(&format!("AWSALB={value}"), &[]).await;
    assert_ne!(moved.header("x-backend"), home);
    let new = &set(&moved)[0].1;
    let kept = client.get(&format!("AWSALB={new}"), &[]).await;
    assert_eq!(kept.header("x-backend"), moved.header("x-backend"));
}

#[tokio::test]
async fn an_application_cookie_begins_and_ends_the_stay() {
    let targets = targets(3).await;
    let bind = loopback();
    let mut sticky = group("up", &targets);
    sticky.sticky =
        Some(StickyEndpoint { app_cookie: Some("session".into()), ..by_cookie("AWSALBAPP-0", None) });
    let _gateway = Gateway::start_with(before(bind, BalancerRules::application(), sticky), 1).await;
    let mut client = Client::of(bind).await;
    assert!(set(&client.get("a=b", &[]).await).is_empty(), "the application has not begun a session");
    let begun = client.get("a=b", &[("x-echo-header", "set-cookie=session=1; path=/")]).await;
    let home = begun.header("x-backend").to_owned();
    let cookies = set(&begun);
    assert_eq!(
        cookies.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(),
        ["session", "AWSALBAPP-0"]
    );
    let value = &cookies[1].1;
    for _ in 0..6 {
        let stays = client.get(&format!("session=1; AWSALBAPP-0={value}"), &[]).await;
        assert_eq!(stays.header("x-backend"), home);
        assert_eq!(set(&stays).len(), 1, "written anew");
    }
    let mut seen = BTreeMap::new();
    for _ in 0..6 {
        let response = client.get(&format!("AWSALBAPP-0={value}"), &[]).await;
        *seen.entry(response.header("x-backend").to_owned()).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 3, "without the session there is no stay");
}

#[tokio::test]
async fn awselb_is_set_once() {
    let targets = targets(2).await;
    for (duration, attributes) in [(Some(Duration::from_secs(60)), "PATH=/;MAX-AGE=60"), (None, "PATH=/")] {
        let bind = loopback();
        let mut sticky = group("up", &targets);
        sticky.sticky = Some(StickyEndpoint { duration, ..by_cookie("AWSELB", None) });
        let _gateway = Gateway::start_with(before(bind, BalancerRules::classic(), sticky), 1).await;
        let mut client = Client::of(bind).await;
        let first = client.get("a=b", &[]).await;
        let cookies = set(&first);
        assert_eq!((cookies[0].0.as_str(), cookies[0].2.as_str()), ("AWSELB", attributes));
        for _ in 0..4 {
            let again = client.get(&format!("AWSELB={}", cookies[0].1), &[]).await;
            assert_eq!(again.header("x-backend"), first.header("x-backend"));
            assert!(set(&again).is_empty(), "its time runs from the choice");
        }
    }
}

#[tokio::test]
async fn groups_are_drawn_once_and_have_no_substitute() {
    let (blue, green) = (targets(2).await, targets(1).await);
    let bind = loopback();
    let mut forward = route("/", "blue");
    let rule = forward_of(&mut forward);
    rule.targets = ["blue", "green", "empty"]
        .map(|name| Share { weight: 1, ..Share::all(source(), name.into()) })
        .into();
    rule.total = 3;
    rule.sticky = Some(StickyTargets {
        cookie: "AWSALBTG".into(),
        companion: Some("AWSALBTGCORS".into()),
        duration: Duration::from_secs(60),
    });
    let server = balanced(BalancerRules::application(), vec![forward]);
    let clusters = vec![group("blue", &blue), group("green", &green), group("empty", &[])];
    let _gateway = Gateway::start_with(edge(vec![listener(bind, vec![clear(server)])], clusters), 1).await;
    let mut client = Client::of(bind).await;
    let mut statuses = BTreeMap::new();
    let mut homes = BTreeMap::new();
    for _ in 0..60 {
        let response = client.get("a=b", &[]).await;
        *statuses.entry(response.status.as_u16()).or_insert(0) += 1;
        if let [(_, value, _), companion] = &*set(&response) {
            assert_eq!((companion.0.as_str(), &companion.1), ("AWSALBTGCORS", value));
            let connection = response.echoed().expect("echo").backend;
            homes.insert(connection, value.clone());
        }
    }
    assert!(statuses[&200] > 20 && statuses[&503] > 5, "an empty group is not passed over: {statuses:?}");
    for value in homes.values() {
        let mut seen = BTreeMap::new();
        for _ in 0..10 {
            let response = client.get(&format!("AWSALBTG={value}"), &[]).await;
            assert_eq!(response.status, 200, "no group is drawn any more");
            *seen.entry(response.header("x-backend").to_owned()).or_insert(0) += 1;
        }
        assert!(seen.len() <= 2, "{seen:?}");
    }
}

#[tokio::test]
async fn new_targets_start_slowly() {
    let targets = targets(2).await;
    let bind = loopback();
    let mut slow = group("up", &targets[..1]);
    slow.slow_start = Some(Duration::from_secs(600));
    let edge = before(bind, BalancerRules::application(), slow.clone());
    let mut gateway = Gateway::start_with(edge.clone(), 1).await;
    slow.endpoints = group("up", &targets).endpoints;
    let mut grown = edge.clone();
    grown.clusters.insert("up".into(), Arc::new(slow.clone()));
    gateway.publish(grown.clone()).await;
    let mut client = Client::of(bind).await;
    for _ in 0..100 {
        client.get("a=b", &[]).await;
    }
    let [old, new] = [0, 1].map(|at: usize| targets[at].seen().len());
    assert!(old >= 90 && new <= 10, "{old} to {new}");
    // Without a slow start both get their share at once.
    slow.slow_start = None;
    grown.clusters.insert("up".into(), Arc::new(slow));
    gateway.publish(grown).await;
    targets.iter().for_each(Upstream::forget);
    for _ in 0..100 {
        client.get("a=b", &[]).await;
    }
    assert_eq!([0, 1].map(|at: usize| targets[at].seen().len()), [50, 50]);
}

/// Targets are asked where and how the check says, not where the traffic goes; one that fails gets nothing.
#[tokio::test]
async fn health_is_asked_for_on_other_ports_by_tls_and_by_any_call() {
    let authority = Authority::new("ca");
    let serve = tls::server(&authority.server(&["health.test"]), &["http/1.1"]);
    let (clear, encrypted) =
        (Upstream::http("clear").start().await, Upstream::http("tls").tls(serve).start().await);
    let unverified = HealthTransport::Tls(Arc::new(TlsClient::unverified(source())));
    let http = HealthProbe::Http {
        path: "/healthz".into(),
        host: None,
        headers: HeaderEdits::default(),
        statuses: vec![(200, 399)],
    };
    let call = |status| HealthProbe::GrpcCall {
        path: "/AWS.ALB/healthcheck".into(),
        statuses: vec![(status, status)],
    };
    use HealthTransport::{ClearText, Traffic};
    for (probe, port, transport, protocol, healthy) in [
        (http.clone(), Some(clear.address().port()), Traffic, UpstreamProtocol::Http1, true),
        (http.clone(), Some(encrypted.address().port()), unverified.clone(), UpstreamProtocol::Http1, true),
        (http.clone(), Some(encrypted.address().port()), ClearText, UpstreamProtocol::Http1, false),
        (http, None, unverified, UpstreamProtocol::Http1, false),
        // The target answers every call with OK.
        (call(0), None, Traffic, UpstreamProtocol::Http2, true),
        (call(12), None, Traffic, UpstreamProtocol::Http2, false),
    ] {
        let case = format!("{probe:?} {port:?} {transport:?}");
        let bind = loopback();
        let mut group = group("up", std::slice::from_ref(&clear));
        let (timeout, interval) = (Duration::from_millis(500), Duration::from_millis(20));
        group.protocol = protocol;
        group.fail_open = FailOpen::Never;
        group.health_checks =
            vec![HealthCheck { port, transport, ..HealthCheck::new(timeout, interval, probe) }];
        clear.forget();
        encrypted.forget();
        let _gateway = Gateway::start(before(bind, BalancerRules::application(), group)).await;
        eventually(&case, || async {
            let status = Http::one(bind).get("/").await.expect("answered").status.as_u16();
            let asked =
                [&clear, &encrypted].iter().flat_map(|target| target.seen()).any(|seen| seen.path != "/");
            if healthy { status == 200 && asked } else { status == 503 }
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_under_way_has_its_time_to_drain() {
    let drain = Duration::from_millis(700);
    let leaving = Upstream::http("leaving").start().await;
    let stays = Upstream::http("stays").start().await;
    let bind = loopback();
    let mut old = group("up", std::slice::from_ref(&leaving));
    old.drain = Some(drain);
    let mut new = group("up", std::slice::from_ref(&stays));
    new.drain = Some(drain);
    let mut gateway = Gateway::start(before(bind, BalancerRules::application(), old)).await;
    let ask = |delay: &'static str| {
        tokio::spawn(
            async move { Http::one(bind).send(Request::get("/").header("x-echo-delay-ms", delay)).await },
        )
    };
    let (quick, endless) = (ask("300"), ask("60000"));
    let mut socket = Http::one(bind).websocket(Request::get("/")).await.expect("upgraded");
    socket.send("before").await.expect("sent");
    assert_eq!(socket.receive().await.expect("echoed"), "before");
    eventually("all are under way", || async { leaving.seen().len() == 3 }).await;
    gateway.publish(before(bind, BalancerRules::application(), new)).await;
    let begun = Instant::now();
    socket.send("after").await.expect("sent");
    assert_eq!(socket.receive().await.expect("it lives on"), "after");
    assert_eq!(Http::one(bind).get("/").await.expect("answered").header("x-backend"), "stays");
    assert_eq!(quick.await.expect("ran").expect("finishes").header("x-backend"), "leaving");
    let cut = endless.await.expect("ran").expect("answered");
    assert_eq!((cut.status.as_u16(), cut.header("server")), (502, "awselb/2.0"));
    assert!(begun.elapsed() >= drain);
    assert!(socket.receive().await.is_err(), "the socket is cut, too");
}

#[tokio::test]
async fn a_body_is_cut_when_its_target_has_drained() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf ";
    let leaving = Scripted::start([Step::ReadUntil("\r\n\r\n"), Step::text(head), Step::Hang]).await;
    let bind = loopback();
    let mut group = cluster("up", leaving.address());
    group.drain = Some(Duration::from_millis(200));
    let edge = before(bind, BalancerRules::application(), group.clone());
    let mut gateway = Gateway::start(edge).await;
    let mut raw = plenipo_testkit::Raw::connect(bind).await.expect("connected");
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    raw.until("half ").await.expect("the beginning");
    group.endpoints = Endpoints::addresses([]);
    gateway.publish(before(bind, BalancerRules::application(), group)).await;
    assert!(raw.closes().await, "cut");
}

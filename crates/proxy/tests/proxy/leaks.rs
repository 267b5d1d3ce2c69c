//! After everything that clients may do, nothing is left behind.

use std::time::Duration;

use ::http::Request;
use plenipo_model::{RetryOn, RetryPolicy, UpstreamProtocol};
use plenipo_testkit::{Http, Raw, Upstream, eventually};

use super::*;

/// One client, one way of coming and going.
async fn one(bind: SocketAddr, upstream: UpstreamProtocol, number: usize) {
    let raw = async |bytes: &str| {
        let mut raw = Raw::connect(bind).await.expect("connected");
        // The other side may already have had enough of us.
        let _ = raw.send(bytes).await;
        raw
    };
    match number % 14 {
        0 => drop(raw("").await),
        1 => drop(raw("GET / HT").await),
        2 => drop(raw("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await),
        3 => drop(raw("GET / HTTP/1.1\r\nHost: a\r\nx-echo-delay-ms: 60000\r\n\r\n").await),
        4 => drop(raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf").await),
        5 => drop(raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf").await),
        6 => {
            let mut raw = raw("GET / HTTP/1.1\r\nHost: a\r\nx-echo-body-bytes: 5000000\r\n\r\n").await;
            raw.until("\r\n\r\n").await.expect("a head");
        }
        7 => {
            let mut raw =
                raw("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /").await;
            raw.until("\r\n\r\n").await.expect("a head");
        }
        8 => drop(raw("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n").await),
        9 => {
            let mut connection = Http::two(bind).connect().await.expect("connected");
            let slow =
                Request::get("/").header("x-echo-delay-ms", "60000").body(String::new()).expect("valid");
            let _ = tokio::time::timeout(Duration::from_millis(5), connection.send(slow)).await;
        }
        10 => {
            let mut connection = Http::two(bind).connect().await.expect("connected");
            let large = Request::get("/").header("x-echo-body-bytes", "5000000").body(String::new());
            drop(connection.begin(large.expect("valid")).await.expect("a head"));
            assert_eq!(connection.get("/").await.expect("the connection lives").status, 200);
        }
        11 => {
            let upgraded = Http::one(bind).websocket(Request::get("/ws")).await;
            // There is nothing to upgrade on a stream of HTTP/2.
            assert_eq!(upgraded.is_ok(), upstream == UpstreamProtocol::Http1);
            if let Ok(mut socket) = upgraded {
                socket.send("hello").await.expect("sent");
            }
        }
        12 => {
            let reset = Request::get("/").header("x-echo-reset", "1");
            assert_eq!(Http::one(bind).send(reset).await.expect("answered").status, 503);
        }
        _ => {
            let client = Http::one(bind);
            let post = client.send_with(Request::post("/"), vec![b'x'; 100_000]);
            assert_eq!(post.await.expect("answered").status, 200);
        }
    }
}

async fn nothing_is_left(protocol: UpstreamProtocol, retry: bool) {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut route = route("/", "up");
    let forward = forward_of(&mut route);
    forward.upgrades = vec!["websocket".into()];
    forward.retry = retry.then(|| RetryPolicy {
        per_try_timeout: Some(Duration::from_secs(20)),
        ..RetryPolicy::new(RetryOn::FiveXx, 1)
    });
    let mut cluster = cluster("up", upstream.address());
    cluster.protocol = protocol;
    cluster.idle_timeout = Some(Duration::from_millis(200));
    let edge = edge(vec![listener(bind, vec![clear(server(vec![route]))])], vec![cluster]);
    let gateway = Gateway::start(edge).await;
    let clients = |from: usize| {
        futures_util::future::join_all((from..from + 50).map(|number| one(bind, protocol, number)))
    };
    for from in (0..500).step_by(50) {
        clients(from).await;
    }
    eventually("nothing is left", || async {
        let numbers = gateway.proxy.handle().measure().await;
        let (listener, cluster) = (&numbers.listeners["ingress_http"], &numbers.clusters["up"]);
        let left = [listener.connections, listener.requests_active, cluster.active, cluster.connections];
        if left == [0; 4] { Ok(()) } else { Err(left) }
    })
    .await;
    eventually("the upstream agrees", || async { upstream.open() == 0 }).await;
}

#[tokio::test]
async fn with_an_http1_upstream() {
    nothing_is_left(UpstreamProtocol::Http1, false).await;
    nothing_is_left(UpstreamProtocol::Http1, true).await;
}

#[tokio::test]
async fn with_an_http2_upstream() {
    nothing_is_left(UpstreamProtocol::Http2, false).await;
    nothing_is_left(UpstreamProtocol::Http2, true).await;
}

#[tokio::test]
async fn the_gone_are_reported() {
    let (gateway, upstream, bind) = started(|_, _, _| {}).await;
    for client in [Http::one(bind), Http::two(bind)] {
        upstream.forget();
        let mut connection = client.connect().await.expect("connected");
        let slow = Request::get("/").header("x-echo-delay-ms", "60000").body(String::new()).expect("valid");
        tokio::select! {
            _ = connection.send(slow) => panic!("nothing answers"),
            () = eventually("it is under way", || async { !upstream.seen().is_empty() }) => {}
        }
    }
    eventually("both are counted", || async {
        let numbers = gateway.proxy.handle().measure().await;
        let gone =
            numbers.requests.iter().filter(|(labels, _)| labels.error == "DC" && &*labels.route == "/");
        let gone: u64 = gone.map(|(_, times)| times.count()).sum();
        let listener = &numbers.listeners["ingress_http"];
        (gone, listener.classes[0], listener.requests_active) == (2, 2, 0)
    })
    .await;
}

/// An upstream ends HTTP/2 connections on which many streams are reset, whoever else is served there.
#[tokio::test]
async fn who_goes_takes_nobody_elses_connection_along() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut cluster = cluster("up", upstream.address());
    cluster.protocol = UpstreamProtocol::Http2;
    let listener = listener(bind, vec![clear(server(vec![route("/", "up")]))]);
    let _gateway = Gateway::start_with(edge(vec![listener], vec![cluster]), 1).await;
    let connection =
        async || Http::one(bind).get("/").await.expect("answered").echoed().expect("echo").connection;
    assert_eq!(connection().await, 1);
    let mut others = Raw::connect(bind).await.expect("connected");
    others.send("GET / HTTP/1.1\r\nHost: a\r\nx-echo-delay-ms: 60000\r\n\r\n").await.expect("sent");
    let seen = async |count| {
        eventually("the upstream has it", || async { upstream.seen().len() == count }).await;
    };
    seen(2).await;
    for turn in 0..5 {
        let mut half = Raw::connect(bind).await.expect("connected");
        half.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhalf").await.expect("sent");
        let mut whole = Raw::connect(bind).await.expect("connected");
        let request = "GET / HTTP/1.1\r\nHost: a\r\nx-echo-delay-ms: 60000\r\n\r\n";
        whole.send(request).await.expect("sent");
        // Who goes at once may be gone before anybody has heard of it.
        seen(3 + turn).await;
    }
    eventually("requests go elsewhere", || async { connection().await == 2 }).await;
    assert_eq!(upstream.open(), 2, "what is under way stays where it is");
    assert!(others.stays_silent(Duration::from_millis(1)).await);
}

/// What still comes on streams that were reset is no offence of the upstream's.
#[tokio::test]
async fn who_goes_in_an_answer_takes_nobody_along_either() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut cluster = cluster("up", upstream.address());
    cluster.protocol = UpstreamProtocol::Http2;
    let listener = listener(bind, vec![clear(server(vec![route("/", "up")]))]);
    let _gateway = Gateway::start_with(edge(vec![listener], vec![cluster]), 1).await;
    let mut others = Raw::connect(bind).await.expect("connected");
    others.send("GET / HTTP/1.1\r\nHost: a\r\nx-echo-delay-ms: 60000\r\n\r\n").await.expect("sent");
    eventually("it is under way", || async { upstream.seen().len() == 1 }).await;
    for _ in 0..20 {
        let gone = (0..20).map(|_| async {
            let mut raw = Raw::connect(bind).await.expect("connected");
            let request = "GET / HTTP/1.1\r\nHost: a\r\nx-echo-body-bytes: 2000000\r\n\r\n";
            raw.send(request).await.expect("sent");
            assert!(raw.until("\r\n\r\n").await.expect("a head").starts_with(b"HTTP/1.1 200"));
        });
        futures_util::future::join_all(gone).await;
    }
    assert_eq!(upstream.accepted(), 1, "the connection lives");
    assert!(others.stays_silent(Duration::from_millis(1)).await);
}

//! Endpoints that answer badly, priorities, and how long and how often a connection serves.

use std::collections::BTreeSet;
use std::time::Duration;

use ::http::Request;
use plenipo_model::{
    Balance, Endpoint, HashKey, Http2Keepalive, LimitSet, OutlierDetection, RetryBudget, RetryOn,
    RetryPolicy, TcpRoute, TcpTarget, TlsClient, UpstreamProtocol, Verify,
};
use plenipo_testkit::tls::server as serves;
use plenipo_testkit::{Answer, Authority, Http, Raw, Scripted, Step, Upstream, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::balance::{backends, several, spread};
use super::*;

fn outlier(failures: u32) -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: Some(failures),
        interval: Duration::from_millis(50),
        base_ejection: Duration::from_millis(500),
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    }
}

async fn ejected(gateway: &Gateway) -> usize {
    let numbers = gateway.proxy.handle().measure().await;
    let states = numbers.endpoints["up"].clone().expect("resolved");
    let ejected = states.iter().filter(|state| state.ejected).count();
    assert_eq!(numbers.clusters["up"].outliers.expect("watched").active, ejected as u64);
    ejected
}

async fn statuses(bind: SocketAddr, count: usize) -> Vec<u16> {
    let client = Http::one(bind);
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(client.get("/").await.expect("answered").status.as_u16());
    }
    found
}

#[tokio::test]
async fn one_that_fails_three_times_is_out_for_a_while() {
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let upstreams = several(2).await;
        let (gateway, bind) = spread(&upstreams, |cluster, _| {
            cluster.protocol = protocol;
            cluster.outlier = Some(outlier(3));
        })
        .await;
        upstreams[0].plan([Answer::Status(500), Answer::Status(502), Answer::Status(503)]);
        let failed = statuses(bind, 6).await.iter().filter(|status| **status >= 500).count();
        assert_eq!((failed, ejected(&gateway).await), (3, 1), "{protocol:?}");
        assert_eq!(backends(bind, 10).await, BTreeSet::from(["up1".into()]), "{protocol:?}");
        eventually("it is back", || async { ejected(&gateway).await == 0 }).await;
        assert_eq!(backends(bind, 10).await.len(), 2, "{protocol:?}");
    }
}

/// Requests of many connections, which the kernel gives to either data thread.
#[tokio::test]
async fn data_threads_count_together() {
    let upstreams = several(1).await;
    let bind = loopback();
    let mut cluster =
        Cluster::new("up", source(), Endpoints::addresses([upstreams[0].address(), refusing()]));
    cluster.outlier = Some(OutlierDetection { base_ejection: Duration::from_secs(600), ..outlier(5) });
    let edge = edge(vec![listener(bind, vec![clear(server(vec![route("/", "up")]))])], vec![cluster]);
    let gateway = Gateway::start_with(edge, 4).await;
    let failed = statuses(bind, 60).await.iter().filter(|status| **status == 503).count();
    assert_eq!((failed, ejected(&gateway).await), (5, 1));
    let numbers = gateway.proxy.handle().measure().await;
    assert_eq!(numbers.clusters["up"].connect_failures, 5, "nobody tries it any more");
    assert_eq!(numbers.clusters["up"].outliers.expect("watched").enforced, [1, 0, 0]);
}

#[tokio::test]
async fn timeouts_resets_and_refused_calls_count() {
    for (answer, protocol) in [
        (Answer::Silence, UpstreamProtocol::Http1),
        (Answer::Reset, UpstreamProtocol::Http1),
        (Answer::Silence, UpstreamProtocol::Http2),
        (Answer::Reset, UpstreamProtocol::Http2),
    ] {
        let upstreams = several(2).await;
        let (gateway, bind) = spread(&upstreams, |cluster, route| {
            cluster.protocol = protocol;
            cluster.outlier =
                Some(OutlierDetection { base_ejection: Duration::from_secs(600), ..outlier(2) });
            forward_of(route).targets[0].timeout = Some(Duration::from_millis(50));
        })
        .await;
        upstreams[0].plan([answer.clone(), answer.clone()]);
        let failed = statuses(bind, 8).await.iter().filter(|status| **status >= 500).count();
        assert_eq!((failed, ejected(&gateway).await), (2, 1), "{answer:?} {protocol:?}");
    }
    let upstreams = several(2).await;
    let (gateway, bind) = spread(&upstreams, |cluster, _| {
        cluster.protocol = UpstreamProtocol::Http2;
        cluster.outlier = Some(OutlierDetection { base_ejection: Duration::from_secs(600), ..outlier(2) });
    })
    .await;
    let client = Http::one(bind);
    for grpc in ["0", "14", "14", "14", "14"] {
        let call = Request::get("/").header("x-echo-header", format!("grpc-status={grpc}"));
        assert_eq!(client.send(call).await.expect("answered").status, 200);
    }
    assert_eq!(ejected(&gateway).await, 2, "calls that fail in their head");
}

#[tokio::test]
async fn the_only_one_goes_only_if_all_may_and_few_left_are_not_believed() {
    for (percent, least, out, last) in [(99, 0, 0, 200), (100, 0, 1, 503), (100, 1, 1, 200)] {
        let upstreams = several(1).await;
        let (gateway, bind) = spread(&upstreams, |cluster, _| {
            cluster.outlier = Some(OutlierDetection {
                max_ejection_percent: percent,
                min_health_percent: least,
                base_ejection: Duration::from_secs(600),
                ..outlier(2)
            });
        })
        .await;
        upstreams[0].plan([Answer::Status(500), Answer::Status(500)]);
        assert_eq!(statuses(bind, 3).await, [500, 500, last], "{percent} {least}");
        assert_eq!(ejected(&gateway).await, out);
    }
}

#[tokio::test]
async fn those_of_the_next_priority_serve_when_the_first_fail() {
    let upstreams = several(3).await;
    let priorities = |first: &[u32]| {
        let at = |(upstream, priority): (&Upstream, &u32)| Endpoint {
            priority: *priority,
            ..Endpoint::at(upstream.address())
        };
        Endpoints::Static(upstreams.iter().zip(first).map(at).collect())
    };
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Random, Balance::RingHash] {
        let (gateway, bind) = spread(&upstreams, |cluster, route| {
            cluster.balance = balance;
            cluster.endpoints = priorities(&[0, 1, 1]);
            cluster.outlier =
                Some(OutlierDetection { base_ejection: Duration::from_secs(600), ..outlier(1) });
            forward_of(route).hash = Some(HashKey::Header("x-number".parse().expect("a name")));
        })
        .await;
        assert_eq!(backends(bind, 10).await, BTreeSet::from(["up0".into()]), "{balance:?}");
        upstreams[0].plan([Answer::Status(500)]);
        assert_eq!(statuses(bind, 1).await, [500]);
        assert_eq!(ejected(&gateway).await, 1);
        assert_eq!(backends(bind, 20).await, BTreeSet::from(["up1".into(), "up2".into()]), "{balance:?}");
    }
}

#[tokio::test]
async fn retries_leave_a_priority_for_others_where_that_is_wanted() {
    for (other_priorities, expected) in [(false, 500), (true, 200)] {
        let upstreams = several(2).await;
        let (_gateway, bind) = spread(&upstreams, |cluster, route| {
            let last = Endpoint { priority: 7, ..Endpoint::at(upstreams[1].address()) };
            cluster.endpoints = Endpoints::Static([Endpoint::at(upstreams[0].address()), last].into());
            let policy = RetryPolicy::new(RetryOn::FiveXx, 2);
            forward_of(route).retry = Some(RetryPolicy { other_priorities, ..policy });
        })
        .await;
        upstreams[0].plan(vec![Answer::Status(500); 3]);
        assert_eq!(statuses(bind, 1).await, [expected]);
    }
}

#[tokio::test]
async fn a_budget_bounds_retries_in_place_of_the_limit() {
    for (least, retries, overflows) in [(0, 0, 1), (1, 2, 0)] {
        let upstreams = several(1).await;
        let (gateway, bind) = spread(&upstreams, |cluster, route| {
            cluster.limits.default = LimitSet { retries: 0, ..LimitSet::default() };
            cluster.retry_budget = Some(RetryBudget { part: 0, least });
            forward_of(route).retry = Some(RetryPolicy::new(RetryOn::FiveXx, 2));
        })
        .await;
        upstreams[0].plan(vec![Answer::Status(500); 2]);
        statuses(bind, 1).await;
        let numbers = gateway.proxy.handle().measure().await;
        assert_eq!((numbers.clusters["up"].retries, numbers.clusters["up"].overflows), (retries, overflows));
    }
}

#[tokio::test]
async fn a_connection_serves_so_many_requests() {
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let upstreams = several(1).await;
        let (_gateway, bind) = spread(&upstreams, |cluster, _| {
            cluster.protocol = protocol;
            cluster.max_requests_per_connection = Some(3);
        })
        .await;
        for (requests, connections) in [(3, 1), (1, 2), (2, 2), (6, 4)] {
            statuses(bind, requests).await;
            assert_eq!(upstreams[0].accepted(), connections, "{protocol:?}");
        }
        eventually("those used up are closed", || async { upstreams[0].open() == 0 }).await;
    }
}

#[tokio::test]
async fn streams_beyond_the_cluster_s_number_go_on_another_connection() {
    let upstreams = several(1).await;
    let (_gateway, bind) = spread(&upstreams, |cluster, _| {
        cluster.protocol = UpstreamProtocol::Http2;
        cluster.max_concurrent_streams = Some(2);
        let (interval, timeout) = (Duration::from_millis(20), Duration::from_secs(20));
        cluster.http2_keepalive = Some(Http2Keepalive { interval, timeout });
    })
    .await;
    let slow = || async {
        let request = Request::get("/").header("x-echo-delay-ms", "300");
        assert_eq!(Http::one(bind).send(request).await.expect("answered").status, 200);
    };
    futures_util::future::join_all((0..5).map(|_| slow())).await;
    assert_eq!(upstreams[0].accepted(), 3);
}

#[tokio::test]
async fn a_query_parameter_sticks() {
    let upstreams = several(5).await;
    let (_gateway, bind) = spread(&upstreams, |cluster, route| {
        cluster.balance = Balance::RingHash;
        cluster.hash_size = Some(1024);
        forward_of(route).hash = Some(HashKey::Query("user".into()));
    })
    .await;
    let client = Http::one(bind);
    let mut found = BTreeSet::new();
    for user in 0..100 {
        let mut stays = BTreeSet::new();
        for path in
            [format!("/?user={user}"), format!("/a?x=1&user={user}&user=other"), format!("/?user={user}#")]
        {
            let response = client.get(path.trim_end_matches('#')).await.expect("answered");
            stays.insert(response.header("x-backend").to_owned());
        }
        assert_eq!(stays.len(), 1, "{user}");
        found.extend(stays);
    }
    assert_eq!(found.len(), 5);
    let without = futures_util::future::join_all((0..40).map(|_| client.get("/?users=1"))).await;
    let without =
        without.into_iter().map(|response| response.expect("answered").header("x-backend").to_owned());
    assert!(without.collect::<BTreeSet<_>>().len() > 1, "without it anybody may serve");
}

fn relayed(bind: SocketAddr, cluster: Cluster, idle_timeout: Option<Duration>) -> Edge {
    let targets = vec![TcpTarget { source: source(), weight: 1, cluster: "up".into() }];
    let route = TcpRoute { idle_timeout, ..TcpRoute::new("relay", source(), targets) };
    let chain = Chain {
        source: source(),
        accepts: Accepts::Anything,
        tls: ChainTls::Untouched,
        serve: Serve::Tcp(Arc::new(route)),
    };
    edge(vec![listener(bind, vec![chain])], vec![cluster])
}

#[tokio::test]
async fn relays_end_when_they_are_quiet_or_have_lasted_long_enough() {
    let upstream = Upstream::tcp("up").start().await;
    let (short, long) = (Duration::from_millis(200), Duration::from_secs(60));
    let relay = async |idle, most, route| {
        let bind = loopback();
        let mut cluster = cluster("up", upstream.address());
        (cluster.relay_idle_timeout, cluster.max_relay_duration) = (idle, most);
        let gateway = Gateway::start(relayed(bind, cluster, route)).await;
        let mut stream = TcpStream::connect(bind).await.expect("connected");
        stream.write_all(b"x").await.expect("sent");
        assert_eq!(stream.read_u8().await.expect("echoed"), b'x');
        (gateway, stream)
    };
    let ends = async |mut stream: TcpStream, busy: bool| {
        let end = async {
            while !busy || stream.write_all(b"x").await.is_ok() {
                if stream.read_u8().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), end).await.is_ok()
    };
    let (_gateway, stream) = relay(Some(short), None, None).await;
    assert!(ends(stream, false).await, "it is quiet");
    let (_gateway, stream) = relay(None, Some(short), None).await;
    assert!(ends(stream, true).await, "it has lasted for long enough");
    let (_gateway, stream) = relay(Some(long), None, Some(short)).await;
    assert!(ends(stream, false).await, "what the route says goes first");
}

#[tokio::test]
async fn relays_avoid_who_cannot_be_reached() {
    let upstream = Upstream::tcp("up").start().await;
    let bind = loopback();
    let mut cluster = Cluster::new("up", source(), Endpoints::addresses([upstream.address(), refusing()]));
    cluster.outlier = Some(OutlierDetection {
        split_local_origin: true,
        consecutive_local_origin: Some(2),
        base_ejection: Duration::from_secs(600),
        ..outlier(1)
    });
    let gateway = Gateway::start_with(relayed(bind, cluster, None), 1).await;
    for _ in 0..10 {
        let mut stream = TcpStream::connect(bind).await.expect("connected");
        stream.write_all(b"x").await.expect("sent");
        assert_eq!(stream.read_u8().await.expect("echoed"), b'x');
    }
    let numbers = gateway.proxy.handle().measure().await;
    assert_eq!(numbers.clusters["up"].connect_failures, 2);
    assert_eq!(numbers.clusters["up"].outliers.expect("watched").enforced, [0, 0, 1]);
}

#[tokio::test]
async fn calls_that_end_badly_and_bodies_that_break_off_count() {
    let upstreams = several(2).await;
    let (gateway, bind) = spread(&upstreams, |cluster, _| {
        cluster.protocol = UpstreamProtocol::Http2;
        cluster.outlier = Some(OutlierDetection { base_ejection: Duration::from_secs(600), ..outlier(2) });
    })
    .await;
    let mut connection = Http::two(bind).connect().await.expect("connected");
    for (status, out) in [("0", 0), ("14", 0), ("0", 0), ("14", 1), ("0", 1)] {
        let call = Request::post("/plenipo.Echo/Say").header("x-echo-grpc-status", status);
        let (replies, ended) = connection.call(call, &["one"]).await.expect("called");
        assert_eq!((replies.len(), ended.code.to_string()), (1, status.to_owned()));
        assert_eq!(ejected(&gateway).await, out, "two endpoints in turn: every second answer is of the same");
    }
    let broken = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf";
    let broken = [Step::ReadUntil("\r\n\r\n"), Step::text(broken), Step::Finish];
    let broken = Scripted::start(broken).await;
    let (gateway, bind) = spread(&upstreams[..1], |cluster, _| {
        cluster.endpoints = Endpoints::addresses([upstreams[0].address(), broken.address()]);
        cluster.outlier = Some(OutlierDetection { base_ejection: Duration::from_secs(600), ..outlier(1) });
    })
    .await;
    let client = Http::one(bind);
    let mut whole = 0;
    for _ in 0..6 {
        whole += usize::from(client.get("/").await.is_ok());
    }
    assert_eq!((whole, ejected(&gateway).await), (5, 1));
}

/// What is left out of an interrupted exchange counts for nobody: the client kept us waiting.
#[tokio::test]
async fn a_client_that_is_slow_puts_nobody_out() {
    let upstreams = several(2).await;
    let (gateway, bind) = spread(&upstreams, |cluster, route| {
        cluster.outlier = Some(OutlierDetection { base_ejection: Duration::from_secs(600), ..outlier(1) });
        forward_of(route).targets[0].idle_timeout = Some(Duration::from_millis(50));
    })
    .await;
    for _ in 0..2 {
        let mut slow = Raw::connect(bind).await.expect("connected");
        slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhal").await.expect("sent");
        assert!(slow.to_end().await.expect("answered").starts_with(b"HTTP/1.1 408 "));
        let gone = Raw::connect(bind).await.expect("connected");
        drop(gone);
    }
    assert_eq!(ejected(&gateway).await, 0);
    let client = Http::one(bind);
    let silent = client.send(Request::get("/").header("x-echo-delay-ms", "10000"));
    assert_eq!(silent.await.expect("answered").status, 504);
    assert_eq!(ejected(&gateway).await, 1);
}

#[tokio::test]
async fn an_http2_connection_that_answers_no_ping_is_given_up() {
    // Settings, and not a word more.
    let settings = Step::Write(vec![0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let dead = Scripted::start([settings, Step::Hang]).await;
    let (_gateway, bind) = spread(&[], |cluster, _| {
        cluster.endpoints = Endpoints::addresses([dead.address()]);
        cluster.protocol = UpstreamProtocol::Http2;
        let (interval, timeout) = (Duration::from_millis(50), Duration::from_millis(50));
        cluster.http2_keepalive = Some(Http2Keepalive { interval, timeout });
    })
    .await;
    let client = Http::one(bind);
    let answer = tokio::time::timeout(Duration::from_secs(20), client.get("/")).await.expect("not for ever");
    assert_eq!(answer.expect("answered").status, 503);
}

#[tokio::test]
async fn a_service_may_be_spoken_to_as_its_clients_speak() {
    let issued = Authority::new("test").server(&["up.test"]);
    for secure in [false, true] {
        let mut builder = Upstream::http("up");
        if secure {
            builder = builder.tls(serves(&issued, &["h2", "http/1.1"]));
        }
        let upstream = builder.start().await;
        let (_gateway, bind) = spread(&[], |cluster, _| {
            cluster.endpoints = Endpoints::addresses([upstream.address()]);
            cluster.as_client = true;
            let offered = vec!["x-http/1.1".to_owned(), "http/1.1".to_owned()];
            let client = TlsClient { alpn: offered, ..super::tls::client(Verify::Nothing, None, false) };
            cluster.tls = secure.then(|| Arc::new(client));
        })
        .await;
        for _ in 0..2 {
            for (client, expected) in [(Http::one(bind), "HTTP/1.1"), (Http::two(bind), "HTTP/2.0")] {
                let echoed = client.get("/").await.expect("answered").echoed().expect("echo");
                assert_eq!(echoed.version, expected, "{secure}");
            }
        }
        assert_eq!(upstream.accepted(), 2);
    }
}

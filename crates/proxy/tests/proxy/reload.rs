//! A new configuration under traffic.

use plenipo_testkit::{Http, Upstream, eventually};
use tokio_util::sync::CancellationToken;

use super::*;

#[tokio::test]
async fn changes_take_effect_and_no_request_is_lost() {
    let (one, two) = (Upstream::http("one").start().await, Upstream::http("two").start().await);
    let bind = loopback();
    let to = |upstream: &Upstream| simple(bind, server(vec![route("/", "up")]), upstream.address());
    let mut gateway = Gateway::start(to(&one)).await;
    let stop = CancellationToken::new();
    let traffic: Vec<_> = (0..4)
        .map(|_| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut connection = Http::one(bind).connect().await.expect("connected");
                let mut count = 0;
                while !stop.is_cancelled() {
                    let response = connection.get("/").await.expect("no request fails");
                    assert_eq!(response.status.as_u16(), 200);
                    count += 1;
                }
                count
            })
        })
        .collect();
    for round in 0..50 {
        gateway.publish(to(if round % 2 == 0 { &two } else { &one })).await;
        let expected = if round % 2 == 0 { "two" } else { "one" };
        let response = Http::one(bind).get("/").await.expect("answered");
        assert_eq!(
            response.echoed().expect("echo").backend,
            expected,
            "a change serves once it is published"
        );
    }
    stop.cancel();
    for task in traffic {
        assert!(task.await.expect("no request failed") > 0);
    }
}

#[tokio::test]
async fn a_listener_that_goes_drains_and_one_that_comes_serves() {
    let upstream = Upstream::http("up").start().await;
    let (old, new) = (loopback(), loopback());
    let at = |bind| simple(bind, server(vec![route("/", "up")]), upstream.address());
    let mut gateway = Gateway::start(at(old)).await;
    let mut connection = Http::one(old).connect().await.expect("connected");
    connection.get("/").await.expect("answered");
    let slow = ::http::Request::get("/").header("x-echo-delay-ms", "300").body(String::new()).expect("valid");
    let under_way = tokio::spawn(async move { connection.send(slow).await });
    let handle = gateway.proxy.handle();
    let active = || async { handle.measure().await.listeners["ingress_http"].requests_active == 1 };
    eventually("the slow request is under way", active).await;
    gateway.publish(at(new)).await;
    assert_eq!(Http::one(new).get("/").await.expect("answered").status.as_u16(), 200);
    assert_eq!(under_way.await.expect("a task").expect("it is answered").status.as_u16(), 200);
    eventually("the old port is closed", || async { tokio::net::TcpStream::connect(old).await.is_err() })
        .await;
}

#[tokio::test]
async fn draining_answers_what_is_under_way_and_sends_clients_elsewhere() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut gateway = Gateway::start(simple(bind, server(vec![route("/", "up")]), upstream.address())).await;
    let handle = gateway.proxy.handle();
    assert!(handle.ready().await);
    let slow = ::http::Request::get("/").header("x-echo-delay-ms", "300");
    let under_way = tokio::spawn(async move { Http::one(bind).send(slow).await });
    eventually("the slow request is under way", || async { upstream.open() > 0 }).await;
    gateway.proxy.drain().await;
    let response = under_way.await.expect("a task").expect("it is answered");
    assert_eq!((response.status.as_u16(), response.header("connection")), (200, "close"));
    assert!(!handle.ready().await);
    assert!(tokio::net::TcpStream::connect(bind).await.is_err());
}

#[tokio::test]
async fn equal_parts_are_taken_over() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let before =
        Snapshot::build(Arc::new(simple(bind, server(vec![route("/", "up")]), upstream.address())), None);
    let mut edge = simple(bind, server(vec![route("/", "up"), route("/more", "new")]), upstream.address());
    edge.clusters.insert("new".into(), Arc::new(cluster("new", upstream.address())));
    let after = Snapshot::build(Arc::new(edge), Some(&before));
    let find = |snapshot: &Snapshot| snapshot.upstreams().find(|up| &*up.model.name == "up").cloned();
    assert!(Arc::ptr_eq(&find(&before).expect("there"), &find(&after).expect("there")));
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_and_the_rest_serves() {
    let upstream = Upstream::http("up").start().await;
    let (taken, free) = (loopback(), loopback());
    let _other = std::net::TcpListener::bind(taken).expect("free until now");
    let http = || clear(server(vec![route("/", "up")]));
    let both = edge(
        vec![listener(taken, vec![http()]), listener(free, vec![http()])],
        vec![cluster("up", upstream.address())],
    );
    let mut proxy = Proxy::start(Settings { workers: 1, ..Settings::default() }).expect("threads");
    let failed = proxy.publish(Snapshot::build(Arc::new(both), None)).await;
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].0, failed[0].1.kind()), (taken, std::io::ErrorKind::AddrInUse));
    assert_eq!(Http::one(free).get("/").await.expect("answered").status.as_u16(), 200);
}

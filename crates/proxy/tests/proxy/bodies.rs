//! Bodies: streamed both ways, bounded, never whole in memory.

use std::time::Duration;

use ::http::Request;
use plenipo_model::{AccessLogFormat, Template};
use plenipo_testkit::{Http, Raw, Scripted, Step, Upstream, eventually};

use super::records::{lines, logged_to};
use super::*;

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut http = server(vec![route("/", "up")]);
    http.limits.body_bytes = Some(2_000_000);
    let gateway = Gateway::start(simple(bind, http, upstream.address())).await;
    for client in [Http::one(bind), Http::two(bind)] {
        let request = Request::post("/").header("x-echo-body-bytes", "3000000");
        let response = client.send_with(request, vec![b'x'; 2_000_000]).await.expect("answered");
        assert_eq!(response.body.len(), 3_000_000);
    }
    assert!(upstream.seen().iter().all(|seen| seen.body.length == 2_000_000));
    eventually("all is counted", || async {
        let numbers = gateway.proxy.handle().measure().await;
        let counted = (numbers.clusters["up"].sent, numbers.clusters["up"].received);
        if counted == (4_000_000, 6_000_000) { Ok(()) } else { Err(counted) }
    })
    .await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut http = server(vec![route("/", "up")]);
    http.limits.body_bytes = Some(10);
    let _gateway = Gateway::start(simple(bind, http, upstream.address())).await;
    let declared = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    for request in [declared, chunked] {
        let answer = Raw::exchange(bind, request).await.expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    }
    let fits = Http::one(bind).send_with(Request::post("/"), "0123456789").await.expect("answered");
    assert_eq!(fits.status.as_u16(), 200);
}

/// Whoever is refused reads why, though more of the body comes than anybody takes: the socket is not closed over it.
#[tokio::test]
async fn a_refusal_outlives_the_body_that_comes_after_it() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut http = server(vec![route("/", "up")]);
    http.limits.body_bytes = Some(10);
    let gateway = Gateway::start(simple(bind, http, upstream.address())).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await.expect("sent");
    assert_eq!(raw.exactly(12).await.expect("an answer"), b"HTTP/1.1 413");
    for _ in 0..100 {
        raw.send("x".repeat(10_000)).await.expect("it is taken");
    }
    raw.to_end().await.expect("the rest of the answer, and its end");
    drop(raw);
    eventually("nothing is left", || async {
        gateway.proxy.handle().measure().await.listeners["ingress_http"].connections == 0
    })
    .await;
}

#[tokio::test]
async fn a_route_may_have_a_limit_of_its_own() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut bound = route("/bound", "up");
    bound.body_bytes = Some(5);
    let mut http = server(vec![bound, route("/", "up")]);
    http.limits.body_bytes = Some(10);
    let _gateway = Gateway::start(simple(bind, http, upstream.address())).await;
    let declared = "POST /bound HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n";
    let chunked =
        "POST /bound HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n0\r\n\r\n";
    for request in [declared, chunked] {
        let answer = Raw::exchange(bind, request).await.expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer));
    }
    for (path, body, expected) in
        [("/bound", "01234", 200), ("/", "0123456789", 200), ("/", "0123456789a", 413)]
    {
        let answer = Http::one(bind).send_with(Request::post(path), body).await.expect("answered");
        assert_eq!(answer.status.as_u16(), expected, "{path} {body}");
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_the_rules_is_502_or_cut() {
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 502",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", "HTTP/1.1 502"),
        ("garbage\r\n\r\n", "HTTP/1.1 502"),
    ] {
        let upstream = Scripted::answering(answer).await;
        let bind = loopback();
        let _gateway = Gateway::start(simple(bind, server(vec![route("/", "up")]), upstream.address())).await;
        let mut raw = Raw::connect(bind).await.expect("connected");
        raw.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");
        let got = String::from_utf8_lossy(&raw.to_end().await.expect("an answer")).into_owned();
        assert!(got.starts_with(expected), "{answer:?} gave {got:?}");
    }
}

#[tokio::test]
async fn a_response_that_is_cut_is_cut_for_the_client_too() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let bind = loopback();
    let _gateway = Gateway::start(simple(bind, server(vec![route("/", "up")]), upstream.address())).await;
    assert!(Http::one(bind).get("/").await.is_err(), "the client must see that the end is missing");
}

/// What goes past without being read is counted, and ends, as what is read.
#[tokio::test]
async fn large_answers_are_reported_however_they_end() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n";
    let directory = tempfile::tempdir().expect("a directory");
    let format = Template::parse("%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_SENT%\n").expect("valid");
    let answer = |length| Step::Write([HEAD.as_bytes(), &vec![b'x'; length]].concat());
    for (number, (length, last, expected)) in [
        (5_000_000, Step::ReadToEnd, "200 - 5000000"),
        (4_000_000, Step::Finish, "200 UC 4000000"),
        (4_000_000, Step::Hang, "200 SI 4000000"),
    ]
    .into_iter()
    .enumerate()
    {
        let upstream = Scripted::start([Step::ReadUntil("\r\n\r\n"), answer(length), last]).await;
        let (bind, path) = (loopback(), directory.path().join(number.to_string()));
        let mut route = route("/", "up");
        forward_of(&mut route).targets[0].idle_timeout = Some(Duration::from_secs(1));
        let mut http = server(vec![route]);
        http.access_log = logged_to(&path, AccessLogFormat::Text(format.clone()));
        let gateway = Gateway::start(simple(bind, http, upstream.address())).await;
        let got = Http::one(bind).get("/").await;
        assert_eq!(got.is_ok_and(|got| got.body.len() == length), length == 5_000_000, "{expected}");
        assert_eq!(lines(&path, 1).await, [expected]);
        let numbers = gateway.proxy.handle().measure().await;
        assert_eq!(numbers.clusters["up"].received, length as u64, "{expected}");
        eventually("its connection is free, or gone", || async {
            let numbers = gateway.proxy.handle().measure().await;
            (numbers.clusters["up"].active, numbers.clusters["up"].connections)
                == (0, u64::from(length == 5_000_000))
        })
        .await;
    }
}

#[tokio::test]
async fn connections_go_on_behind_large_answers() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let edge = simple(bind, server(vec![route("/", "up")]), upstream.address());
    let _gateway = Gateway::start_with(edge, 1).await;
    let mut connection = Http::one(bind).connect().await.expect("connected");
    for (method, length) in [("GET", 3_000_000), ("HEAD", 3_000_000), ("GET", 10), ("GET", 1_000_000)] {
        let request = Request::builder().method(method).uri("/");
        let request = request.header("x-echo-body-bytes", length.to_string()).body(String::new());
        let response = connection.send(request.expect("valid")).await.expect("answered");
        assert_eq!(response.body.len(), if method == "HEAD" { 0 } else { length });
    }
    assert_eq!(upstream.accepted(), 1);
}

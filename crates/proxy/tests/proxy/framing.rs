//! Raw bytes at an HTTP/1 port: one request after the other, in pieces, too large.

use plenipo_testkit::{Raw, Upstream};

use super::*;

async fn started() -> (Gateway, Upstream, SocketAddr) {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let gateway = Gateway::start(simple(bind, server(vec![route("/", "up")]), upstream.address())).await;
    (gateway, upstream, bind)
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (_gateway, _upstream, bind) = started().await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await
        .expect("sent");
    let answers = String::from_utf8_lossy(&raw.to_end().await.expect("answers")).into_owned();
    let places: Vec<_> = ["\"/1\"", "\"/2\"", "\"/3\""]
        .iter()
        .map(|path| answers.find(path).unwrap_or_else(|| panic!("{path} in {answers}")))
        .collect();
    assert!(places.is_sorted(), "{answers}");
}

#[tokio::test]
async fn a_request_in_single_bytes_is_a_request() {
    let (_gateway, upstream, bind) = started().await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send_bytewise("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await
        .expect("sent");
    let answer = String::from_utf8_lossy(&raw.to_end().await.expect("an answer")).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.seen()[0].body.start, "abc");
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let (_gateway, upstream, bind) = started().await;
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "y".repeat(20_000));
    for (request, status) in [(many, "431"), (long, "431"), (target, "414")] {
        let answer = Raw::exchange(bind, &request).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{}… was answered {answer:?}",
            &request[..40]
        );
    }
    assert!(upstream.seen().is_empty());
}

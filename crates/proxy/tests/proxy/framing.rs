//! Raw bytes at an HTTP/1 port: what is ambiguous never reaches an upstream.

use plenipo_testkit::{Raw, Upstream};

use super::*;

async fn started() -> (Gateway, Upstream, SocketAddr) {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let gateway = Gateway::start(simple(bind, server(vec![route("/", "up")]), upstream.address())).await;
    (gateway, upstream, bind)
}

#[tokio::test]
async fn ambiguous_requests_are_refused_and_never_forwarded() {
    let (_gateway, upstream, bind) = started().await;
    for (request, status) in [
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\nHost: a\n\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "400"),
        ("GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", "417"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "405"),
        ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "426"),
        ("\0\0\0\0\r\n\r\n", "400"),
    ] {
        let answer = Raw::exchange(bind, request).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert_eq!(answer.get(9..12), Some(status), "{request:?} was answered {answer:?}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn nothing_after_a_refused_request_is_a_request() {
    let (_gateway, upstream, bind) = started().await;
    let smuggled = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = Raw::exchange(bind, smuggled).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1").count(), 1);
    assert!(upstream.seen().is_empty());
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

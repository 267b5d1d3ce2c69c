//! Messages that two readers could read differently, as load balancers treat them in their three modes.

use plenipo_model::{BalancerRules, Desync};
use plenipo_testkit::{Raw, Upstream, eventually};

use super::balancer::balanced;
use super::*;

/// What becomes of a message, and of the one after it on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Both are served.
    Passes,
    /// It is served; both connections end, and the next one never was.
    Last,
    /// It is served, and the next one is not: after such a message a server must close (RFC 9112 §6.1). The target's
    /// connection stays.
    Alone,
    /// 400, and nothing reaches a target.
    Refused,
}

use Fate::{Alone, Last, Passes, Refused};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A message (the lines of its head, then its body), and what becomes of it in monitor, defensive and strictest mode.
const CORPUS: &[(&str, &str, [Fate; 3])] = &[
    // Compliant.
    ("GET / HTTP/1.1|Host: a|", "", [Passes, Passes, Passes]),
    ("POST / HTTP/1.1|Host: a|Content-Length: 5|", "hello", [Passes, Passes, Passes]),
    ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked|", "1\r\nx\r\n0\r\n\r\n", [Passes, Passes, Passes]),
    ("DELETE / HTTP/1.1|Host: a|Content-Length: 1|", "x", [Passes, Passes, Passes]),
    // Acceptable.
    ("GET / HTTP/1.1|Host: a|Content-Length: 0|", "", [Passes, Passes, Refused]),
    // Ambiguous.
    ("GET / HTTP/1.1|Host: a|Content-Length: 5|", "hello", [Passes, Last, Refused]),
    ("HEAD / HTTP/1.1|Host: a|Content-Length: 5|", "hello", [Passes, Last, Refused]),
    ("GET / HTTP/1.1|Host: a|Transfer-Encoding: chunked|", "1\r\nx\r\n0\r\n\r\n", [Passes, Last, Refused]),
    ("POST / HTTP/1.1|Host: a|Content-Length: 1|Content-Length: 1|", "x", [Passes, Last, Refused]),
    (
        "POST / HTTP/1.1|Host: a|Content-Length: 3|Transfer-Encoding: chunked|",
        "1\r\nx\r\n0\r\n\r\n",
        [Alone, Last, Refused],
    ),
    ("POST / HTTP/1.1|Host: a|Transfer_Encoding: chunked|Content-Length: 1|", "x", [Passes, Last, Refused]),
    ("POST / HTTP/1.1|Host: a|Content_Length: 1|Content-Length: 1|", "x", [Passes, Last, Refused]),
    ("GET / HTTP/1.1|Host: a|X: a|  b|", "", [Passes, Last, Refused]),
    // Severe.
    ("POST / HTTP/1.1|Host: a|Content_Length: 9|Content-Length: 1|", "x", [Passes, Refused, Refused]),
    ("POST / HTTP/1.1|Host: a|Content-Length: 1|Content-Length: 2|", "xy", [Refused; 3]),
    ("POST / HTTP/1.1|Host: a|Content-Length: +1|", "x", [Refused; 3]),
    ("POST / HTTP/1.1|Host: a|Content-Length: 1x|", "x", [Refused; 3]),
    ("POST / HTTP/1.1|Host: a|Transfer-Encoding: xchunked|", "0\r\n\r\n", [Refused; 3]),
    ("POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked, chunked|", "0\r\n\r\n", [Refused; 3]),
    ("GET / HTTP/1.1|Host: a|X: \0|", "", [Refused; 3]),
    // What our codec cannot carry, whatever the tier.
    ("GET /a b HTTP/1.1|Host: a|", "", [Refused; 3]),
    ("POST / HTTP/1.1|Host: a|Transfer-Encoding : chunked|", "0\r\n\r\n", [Refused; 3]),
    ("POST / HTTP/1.1|Host: a|Content-Length|", "", [Refused; 3]),
    ("POST / HTTP/1.0|Host: a|Transfer-Encoding: chunked|", "0\r\n\r\n", [Refused; 3]),
    ("POST / HTTP/1.1|Host: a|X: a| Content-Length: 1|", "x", [Refused; 3]),
];

async fn started(mode: Desync) -> (Gateway, Upstream, SocketAddr) {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let rules = BalancerRules { desync: mode, ..BalancerRules::application() };
    let http = balanced(rules, vec![route("/", "up")]);
    // One data thread, and so one pool of connections.
    let gateway = Gateway::start_with(simple(bind, http, upstream.address()), 1).await;
    (gateway, upstream, bind)
}

/// Sends a message with another one behind it.
async fn fate(mode: Desync, bind: SocketAddr, upstream: &Upstream, message: &str) -> Fate {
    upstream.forget();
    let answers = Raw::exchange(bind, format!("{message}{NEXT}")).await.expect("answered");
    let answers = String::from_utf8_lossy(&answers).into_owned();
    let statuses: Vec<&str> = answers
        .match_indices("HTTP/1.1 ")
        .filter(|(at, _)| *at == 0 || !answers[..*at].ends_with("version\": \""))
        .filter_map(|(at, found)| answers.get(at + found.len()..at + found.len() + 3))
        .collect();
    let seen = upstream.seen().len();
    match (statuses.as_slice(), seen) {
        (["200", "200"], 2) => Passes,
        (["200"], 1) => {
            assert!(
                answers.to_ascii_lowercase().contains("\r\nconnection: close\r\n"),
                "{message:?}: {answers}"
            );
            match mode {
                Desync::Monitor => Alone,
                _ => {
                    eventually("the connection to the target ends", async || upstream.open() == 0).await;
                    Last
                }
            }
        }
        (["400"], 0) => Refused,
        _ => panic!("{message:?}: {statuses:?}, {seen} reached the target: {answers}"),
    }
}

#[tokio::test]
async fn every_tier_has_its_fate_in_every_mode() {
    for (number, mode) in [Desync::Monitor, Desync::Defensive, Desync::Strictest].into_iter().enumerate() {
        let (_gateway, upstream, bind) = started(mode).await;
        for (head, body, fates) in CORPUS {
            let message = format!("{}\r\n{body}", head.replace('|', "\r\n"));
            assert_eq!(fate(mode, bind, &upstream, &message).await, fates[number], "{mode:?}: {message:?}");
        }
        // Lines that end with LF alone are acceptable.
        let expected = if mode == Desync::Strictest { Refused } else { Passes };
        for message in ["GET / HTTP/1.1\nHost: a\n\n", "\nPOST / HTTP/1.1\nHost: a\r\nContent-Length: 1\n\nx"]
        {
            assert_eq!(fate(mode, bind, &upstream, message).await, expected, "{mode:?}: {message:?}");
        }
        // But not where it would be guessed what belongs to the head.
        let folded = "POST / HTTP/1.1\nHost: a\nX: a\n b\nContent-Length: 8\n\n\r\n\r\nGET ";
        assert_eq!(fate(mode, bind, &upstream, folded).await, Refused, "{mode:?}");
    }
}

#[tokio::test]
async fn an_ambiguous_message_may_follow_others_and_comes_alone() {
    let (_gateway, upstream, bind) = started(Desync::Defensive).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    for _ in 0..3 {
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        assert!(raw.response().await.expect("answered").starts_with("HTTP/1.1 200"));
    }
    assert_eq!(upstream.accepted(), 1, "they share a connection");
    // In pieces, with its own next message pretended inside its body, and pipelined behind an ordinary one.
    raw.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nContent-").await.expect("sent");
    assert!(raw.response().await.expect("answered").contains("\"path\": \"/1\""));
    raw.send(format!("Length: {}\r\n\r\n{NEXT}{NEXT}", NEXT.len())).await.expect("sent");
    let rest = String::from_utf8_lossy(&raw.to_end().await.expect("answered and closed")).into_owned();
    assert!(rest.contains("\"path\": \"/2\"") && !rest.contains("\"path\": \"/next\""), "{rest}");
    assert_eq!(upstream.seen().len(), 5);
    eventually("the connection to the target ends", async || upstream.open() == 0).await;
}

#[tokio::test]
async fn a_gateway_stays_strict() {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let _gateway = Gateway::start(simple(bind, server(vec![route("/", "up")]), upstream.address())).await;
    for request in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert_eq!(fate(Desync::Strictest, bind, &upstream, request).await, Refused, "{request:?}");
    }
}

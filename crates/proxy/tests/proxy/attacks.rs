//! Hostile bytes at an HTTP/1 port, as far as they are about more than where a message ends (for that: [`super::smuggling`]).

use plenipo_model::{UnderscorePolicy, UpstreamProtocol};
use plenipo_testkit::{Raw, eventually};

use super::*;

/// Follows every attack: whoever loses count of bytes takes it for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

async fn statuses(bind: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<String> {
    let answer = Raw::exchange(bind, bytes.as_ref()).await;
    let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
    let answer = answer.unwrap_or_else(|error| panic!("{shown:?}: {error:#}"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split("HTTP/1.1 ").skip(1).filter_map(|rest| Some(rest.get(..3)?.to_owned())).collect()
}

#[tokio::test]
async fn an_extension_of_a_chunk_has_a_length() {
    let (_gateway, upstream, bind) = started(|_, _, _| {}).await;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;{}\r\na\r\n0\r\n\r\n{SMUGGLED}",
        "x".repeat(5000)
    );
    assert_eq!(statuses(bind, request).await, ["400"]);
    eventually("connections to the upstream are closed", || async { upstream.open() == 0 }).await;
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn what_is_odd_but_clear_passes_with_its_framing() {
    for protocol in [UpstreamProtocol::Http1, UpstreamProtocol::Http2] {
        let (_gateway, upstream, bind) = started(|_, cluster, _| cluster.protocol = protocol).await;
        for (request, body, path) in [
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "abc", "/"),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "abc",
                "/",
            ),
            (
                "DELETE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "abc",
                "/",
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n003;a=b\r\nabc\r\n0\r\n\r\n",
                "abc",
                "/",
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc", "abc", "/"),
            ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "/"),
            ("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", "", "/x"),
            ("GET http://a:80/x HTTP/1.1\r\nHost: A\r\n\r\n", "", "/x"),
            ("GET /a/../b/%61//c?d=%2e/../ HTTP/1.1\r\nHost: a\r\n\r\n", "", "/b/a//c?d=%2e/../"),
            ("GET /x\\a\\..\\b HTTP/1.1\r\nHost: a\r\n\r\n", "", "/x/b"),
        ] {
            upstream.forget();
            let mut raw = Raw::connect(bind).await.expect("connected");
            raw.send(format!("{request}GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
                .await
                .expect("sent");
            let answer = String::from_utf8_lossy(&raw.to_end().await.expect("answered")).into_owned();
            assert_eq!(answer.matches("HTTP/1.1 200").count(), 2, "{request:?}: {answer}");
            let seen = upstream.seen();
            assert_eq!((seen[0].body.start.as_str(), seen[0].path.as_str()), (body, path), "{request:?}");
            assert_eq!((seen[1].path.as_str(), seen.len()), ("/next", 2), "{request:?}");
        }
    }
}

#[tokio::test]
async fn an_allowed_length_beside_chunks_is_dropped_and_nothing_may_follow() {
    let (_gateway, upstream, bind) = started(|http, _, _| http.allow_chunked_length = true).await;
    let request = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(statuses(bind, request).await, ["200"], "RFC 9112 §6.1: the connection ends after it");
    let seen = upstream.seen();
    assert_eq!((seen[0].body.start.as_str(), seen.len()), ("abc", 1));
    assert!(seen[0].header("content-length").is_empty(), "{:?}", seen[0].headers);
}

#[tokio::test]
async fn nominations_take_nothing_away_and_hop_by_hop_fields_end_here() {
    let (_gateway, upstream, bind) = started(|_, _, _| {}).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\
        Connection: close, x-forwarded-for, Authorization, cookie, x-request-id, host, x-mine, content-length\r\n\
        Authorization: b\r\nCookie: c=d\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip, trailers\r\n\
        Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(statuses(bind, request).await, ["200"]);
    let seen = &upstream.seen()[0];
    for (name, values) in [
        ("authorization", vec!["b"]),
        ("cookie", vec!["c=d"]),
        ("x-forwarded-for", vec!["127.0.0.1"]),
        ("content-length", vec!["2"]),
        ("te", vec!["trailers"]),
        ("x-mine", vec![]),
        ("keep-alive", vec![]),
        ("proxy-connection", vec![]),
        ("connection", vec![]),
        ("upgrade", vec![]),
    ] {
        assert_eq!(seen.header(name), values, "{name}");
    }
    assert_eq!((seen.header("x-request-id").len(), seen.body.start.as_str()), (1, "hi"));
}

#[tokio::test]
async fn what_only_proxies_may_say_is_taken_off() {
    let (_gateway, upstream, bind) = started(|http, _, _| http.underscores = UnderscorePolicy::Allow).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
        X-Forwarded-For: 1.2.3.4\r\nX_Forwarded_For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
        X-Forwarded-Port: 1\r\nForwarded: for=1.2.3.4\r\nX-Envoy-External-Address: 1.2.3.4\r\n\
        X-Envoy-Upstream-Rq-Timeout-Ms: 1\r\nX-Amzn-Mtls-Clientcert-Subject: CN=evil\r\nX-Forwarded-Client-Cert: By=evil\r\n\
        X-Request-Id: mine\r\n\r\n";
    assert_eq!(statuses(bind, request).await, ["200"]);
    let seen = &upstream.seen()[0];
    for (name, values) in [
        ("x-forwarded-for", vec!["1.2.3.4,127.0.0.1"]),
        ("x-forwarded-proto", vec!["http"]),
        ("x-envoy-external-address", vec!["127.0.0.1"]),
        ("x_forwarded_for", vec![]),
        ("x-forwarded-host", vec![]),
        ("x-forwarded-port", vec![]),
        ("forwarded", vec![]),
        ("x-envoy-upstream-rq-timeout-ms", vec![]),
        ("x-amzn-mtls-clientcert-subject", vec![]),
        ("x-forwarded-client-cert", vec![]),
    ] {
        assert_eq!(seen.header(name), values, "{name}");
    }
    assert_ne!(seen.header("x-request-id"), ["mine"]);
}

#[tokio::test]
async fn trailers_name_nothing_that_matters() {
    let (_gateway, upstream, bind) =
        started(|_, cluster, _| cluster.protocol = UpstreamProtocol::Http2).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
        1\r\na\r\n0\r\nx-sum: 1\r\nAuthorization: evil\r\nContent-Length: 5\r\nHost: evil\r\nCookie: evil\r\n\
        X-Forwarded-For: 6.6.6.6\r\nX-Envoy-Internal: true\r\nX_Forwarded_For: 6.6.6.6\r\n\
        X-Auth-User: root\r\nSSL_Client_Verify: SUCCESS\r\nX-Real-IP: 6.6.6.6\r\n\r\n";
    assert_eq!(statuses(bind, request).await, ["200"]);
    let names: Vec<_> = upstream.seen()[0].trailers.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["x-sum"]);
}

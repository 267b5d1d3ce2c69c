//! Hostile bytes at an HTTP/1 port. What is refused is refused whole: nothing of it, nor anything after it, is seen by
//! the upstream.

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

/// Sends each request with another one right behind it; it must be answered with this status, alone.
async fn refused(cases: &[(&str, &str)]) {
    let (_gateway, upstream, bind) = started(|_, _, _| {}).await;
    for (request, status) in cases {
        let got = statuses(bind, format!("{request}{SMUGGLED}")).await;
        assert_eq!(got, [*status], "{request:?}");
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn lengths_that_contradict_or_are_no_numbers() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nhello");
    let fields = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\ncontent-length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: ",
        "Content-Length: 5\t",
        "Content-Length: 5.0",
        "Content-Length: 1e1",
        "Content-Length: 9223372036854775808",
        "Content-Length: 18446744073709551621",
        "Content-Length\t: 5",
        "Content-Length : 5",
        " Content-Length: 5",
    ];
    let requests: Vec<_> = fields.iter().map(|fields| with(fields)).collect();
    refused(&requests.iter().map(|request| (request.as_str(), "400")).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn transfer_codings_other_than_chunked() {
    let codings = [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "\"chunked\"",
        "chunked;q=1",
        "\tchunked",
        "\u{b}chunked",
        "chunked\u{b}",
        "chunk",
        "",
        ", chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "x\r\nTransfer-Encoding: chunked",
        "\r\n chunked",
    ];
    let requests: Vec<_> = codings
        .iter()
        .map(|coding| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n0\r\n\r\n"))
        .collect();
    refused(&requests.iter().map(|request| (request.as_str(), "400")).collect::<Vec<_>>()).await;
    refused(&[("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400")]).await;
}

#[tokio::test]
async fn heads_that_are_malformed() {
    refused(&[
        ("GET / HTTP/1.1\nHost: a\n\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n X: first\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /\r\n\r\n", "400"),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "400"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "400"),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", "400"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", "400"),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("PRI * HTTP/2.0\r\nHost: a\r\n\r\n", "400"),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /\u{fc} HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("\r\n\r\n\0", "400"),
    ])
    .await;
}

#[tokio::test]
async fn hosts_that_are_missing_doubled_or_contradict() {
    refused(&[
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: \r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a:port\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
        ("GET http://a/ HTTP/1.1\r\n\r\n", "400"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", "417"),
    ])
    .await;
}

#[tokio::test]
async fn chunks_that_are_malformed_end_both_connections() {
    let (_gateway, upstream, bind) = started(|_, _, _| {}).await;
    let extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(5000));
    for chunks in [
        "+1\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1 \r\na\r\n0\r\n\r\n",
        "1\t;x\r\na\r\n0\r\n\r\n",
        "\r\n1\r\na\r\n0\r\n\r\n",
        "g\r\na\r\n0\r\n\r\n",
        "00000000000000001\r\na\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na0\r\n\r\n",
        "1;x=\"\n\"\r\na\r\n0\r\n\r\n",
        "1;a\rb\r\na\r\n0\r\n\r\n",
        "1\r\na\r\n0\r\nX : y\r\n\r\n",
        "1\r\na\r\n0\r\nX: y\n\r\n",
        "1\r\na\r\n0\n\r\n",
        extension.as_str(),
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}");
        assert_eq!(statuses(bind, request).await, ["400"], "{chunks:?}");
    }
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

//! What is refused before anybody looks at it has its line in the access log and its number all the same.

use std::time::Duration;

use plenipo_model::{AccessLogFormat, Template};
use plenipo_model::{ClientAuth, ClientRoots, TlsServer};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, Raw, eventually, proxy_header, tls as client_tls};

use super::records::{lines, logged_to};
use super::*;

const LINE: &str = "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% \
                    %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\n";

fn text() -> AccessLogFormat {
    AccessLogFormat::Text(Template::parse(LINE).expect("valid"))
}

/// Reasons for which connections were refused, as soon as there are so many.
async fn reasons(gateway: &Gateway, count: usize) -> Vec<(&'static str, u64)> {
    eventually("all are counted", || async {
        let numbers = gateway.proxy.handle().measure().await;
        let reasons: Vec<_> = numbers.listeners["ingress_http"]
            .refused
            .iter()
            .map(|(reason, count)| (*reason, *count))
            .collect();
        let counted: u64 = reasons.iter().map(|(_, count)| count).sum();
        if counted >= count as u64 { Ok(reasons) } else { Err(reasons) }
    })
    .await
}

#[tokio::test]
async fn requests_that_the_codec_refuses() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let (gateway, upstream, bind) = started(|http, _, _| {
        http.access_log = logged_to(&path, text());
        http.limits.header_timeout = Duration::from_millis(300);
    })
    .await;
    let answered = async |request: String, status: &str| {
        let answer = Raw::exchange(bind, &request).await.expect("answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let last = answer.rsplit("HTTP/1.1 ").next().unwrap_or_default();
        assert!(last.starts_with(status), "{request:.99}: {answer}");
    };
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    for (request, status) in [
        // The framing.
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        (large.as_str(), "431"),
        // The codec.
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "400"),
        (many.as_str(), "431"),
        // Time: of a head, and of bytes that might become HTTP/2.
        ("GET / HTTP/1.1\r\nHost: ", "408"),
        ("P", "408"),
        // Behind a good one.
        ("GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nHost: a\n\n", "400"),
    ] {
        answered(request.to_owned(), status).await;
    }
    let mut told = lines(&path, 9).await;
    told.sort();
    let refused = |status: &str, flag: &str, details: &str| {
        format!("- - HTTP/1.1 {status} {flag} {details} 0 127.0.0.1")
    };
    let mut expected = vec![
        refused("400", "DPE", "http1.codec_error"),
        refused("400", "DPE", "http1.codec_error"),
        refused("400", "DPE", "http1.codec_error"),
        refused("400", "DPE", "http1.codec_error"),
        refused("408", "-", "request_header_timeout"),
        refused("408", "-", "request_header_timeout"),
        refused("431", "DPE", "http1.headers_too_large"),
        refused("431", "DPE", "http1.too_many_headers"),
        "GET /good HTTP/1.1 200 - via_upstream 0 127.0.0.1".to_owned(),
    ];
    expected.sort();
    assert_eq!(told, expected);
    assert_eq!(upstream.seen().len(), 1);
    let numbers = gateway.proxy.handle().measure().await;
    let listener = &numbers.listeners["ingress_http"];
    assert_eq!((listener.classes, listener.requests_active), ([0, 0, 1, 0, 8, 0], 0));
    let refused =
        numbers.requests.iter().filter(|(labels, _)| labels.method == "_OTHER" && labels.route.is_empty());
    let refused: Vec<_> = refused.map(|(labels, time)| (labels.status, labels.error, time.count())).collect();
    assert_eq!(refused, [(400, "DPE", 4), (408, "", 2), (431, "DPE", 2)]);
}

#[tokio::test]
async fn a_body_that_breaks_the_rules_is_told_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let (_gateway, _upstream, bind) = started(|http, _, _| http.access_log = logged_to(&path, text())).await;
    let request = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let answer = Raw::exchange(bind, request).await.expect("answered");
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    Http::one(bind).get("/after").await.expect("answered");
    assert_eq!(
        lines(&path, 2).await,
        [
            "POST /x HTTP/1.1 400 DPE http1.codec_error 0 127.0.0.1",
            "GET /after HTTP/1.1 200 - via_upstream 0 127.0.0.1"
        ]
    );
}

#[tokio::test]
async fn http2_connections_that_break_the_rules() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let (gateway, _upstream, bind) = started(|http, _, _| http.access_log = logged_to(&path, text())).await;
    // A window update of zero on the connection.
    let frame = [&[0, 0, 4, 8, 0, 0, 0, 0, 0][..], &[0; 4]].concat();
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), frame].concat();
    Raw::exchange(bind, opening).await.expect("a GOAWAY");
    assert_eq!(lines(&path, 1).await, ["- - - 0 DPE http2_protocol_error 0 127.0.0.1"]);
    assert_eq!(reasons(&gateway, 1).await, [("http2_protocol_error", 1)]);
}

#[tokio::test]
async fn connections_without_a_proper_proxy_header() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let upstream = plenipo_testkit::Upstream::http("up").start().await;
    let bind = loopback();
    let mut http = server(vec![route("/", "up")]);
    http.access_log = logged_to(&path, text());
    let mut front = listener(bind, vec![clear(http)]);
    front.proxy_protocol = ProxyProtocol::Required;
    let gateway = Gateway::start(edge(vec![front], vec![cluster("up", upstream.address())])).await;
    for bytes in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP9 a b c d\r\n"] {
        let mut raw = Raw::connect(bind).await.expect("connected");
        raw.send(bytes).await.expect("sent");
        raw.finish().await.expect("ended");
        assert!(raw.closes().await, "{bytes:?}");
    }
    let us = "198.51.100.1:443".parse().expect("valid");
    let header = proxy_header::v1("203.0.113.7:4711".parse().expect("valid"), us);
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send([header.as_slice(), b"GET / HTTP/1.1\nHost: a\n\n"].concat()).await.expect("sent");
    raw.response().await.expect("answered");
    let mut told = lines(&path, 3).await;
    told.sort();
    assert_eq!(
        told,
        [
            "- - - 0 DPE proxy_header_malformed 20 127.0.0.1",
            "- - - 0 DPE proxy_header_missing 27 127.0.0.1",
            "- - HTTP/1.1 400 DPE http1.codec_error 0 203.0.113.7",
        ]
    );
    assert_eq!(
        reasons(&gateway, 3).await,
        [("ended", 1), ("proxy_header_malformed", 1), ("proxy_header_missing", 1)]
    );
}

#[tokio::test]
async fn handshakes_that_fail() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let (authority, clients) = (Authority::new("servers"), Authority::new("clients"));
    let bind = loopback();
    let mut http = server(vec![]);
    http.access_log = logged_to(&path, text());
    let client_auth = ClientAuth::Required(ClientRoots::new(tls::roots(&clients), None));
    let terminate = TlsServer { client_auth, ..tls::tls_server(&authority.server(&["a.test"])) };
    let chain = tls::chain("a.test", ChainTls::Terminate(Arc::new(terminate)), http);
    let gateway = Gateway::start(edge(vec![listener(bind, vec![chain])], vec![])).await;
    let foreign = authority.client("foreign");
    for certificate in [None, Some(&foreign)] {
        let config = client_tls::client(&authority, certificate, &[]);
        assert!(Http::one(Target::tls(bind, "a.test", config)).get("/").await.is_err());
    }
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\0\x05\x09aaaa"] {
        let mut raw = Raw::connect(bind).await.expect("connected");
        raw.send(bytes).await.expect("sent");
        assert!(raw.closes().await, "{bytes:?}");
    }
    let stranger = Target::tls(bind, "b.test", client_tls::trusting_client(&[]));
    assert!(Http::one(stranger).get("/").await.is_err());
    let told: Vec<_> = lines(&path, 5).await;
    let mut told: Vec<_> =
        told.iter().map(|line| line.split(' ').skip(4).take(2).collect::<Vec<_>>().join(" ")).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "DPE client_certificate_invalid",
            "DPE client_certificate_missing",
            "DPE not_tls",
            "NR filter_chain_not_found",
            "NR filter_chain_not_found",
        ]
    );
    let reasons = reasons(&gateway, 5).await;
    assert!(reasons.contains(&("client_certificate_missing", 1)), "{reasons:?}");
    let numbers = gateway.proxy.handle().measure().await;
    assert_eq!(numbers.listeners["ingress_http"].tls_failures, 2);
}

#[tokio::test]
async fn a_full_listener_counts_for_all_threads() {
    let (gateway, _upstream, bind) = started(|_, _, _| {}).await;
    let mut gateway = gateway;
    let mut edge = (**gateway.snapshot.edge()).clone();
    edge.listeners[0].max_connections = Some(10);
    gateway.publish(edge).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        let mut connection = Http::one(bind).connect().await.expect("connected");
        assert_eq!(connection.get("/").await.expect("served").status, 200);
        open.push(connection);
    }
    for _ in 0..10 {
        assert!(Raw::connect(bind).await.expect("connected").closes().await);
    }
    open.pop();
    eventually("there is room again", || async { Http::one(bind).get("/").await.is_ok() }).await;
    assert!(
        reasons(&gateway, 10)
            .await
            .iter()
            .any(|(reason, count)| *reason == "connection_limit" && *count >= 10)
    );
}

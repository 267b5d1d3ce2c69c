//! Everything that waits has an end, and nothing ends before its time.

use std::time::Duration;

use ::http::Request;
use plenipo_model::{AccessLogFormat, RetryOn, RetryPolicy, Template};
use plenipo_testkit::{Answer, Http, Raw, Scripted, Step, Upstream, eventually};
use tokio::time::{Instant, sleep};

use super::records::{lines, logged_to};
use super::*;

const SHORT: Duration = Duration::from_millis(300);
/// Where a machine that is busy elsewhere must not be taken for a client that is idle.
const IDLE: Duration = Duration::from_secs(1);
/// A request whose answer fits into no buffer.
const LARGE: &str = "GET / HTTP/1.1\r\nHost: a\r\nx-echo-body-bytes: 50000000\r\n\r\n";

fn short_head(http: &mut HttpServer) {
    http.limits.header_timeout = SHORT;
}

/// Sends a byte again and again until the other side closes; tells how long that took.
async fn trickle(raw: &mut Raw, byte: &[u8]) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) && raw.send(byte).await.is_ok() {
        if !raw.stays_silent(Duration::from_millis(20)).await {
            break;
        }
    }
    begun.elapsed()
}

#[tokio::test]
async fn a_head_that_trickles_in_ends_the_connection() {
    let (_gateway, upstream, bind) = started(|http, _, _| short_head(http)).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await.expect("sent");
    assert!(trickle(&mut raw, b"y").await < Duration::from_secs(4));
    for beginning in ["P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\n"] {
        let mut raw = Raw::connect(bind).await.expect("connected");
        raw.send(beginning).await.expect("sent");
        let answer = raw.to_end().await.expect("answered and closed");
        assert!(answer.starts_with(b"HTTP/1.1 408"), "{beginning:?}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn the_second_head_has_its_time_too() {
    let (_gateway, _upstream, bind) = started(|http, _, _| short_head(http)).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    raw.response().await.expect("answered");
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nX: ").await.expect("sent");
    assert!(trickle(&mut raw, b"y").await < Duration::from_secs(4));
}

#[tokio::test]
async fn between_requests_there_is_more_time_than_for_a_head() {
    let (_gateway, upstream, bind) = started(|http, _, _| short_head(http)).await;
    for client in [Http::one(bind), Http::two(bind)] {
        let mut connection = client.connect().await.expect("connected");
        for _ in 0..3 {
            connection.get("/").await.expect("the connection lives");
            sleep(SHORT * 2).await;
        }
    }
    assert_eq!(upstream.seen().len(), 6);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (gateway, _upstream, bind) = started(|http, _, _| http.limits.idle_timeout = SHORT * 3).await;
    for client in [Http::one(bind), Http::two(bind)] {
        let mut connection = client.connect().await.expect("connected");
        connection.get("/").await.expect("answered");
        let request = Request::get("/").header("x-echo-delay-ms", "1500").body(String::new()).expect("valid");
        assert_eq!(connection.send(request).await.expect("busy is not idle").status, 200);
        eventually("it is closed", || async { connection.is_closed() }).await;
    }
    eventually("none is left", || async {
        gateway.proxy.handle().measure().await.listeners["ingress_http"].connections == 0
    })
    .await;
}

#[tokio::test]
async fn the_timeout_of_a_route_begins_when_the_request_has_ended() {
    let (_gateway, _upstream, bind) =
        started(|_, _, route| forward_of(route).targets[0].timeout = Some(IDLE)).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n").await.expect("sent");
    for _ in 0..8 {
        sleep(IDLE / 6).await;
        raw.send("x").await.expect("sent");
    }
    let answer = raw.response().await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "a slow upload is not a slow answer: {answer}");
    let slow = Request::post("/").header("x-echo-delay-ms", "5000");
    let response = Http::one(bind).send_with(slow, "body").await.expect("answered");
    assert_eq!((response.status.as_u16(), response.text().as_str()), (504, "upstream request timeout"));
}

#[tokio::test]
async fn the_timeout_of_a_route_covers_the_body_of_the_answer() {
    let script = [
        Step::ReadUntil("\r\n\r\n"),
        Step::text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        Step::Hang,
    ];
    let upstream = Scripted::start(script).await;
    let bind = loopback();
    for (timeout, idle) in [(Some(SHORT), None), (None, Some(SHORT))] {
        let mut route = route("/", "up");
        forward_of(&mut route).targets[0].timeout = timeout;
        forward_of(&mut route).targets[0].idle_timeout = idle;
        let gateway = Gateway::start(simple(bind, server(vec![route]), upstream.address())).await;
        for client in [Http::one(bind), Http::two(bind)] {
            assert!(client.get("/").await.is_err(), "the answer is cut");
        }
        eventually("nothing is left", || async {
            let numbers = gateway.proxy.handle().measure().await;
            numbers.clusters["up"].active == 0 && numbers.clusters["up"].timeouts == 2
        })
        .await;
        gateway.proxy.stop();
        eventually("the port is free", || async { std::net::TcpListener::bind(bind).is_ok() }).await;
    }
}

#[tokio::test]
async fn silence_before_the_answer_has_its_own_end() {
    let (_gateway, upstream, bind) =
        started(|_, _, route| forward_of(route).targets[0].idle_timeout = Some(SHORT)).await;
    upstream.plan([Answer::Silence]);
    let response = Http::one(bind).get("/").await.expect("answered");
    assert_eq!((response.status.as_u16(), response.text().as_str()), (504, "stream timeout"));
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf").await.expect("sent");
    let answer = String::from_utf8_lossy(&raw.to_end().await.expect("answered and closed")).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn messages_of_either_side_keep_a_stream_alive() {
    let (_gateway, _upstream, bind) = started(|_, cluster, route| {
        cluster.protocol = plenipo_model::UpstreamProtocol::Http2;
        forward_of(route).targets[0].idle_timeout = Some(IDLE);
        forward_of(route).targets[0].timeout = Some(IDLE);
    })
    .await;
    let mut connection = Http::two(bind).connect().await.expect("connected");
    // Repeated no times: only the client sends.
    let call = Request::post("/echo.Echo/Upload").header("x-echo-repeat", "0");
    let mut call = connection.open_call(call).await.expect("opened");
    for _ in 0..10 {
        call.send(b"more").await.expect("sent");
        sleep(IDLE / 6).await;
    }
    call.finish();
    assert_eq!(call.receive().await.expect("not reset"), None);
    assert_eq!(call.status().code, 0);
}

#[tokio::test]
async fn each_attempt_may_have_its_own_time() {
    let (gateway, upstream, bind) = started(|_, _, route| {
        forward_of(route).retry =
            Some(RetryPolicy { per_try_timeout: Some(SHORT), ..RetryPolicy::new(RetryOn::FiveXx, 2) });
    })
    .await;
    upstream.plan([Answer::Silence, Answer::Silence]);
    let client = Http::one(bind);
    let response = client.send_with(Request::post("/"), "again").await.expect("answered");
    assert_eq!((response.status.as_u16(), upstream.seen().len()), (200, 3));
    assert_eq!(response.echoed().expect("echo").body.start, "again");
    upstream.plan([Answer::Silence, Answer::Silence, Answer::Silence]);
    let response = client.get("/").await.expect("answered");
    assert_eq!((response.status.as_u16(), response.text().as_str()), (504, "upstream request timeout"));
    let numbers = gateway.proxy.handle().measure().await;
    assert_eq!((numbers.clusters["up"].retries, numbers.clusters["up"].timeouts), (4, 5));
}

#[tokio::test]
async fn an_open_upgrade_ends_when_nothing_moves() {
    let (_gateway, _upstream, bind) = started(|_, _, route| {
        forward_of(route).upgrades = vec!["websocket".into()];
        forward_of(route).targets[0].idle_timeout = Some(IDLE);
        forward_of(route).targets[0].timeout = Some(IDLE);
    })
    .await;
    let mut socket = Http::one(bind).websocket(Request::get("/")).await.expect("upgraded");
    for _ in 0..8 {
        sleep(IDLE / 6).await;
        socket.send("still here").await.expect("sent");
        socket.receive().await.expect("echoed");
    }
    assert!(socket.receive().await.is_err(), "silence ends it");
}

/// A gateway that gives an answer of 50 MB, and its access log.
async fn before_large_answers(path: &std::path::Path, idle: Duration) -> (Gateway, Upstream, SocketAddr) {
    let line = "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n";
    let format = AccessLogFormat::Text(Template::parse(line).expect("valid"));
    started(|http, _, route| {
        http.access_log = logged_to(path, format);
        forward_of(route).targets[0].idle_timeout = Some(idle);
    })
    .await
}

async fn nothing_is_left(gateway: &Gateway) {
    eventually("nothing is left", || async {
        let numbers = gateway.proxy.handle().measure().await;
        let listener = &numbers.listeners["ingress_http"];
        let left = [numbers.clusters["up"].active, listener.connections, listener.requests_active];
        if left == [0; 3] { Ok(()) } else { Err(left) }
    })
    .await;
}

#[tokio::test]
async fn an_http1_client_that_reads_nothing_is_let_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let (gateway, _upstream, bind) = before_large_answers(&path, IDLE).await;
    // It is still there, and may even send more.
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send(LARGE.repeat(2)).await.expect("sent");
    nothing_is_left(&gateway).await;
    assert_eq!(lines(&path, 1).await, ["HTTP/1.1 200 SI stream_idle_timeout"]);
}

/// For longer than it may read nothing.
#[tokio::test]
async fn an_http1_client_that_reads_a_little_now_and_then_is_not_let_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_gateway, _upstream, bind) = before_large_answers(&directory.path().join("log"), IDLE * 2).await;
    let mut slow = Raw::connect(bind).await.expect("connected");
    slow.send(LARGE).await.expect("sent");
    for _ in 0..16 {
        slow.exactly(3_000_000).await.expect("it goes on");
        sleep(IDLE / 6).await;
    }
}

#[tokio::test]
async fn an_http2_stream_whose_window_stays_closed_is_reset() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let (gateway, _upstream, bind) = before_large_answers(&path, IDLE).await;
    // The client takes no more than 2 MiB of a stream that it does not read.
    let mut connection = Http::two(bind).connect().await.expect("connected");
    let request = |bytes: &str| {
        let request = Request::get("/").header("x-echo-body-bytes", bytes).body(String::new());
        request.expect("valid")
    };
    let large = connection.begin(request("50000000")).await.expect("a head");
    let small = connection.begin(request("3000000")).await.expect("a head");
    let told = eventually("both are reset, and others served meanwhile", || async {
        assert_eq!(connection_get(bind).await, 200);
        let numbers = gateway.proxy.handle().measure().await;
        (numbers.listeners["ingress_http"].requests_active == 0).then_some(numbers)
    })
    .await;
    assert_eq!(told.clusters["up"].active, 0);
    assert_eq!(connection.get("/").await.expect("the connection lives").status, 200);
    for answer in [large, small] {
        assert!(plenipo_testkit::client::Response::read(answer).await.is_err(), "it was reset");
    }
    eventually("it is told", || async {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let told = log.lines().any(|line| line == "HTTP/2 200 SI stream_idle_timeout");
        if told { Ok(()) } else { Err(log) }
    })
    .await;
    drop(connection);
    nothing_is_left(&gateway).await;
}

async fn connection_get(bind: SocketAddr) -> u16 {
    Http::one(bind).get("/").await.expect("answered").status.as_u16()
}

#[tokio::test]
async fn an_http2_stream_that_is_read_slowly_is_not_reset() {
    let (_gateway, _upstream, bind) =
        started(|_, _, route| forward_of(route).targets[0].idle_timeout = Some(SHORT * 5)).await;
    let mut connection = Http::two(bind).connect().await.expect("connected");
    // More than one window, and longer than the time without progress.
    let request = Request::get("/").header("x-echo-body-bytes", "4000000").body(String::new());
    let mut body = connection.begin(request.expect("valid")).await.expect("a head").into_body();
    let mut read = 0;
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        read += frame.expect("not reset").into_data().expect("data").len();
        sleep(SHORT / 30).await;
    }
    assert_eq!(read, 4_000_000);
}

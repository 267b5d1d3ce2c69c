//! Upstreams that break the rules: the client gets 502 or a cut, nobody else gets what was meant for another, and the
//! connection is never used again. (What they make of the end of a message is for [`super::smuggling`].)

use std::time::Duration;

use ::http::Request;
use plenipo_testkit::{Http, Raw, Scripted, Step, eventually};

use super::*;

async fn before(upstream: &Scripted) -> (Gateway, SocketAddr) {
    before_with(upstream, |_| {}).await
}

async fn before_with(upstream: &Scripted, change: impl FnOnce(&mut Route)) -> (Gateway, SocketAddr) {
    let bind = loopback();
    let mut route = route("/", "up");
    change(&mut route);
    (Gateway::start(simple(bind, server(vec![route]), upstream.address())).await, bind)
}

fn answers(response: &str, then: Step) -> Vec<Step> {
    vec![Step::ReadUntil("\r\n\r\n"), Step::text(response), then]
}

async fn get(bind: SocketAddr) -> (u16, String) {
    let response = Http::one(bind).get("/").await.expect("answered");
    (response.status.as_u16(), response.text())
}

#[tokio::test]
async fn heads_beyond_all_bounds_are_502() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "y".repeat(2_000_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(5000));
    for answer in [long, many] {
        let upstream = Scripted::start(answers(&answer, Step::Hang)).await;
        let (_gateway, bind) = before(&upstream).await;
        assert_eq!(get(bind).await.0, 502);
    }
}

#[tokio::test]
async fn ending_early_is_503_before_the_head_and_a_cut_after_it() {
    for script in [vec![Step::ReadUntil("\r\n\r\n")], vec![Step::ReadUntil("\r\n\r\n"), Step::Reset]] {
        let upstream = Scripted::start(script).await;
        let (_gateway, bind) = before(&upstream).await;
        let (status, text) = get(bind).await;
        assert_eq!(status, 503);
        assert!(text.contains("connection termination"), "{text}");
    }
    for (answer, then) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Step::Finish),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", Step::Reset),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", Step::Finish),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", Step::Hang),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX\r\n0\r\n\r\n", Step::Hang),
    ] {
        let upstream = Scripted::start(answers(answer, then)).await;
        let (_gateway, bind) = before(&upstream).await;
        assert!(
            Http::one(bind).get("/").await.is_err(),
            "{answer:?}: HTTP/1.1 must see that the end is missing"
        );
        assert!(
            Http::two(bind).get("/").await.is_err(),
            "{answer:?}: HTTP/2 must see that the end is missing"
        );
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let upstream = Scripted::answering("HTTP/1.1 200 OK\r\n\r\nwhole").await;
    let (_gateway, bind) = before(&upstream).await;
    assert_eq!(get(bind).await, (200, "whole".into()));
    let upstream = Scripted::answering("HTTP/1.0 200 OK\r\n\r\nwhole").await;
    let (_gateway, bind) = before(&upstream).await;
    assert_eq!(get(bind).await, (200, "whole".into()));
}

#[tokio::test]
async fn bytes_on_an_idle_connection_are_nobodys_answer() {
    let script = [
        Step::ReadUntil("\r\n\r\n"),
        Step::text("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine"),
        Step::Pause(Duration::from_millis(50)),
        Step::text("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
        Step::ReadToEnd,
    ];
    let upstream = Scripted::start(script).await;
    let (gateway, bind) = before(&upstream).await;
    let mut client = Http::one(bind).connect().await.expect("connected");
    for _ in 0..3 {
        assert_eq!(client.get("/").await.expect("answered").text(), "mine");
        eventually("the connection is given up", || async {
            gateway.proxy.handle().measure().await.clusters["up"].connections == 0
        })
        .await;
    }
}

#[tokio::test]
async fn interim_responses_are_passed_over_but_not_for_ever() {
    let few = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let upstream = Scripted::start(answers(few, Step::Hang)).await;
    let (_gateway, bind) = before(&upstream).await;
    assert_eq!(get(bind).await, (200, "ok".into()));
    let written = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let (bare, late) = (written.replace('\r', ""), format!("\r\n{written}"));
    for (interim, count, status) in [
        (written, 8, 200),
        (written, 9, 502),
        (written, 1000, 502),
        (&bare, 8, 200),
        (&bare, 1000, 502),
        (&late, 1000, 502),
    ] {
        let interim = interim.repeat(count);
        let answer = format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let upstream = Scripted::start(answers(&answer, Step::Finish)).await;
        let (_gateway, bind) = before(&upstream).await;
        for connections in 1..4 {
            assert_eq!(get(bind).await.0, status, "after {count}");
            assert_eq!(upstream.received().len(), connections, "none is used again");
        }
    }
}

#[tokio::test]
async fn interim_responses_without_end_are_502_over_http2() {
    let bytes = |kind: u8, flags: u8, payload: &[u8]| {
        let stream = u8::from(kind != 4);
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    // `:status` by its index (8) in the static table with another value: a literal without indexing.
    let head = |status: &str, flags: u8| bytes(1, flags, &[b"\x08\x03", status.as_bytes()].concat());
    for (count, status) in [(8, 200), (10, 502), (1000, 502)] {
        let interim = head("103", 4).repeat(count);
        let answer = [bytes(4, 0, &[]), bytes(4, 1, &[]), interim, head("200", 5)].concat();
        // The client's preface, settings and request.
        let script = [Step::Read(100), Step::Write(answer), Step::ReadToEnd];
        let upstream = Scripted::start(script).await;
        let bind = loopback();
        let mut up = cluster("up", upstream.address());
        up.protocol = plenipo_model::UpstreamProtocol::Http2;
        let listener = listener(bind, vec![clear(server(vec![route("/", "up")]))]);
        let _gateway = Gateway::start(edge(vec![listener], vec![up])).await;
        assert_eq!(get(bind).await.0, status, "after {count}");
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let early = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    let upstream = Scripted::start(answers(early, Step::Finish)).await;
    let (_gateway, bind) = before(&upstream).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegin").await.expect("sent");
    let answer = raw.until("no").await.expect("answered");
    assert!(answer.starts_with(b"HTTP/1.1 403"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn hop_by_hop_fields_of_responses_end_here() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive, x-mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n\
        Proxy-Connection: x\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok";
    for client in [Http::one, Http::two] {
        let upstream = Scripted::start(answers(answer, Step::Hang)).await;
        let (_gateway, bind) = before(&upstream).await;
        let client = client(bind);
        let response = client.get("/").await.expect("answered");
        for name in ["connection", "x-mine", "keep-alive", "proxy-connection", "upgrade"] {
            assert_eq!(response.header(name), "", "{name}");
        }
        assert_eq!(response.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    }
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_a_timeout_and_its_connection_is_closed() {
    let upstream = Scripted::start([Step::ReadToEnd]).await;
    let (gateway, bind) = before_with(&upstream, |route| {
        forward_of(route).targets[0].timeout = Some(Duration::from_millis(50));
    })
    .await;
    let request = Request::post("/");
    let response = Http::one(bind).send_with(request, "body").await.expect("answered");
    assert_eq!(response.status.as_u16(), 504);
    eventually("nothing is left", || async {
        let numbers = gateway.proxy.handle().measure().await;
        numbers.clusters["up"].connections == 0 && numbers.clusters["up"].active == 0
    })
    .await;
}

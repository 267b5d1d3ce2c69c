//! Messages of every shape, unchanged where they shall be and changed where they must.

use std::net::IpAddr;
use std::time::Duration;

use ::http::{HeaderName, Request};
use plenipo_model::{
    AddressRules, ErrorBody, ErrorResponse, Fraction, HeaderEdit, HeaderEdits, Mirror, Respond, Template,
    UnderscorePolicy, UpstreamProtocol,
};
use plenipo_testkit::{Answer, Http, Raw, Scripted, Step, Upstream, eventually};

use super::*;

const PROTOCOLS: [UpstreamProtocol; 2] = [UpstreamProtocol::Http1, UpstreamProtocol::Http2];

async fn exchange(bind: SocketAddr, request: &str) -> String {
    let answer = Raw::exchange(bind, request).await.expect("answered");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn http_1_0_is_spoken_when_asked_for() {
    let (_gateway, upstream, bind) = started(|http, _, _| http.http10 = true).await;
    let answer = exchange(bind, "GET /x HTTP/1.0\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("content-length:"), "{answer}");
    assert_eq!(upstream.seen()[0].version, "HTTP/1.1", "upstream it is 1.1");
    let mut raw = Raw::connect(bind).await.expect("connected");
    for _ in 0..2 {
        raw.send("GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await.expect("sent");
        assert!(
            raw.response().await.expect("answered").to_ascii_lowercase().contains("connection: keep-alive")
        );
    }
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let chunks = Scripted::answering(chunked).await;
    let bind = loopback();
    let mut http = server(vec![route("/", "up")]);
    http.http10 = true;
    let _gateway = Gateway::start(simple(bind, http, chunks.address())).await;
    let answer = exchange(bind, "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n").await;
    assert!(
        answer.ends_with("\r\n\r\nbody"),
        "1.0 knows no chunks: the end of the connection is the end: {answer}"
    );
}

#[tokio::test]
async fn who_waits_for_100_continue_gets_it_when_the_body_is_wanted() {
    let (_gateway, upstream, bind) = started(|http, _, _| http.limits.body_bytes = Some(10)).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    raw.send(head).await.expect("sent");
    assert!(raw.until("\r\n\r\n").await.expect("an interim answer").starts_with(b"HTTP/1.1 100"));
    raw.send("body").await.expect("sent");
    assert!(raw.response().await.expect("answered").starts_with("HTTP/1.1 200"));
    assert_eq!(
        (upstream.seen()[0].body.start.as_str(), upstream.seen()[0].header("expect").len()),
        ("body", 0)
    );
    let answer = exchange(bind, &head.replace("Length: 4", "Length: 11")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "refused before it was sent: {answer}");
}

#[tokio::test]
async fn answers_without_a_body_keep_their_length() {
    for protocol in PROTOCOLS {
        let (_gateway, _upstream, bind) = started(|_, cluster, _| cluster.protocol = protocol).await;
        for client in [Http::one(bind), Http::two(bind)] {
            let mut connection = client.connect().await.expect("connected");
            let head =
                Request::head("/").header("x-echo-body-bytes", "1234").body(String::new()).expect("valid");
            let response = connection
                .send(head)
                .await
                .unwrap_or_else(|error| panic!("{protocol:?} {client:?}: {error:#}"));
            assert_eq!((response.header("content-length"), response.body.len()), ("1234", 0), "{protocol:?}");
            for status in ["204", "304"] {
                let request =
                    Request::get("/").header("x-echo-status", status).body(String::new()).expect("valid");
                let response = connection.send(request).await.expect("answered");
                assert_eq!((response.status.as_str(), response.body.len()), (status, 0), "{protocol:?}");
            }
            let head = Request::head("/").header("x-echo-status", "503").body(String::new()).expect("valid");
            assert_eq!(connection.send(head).await.expect("answered").status.as_u16(), 503);
            assert_eq!(connection.get("/").await.expect("in step").status.as_u16(), 200);
        }
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    for protocol in PROTOCOLS {
        let (_gateway, upstream, bind) = started(|_, cluster, _| cluster.protocol = protocol).await;
        let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nTE: trailers\r\n\
            x-echo-trailers: x-check=2\r\nConnection: close\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n";
        let answer = exchange(bind, request).await;
        assert!(answer.ends_with("0\r\nx-check: 2\r\n\r\n"), "{protocol:?}: {answer}");
        let seen = &upstream.seen()[0];
        assert_eq!(seen.trailers, [("x-sum".to_owned(), "1".to_owned())], "{protocol:?}");
        assert_eq!(seen.body.start, "body");
        let request = Request::get("/").header("te", "trailers").header("x-echo-trailers", "x-check=2");
        let response = Http::two(bind).send(request).await.expect("answered");
        assert_eq!(response.trailers["x-check"], "2", "{protocol:?}");
    }
}

#[tokio::test]
async fn a_call_streams_both_ways_and_slow_readers_slow_it_down() {
    let (_gateway, _upstream, bind) =
        started(|_, cluster, _| cluster.protocol = UpstreamProtocol::Http2).await;
    let mut connection = Http::two(bind).connect().await.expect("connected");
    let call = Request::post("/echo.Echo/Talk").header("x-echo-repeat", "4");
    let mut call = connection.open_call(call).await.expect("opened");
    let message = vec![b'x'; 200_000];
    for _ in 0..10 {
        call.send(&message).await.expect("sent");
        for _ in 0..4 {
            assert_eq!(call.receive().await.expect("not reset").expect("a message").len(), message.len());
        }
    }
    // Nobody reads now: what is on the way must stay bounded, and all of it must come once somebody does.
    let mut sent = 0;
    let more = async {
        loop {
            call.send(&message).await.expect("sent");
            sent += 1;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(500), more).await;
    assert!(sent < 100, "{sent} messages are on the way");
    call.finish();
    let mut received = 0;
    while call.receive().await.expect("not reset").is_some() {
        received += 1;
    }
    assert!(received >= sent * 4, "{received} of {sent}");
    assert_eq!(call.status().code, 0);
    let failing = Request::post("/echo.Echo/Say").header("x-echo-grpc-status", "7");
    assert_eq!(connection.call(failing, &["a"]).await.expect("called").1.code, 7);
}

#[tokio::test]
async fn large_and_repeated_fields_pass() {
    for protocol in PROTOCOLS {
        let (_gateway, upstream, bind) = started(|_, cluster, _| cluster.protocol = protocol).await;
        let large = "y".repeat(5_000);
        for client in [Http::one(bind), Http::two(bind)] {
            let request = Request::get("/")
                .header("x-large", &large)
                .header("cookie", "a=1; b=2")
                .header("x-echo-header", "set-cookie=a=1")
                .header("x-echo-header", "set-cookie=b=2; Path=/")
                .header("x-echo-header", format!("x-back={large}"));
            let response = client.send(request).await.expect("answered");
            assert_eq!(response.headers.get_all("set-cookie").iter().count(), 2);
            assert_eq!(response.header("x-back"), large);
        }
        assert!(upstream.seen().iter().all(|seen| seen.header("x-large") == [large.as_str()]));
    }
}

#[tokio::test]
async fn an_upgrade_carries_what_follows_at_once() {
    let ours = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\nfirst";
    let upstream = Scripted::start([
        Step::ReadUntil("\r\n\r\n"),
        Step::text(ours),
        Step::ReadUntil("second"),
        Step::text("third"),
    ])
    .await;
    let bind = loopback();
    let mut route = route("/", "up");
    forward_of(&mut route).upgrades = vec!["mine".into()];
    let gateway = Gateway::start(simple(bind, server(vec![route]), upstream.address())).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: MINE\r\n\r\n")
        .await
        .expect("sent");
    let head = String::from_utf8_lossy(&raw.until("\r\n\r\n").await.expect("a head")).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: mine"), "{head}");
    assert_eq!(raw.exactly(5).await.expect("at once"), b"first");
    raw.send("\n\0not http\r\nsecond").await.expect("sent");
    assert_eq!(raw.to_end().await.expect("the rest"), b"third");
    drop(raw);
    eventually("its route and its status are counted", || async {
        let numbers = gateway.proxy.handle().measure().await;
        let upgraded = numbers.requests.keys().any(|labels| labels.status == 101 && &*labels.route == "/");
        upgraded && numbers.clusters["up"].active == 0
    })
    .await;
    let refused = Scripted::answering("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno").await;
    let bind = loopback();
    let mut route = super::route("/", "up");
    forward_of(&mut route).upgrades = vec!["mine".into()];
    let _gateway = Gateway::start(simple(bind, server(vec![route]), refused.address())).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n")
        .await
        .expect("sent");
    assert!(raw.response().await.expect("answered").starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn a_mirror_gets_copies_and_never_delays() {
    for protocol in PROTOCOLS {
        let (upstream, shadow) = (Upstream::http("up").start().await, Upstream::http("shadow").start().await);
        let bind = loopback();
        let mut route = route("/", "up");
        forward_of(&mut route).mirrors = vec![Mirror {
            source: source(),
            cluster: "shadow".into(),
            part: Fraction::ALL,
            host_suffix: true,
        }];
        let mut copies = cluster("shadow", shadow.address());
        copies.protocol = protocol;
        let listeners = vec![listener(bind, vec![clear(server(vec![route]))])];
        let _gateway = Gateway::start(edge(listeners, vec![cluster("up", upstream.address()), copies])).await;
        shadow.plan([Answer::Silence, Answer::Reset]);
        for client in [Http::one(bind), Http::two(bind)] {
            let post = Request::post("http://h.test/x?y").header("x-mine", "1");
            let response = client.send_with(post, vec![b'z'; 100_000]).await.expect("answered");
            assert_eq!(response.echoed().expect("echo").backend, "up");
        }
        eventually("the copies arrived", || async { shadow.seen().len() == 2 }).await;
        for copy in shadow.seen() {
            assert_eq!((copy.path.as_str(), copy.host.as_str()), ("/x?y", "h.test-shadow"), "{protocol:?}");
            assert_eq!((copy.body.length, copy.header("x-mine")), (100_000, vec!["1"]), "{protocol:?}");
        }
        drop(shadow);
        assert_eq!(Http::one(bind).get("/").await.expect("answered").status.as_u16(), 200);
    }
}

fn error(status: u16, body: ErrorBody) -> Arc<ErrorResponse> {
    let content_type = if matches!(body, ErrorBody::Text(_)) { "text/html" } else { "application/json" };
    Arc::new(ErrorResponse { status, body, content_type: content_type.into() })
}

fn template(text: &str) -> Template {
    Template::parse(text).expect("valid")
}

#[tokio::test]
async fn errors_have_the_bodies_that_were_asked_for() {
    let (_gateway, _upstream, bind) = started(|http, _, route| {
        let fields = [("status", "%RESPONSE_CODE%"), ("said", "\"%REQ(X-Said)%\"")];
        let json = fields.map(|(name, value)| (name.to_owned(), template(value))).into();
        http.error_responses = vec![
            error(404, ErrorBody::Text(template("<b>%PROTOCOL%</b>"))),
            error(503, ErrorBody::Json(json)),
        ];
        http.server_name = Some("plenipo".into());
        let edit = HeaderEdit { name: HeaderName::from_static("x-all"), value: template("1"), append: false };
        http.response_headers = HeaderEdits { remove: vec![], add: vec![edit] };
        route.matches.path = PathMatch::Prefix("/there".into());
    })
    .await;
    for client in [Http::one(bind), Http::two(bind)] {
        let response = client.get("/gone").await.expect("answered");
        let protocol = if response.version == ::http::Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" };
        assert_eq!(response.text(), format!("<b>{protocol}</b>"));
        assert_eq!((response.header("content-type"), response.header("server")), ("text/html", "plenipo"));
        assert_eq!(response.header("x-all"), "1", "answers made here are changed too");
        let failing = Request::get("/there").header("x-echo-status", "503").header("x-said", "a\"b");
        let response = client.send(failing).await.expect("answered");
        assert_eq!(response.text(), r#"{"said":"\"a\"b\"","status":"503"}"#.replace("a\"b", "a\\\"b"));
        assert_eq!(response.header("content-length"), response.body.len().to_string());
        let head = Request::head("/gone");
        let response = client.send(head).await.expect("answered");
        assert_eq!((response.status.as_u16(), response.body.len()), (404, 0));
    }
}

#[tokio::test]
async fn a_route_may_answer_by_itself() {
    let (_gateway, upstream, bind) = started(|_, _, route| {
        route.action = Action::Respond(Respond {
            status: ::http::StatusCode::IM_A_TEAPOT,
            content_type: Some("text/x-tea".into()),
            body: "short and stout".into(),
        });
    })
    .await;
    for client in [Http::one(bind), Http::two(bind)] {
        let response = client.send_with(Request::post("/"), "milk").await.expect("answered");
        assert_eq!((response.status.as_u16(), response.text().as_str()), (418, "short and stout"));
        assert_eq!(response.header("content-type"), "text/x-tea");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn request_ids_are_made_or_kept() {
    for keep in [true, false] {
        let (_gateway, _upstream, bind) = started(|http, _, _| http.keep_request_id = keep).await;
        let response =
            Http::one(bind).send(Request::get("/").header("x-request-id", "mine")).await.expect("answered");
        assert_eq!(response.echoed().expect("echo").header("x-request-id") == ["mine"], keep);
        let made = Http::one(bind).get("/").await.expect("answered").echoed().expect("echo");
        assert_eq!(made.header("x-request-id")[0].len(), 36);
    }
}

#[tokio::test]
async fn ports_slashes_and_underscores_are_treated_as_configured() {
    let (_gateway, upstream, bind) = started(|http, _, _| {
        http.path.merge_slashes = true;
        http.path.reject_escaped_slashes = true;
        http.strip_matching_port = true;
        http.underscores = UnderscorePolicy::Drop;
        http.hosts[0].host = HostPattern::parse("h.test").expect("valid");
    })
    .await;
    let port = bind.port();
    let request = format!(
        "GET /a//b///c?d=//e HTTP/1.1\r\nHost: h.test:{port}\r\nX_Y: 1\r\nX-Y: 2\r\nConnection: close\r\n\r\n"
    );
    assert!(exchange(bind, &request).await.starts_with("HTTP/1.1 200"));
    let seen = &upstream.seen()[0];
    assert_eq!((seen.path.as_str(), seen.host.as_str()), ("/a/b/c?d=//e", "h.test"));
    assert_eq!((seen.header("x_y").len(), seen.header("x-y")), (0, vec!["2"]));
    for path in ["/a%2fb", "/a%5Cb"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h.test\r\n\r\n");
        assert!(exchange(bind, &request).await.starts_with("HTTP/1.1 400"), "{path}");
    }
    let (_gateway, _upstream, bind) = started(|http, _, _| http.underscores = UnderscorePolicy::Reject).await;
    let answer = exchange(bind, "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn addresses_are_let_in_or_not() {
    let here: IpAddr = [127, 0, 0, 1].into();
    let there: IpAddr = [203, 0, 113, 7].into();
    for (allow, peer, remote, status) in [
        (true, vec![here], vec![], 200),
        (true, vec![], vec![there], 200),
        (true, vec![there], vec![], 403),
        (true, vec![], vec![], 403),
        (false, vec![here], vec![], 403),
        (false, vec![], vec![there], 403),
        (false, vec![there], vec![here], 200),
    ] {
        let shown = format!("{allow} {peer:?} {remote:?}");
        let (_gateway, _upstream, bind) = started(|http, _, _| {
            http.forwarding.trusted_hops = 1;
            let nets = |list: Vec<IpAddr>| list.into_iter().map(Into::into).collect();
            http.addresses = Some(AddressRules { allow, peer: nets(peer), remote: nets(remote) });
        })
        .await;
        let request = Request::get("/").header("x-forwarded-for", there.to_string());
        assert_eq!(Http::one(bind).send(request).await.expect("answered").status.as_u16(), status, "{shown}");
    }
}

/// On a socket of both versions the addresses of clients of version 4 are written as ones of version 6.
#[tokio::test]
async fn addresses_are_the_same_on_a_socket_of_both_versions() {
    let here: IpAddr = [127, 0, 0, 1].into();
    let upstream = Upstream::http("up").start().await;
    for (allow, status) in [(true, 200), (false, 403)] {
        let here_only = loopback();
        let mut http = server(vec![route("/", "up")]);
        http.addresses = Some(AddressRules { allow, peer: vec![here.into()], remote: Vec::new() });
        let bind = (std::net::Ipv6Addr::UNSPECIFIED, here_only.port()).into();
        let _gateway = Gateway::start(simple(bind, http, upstream.address())).await;
        assert_eq!(Http::one(here_only).get("/").await.expect("answered").status.as_u16(), status, "{allow}");
    }
}

#[tokio::test]
async fn cookies_that_came_apart_by_http2_arrive_in_one_line() {
    let (_gateway, _upstream, bind) = started(|_, _, _| {}).await;
    let request = Request::get("/").header("cookie", "a=1").header("cookie", "b=2; c=3");
    let echoed = Http::two(bind).send(request).await.expect("answered").echoed().expect("echo");
    assert_eq!(echoed.header("cookie"), ["a=1; b=2; c=3"]);
}

//! What load balancers answer by themselves: statuses, pages, redirects.

use std::time::Duration;

use ::http::{Request, StatusCode};
use plenipo_model::{
    AccessLogFormat, BalancerRules, ClientProtocol, LocationTemplate, Pattern, Redirect, Respond, Template,
    UpstreamProtocol,
};
use plenipo_testkit::client::Target as To;
use plenipo_testkit::{Answer, Authority, Http, Raw, Scripted, Step, Upstream, eventually, tls};

use tokio::net::{TcpSocket, TcpStream};

use super::balancer::balanced;
use super::records::{lines, logged_to};
use super::tls::{chain, tls_server};
use super::*;

/// A load balancer before something scripted.
async fn before(rules: BalancerRules, address: SocketAddr) -> (Gateway, SocketAddr) {
    let bind = loopback();
    let mut cluster = cluster("up", address);
    cluster.connect_timeout = Duration::from_millis(200);
    let mut forward = route("/", "up");
    forward_of(&mut forward).targets[0].idle_timeout = Some(Duration::from_millis(300));
    let mut server = balanced(rules, vec![forward]);
    server.limits.header_timeout = Duration::from_millis(300);
    let gateway = Gateway::start(edge(vec![listener(bind, vec![clear(server)])], vec![cluster])).await;
    (gateway, bind)
}

/// The page that the Application Load Balancer shows.
fn page(title: &str) -> String {
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

/// Sends what may be no request at all, and reads one answer.
async fn answer(bind: SocketAddr, request: &str) -> String {
    let mut client = Raw::connect(bind).await.expect("connected");
    client.send(request).await.expect("sent");
    client.response().await.expect("answered")
}

fn check(answer: &str, status: u16, title: &str, case: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let case = case.get(..60).unwrap_or(case);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{case}: {answer}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("\r\nserver: awselb/2.0"), "{case}: {answer}");
    if title.is_empty() {
        assert_eq!(body, "", "{case}");
    } else {
        assert_eq!(body, page(title), "{case}");
        assert!(head.contains("\r\ncontent-type: text/html"), "{case}: {answer}");
    }
}

#[tokio::test]
async fn requests_are_refused_as_the_application_load_balancer_does() {
    let target = Upstream::http("target").start().await;
    let (_gateway, bind) = before(BalancerRules::application(), target.address()).await;
    let long = "a".repeat(16 * 1024);
    let wide: String = (0..5).map(|n| format!("x-{n}: {}\r\n", &long[..14 * 1024])).collect();
    let addresses = |count: usize| vec!["1.2.3.4"; count].join(", ");
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
    let bad = "400 Bad Request";
    for (request, status, title) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, bad),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(), 400, bad),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), 400, bad),
        ("GET * HTTP/1.1\r\nHost: a.test\r\n\r\n".into(), 400, bad),
        ("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n".into(), 400, bad),
        (get("no colon\r\n"), 400, bad),
        ("rubbish\r\n\r\n".into(), 400, bad),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a.test\r\n\r\n".into(), 400, bad),
        (get("Content-Length: 1\r\nContent-Length: 2\r\n"), 400, bad),
        (get(&format!("x: {long}\r\n")), 400, bad),
        (get(&wide), 400, bad),
        (
            format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", &long[..16_369]),
            414,
            "414 Request-URI Too Large",
        ),
        ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n".into(), 405, "405 Not Allowed"),
        (get("Transfer-Encoding: gzip, chunked\r\n"), 501, "501 Not Implemented"),
        ("GET / HTTP/2.0\r\nHost: a.test\r\n\r\n".into(), 505, "505 HTTP Version Not Supported"),
        (get(&format!("X-Forwarded-For: {}\r\n", addresses(31))), 463, ""),
        ("GET / HTTP/1.1\r\nHost: a".into(), 408, "408 Request Time-out"),
    ] {
        check(&answer(bind, &request).await, status, title, &request);
    }
    assert!(target.seen().is_empty(), "nothing of these goes on");
    for request in [
        get(&format!("X-Forwarded-For: {}\r\n", addresses(30))),
        get(&format!("x: {}\r\n", &long[..16_000])),
        format!("GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n", &long[..16_000]),
    ] {
        let answer = answer(bind, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test]
async fn targets_that_fail_give_502_and_504() {
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(33 * 1024));
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let read = || Step::ReadUntil("\r\n\r\n");
    for (script, application, classic) in [
        (vec![Step::Reset], 502, 504),
        (vec![read()], 502, 504),
        (vec![read(), Step::Reset], 502, 504),
        (vec![read(), Step::text("rubbish\r\n\r\n")], 502, 502),
        (
            vec![
                read(),
                Step::text("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"),
            ],
            502,
            502,
        ),
        (vec![read(), Step::Write(large.into_bytes())], 502, 502),
        (vec![read(), Step::Hang], 504, 504),
    ] {
        let target = Scripted::start(script.clone()).await;
        let (_gateway, bind) = before(BalancerRules::application(), target.address()).await;
        let title = if application == 502 { "502 Bad Gateway" } else { "504 Gateway Time-out" };
        check(&answer(bind, request).await, application, title, &format!("{script:?}"));
        let (_gateway, bind) = before(BalancerRules::classic(), target.address()).await;
        let told = answer(bind, request).await;
        let phrase = if classic == 502 { "BAD_GATEWAY" } else { "GATEWAY_TIMEOUT" };
        assert!(told.starts_with(&format!("HTTP/1.1 {classic} {phrase}\r\n")), "{script:?}: {told}");
    }
    let refusing = loopback();
    let (_gateway, bind) = before(BalancerRules::application(), refusing).await;
    check(&answer(bind, request).await, 502, "502 Bad Gateway", "refused");
    let (deaf, _queue) = deaf().await;
    let (_gateway, bind) = before(BalancerRules::application(), deaf).await;
    check(&answer(bind, request).await, 504, "504 Gateway Time-out", "no connection in time");
}

/// A port that takes no more connections, and what fills its queue.
async fn deaf() -> (SocketAddr, Vec<Box<dyn std::any::Any + Send>>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("bound");
    let listener = socket.listen(1).expect("listening");
    let address = listener.local_addr().expect("an address");
    let mut queue: Vec<Box<dyn std::any::Any + Send>> = vec![Box::new(listener)];
    let patience = Duration::from_millis(200);
    while let Ok(connected) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        queue.push(Box::new(connected.expect("connected")));
    }
    (address, queue)
}

#[tokio::test]
async fn a_handshake_that_fails_is_502_and_no_target_503() {
    let target = Upstream::http("clear text").start().await;
    let (bind, empty, late) = (loopback(), loopback(), loopback());
    let mut encrypted = cluster("up", target.address());
    encrypted.tls = Some(Arc::new(plenipo_model::TlsClient::unverified(source())));
    let silent = Scripted::start([Step::Hang]).await;
    let mut slow = Cluster { name: "slow".into(), ..encrypted.clone() };
    slow.endpoints = Endpoints::addresses([silent.address()]);
    slow.connect_timeout = Duration::from_millis(200);
    let none = Cluster::new("none", source(), Endpoints::addresses([]));
    let serve = |bind, name| {
        let server = balanced(BalancerRules::application(), vec![route("/", name)]);
        listener(bind, vec![clear(server)])
    };
    let listeners = vec![serve(bind, "up"), serve(empty, "none"), serve(late, "slow")];
    let _gateway = Gateway::start(edge(listeners, vec![encrypted, none, slow])).await;
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    check(&answer(bind, request).await, 502, "502 Bad Gateway", "TLS");
    check(&answer(late, request).await, 502, "502 Bad Gateway", "a handshake that takes too long");
    check(&answer(empty, request).await, 503, "503 Service Temporarily Unavailable", "no target");
}

#[tokio::test]
async fn a_connection_has_its_lifetime() {
    let target = Upstream::http("target").start().await;
    let bind = loopback();
    let mut server = balanced(BalancerRules::application(), vec![route("/", "up")]);
    server.limits.lifetime = Some(Duration::from_millis(300));
    let _gateway = Gateway::start(simple(bind, server, target.address())).await;
    let mut client = Raw::connect(bind).await.expect("connected");
    let (mut served, request) = (0, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    while client.send(request).await.is_ok() && client.response().await.is_ok() {
        served += 1;
    }
    assert!(served > 0 && target.seen().len() == served, "what was taken is answered");
}

#[tokio::test]
async fn a_body_that_never_ends_is_504() {
    let target = Upstream::http("target").start().await;
    let (_gateway, bind) = before(BalancerRules::application(), target.address()).await;
    let told = answer(bind, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe").await;
    check(&told, 504, "504 Gateway Time-out", "a longer Content-Length than body");
}

#[tokio::test]
async fn clients_must_speak_what_targets_do() {
    let authority = Authority::new("ca");
    let target = Upstream::http("target").start().await;
    for (demand, protocol) in [
        (ClientProtocol::Http1, UpstreamProtocol::Http1),
        (ClientProtocol::Http2, UpstreamProtocol::Http2),
        (ClientProtocol::Grpc, UpstreamProtocol::Http2),
    ] {
        let bind = loopback();
        let mut forward = route("/", "up");
        forward_of(&mut forward).client_protocol = Some(demand);
        let tls = ChainTls::Terminate(Arc::new(tls_server(&authority.server(&["lb.test"]))));
        let chains = vec![chain("*", tls, balanced(BalancerRules::application(), vec![forward]))];
        let mut cluster = cluster("up", target.address());
        cluster.protocol = protocol;
        let _gateway = Gateway::start(edge(vec![listener(bind, chains)], vec![cluster])).await;
        let client = |alpn: &[&str]| To::tls(bind, "lb.test", tls::client(&authority, None, alpn));
        let (one, two) = (Http::one(client(&["http/1.1"])), Http::two(client(&["h2"])));
        let grpc = || Request::post("/a.B/C").header("content-type", "application/grpc+proto");
        let got = [
            one.get("/").await.expect("answered").status.as_u16(),
            two.get("/").await.expect("answered").status.as_u16(),
            two.send(Request::post("/")).await.expect("answered").status.as_u16(),
            two.send(grpc()).await.expect("answered").status.as_u16(),
        ];
        let expected = match demand {
            ClientProtocol::Http1 => [200, 200, 200, 464],
            ClientProtocol::Http2 => [464, 200, 200, 200],
            ClientProtocol::Grpc => [464, 464, 200, 200],
        };
        assert_eq!(got, expected, "{demand:?}");
    }
}

#[tokio::test]
async fn redirects_and_fixed_responses_are_signed() {
    let bind = loopback();
    let redirect = |prefix: &str, to: &str, status| {
        let action = Action::Redirect(Box::new(Redirect {
            location: Some(LocationTemplate::parse(to).expect("valid")),
            ..Redirect::new(status)
        }));
        Route::new(prefix, source(), PathMatch::Prefix(prefix.into()), action)
    };
    let fixed = Action::Respond(Respond {
        status: StatusCode::OK,
        content_type: Some("text/plain".into()),
        body: "fixed".into(),
    });
    let routes = vec![
        redirect("/old/", "https://#{host}:443/#{path}?#{query}", StatusCode::MOVED_PERMANENTLY),
        redirect("/same", "#{protocol}://#{host}:#{port}/new/#{path}?x=1&#{query}", StatusCode::FOUND),
        Route::new("fixed", source(), PathMatch::Prefix("/".into()), fixed),
    ];
    let server = balanced(BalancerRules::application(), routes);
    let listener = Listener { declared_port: 8080, ..listener(bind, vec![clear(server)]) };
    let _gateway = Gateway::start(edge(vec![listener], vec![])).await;
    for (path, status, title, location) in [
        ("/old/a?b=c", 301, "301 Moved Permanently", "https://a.test:443/old/a?b=c"),
        ("/old/", 301, "301 Moved Permanently", "https://a.test:443/old/"),
        ("/same?y=2", 302, "302 Found", "http://a.test:8080/new/same?x=1&y=2"),
    ] {
        let told = answer(bind, &format!("GET {path} HTTP/1.1\r\nHost: A.test:99\r\n\r\n")).await;
        check(&told, status, title, path);
        assert!(told.contains(&format!("\r\nlocation: {location}\r\n")), "{path}: {told}");
    }
    let told = answer(bind, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert!(told.contains("\r\nserver: awselb/2.0\r\n") && told.ends_with("\r\n\r\nfixed"), "{told}");
}

#[tokio::test]
async fn rules_look_at_peers_and_parameters() {
    let bind = loopback();
    let respond = |body: &str| {
        Action::Respond(Respond { status: StatusCode::OK, content_type: None, body: body.into() })
    };
    let rule = |name: &str| Route::new(name, source(), PathMatch::Prefix("/".into()), respond(name));
    let mut elsewhere = rule("elsewhere");
    elsewhere.matches.peers = vec!["10.0.0.0/8".parse().expect("a network")];
    let mut parameter = rule("parameter");
    parameter.matches.parameters = vec![Pattern::new("(?i)version=v.*").expect("valid")];
    let mut value = rule("value");
    value.matches.parameters = vec![Pattern::new("(?i)[^=]*=beta").expect("valid")];
    let mut here = rule("here");
    here.matches.peers = ["192.0.2.0/24", "127.0.0.0/8"].map(|net| net.parse().expect("a network")).into();
    let server = balanced(BalancerRules::application(), vec![elsewhere, parameter, value, here]);
    let _gateway = Gateway::start(edge(vec![listener(bind, vec![clear(server)])], vec![])).await;
    for (query, taken) in [
        ("", "here"),
        ("?x=1&VERSION=V2", "parameter"),
        ("?version=2", "here"),
        ("?any=BETA", "value"),
        ("?beta", "here"),
    ] {
        let request = Request::get(format!("/{query}")).header("x-forwarded-for", "10.1.2.3");
        let told = Http::one(bind).send(request).await.expect("answered").text();
        assert_eq!(told, taken, "{query}");
    }
}

#[tokio::test]
async fn clients_that_go_first_are_logged_as_460() {
    let target = Upstream::http("target").start().await;
    target.plan([Answer::Silence]);
    let bind = loopback();
    let mut server = balanced(BalancerRules::application(), vec![route("/", "up")]);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let line = Template::parse("%RESPONSE_CODE% %RESPONSE_FLAGS% %REQ(:PATH)%\n").expect("valid");
    server.access_log = logged_to(&path, AccessLogFormat::Text(line));
    let _gateway = Gateway::start(simple(bind, server, target.address())).await;
    let mut client = Raw::connect(bind).await.expect("connected");
    client.send("GET /gone HTTP/1.1\r\nHost: a.test\r\n\r\n").await.expect("sent");
    eventually("the target has it", || async { !target.seen().is_empty() }).await;
    drop(client);
    assert_eq!(lines(&path, 1).await, ["460 DC /gone"]);
    answer(bind, "GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(lines(&path, 2).await[1..], ["400 DPE /"]);
    answer(bind, "rubbish\r\n\r\n").await;
    assert_eq!(lines(&path, 3).await[2..], ["400 DPE -"]);
}

//! Who is let in: rules, and external services that are asked.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use plenipo_model::{
    AccessPolicy, AccessRule, AccessTest, Authorization, CheckHeader, CheckPath, CheckedBody,
    ExternalAuthorization, ExternalProtocol, ExternalRule, Fact, Guard, HttpCheck, NameMatch, SignIn,
    TcpRoute, TcpTarget, Template, TextMatch,
};
use plenipo_testkit::{Http, Programmed, Raw, Upstream};

use super::{Gateway, clear, cluster, edge, listener, loopback, route, server, source, started};

fn exact(text: &str) -> Vec<TextMatch> {
    vec![TextMatch::Exact(text.to_owned())]
}

fn policy(tests: Vec<AccessTest>) -> AccessPolicy {
    AccessPolicy { source: source(), rules: vec![AccessRule::all(tests)] }
}

fn path(text: &str) -> AccessTest {
    Fact::Path(vec![TextMatch::parse(text)]).into()
}

#[tokio::test]
async fn denials_go_first_and_what_is_not_allowed_is_denied() {
    let (_gateway, upstream, bind) = started(|server, _, _| {
        server.authorization = Some(Arc::new(Authorization {
            deny: vec![policy(vec![path("/app/secret*")])],
            allow: Some(vec![policy(vec![path("/app*"), Fact::Method(exact("GET")).into()])]),
            ..Authorization::default()
        }));
    })
    .await;
    let client = Http::one(bind);
    for (method, target, status) in [
        ("GET", "/app", 200),
        ("GET", "/app/x?y", 200),
        ("POST", "/app", 403),
        ("GET", "/other", 403),
        ("GET", "/app/secret", 403),
        ("GET", "/app/%73ecret", 403),
        ("GET", "/app/x/../secret/y", 403),
    ] {
        let response = client.send(Request::builder().method(method).uri(target)).await.unwrap();
        assert_eq!(response.status.as_u16(), status, "{method} {target}");
        if status == 403 {
            assert_eq!(response.text(), "RBAC: access denied");
        }
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_done_lets_nobody_in() {
    let (_gateway, _upstream, bind) = started(|server, _, route| {
        route.clear_text_allowed = true;
        server.authorization = Some(Arc::new(Authorization::refusing("no such provider")));
    })
    .await;
    assert_eq!(Http::two(bind).get("/").await.unwrap().status.as_u16(), 403);
}

#[tokio::test]
async fn connections_that_are_not_let_in_are_closed() {
    let upstream = Upstream::tcp("up").start().await;
    for (network, answer) in [("127.0.0.0/8", ""), ("10.0.0.0/8", "hello")] {
        let bind = loopback();
        let targets = vec![TcpTarget { source: source(), weight: 1, cluster: "up".into() }];
        let deny = vec![policy(vec![Fact::Peer(vec![network.parse().unwrap()]).into()])];
        let authorization = Some(Arc::new(Authorization { deny, ..Authorization::default() }));
        let relay = TcpRoute { authorization, ..TcpRoute::new("relay", source(), targets) };
        let chain = plenipo_model::Chain {
            source: source(),
            accepts: plenipo_model::Accepts::Anything,
            tls: plenipo_model::ChainTls::Untouched,
            serve: plenipo_model::Serve::Tcp(Arc::new(relay)),
        };
        let clusters = vec![cluster("up", upstream.address())];
        let _gateway = Gateway::start(edge(vec![listener(bind, vec![chain])], clusters)).await;
        let mut raw = Raw::connect(bind).await.unwrap();
        // One that is closed at once may refuse the bytes too.
        let _ = raw.send("hello").await;
        let _ = raw.finish().await;
        let received = raw.to_end().await.unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&received), answer, "{network}");
    }
}

fn http_check() -> HttpCheck {
    HttpCheck {
        request_headers: vec![NameMatch::parse("x-user"), NameMatch::parse("cookie*")],
        ..HttpCheck::new()
    }
}

fn service(check: HttpCheck) -> ExternalAuthorization {
    ExternalAuthorization::new(source(), "auth".into(), ExternalProtocol::Http(Box::new(check)))
}

/// A gateway whose server asks this service about paths below `/guarded`.
async fn asking(
    service: ExternalAuthorization,
    auth: std::net::SocketAddr,
) -> (Gateway, Upstream, std::net::SocketAddr) {
    let upstream = Upstream::http("up").start().await;
    let bind = loopback();
    let mut http = server(vec![route("/", "up")]);
    http.authorization = Some(Arc::new(Authorization {
        external: vec![ExternalRule {
            policies: vec![policy(vec![path("/guarded*")])],
            service: Arc::new(service),
        }],
        ..Authorization::default()
    }));
    let clusters = vec![cluster("up", upstream.address()), cluster("auth", auth)];
    (Gateway::start(edge(vec![listener(bind, vec![clear(http)])], clusters)).await, upstream, bind)
}

fn judge() -> impl Fn(&plenipo_testkit::upstream::Whole) -> Response<Bytes> + Send + Sync + 'static {
    |(parts, body)| {
        let user = parts.headers.get("x-user").map_or("", |user| user.to_str().unwrap());
        let builder = Response::builder();
        let builder = match user {
            "alice" => builder.header("x-identity", "id-of-alice").header("x-seen", "yes"),
            "broken" => builder.status(500),
            "slow" => {
                std::thread::sleep(Duration::from_millis(700));
                builder
            }
            _ => builder.status(401).header("www-authenticate", "Bearer").header("x-internal", "1"),
        };
        builder.body(Bytes::from(format!("no: {}", String::from_utf8_lossy(body)))).unwrap()
    }
}

#[tokio::test]
async fn a_service_says_who_passes() {
    let auth = Programmed::start(judge()).await;
    let check = HttpCheck {
        path: CheckPath::Prefix("/check".into()),
        upstream_headers: vec![NameMatch::parse("x-identity")],
        client_headers_on_success: vec![NameMatch::parse("x-seen")],
        client_headers_on_refusal: Some(vec![NameMatch::parse("www-authenticate")]),
        ..http_check()
    };
    let (_gateway, upstream, bind) = asking(service(check), auth.address()).await;
    let client = Http::one(bind);
    let request = Request::post("/guarded/a?b=c")
        .header("x-user", "alice")
        .header("x-identity", "forged")
        .header("x-other", "1");
    let response = client.send(request).await.unwrap();
    assert_eq!(response.header("x-seen"), "yes");
    assert_eq!(response.echoed().unwrap().header("x-identity"), ["id-of-alice"]);
    let (asked, _) = &auth.seen()[0];
    assert_eq!((asked.method.as_str(), asked.uri.to_string()), ("POST", "/check/guarded/a?b=c".to_owned()));
    assert_eq!(
        (asked.headers.get("x-user").unwrap(), asked.headers.get("x-other")),
        (&"alice".parse().unwrap(), None)
    );
    assert_eq!(asked.headers["content-length"], "0");

    let response = client.send(Request::get("/guarded").header("x-user", "eve")).await.unwrap();
    assert_eq!((response.status.as_u16(), response.text().as_str()), (401, "no: "));
    assert_eq!((response.header("www-authenticate"), response.headers.get("x-internal")), ("Bearer", None));
    // Nobody is asked about the rest.
    assert_eq!(client.get("/free").await.unwrap().status.as_u16(), 200);
    assert_eq!((auth.seen().len(), upstream.seen().len()), (2, 2));
}

#[tokio::test]
async fn without_an_answer_nobody_passes_unless_asked_for() {
    let auth = Programmed::start(judge()).await;
    for (open, user, status) in
        [(false, "broken", 503), (false, "slow", 503), (true, "broken", 200), (true, "slow", 200)]
    {
        let service = ExternalAuthorization {
            timeout: Duration::from_millis(300),
            fail_open: open,
            status_on_error: StatusCode::SERVICE_UNAVAILABLE,
            ..service(http_check())
        };
        let (_gateway, _upstream, bind) = asking(service, auth.address()).await;
        let response = Http::one(bind).send(Request::get("/guarded").header("x-user", user)).await.unwrap();
        assert_eq!(response.status.as_u16(), status, "{open} {user}");
    }
    // Nobody there, and no such cluster.
    let (_gateway, _upstream, bind) = asking(service(http_check()), super::refusing()).await;
    assert_eq!(Http::one(bind).get("/guarded").await.unwrap().status.as_u16(), 403);
    let nowhere = ExternalAuthorization { cluster: "nowhere".into(), ..service(http_check()) };
    let (_gateway, _upstream, bind) = asking(nowhere, auth.address()).await;
    assert_eq!(Http::one(bind).get("/guarded").await.unwrap().status.as_u16(), 403);
}

/// The status says it all.
#[tokio::test]
async fn a_refusal_whose_words_cannot_be_read_is_one() {
    let long = Bytes::from(vec![b'x'; 2 * 1024 * 1024]);
    let auth = Programmed::start(move |_| Response::builder().status(403).body(long.clone()).unwrap()).await;
    let service = ExternalAuthorization { fail_open: true, ..service(http_check()) };
    let (_gateway, upstream, bind) = asking(service, auth.address()).await;
    let response = Http::one(bind).get("/guarded").await.unwrap();
    assert_eq!((response.status.as_u16(), response.text().as_str()), (403, ""));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_service_may_see_the_body_and_the_upstream_gets_all_of_it() {
    let auth = Programmed::start(judge()).await;
    for (partial, length, status) in
        [(true, 10, 200), (true, 200_000, 200), (false, 8, 200), (false, 9, 413), (true, 0, 200)]
    {
        let body = Some(CheckedBody { max_bytes: 8, partial, raw: false });
        let (_gateway, upstream, bind) =
            asking(ExternalAuthorization { body, ..service(http_check()) }, auth.address()).await;
        let sent = "abcdefghij".repeat(length / 10 + 1)[..length].to_owned();
        let request = Request::post("/guarded").header("x-user", "alice");
        let response = Http::one(bind).send_with(request, sent.clone()).await.unwrap();
        assert_eq!(response.status.as_u16(), status, "{partial} {length}");
        if status == 200 {
            let seen = auth.seen();
            assert_eq!(seen.last().unwrap().1, sent.as_bytes()[..length.min(8)]);
            assert_eq!(upstream.seen()[0].body.length, length);
        }
    }
}

#[tokio::test]
async fn a_route_may_ask_by_itself_and_send_clients_to_sign_in() {
    let auth = Programmed::start(judge()).await;
    let check = HttpCheck {
        path: CheckPath::Exact(Template::parse("/auth?of=%REQ(:METHOD)%").unwrap()),
        method: Some(http::Method::GET),
        host: Some("auth.test".into()),
        any_success: true,
        strict_refusals: true,
        sign_in: Some(SignIn {
            url: Template::parse("https://login.test/start").unwrap(),
            return_parameter: Some("rd".into()),
        }),
        ..http_check()
    };
    let (mut gateway, _upstream, bind) = started(|_, _, route| {
        let external = Some(Arc::new(service(check)));
        route.guard = Some(Arc::new(Guard { external, ..Guard::default() }));
    })
    .await;
    let mut edge = gateway.snapshot.edge().as_ref().clone();
    let asked = cluster("auth", auth.address());
    edge.clusters.insert(Arc::clone(&asked.name), Arc::new(asked));
    gateway.publish(edge).await;
    let client = Http::one(bind);
    let response = client.send(Request::post("/a?b=c d").header("x-user", "alice")).await;
    assert!(response.is_err() || response.unwrap().status.is_client_error(), "no URL");
    let response = client.send(Request::post("/a?b=c").header("x-user", "alice")).await.unwrap();
    assert_eq!(response.status.as_u16(), 200);
    let (asked, _) = auth.seen().pop().unwrap();
    assert_eq!(
        (asked.method.as_str(), asked.uri.to_string(), &asked.headers["host"]),
        ("GET", "/auth?of=POST".to_owned(), &"auth.test".parse().unwrap())
    );
    let response = client.get("/a?b=c").await.unwrap();
    assert_eq!(response.status.as_u16(), 302);
    let back = format!("http%3A%2F%2F{}%2Fa%3Fb%3Dc", bind.to_string().replace(':', "%3A"));
    assert_eq!(response.header("location"), format!("https://login.test/start?rd={back}"));
    assert_eq!(client.send(Request::get("/").header("x-user", "broken")).await.unwrap().status.as_u16(), 403);
}

#[tokio::test]
async fn what_the_service_sets_may_choose_the_route() {
    let auth = Programmed::start(judge()).await;
    let (mut gateway, _upstream, bind) = started(|_, _, route| {
        let check = HttpCheck { upstream_headers: vec![NameMatch::parse("x-identity")], ..http_check() };
        let external = ExternalAuthorization { reroute: true, ..service(check) };
        route.guard = Some(Arc::new(Guard { external: Some(Arc::new(external)), ..Guard::default() }));
    })
    .await;
    let other = Upstream::http("other").start().await;
    let mut edge = gateway.snapshot.edge().as_ref().clone();
    for asked in [cluster("auth", auth.address()), cluster("other", other.address())] {
        edge.clusters.insert(Arc::clone(&asked.name), Arc::new(asked));
    }
    let mut chosen = route("/", "other");
    chosen.matches.headers = vec![plenipo_model::HeaderMatch {
        value: plenipo_model::ValueMatch::Exact("id-of-alice".into()),
        ..header_match("x-identity")
    }];
    let plenipo_model::Serve::Http(http) = &mut edge.listeners[0].chains[0].serve else {
        panic!("it is HTTP")
    };
    let http = Arc::make_mut(http);
    let guarded = http.hosts[0].routes[0].clone();
    chosen.guard.clone_from(&guarded.guard);
    http.hosts[0].routes = [Arc::new(chosen), guarded].into();
    gateway.publish(edge).await;
    let client = Http::one(bind);
    let echoed = client.send(Request::get("/").header("x-user", "alice")).await.unwrap().echoed().unwrap();
    assert_eq!(echoed.backend, "other");
    assert_eq!(auth.seen().len(), 1, "asked once");
    assert_eq!(client.get("/").await.unwrap().status.as_u16(), 401);
}

fn header_match(name: &'static str) -> plenipo_model::HeaderMatch {
    plenipo_model::HeaderMatch {
        name: HeaderName::from_static(name),
        value: plenipo_model::ValueMatch::Present,
        invert: false,
        missing_is_empty: false,
    }
}

/// A field of a message whose value has a length.
fn message_field(number: u8, value: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(value.len()).unwrap()], value].concat()
}

/// `CheckResponse` in its frame.
fn check_response(message: &[u8]) -> Response<Bytes> {
    let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
    frame.extend_from_slice(message);
    let builder =
        Response::builder().header("content-type", "application/grpc").header("trailer-grpc-status", "0");
    builder.body(frame.into()).unwrap()
}

#[tokio::test]
async fn a_service_may_be_asked_by_grpc() {
    let auth = Programmed::start(|(_, body)| {
        let says = |text: &str| body.windows(text.len()).any(|window| window == text.as_bytes());
        let status = |code: u8| message_field(1, &[8, code]);
        if says("alice") {
            let header = [message_field(1, b"x-identity"), message_field(2, b"id-of-alice")].concat();
            let ok = message_field(2, &message_field(1, &header));
            check_response(&[status(0), message_field(3, &ok)].concat())
        } else if says("broken") {
            Response::builder().header("trailer-grpc-status", "13").body(Bytes::new()).unwrap()
        } else {
            let denied = [message_field(1, &[8, 0xad, 3]), message_field(3, b"no")].concat();
            check_response(&[status(7), message_field(2, &denied)].concat())
        }
    })
    .await;
    let protocol = ExternalProtocol::Grpc(plenipo_model::GrpcCheck { authority: "auth.test:9000".into() });
    let service = Arc::new(ExternalAuthorization::new(source(), "auth".into(), protocol));
    let guard = Guard {
        external: Some(service),
        context: [("tier".to_owned(), "gold".to_owned())].into(),
        ..Guard::default()
    };
    let (mut gateway, upstream, bind) = started(|_, _, route| route.guard = Some(Arc::new(guard))).await;
    let mut edge = gateway.snapshot.edge().as_ref().clone();
    let clear = cluster("auth", auth.address());
    let asked = plenipo_model::Cluster { protocol: plenipo_model::UpstreamProtocol::Http2, ..clear.clone() };
    edge.clusters.insert(Arc::clone(&asked.name), Arc::new(asked));
    gateway.publish(edge.clone()).await;
    let client = Http::one(bind);
    let echoed =
        client.send(Request::get("/a?b=c").header("x-user", "alice")).await.unwrap().echoed().unwrap();
    assert_eq!(echoed.header("x-identity"), ["id-of-alice"]);
    let (asked, message) = auth.seen().pop().unwrap();
    assert_eq!(asked.uri.path(), "/envoy.service.auth.v3.Authorization/Check");
    assert_eq!(asked.uri.authority().unwrap().as_str(), "auth.test:9000");
    for text in ["/a?b=c", "GET", "tier", "gold", "x-user", "127.0.0.1"] {
        assert!(message.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
    let response = client.send(Request::get("/").header("x-user", "eve")).await.unwrap();
    assert_eq!((response.status.as_u16(), response.text().as_str()), (429, "no"));
    let response = client.send(Request::get("/").header("x-user", "broken")).await.unwrap();
    assert_eq!(response.status.as_u16(), 403);
    // Over HTTP/1 there is no gRPC.
    edge.clusters.insert(Arc::clone(&clear.name), Arc::new(clear));
    gateway.publish(edge).await;
    let response = client.send(Request::get("/").header("x-user", "alice")).await.unwrap();
    assert_eq!(response.status.as_u16(), 403);
    assert_eq!(upstream.seen().len(), 1);
}

/// Neither a yes without them nor no answer at all leaves fields of the service's as a client forged them.
#[tokio::test]
async fn fields_of_the_service_are_never_the_clients() {
    let auth = Programmed::start(judge()).await;
    let names = ["x-identity", "x-forwarded-groups", "x-auth-user"];
    let check = HttpCheck {
        request_headers: vec![NameMatch::Any],
        added: vec![CheckHeader {
            name: HeaderName::from_static("ssl-client-cert"),
            value: Template::parse("%DOWNSTREAM_PEER_CERT%").unwrap(),
        }],
        upstream_headers: names.into_iter().chain(["x-role-*"]).map(NameMatch::parse).collect(),
        ..http_check()
    };
    let service = ExternalAuthorization { fail_open: true, ..service(check) };
    let (_gateway, _upstream, bind) = asking(service, auth.address()).await;
    for (user, identity) in [("alice", vec!["id-of-alice"]), ("broken", vec![])] {
        let forged = Request::get("/guarded").header("x-user", user).header("ssl-client-cert", "forged");
        let forged = names.iter().fold(forged, |request, name| request.header(*name, "forged"));
        let forged = forged.header("x_auth_user", "forged").header("ssl_client_cert", "forged");
        let forged = forged.header("x-role-admin", "forged").header("x_role_admin", "forged");
        let echoed = Http::one(bind).send(forged).await.unwrap().echoed().unwrap();
        assert_eq!(echoed.header("x-identity"), identity, "{user}");
        for name in ["x-forwarded-groups", "x-auth-user", "x_auth_user", "x-role-admin", "x_role_admin"] {
            assert!(echoed.header(name).is_empty(), "{user} {name}");
        }
        let (asked, _) = auth.seen().pop().unwrap();
        assert!(
            !asked.headers.contains_key("ssl-client-cert") && !asked.headers.contains_key("ssl_client_cert")
        );
    }
}

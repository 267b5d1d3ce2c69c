//! Requests through the gateway: routing, rewriting, forwarding, failing.

use std::time::Duration;

use ::http::{HeaderName, Request, StatusCode};
use plenipo_model::{
    Cors, HeaderEdit, HeaderEdits, HostRewrite, InsecureAction, LimitSet, OriginMatch, PathRewrite, Redirect,
    RedirectPath, RetryOn, RetryPolicy, SecurityModel, Template, UpstreamProtocol,
};
use plenipo_testkit::{Answer, Http};

use super::*;

#[tokio::test]
async fn a_request_goes_through_with_what_the_next_hop_must_know() {
    let (_gateway, _upstream, bind) = started(|_, _, _| {}).await;
    let response = Http::one(bind).get("/a/b?c=d").await.expect("answered");
    assert_eq!(response.status, StatusCode::OK);
    let echoed = response.echoed().expect("echo");
    assert_eq!((echoed.path.as_str(), echoed.method.as_str()), ("/a/b?c=d", "GET"));
    assert_eq!(echoed.host, bind.to_string());
    assert_eq!(echoed.header("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(echoed.header("x-forwarded-proto"), ["http"]);
    assert_eq!(echoed.header("x-envoy-external-address"), ["127.0.0.1"]);
    assert_eq!(echoed.header("x-request-id")[0].len(), 36);
    assert!(!response.header("x-envoy-upstream-service-time").is_empty());
}

#[tokio::test]
async fn http2_with_prior_knowledge_and_to_the_upstream() {
    let (_gateway, _upstream, bind) =
        started(|_, cluster, _| cluster.protocol = UpstreamProtocol::Http2).await;
    for client in [Http::one(bind), Http::two(bind)] {
        let response = client.get("/x").await.expect("answered");
        let echoed = response.echoed().expect("echo");
        assert_eq!(echoed.version, "HTTP/2.0");
        assert_eq!(echoed.host, bind.to_string());
    }
}

#[tokio::test]
async fn the_path_and_the_host_are_rewritten_and_headers_edited() {
    let (_gateway, _upstream, bind) = started(|_, _, route| {
        route.matches.path = PathMatch::Prefix("/old".into());
        let target = &mut forward_of(route).targets[0];
        target.rewrite = PathRewrite::Matched("/new".into());
        target.host = HostRewrite::To("inside.example".into());
        let edit = |name: &'static str, value: &str, append| HeaderEdit {
            name: HeaderName::from_static(name),
            value: Template::parse(value).expect("valid"),
            append,
        };
        route.request_headers = HeaderEdits {
            remove: vec![HeaderName::from_static("x-gone")],
            add: vec![
                edit("x-from", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", false),
                edit("x-two", "b", true),
            ],
        };
        route.response_headers =
            HeaderEdits { remove: vec![], add: vec![edit("x-method", "%REQ(:METHOD)%", false)] };
    })
    .await;
    let request = Request::get("/old/x?q=1").header("x-gone", "1").header("x-two", "a");
    let response = Http::one(bind).send(request).await.expect("answered");
    let echoed = response.echoed().expect("echo");
    assert_eq!(echoed.path, "/new/x?q=1");
    assert_eq!(echoed.host, "inside.example");
    assert_eq!(echoed.header("x-envoy-original-path"), ["/old/x?q=1"]);
    assert_eq!(echoed.header("x-from"), ["127.0.0.1"]);
    assert_eq!(echoed.header("x-two"), ["a", "b"]);
    assert!(echoed.header("x-gone").is_empty());
    assert_eq!(response.header("x-method"), "GET");
    assert_eq!(Http::one(bind).get("/other").await.expect("answered").status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn insecure_requests_are_redirected_routed_or_rejected() {
    for (action, security, proto, expected) in [
        (InsecureAction::Redirect, SecurityModel::Forwarded, None, 301),
        (InsecureAction::Redirect, SecurityModel::Forwarded, Some("https"), 200),
        (InsecureAction::Redirect, SecurityModel::Forwarded, Some("HTTPS"), 301),
        (InsecureAction::Redirect, SecurityModel::Secure, None, 200),
        (InsecureAction::Reject, SecurityModel::Forwarded, None, 404),
        (InsecureAction::Route, SecurityModel::Insecure, None, 200),
        (InsecureAction::Reject, SecurityModel::Insecure, Some("https"), 404),
    ] {
        let (_gateway, _upstream, bind) = started(|http, _, _| {
            http.hosts[0].insecure = action;
            http.security = security;
            http.forwarding.use_remote_address = proto.is_none();
        })
        .await;
        let mut request = Request::get("/p?q").header("host", "h.example:80");
        if let Some(proto) = proto {
            request = request.header("x-forwarded-proto", proto);
        }
        let response = Http::one(bind).send(request).await.expect("answered");
        assert_eq!(response.status.as_u16(), expected, "{action:?} {security:?} {proto:?}");
        if expected == 301 {
            assert_eq!(response.header("location"), "https://h.example/p?q");
        }
    }
}

#[tokio::test]
async fn redirects_say_where() {
    let (_gateway, _upstream, bind) = started(|_, _, route| {
        route.matches.path = PathMatch::Prefix("/from".into());
        route.action = Action::Redirect(Box::new(Redirect {
            host: Some("there.example".into()),
            path: RedirectPath::Matched("/to".into()),
            ..Redirect::new(StatusCode::PERMANENT_REDIRECT)
        }));
    })
    .await;
    let response = Http::one(bind).get("/from/x?q=1").await.expect("answered");
    assert_eq!(response.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(response.header("location"), "http://there.example/to/x?q=1");
}

#[tokio::test]
async fn preflights_are_answered_and_origins_told() {
    let (_gateway, _upstream, bind) = started(|_, _, route| {
        route.cors = Some(Arc::new(Cors {
            source: source(),
            origins: vec![OriginMatch::Wildcard("https://".into(), ".example.com".into())],
            methods: Some("GET, PUT".into()),
            headers: None,
            exposed_headers: Some("x-a".into()),
            credentials: true,
            max_age: Some("60".into()),
            unmatched_preflights_forwarded: true,
        }));
    })
    .await;
    let preflight = |origin: &str| {
        Request::options("/").header("origin", origin).header("access-control-request-method", "PUT")
    };
    let client = Http::one(bind);
    let response = client.send(preflight("https://a.example.com")).await.expect("answered");
    assert_eq!(response.header("access-control-allow-methods"), "GET, PUT");
    assert_eq!(response.header("access-control-allow-credentials"), "true");
    assert_eq!(response.header("access-control-max-age"), "60");
    assert!(response.body.is_empty());
    let other = client.send(preflight("https://evil.test")).await.expect("answered");
    assert_eq!(other.echoed().expect("it went upstream").method, "OPTIONS");
    let get =
        client.send(Request::get("/").header("origin", "https://a.example.com")).await.expect("answered");
    assert_eq!(get.header("access-control-allow-origin"), "https://a.example.com");
    assert_eq!(get.header("access-control-expose-headers"), "x-a");
}

#[tokio::test]
async fn failures_have_their_status_and_flags() {
    let dead = crate::refusing();
    let (_gateway, _upstream, bind) =
        started(|_, cluster, _| cluster.endpoints = Endpoints::addresses([dead])).await;
    let response = Http::one(bind).get("/").await.expect("answered");
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.text().contains("connection failure"), "{}", response.text());

    let (_gateway, _upstream, bind) =
        started(|_, cluster, _| cluster.endpoints = Endpoints::addresses([])).await;
    let response = Http::one(bind).get("/").await.expect("answered");
    assert_eq!((response.status.as_u16(), response.text().as_str()), (503, "no healthy upstream"));

    let (_gateway, _upstream, bind) = started(|_, cluster, _| {
        cluster.limits.default = LimitSet { requests: 0, ..LimitSet::default() };
    })
    .await;
    let response = Http::one(bind).get("/").await.expect("answered");
    assert_eq!((response.status.as_u16(), response.header("x-envoy-overloaded")), (503, "true"));

    let (_gateway, _upstream, bind) = started(|_, _, route| {
        forward_of(route).targets[0].timeout = Some(Duration::from_millis(50));
    })
    .await;
    let slow = Request::get("/").header("x-echo-delay-ms", "10000");
    let response = Http::one(bind).send(slow).await.expect("answered");
    assert_eq!((response.status.as_u16(), response.text().as_str()), (504, "upstream request timeout"));
}

#[tokio::test]
async fn retries_until_it_works_or_the_tries_are_used_up() {
    let (_gateway, upstream, bind) = started(|_, _, route| {
        forward_of(route).retry = Some(RetryPolicy::new(RetryOn::FiveXx, 2));
    })
    .await;
    upstream.plan([Answer::Status(503), Answer::Status(500)]);
    let client = Http::one(bind);
    let response = client.send_with(Request::post("/"), "the body").await.expect("answered");
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.echoed().expect("echo").body.start, "the body", "the body is sent again");
    upstream.plan([Answer::Status(503), Answer::Status(503), Answer::Status(502)]);
    assert_eq!(client.get("/").await.expect("answered").status.as_u16(), 502);
}

#[tokio::test]
async fn websockets_pass_where_they_are_let_through() {
    let (_gateway, _upstream, bind) =
        started(|_, _, route| forward_of(route).upgrades = vec!["websocket".into()]).await;
    let mut socket = Http::one(bind).websocket(Request::get("/ws")).await.expect("upgraded");
    for text in ["one", "two"] {
        socket.send(text).await.expect("sent");
        assert_eq!(socket.receive().await.expect("echoed"), text);
    }
    socket.close().await.expect("closed");
    let (_gateway, _upstream, bind) = started(|_, _, _| {}).await;
    assert!(Http::one(bind).websocket(Request::get("/ws")).await.is_err(), "403 without the route's leave");
}

#[tokio::test]
async fn grpc_passes_with_trailers_both_ways() {
    let (_gateway, _upstream, bind) =
        started(|_, cluster, _| cluster.protocol = UpstreamProtocol::Http2).await;
    let mut connection = Http::two(bind).connect().await.expect("connected");
    let call = Request::post("/plenipo.Echo/Chat");
    let (replies, status) = connection.call(call, &["one", "two"]).await.expect("called");
    assert_eq!((replies.len(), status.code), (2, 0), "{replies:?}");
}

#[tokio::test]
async fn what_is_counted() {
    let (gateway, _upstream, bind) = started(|_, _, _| {}).await;
    let client = Http::one(bind);
    for _ in 0..3 {
        client.get("/x").await.expect("answered");
    }
    client.get("/x").await.expect("answered");
    let numbers = gateway.proxy.handle().measure().await;
    assert_eq!(numbers.listeners["ingress_http"].classes[2], 4);
    assert_eq!(numbers.clusters["up"].statuses[&200], 4);
    let (labels, histogram) = numbers.requests.iter().next().expect("one series");
    assert_eq!((labels.method, labels.status, &*labels.route, histogram.count()), ("GET", 200, "/", 4));
}

use http_body_util::BodyExt;
use plenipo_model::Edge;
use std::sync::Arc;

use super::*;
use crate::access::Token;
use crate::testing;

const HERE: &str = "127.0.0.1:5";
const ELSEWHERE: &str = "10.0.0.1:5";

async fn ask(
    state: &State,
    peer: &str,
    method: Method,
    target: &str,
    body: &'static str,
) -> (StatusCode, String) {
    let request =
        Request::builder().method(method).uri(target).body(Bytes::from_static(body.as_bytes())).unwrap();
    let (head, body) = answer(state, peer.parse().unwrap(), request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, String::from_utf8(body.into()).unwrap())
}

async fn get(state: &State, peer: &str, target: &str) -> (StatusCode, String) {
    ask(state, peer, Method::GET, target, "").await
}

#[tokio::test]
async fn probes_before_anything_was_read() {
    let (state, _publish) = testing::state();
    let alive = get(&state, ELSEWHERE, "/ambassador/v0/check_alive").await;
    assert_eq!(alive, (StatusCode::OK, "Ambassador is alive and well".into()));
    let ready = get(&state, ELSEWHERE, "/ambassador/v0/check_ready").await;
    assert_eq!(ready, (StatusCode::SERVICE_UNAVAILABLE, "Ambassador is not ready".into()));
    assert_eq!(get(&state, ELSEWHERE, "/live").await.0, StatusCode::OK);
    let (status, why) = get(&state, ELSEWHERE, "/ready?verbose").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(why.contains("nothing has been read yet"), "{why}");
    assert_eq!(get(&state, HERE, "/edge").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn not_ready_says_why() {
    let (state, publish) = testing::state();
    let mut published = testing::published(Edge::default());
    published.unbound.push(("0.0.0.0:80".parse().unwrap(), "not permitted".into()));
    publish.send_replace(Some(Arc::new(published)));
    let (_, why) = get(&state, ELSEWHERE, "/ready?verbose").await;
    assert!(why.contains("no Listener") && why.contains("0.0.0.0:80: not permitted"), "{why}");
}

#[tokio::test]
async fn dumps_are_for_this_machine_or_the_token() {
    let (mut state, publish) = testing::state();
    publish.send_replace(Some(Arc::new(testing::published(Edge::default()))));
    for page in
        ["/edge", "/report", "/routes", "/clusters", "/ambassador/v0/diag/?json=true", "/log-level", "/"]
    {
        assert_eq!(get(&state, HERE, page).await.0, StatusCode::OK, "{page}");
        assert_eq!(get(&state, ELSEWHERE, page).await.0, StatusCode::FORBIDDEN, "{page}");
    }
    assert_eq!(get(&state, ELSEWHERE, "/metrics").await.0, StatusCode::OK);
    state.token = Token::new("open sesame");
    let request = Request::builder().uri("/edge").header("authorization", "Bearer open sesame");
    let shown = answer(&state, ELSEWHERE.parse().unwrap(), request.body(Bytes::new()).unwrap()).await;
    assert_eq!(shown.status(), StatusCode::OK);
}

#[tokio::test]
async fn methods_and_paths() {
    let (state, _publish) = testing::state();
    assert_eq!(get(&state, HERE, "/nowhere").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        get(&state, HERE, "/ambassador/v0/diag").await.0,
        StatusCode::OK,
        "with or without the last slash"
    );
    let request = Request::builder().method(Method::POST).uri("/live").body(Bytes::new()).unwrap();
    let refused = answer(&state, HERE.parse().unwrap(), request).await;
    assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(refused.headers()["allow"], "GET, HEAD");
    let request = Request::builder().method(Method::HEAD).uri("/live").body(Bytes::new()).unwrap();
    let head = answer(&state, HERE.parse().unwrap(), request).await;
    assert_eq!(head.headers()["content-length"], "5");
    assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn the_log_level_can_be_changed() {
    let (state, _publish) = testing::state();
    assert_eq!(get(&state, HERE, "/log-level").await.1, "info\n");
    for method in [Method::PUT, Method::POST] {
        let changed = ask(&state, HERE, method, "/log-level", " debug\n").await;
        assert_eq!(changed, (StatusCode::OK, "debug\n".into()));
    }
    let refused = ask(&state, HERE, Method::PUT, "/log-level", "a=b").await;
    assert_eq!(refused, (StatusCode::BAD_REQUEST, "no filters here\n".into()));
    assert_eq!(ask(&state, ELSEWHERE, Method::PUT, "/log-level", "trace").await.0, StatusCode::FORBIDDEN);
    assert_eq!(get(&state, HERE, "/log-level").await.1, "debug\n");
}

#[tokio::test]
async fn diagnostics_have_the_errors_that_scripts_poll() {
    let (state, publish) = testing::state();
    let mut published = testing::published(Edge::default());
    published.report.add(plenipo_resources::Problem {
        severity: plenipo_resources::Severity::Error,
        code: plenipo_resources::Code("bad-regex"),
        object: Some(plenipo_resources::ObjectId::new("Mapping", "default", "quote")),
        origin: None,
        field: String::new(),
        message: "no".into(),
        fix: String::new(),
    });
    publish.send_replace(Some(Arc::new(published)));
    let (_, errors) = get(&state, HERE, "/ambassador/v0/diag/?json=true&filter=errors").await;
    let errors: Value = serde_json::from_str(&errors).unwrap();
    assert_eq!(errors, json!([["quote.default.1", "bad-regex: no"]]));
    let (_, all) = get(&state, HERE, "/ambassador/v0/diag/?json=true").await;
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["system"]["version"], "1.2.3");
    assert_eq!(all["envoy_status"]["alive"], true);
}

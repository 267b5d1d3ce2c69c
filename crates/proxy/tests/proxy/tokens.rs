//! Tokens: where they stand, what they are worth, and what becomes of their keys.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use plenipo_model::{
    Authentication, ClaimHeader, ClaimMatch, HttpServer, KeySource, RemoteKeys, TokenLocation, TokenRule,
    ValueMatch,
};
use plenipo_testkit::tokens::key_set;
use plenipo_testkit::{Http, Programmed, Signer, eventually};
use serde_json::{Value, json};

use super::{Gateway, source, started};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({"iss": "https://issuer", "sub": "alice", "aud": "shop", "exp": now() + 600, "role": "admin",
        "deep": {"er": 7}})
}

fn inline(signers: &[&Signer]) -> KeySource {
    KeySource::Inline(key_set(signers.iter().copied()).into())
}

fn rule(keys: KeySource) -> TokenRule {
    TokenRule { audiences: vec!["shop".into()], ..TokenRule::new(source(), "https://issuer", keys) }
}

fn asks(server: &mut HttpServer, rule: TokenRule) {
    server.authentication = Some(Arc::new(Authentication { rules: vec![Arc::new(rule)] }));
}

fn bearer(token: &str) -> http::request::Builder {
    Request::get("/a?x=1").header("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_good_token_passes_and_is_taken_out() {
    let signer = Signer::new("k", "ES256");
    let keys = inline(&[&signer]);
    let (_gateway, _upstream, bind) = started(|server, _, _| {
        asks(
            server,
            TokenRule {
                payload_header: Some(HeaderName::from_static("x-payload")),
                claim_headers: vec![ClaimHeader {
                    header: HeaderName::from_static("x-deep"),
                    claim: vec!["deep".into(), "er".into()],
                }],
                ..rule(keys)
            },
        );
    })
    .await;
    let client = Http::one(bind);
    let token = signer.token(&claims());
    let request =
        bearer(&token).header("x-deep", "forged").header("x-payload", "forged").header("x_deep", "forged");
    let echoed = client.send(request).await.unwrap().echoed().unwrap();
    assert_eq!(echoed.header("authorization"), [""; 0]);
    assert_eq!((echoed.header("x-deep"), echoed.header("x_deep")), (vec!["7"], vec![]));
    assert_eq!(echoed.header("x-payload"), [token.split('.').nth(1).unwrap()]);
    // In the query.
    let echoed = client.get(&format!("/a?x=1&access_token={token}&y=2")).await.unwrap().echoed().unwrap();
    assert_eq!(echoed.path, "/a?x=1&y=2");
    // Nobody's requests pass, without what only the gateway says.
    let request = Request::get("/a").header("x-deep", "forged").header("authorization", "Basic eA==");
    let echoed = client.send(request).await.unwrap().echoed().unwrap();
    assert_eq!((echoed.header("x-deep"), echoed.header("authorization")), (vec![], vec!["Basic eA=="]));
}

/// A service might look at the one that nobody vouches for.
#[tokio::test]
async fn a_bad_token_besides_a_good_one_is_refused() {
    let signer = Signer::new("k", "ES256");
    let keys = inline(&[&signer]);
    let (_gateway, _upstream, bind) = started(|server, _, _| asks(server, rule(keys))).await;
    let client = Http::one(bind);
    let good = format!("Bearer {}", signer.token(&claims()));
    let with = |path: &str, tokens: &[&str]| {
        tokens.iter().fold(Request::get(path), |request, token| request.header("authorization", *token))
    };
    for request in [
        with("/a", &[&good, "Bearer bad"]),
        with("/a", &["Bearer bad", &good]),
        with("/a?access_token=bad", &[&good]),
        with("/a", &[good.as_str(); 5]),
    ] {
        assert_eq!(client.send(request).await.unwrap().status, 401);
    }
    // One that stands in two places is one, and goes on from neither.
    let token = good.trim_start_matches("Bearer ");
    let request = with(&format!("/a?access_token={token}&x=1"), &[&good, &good]);
    let echoed = client.send(request).await.unwrap().echoed().unwrap();
    assert_eq!((echoed.path.as_str(), echoed.header("authorization")), ("/a?x=1", vec![]));
}

#[tokio::test]
async fn a_bad_token_is_asked_for_again() {
    let (signer, other) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    let keys = inline(&[&signer]);
    let (_gateway, upstream, bind) = started(|server, _, _| asks(server, rule(keys))).await;
    let client = Http::one(bind);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    for (token, status, text) in [
        (other.token(&claims()), 401, "Jwt verification fails"),
        (signer.token(&with("exp", json!(now() - 61))), 401, "Jwt is expired"),
        (signer.token(&with("nbf", json!(now() + 90))), 401, "Jwt not yet valid"),
        (signer.token(&with("iss", json!("https://other"))), 401, "Jwt issuer is not configured"),
        (signer.token(&with("aud", json!("bank"))), 403, "Audiences in Jwt are not allowed"),
        (signer.token_with(&json!({"alg": "none"}), &claims()), 401, "Jwt header [alg] is not supported"),
        (
            "nonsense".to_owned(),
            401,
            "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
        ),
    ] {
        let response = client.send(bearer(&token)).await.unwrap();
        assert_eq!((response.status.as_u16(), response.text().as_str()), (status, text));
        let challenge = response.header("www-authenticate");
        assert_eq!(challenge, format!("Bearer realm=\"http://{bind}/a\", error=\"invalid_token\""));
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn tokens_stand_where_the_rule_says() {
    let signer = Signer::new("k", "RS256");
    let keys = inline(&[&signer]);
    let (_gateway, _upstream, bind) = started(|server, _, _| {
        let header =
            TokenLocation::Header { name: HeaderName::from_static("x-token"), prefix: String::new() };
        let locations =
            vec![header, TokenLocation::Query("t".into()), TokenLocation::Cookie("session".into())];
        asks(server, TokenRule { locations, forward_token: false, ..rule(keys) });
    })
    .await;
    let client = Http::one(bind);
    let (token, bad) = (signer.token(&claims()), "a.b.c");
    let echoed = client.send(Request::get("/").header("x-token", &token)).await.unwrap().echoed().unwrap();
    assert_eq!(echoed.header("x-token"), [""; 0]);
    let cookies = format!("a=1; session={token}; b=2");
    let echoed = client.send(Request::get("/").header("cookie", cookies)).await.unwrap().echoed().unwrap();
    assert_eq!(echoed.header("cookie"), ["a=1; b=2"]);
    for request in [
        Request::get("/").header("x-token", bad),
        Request::get(format!("/?t={bad}")),
        Request::get("/").header("cookie", format!("session={bad}")),
    ] {
        assert_eq!(client.send(request).await.unwrap().status.as_u16(), 401);
    }
    // Elsewhere it is no token.
    assert_eq!(client.send(bearer(bad)).await.unwrap().status.as_u16(), 200);
}

#[tokio::test]
async fn what_a_token_says_chooses_the_route() {
    let signer = Signer::new("k", "ES256");
    let keys = inline(&[&signer]);
    let (_gateway, _upstream, bind) = started(|server, _, route| {
        asks(server, rule(keys));
        let value = ValueMatch::Exact("admin".into());
        route.matches.claims = vec![ClaimMatch { path: vec!["role".into()], value, invert: false }];
    })
    .await;
    let client = Http::two(bind);
    assert_eq!(client.send(bearer(&signer.token(&claims()))).await.unwrap().status.as_u16(), 200);
    assert_eq!(client.get("/a").await.unwrap().status.as_u16(), 404);
}

/// A server of keys that changes its mind.
struct Issuer {
    server: Programmed,
    set: Arc<Mutex<String>>,
    broken: Arc<AtomicBool>,
}

impl Issuer {
    async fn start(set: String) -> Self {
        let (set, broken) = (Arc::new(Mutex::new(set)), Arc::new(AtomicBool::new(false)));
        let (now, fails) = (Arc::clone(&set), Arc::clone(&broken));
        let server = Programmed::start(move |(parts, _)| {
            let host = parts.headers["host"].to_str().unwrap();
            let body = match parts.uri.path() {
                _ if fails.load(Ordering::SeqCst) => return status(500),
                "/keys" => now.lock().unwrap().clone(),
                "/.well-known/openid-configuration" => {
                    json!({"jwks_uri": format!("http://{host}/keys")}).to_string()
                }
                "/moved" => {
                    return Response::builder()
                        .status(302)
                        .header("location", "/keys")
                        .body(Bytes::new())
                        .unwrap();
                }
                "/huge" => " ".repeat(2 * 1024 * 1024) + "{}",
                _ => return status(404),
            };
            Response::new(Bytes::from(body))
        })
        .await;
        Self { server, set, broken }
    }

    fn keys(&self, path: &str) -> RemoteKeys {
        RemoteKeys {
            private_addresses: true,
            ..RemoteKeys::new(&format!("http://{}{path}", self.server.address()))
        }
    }
}

fn status(status: u16) -> Response<Bytes> {
    Response::builder().status(status).body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn keys_are_fetched_and_rotated() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "ES256"));
    let issuer = Issuer::start(key_set([&old])).await;
    let remote = KeySource::Remote(issuer.keys("/keys"));
    let (mut gateway, _upstream, bind) = started(|server, _, _| asks(server, rule(remote.clone()))).await;
    let client = Http::one(bind);
    let answers =
        async |signer: &Signer| client.send(bearer(&signer.token(&claims()))).await.unwrap().status.as_u16();
    // The first request waits for the first fetch.
    assert_eq!(answers(&old).await, 200);
    *issuer.set.lock().unwrap() = key_set([&old, &new]);
    assert_eq!(answers(&new).await, 401, "the request itself waits for nobody");
    eventually("the new key is known", async || answers(&new).await == 200).await;
    assert_eq!(answers(&old).await, 200);
    assert_eq!(issuer.server.seen().len(), 2, "once, and once more for the unknown key");
    // What was good stays: through a fetch that fails, and through a change elsewhere.
    issuer.broken.store(true, Ordering::SeqCst);
    let edge = gateway.snapshot.edge().as_ref().clone();
    gateway.publish(edge).await;
    assert_eq!(answers(&new).await, 200);
    let unknown = Signer::new("third", "ES256");
    assert_eq!(answers(&unknown).await, 401);
    eventually("another fetch", async || issuer.server.seen().len() == 3).await;
    assert_eq!(answers(&new).await, 200);
    eventually("its failure is counted", || async {
        let fetches: Vec<_> = gateway.proxy.handle().measure().await.key_fetches.into_values().collect();
        fetches == [(2, 1)]
    })
    .await;
}

#[tokio::test]
async fn keys_that_cannot_be_had_refuse() {
    let signer = Signer::new("k", "ES256");
    let issuer = Issuer::start(key_set([&signer])).await;
    let public = RemoteKeys { private_addresses: false, ..issuer.keys("/keys") };
    let gone = RemoteKeys { cluster: Some("nowhere".into()), ..issuer.keys("/keys") };
    for (keys, expected) in [
        (issuer.keys("/moved"), 401),
        (issuer.keys("/huge"), 401),
        (issuer.keys("/none"), 401),
        (public, 401),
        (gone, 401),
        (RemoteKeys { discovery: true, ..issuer.keys("/.well-known/openid-configuration") }, 200),
        (RemoteKeys { cluster: Some("up".into()), ..issuer.keys("/keys") }, 401),
    ] {
        let url = format!("{keys:?}");
        let (_gateway, _upstream, bind) =
            started(|server, _, _| asks(server, rule(KeySource::Remote(keys)))).await;
        let response = Http::one(bind).send(bearer(&signer.token(&claims()))).await.unwrap();
        assert_eq!(response.status.as_u16(), expected, "{url}");
        if expected == 401 {
            assert_eq!(response.text(), "Jwks remote fetch is failed", "{url}");
        }
        assert_eq!(Http::one(bind).get("/").await.unwrap().status.as_u16(), 200, "nobody's request");
    }
}

#[tokio::test]
async fn keys_of_a_service_come_over_its_cluster() {
    let signer = Signer::new("k", "EdDSA");
    let issuer = Issuer::start(key_set([&signer])).await;
    let (_gateway, _upstream, bind): (Gateway, _, _) = started(|server, _, _| {
        let keys =
            RemoteKeys { cluster: Some("keys".into()), ..RemoteKeys::new("http://keys.default.svc/keys") };
        asks(server, rule(KeySource::Remote(keys)));
    })
    .await;
    let mut gateway = _gateway;
    let mut edge = gateway.snapshot.edge().as_ref().clone();
    let keys = super::cluster("keys", issuer.server.address());
    edge.clusters.insert(Arc::clone(&keys.name), Arc::new(keys));
    gateway.publish(edge).await;
    let client = Http::one(bind);
    eventually("the cluster is there", async || {
        client.send(bearer(&signer.token(&claims()))).await.unwrap().status.as_u16() == 200
    })
    .await;
    assert_eq!(issuer.server.seen()[0].0.headers["host"], "keys.default.svc");
}

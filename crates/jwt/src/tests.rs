//! Tokens of real keys, and tokens of attackers.

use plenipo_testkit::Signer;
use plenipo_testkit::tokens::key_set;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;

fn claims() -> Value {
    json!({"iss": "https://issuer", "sub": "alice", "aud": ["a", "b"], "exp": NOW + 100, "scope": "read write",
        "roles": ["admin"], "deep": {"er": "down"}, "n": 7})
}

fn judged(keys: &Keys, token: &str) -> Result<(), Refused> {
    let token = Token::parse(token)?;
    token.is_for(&["b".to_owned()], NOW)?;
    token.is_signed_by(keys)
}

fn keys(signers: &[&Signer]) -> Keys {
    Keys::parse(key_set(signers.iter().copied()).as_bytes()).unwrap()
}

#[test]
fn every_algorithm_of_public_keys() {
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let (signer, other) = (Signer::new("k", algorithm), Signer::new("k", algorithm));
        let own = keys(&[&signer]);
        let token = signer.token(&claims());
        assert_eq!(judged(&own, &token), Ok(()), "{algorithm}");
        assert_eq!(judged(&keys(&[&other]), &token), Err(Refused::Signature), "{algorithm}");
        let (message, signature) = token.rsplit_once('.').unwrap();
        let changed =
            Signer::new("x", "ES256").token(&json!({"iss": "https://issuer", "aud": "b", "sub": "eve"}));
        let payload = changed.split('.').nth(1).unwrap();
        let forged = format!("{}.{payload}.{signature}", message.split('.').next().unwrap());
        assert_eq!(judged(&own, &forged), Err(Refused::Signature), "{algorithm}");
    }
}

#[test]
fn no_algorithm_but_the_keys_own() {
    let signer = Signer::new("k", "RS256");
    let own = keys(&[&signer]);
    for algorithm in ["none", "None", "HS256", "HS512", "", "ES512", "rs256"] {
        let token = signer.token_with(&json!({"alg": algorithm, "kid": "k"}), &claims());
        assert_eq!(judged(&own, &token), Err(Refused::Algorithm), "{algorithm}");
    }
    // The key says that it is for RS256.
    let token = signer.token_with(&json!({"alg": "PS256", "kid": "k"}), &claims());
    assert_eq!(judged(&own, &token), Err(Refused::NoSuchKey));
    let token = signer.token_with(&json!({"alg": "ES256", "kid": "k"}), &claims());
    assert_eq!(judged(&own, &token), Err(Refused::NoSuchKey));
    let token = signer.token_with(&json!({"alg": "RS256", "crit": ["b64"], "b64": false}), &claims());
    assert_eq!(judged(&own, &token), Err(Refused::Critical));
}

#[test]
fn keys_are_found_by_their_names() {
    let (one, two) = (Signer::new("one", "ES256"), Signer::new("two", "ES256"));
    let both = keys(&[&one, &two]);
    assert_eq!(judged(&both, &two.token(&claims())), Ok(()));
    let unnamed = two.token_with(&json!({"alg": "ES256"}), &claims());
    assert_eq!(judged(&both, &unnamed), Ok(()), "every key is tried");
    let misnamed = two.token_with(&json!({"alg": "ES256", "kid": "one"}), &claims());
    assert_eq!(judged(&both, &misnamed), Err(Refused::Signature));
    let unknown = two.token_with(&json!({"alg": "ES256", "kid": "three"}), &claims());
    assert_eq!(judged(&both, &unknown), Err(Refused::NoSuchKey));
}

#[test]
fn keys_that_are_for_something_else_are_passed_over() {
    let signer = Signer::new("k", "ES256");
    let mut other = signer.jwk();
    other["use"] = json!("enc");
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "s"});
    let future = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "x"});
    let set = json!({"keys": [other, secret, future, signer.jwk(), 7]}).to_string();
    let keys = Keys::parse(set.as_bytes()).unwrap();
    assert_eq!((keys.len(), keys.skipped()), (1, 4));
    for set in [r#"{"keys":[]}"#, "{}", "[]", "", r#"{"keys":[{"kty":"oct","k":"AA"}]}"#] {
        assert!(Keys::parse(set.as_bytes()).is_err(), "{set}");
    }
}

#[test]
fn times_and_audiences() {
    let signer = Signer::new("k", "ES256");
    let for_ = |claims: Value, audiences: &[&str]| {
        let token = signer.token(&claims);
        let audiences: Vec<String> = audiences.iter().map(|one| (*one).to_owned()).collect();
        Token::parse(&token).unwrap().is_for(&audiences, NOW)
    };
    for (claims, expected) in [
        (json!({}), Ok(())),
        (json!({"exp": NOW - SKEW + 1}), Ok(())),
        (json!({"exp": NOW - SKEW}), Err(Refused::Expired)),
        (json!({"exp": -5}), Err(Refused::Expired)),
        (json!({"exp": 1.5e9}), Err(Refused::Expired)),
        (json!({"exp": 9e300}), Ok(())),
        (json!({"exp": "soon"}), Err(Refused::Times)),
        (json!({"nbf": NOW + SKEW}), Ok(())),
        (json!({"nbf": NOW + SKEW + 1}), Err(Refused::NotYetValid)),
    ] {
        assert_eq!(for_(claims.clone(), &[]), expected, "{claims}");
    }
    for (claims, expected) in [
        (json!({"aud": "b"}), Ok(())),
        (json!({"aud": ["x", "b"]}), Ok(())),
        (json!({"aud": ["x"]}), Err(Refused::Audience)),
        (json!({"aud": 7}), Err(Refused::Audience)),
        (json!({}), Err(Refused::Audience)),
    ] {
        assert_eq!(for_(claims.clone(), &["b", "c"]), expected, "{claims}");
    }
}

#[test]
fn what_a_token_says() {
    let token = Signer::new("k", "ES256").token(&claims());
    let claims = Token::parse(&token).unwrap().into_claims(&[]);
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let says = |name: &str, value: &str| claims.any(&path(name), |own| own == value);
    assert_eq!(claims.principal(), Some("https://issuer/alice"));
    assert!(says("scope", "write") && !says("scope", "read write"));
    assert!(says("roles", "admin") && says("deep.er", "down"));
    assert!(!says("n", "7") && !says("deep", "down") && !says("roles.admin", "") && !says("", ""));
    assert_eq!(claims.text(&path("n")).as_deref(), Some("7"));
    assert_eq!(claims.text(&path("deep.er")).as_deref(), Some("down"));
    assert_eq!(claims.text(&path("deep")).as_deref(), Some("eyJlciI6ImRvd24ifQ"));
    assert_eq!(claims.text(&path("none")), None);
    assert_eq!(Some(claims.payload()), token.split('.').nth(1));
}

#[test]
fn what_is_no_token() {
    for (text, expected) in [
        ("", Refused::Form),
        ("a.b", Refused::Form),
        ("a.b.c.d", Refused::Form),
        ("a.b.", Refused::Form),
        ("!.b.c", Refused::Header),
        ("e30.b.c", Refused::Header),
    ] {
        assert_eq!(Token::parse(text).err(), Some(expected), "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "[a-zA-Z0-9_.{}\":-]{0,200}") {
        let _ = Token::parse(&text).map(|token| token.is_for(&[], NOW));
        let _ = Keys::parse(text.as_bytes());
    }
}

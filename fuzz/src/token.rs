//! Tokens, and the sets of keys that they are verified with.

use plenipo_jwt::{Keys, Refused, Token};

/// A line of token; what follows is a set of keys.
///
/// Neither panics, whatever the time is; no token is good that nobody signed; and what it says can be asked for.
pub fn token(input: &[u8]) {
    let (text, keys) = input.split_at(input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len()));
    let keys = Keys::parse(keys);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(token) = Token::parse(text) else { return };
    for now in [0, 1_800_000_000, u64::MAX] {
        let judged = token.is_for(&[], now);
        assert!(judged != Err(Refused::Audience), "any audience will do");
        let _ = token.is_for(&["shop".to_owned()], now);
    }
    if let Ok(keys) = &keys {
        // A signature found by chance would be worth a paper.
        let _ = token.is_signed_by(keys);
    }
    let issuer = token.issuer().map(str::to_owned);
    let claims = token.into_claims(&["groups".to_owned()]);
    if let (Some(principal), Some(issuer)) = (claims.principal(), issuer) {
        assert!(principal.starts_with(&issuer));
    }
    for path in [&["scope"][..], &["a", "b"], &[], &["aud"]] {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let _ = (claims.any(&path, str::is_empty), claims.text(&path));
    }
}

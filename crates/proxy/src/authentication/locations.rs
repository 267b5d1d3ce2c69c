//! Where tokens stand in a request.

use std::borrow::Cow;

use http::HeaderValue;
use http::header::COOKIE;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;
use plenipo_jwt::Refused;
use plenipo_model::TokenLocation;

use crate::fields::Fields;
use crate::message::RequestHead;

/// Tokens looked at in one place: each may cost a signature.
const MOST: usize = 4;

/// The tokens in this place.
///
/// # Errors
/// When there are more than anybody looks at: none goes on unseen.
pub(super) fn tokens<'a>(
    location: &'a TokenLocation,
    parts: &'a RequestHead,
) -> Result<Vec<Cow<'a, str>>, Refused> {
    let tokens: Vec<_> = match location {
        TokenLocation::Header { name, prefix } => {
            let values = parts.headers.get_all(name).iter();
            values.filter_map(|value| behind(value.as_bytes(), prefix)).take(MOST + 1).collect()
        }
        TokenLocation::Query(name) => {
            let pairs = parts.uri.query().unwrap_or_default().split('&');
            let values = pairs.filter_map(|pair| value_of(pair, name));
            let decoded = values.map(|value| percent_decode_str(value).decode_utf8_lossy());
            decoded.take(MOST + 1).collect()
        }
        TokenLocation::Cookie(name) => {
            let values = cookies(&parts.headers).filter_map(|pair| cookie_value(pair, name));
            values.take(MOST + 1).map(String::from_utf8_lossy).collect()
        }
    };
    if tokens.len() > MOST { Err(Refused::Form) } else { Ok(tokens) }
}

/// Takes the tokens in this place out of the request.
pub(super) fn remove(location: &TokenLocation, parts: &mut RequestHead) {
    match location {
        TokenLocation::Header { name, .. } => {
            parts.headers.remove(name);
        }
        TokenLocation::Query(name) => {
            let query = parts.uri.query().unwrap_or_default();
            let rest: Vec<_> = query.split('&').filter(|pair| value_of(pair, name).is_none()).collect();
            let path = parts.uri.path();
            let left = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
            // A part of a query that was a URI's is one.
            if let Ok(left) = PathAndQuery::try_from(left) {
                parts.uri = left.into();
            }
        }
        TokenLocation::Cookie(name) => {
            let rest: Vec<_> =
                cookies(&parts.headers).filter(|pair| cookie_value(pair, name).is_none()).collect();
            let rest = rest.join(&b"; "[..]);
            parts.headers.remove(COOKIE);
            if !rest.is_empty()
                && let Ok(rest) = HeaderValue::from_bytes(&rest)
            {
                parts.headers.insert(COOKIE, rest);
            }
        }
    }
}

/// What stands behind a prefix (its letters in any case, as RFC 9110 §11.1 has it for schemes), if anything does.
fn behind<'a>(value: &'a [u8], prefix: &str) -> Option<Cow<'a, str>> {
    let (start, token) = value.split_at_checked(prefix.len())?;
    let token = token.trim_ascii();
    (start.eq_ignore_ascii_case(prefix.as_bytes()) && !token.is_empty())
        .then(|| String::from_utf8_lossy(token))
}

fn value_of<'a>(pair: &'a str, name: &str) -> Option<&'a str> {
    let (own, value) = pair.split_once('=')?;
    let is_it = own == name || percent_decode_str(own).decode_utf8().is_ok_and(|own| own == name);
    (is_it && !value.is_empty()).then_some(value)
}

fn cookies(headers: &Fields) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii)
}

fn cookie_value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let (own, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let value = value.strip_suffix(b"\"").unwrap_or(value);
    (own == name.as_bytes() && !value.is_empty()).then_some(value)
}

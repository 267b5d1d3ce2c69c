//! Header fields: which may come in at all, and which end at this hop.

use std::collections::HashSet;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode};
use plenipo_model::{HttpLimits, UnderscorePolicy};

use super::Refused;
use crate::fields::Fields;

#[cfg(test)]
mod tests;

/// Applies the rule for underscores, refuses an expectation that nobody can meet, and takes off one that the codec meets.
///
/// # Errors
/// 400 for a name with an underscore when those are rejected; 417 for `Expect` other than `100-continue`
/// (RFC 9110 §10.1.1).
pub fn check_headers(headers: &mut Fields, underscores: UnderscorePolicy) -> Result<(), Refused> {
    let has_underscore = |name: &HeaderName| name.as_str().contains('_');
    match underscores {
        UnderscorePolicy::Allow => {}
        UnderscorePolicy::Reject if headers.keys().any(has_underscore) => {
            return Err(Refused::bad_request("unexpected_underscore"));
        }
        UnderscorePolicy::Reject => {}
        UnderscorePolicy::Drop => {
            headers.retain(|name| !has_underscore(name));
        }
    }
    let meets = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if headers.contains_key(EXPECT) {
        if !headers.get_all(EXPECT).iter().all(meets) {
            return Err(Refused { status: StatusCode::EXPECTATION_FAILED, details: "unknown_expectation" });
        }
        headers.remove(EXPECT);
    }
    Ok(())
}

/// At most one length, which is a number. For HTTP/2, whose codec takes nothing for 0 and the same number twice for one:
/// an upstream of HTTP/1 may not.
///
/// # Errors
/// 400 for any other.
pub fn check_length(headers: &Fields) -> Result<(), Refused> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter().map(HeaderValue::as_bytes);
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(digits @ [_, ..]), None) if digits.iter().all(u8::is_ascii_digit) => Ok(()),
        _ => Err(Refused::bad_request("content_length_invalid")),
    }
}

/// Sizes of a request's head. `target_length` is in bytes.
///
/// # Errors
/// 414 for a target that is too long, 431 for too many fields or too many bytes of them (name, value and 32 each, as
/// RFC 9113 §6.5.2 counts).
pub fn check_limits(target_length: usize, headers: &Fields, limits: &HttpLimits) -> Result<(), Refused> {
    if target_length > limits.target_bytes {
        return Err(Refused { status: StatusCode::URI_TOO_LONG, details: "target_too_long" });
    }
    let too_large = |details| Refused { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, details };
    if headers.len() > limits.header_fields {
        return Err(too_large("too_many_headers"));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    if bytes > limits.header_bytes {
        return Err(too_large("request_headers_too_large"));
    }
    Ok(())
}

/// Removes what is meant for this hop only (RFC 9110 §7.6.1), requests and responses alike. `te: trailers` stays
/// (gRPC needs it); an upgrade that shall go through, and `transfer-encoding`, are set again by whoever frames the next
/// hop.
pub fn strip_hop_by_hop(headers: &mut Fields) {
    if !headers.keys().any(ends_here) {
        return;
    }
    let nominated: HashSet<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        // `close` is no field, and the others go anyway.
        .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive") && !token.eq_ignore_ascii_case(b"close"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_end_to_end(name.as_str()))
        .collect();
    let trailers = headers.get_all(TE).iter().any(|value| {
        let mut codings = value.as_bytes().split(|byte| *byte == b',');
        codings.any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    });
    headers.retain(|name| !ends_here(name) && !nominated.contains(name));
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Is this a field that is meant for one hop?
fn ends_here(name: &HeaderName) -> bool {
    // One by one: each is a comparison of bytes.
    *name == CONNECTION
        || *name == TE
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Fields that a `Connection` field may not name: a client that nominates them wants them gone between two hops that
/// both rely on them.
fn is_end_to_end(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["x-forwarded-", "x-envoy-", "x-amzn-", "content-", "access-control-"];
    const NAMES: [&str; 14] = [
        "authorization",
        "cache-control",
        "cookie",
        "forwarded",
        "host",
        "origin",
        "referer",
        "set-cookie",
        "traceparent",
        "tracestate",
        "user-agent",
        "via",
        "x-real-ip",
        "x-request-id",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

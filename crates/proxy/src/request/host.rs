//! Which host a request is for: one answer, or none.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::{Uri, Version};

use super::Refused;
use crate::fields::Fields;

#[cfg(test)]
mod tests;

/// A host as routes compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Lower case, without the port. An IPv6 address keeps its brackets.
    pub name: String,
    /// The port, when one is written.
    pub port: Option<u16>,
}

/// The authority of a request, as sent.
///
/// HTTP/1.1 must have exactly one `Host` (RFC 9112 §3.2); a target in absolute form must agree with it (it would go
/// before it, but then the two ends may see different hosts). HTTP/2 must have `:authority` or `host`, and the two must
/// agree (RFC 9113 §8.3.1).
///
/// # Errors
/// 400 when there is none, more than one, or two that differ.
pub fn authority<'a>(version: Version, uri: &'a Uri, headers: &'a Fields) -> Result<&'a str, Refused> {
    let target = uri.authority().map(http::uri::Authority::as_str);
    let mut hosts = headers.get_all(HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(Refused::bad_request("several_host_headers"));
    }
    let field = match field {
        Some(value) => Some(value.to_str().map_err(|_| Refused::bad_request("host_invalid"))?),
        None => None,
    };
    match (target, field) {
        (Some(target), Some(field)) if same(uri, target, field) => Ok(target),
        (Some(_), Some(_)) => Err(Refused::bad_request("host_mismatch")),
        // An absolute target does not make up for a missing Host in HTTP/1.1.
        (Some(_), None) if version == Version::HTTP_11 => Err(Refused::bad_request("missing_host_header")),
        (Some(only), None) | (None, Some(only)) if !only.is_empty() => Ok(only),
        _ => Err(Refused::bad_request("missing_host_header")),
    }
}

/// The same host and port, a port that is the scheme's own or missing being one.
fn same(uri: &Uri, target: &str, field: &str) -> bool {
    let own = match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    };
    match (parse_authority(target), parse_authority(field)) {
        (Ok(target), Ok(field)) => target.name == field.name && target.port.or(own) == field.port.or(own),
        _ => false,
    }
}

/// Reads `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`. `name.` is the same name, with the root of the DNS written out.
///
/// # Errors
/// 400 for user information, spaces, and whatever else is no host name or port: a name that no pattern can match must
/// not slip into the host `*`.
pub fn parse_authority(text: &str) -> Result<Host, Refused> {
    let refused = Refused::bad_request("host_invalid");
    let (name, rest) = if text.starts_with('[') {
        let end = text.find(']').ok_or(refused)? + 1;
        text[1..end - 1].parse::<Ipv6Addr>().map_err(|_| refused)?;
        text.split_at(end)
    } else {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        let end = text.bytes().position(|b| !is_name(b)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() || name.ends_with('.') || name.len() > 255 {
            return Err(refused);
        }
        (name, rest)
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port > 0).ok_or(refused)?)
        }
        _ => return Err(refused),
    };
    Ok(Host { name: name.to_ascii_lowercase(), port })
}

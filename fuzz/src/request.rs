//! The head of a request.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use plenipo_model::{Forwarding, PathPolicy, UnderscorePolicy};
use plenipo_proxy::fields::Fields;
use plenipo_proxy::request::{
    Peer, canonical_path, check_headers, client, forward, parse_authority, strip_hop_by_hop,
};

/// The first byte chooses the policy; the rest is a path, and an authority.
///
/// A canonical path is canonical again, holds no dot segment and no escape that a later decoder would read otherwise;
/// an authority that is read prints as it was, but for case.
pub fn path_host(input: &[u8]) {
    let Some((choice, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let policy = PathPolicy {
        merge_slashes: choice & 1 != 0,
        reject_escaped_slashes: choice & 2 != 0,
        decode_escaped_slashes: choice & 4 != 0,
        as_written: false,
    };
    if let Ok(once) = canonical_path(text, policy) {
        assert_eq!(canonical_path(&once, policy).as_deref(), Ok(&*once), "not canonical after all");
        if once != "*" {
            let (path, query) = once.split_at(once.find('?').unwrap_or(once.len()));
            assert!(path.starts_with('/'));
            assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
            assert!(!path.contains('\\'));
            assert!(!policy.merge_slashes || !path.contains("//"));
            assert!(text.ends_with(query), "the query was touched");
            let parses = |target: &str| target.parse::<http::uri::PathAndQuery>().is_ok();
            assert!(!parses(text) || parses(&once), "can no longer be sent");
            assert_once_decoded(path);
        }
    }
    if let Ok(host) = parse_authority(text) {
        let printed = match host.port {
            Some(port) => format!("{}:{port}", host.name),
            None => host.name.clone(),
        };
        assert_eq!(parse_authority(&printed), Ok(host));
        assert!(printed.len() <= text.len());
        assert!(printed.parse::<http::uri::Authority>().is_ok(), "cannot be sent");
    }
}

/// No escape stands for a character that needs none, so that the path means the same before and after decoding.
fn assert_once_decoded(path: &str) {
    for (at, _) in path.match_indices('%') {
        let digits = path.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            assert!(!unreserved && byte != 0, "%{byte:02x} is left");
        }
    }
}

/// The first byte chooses whom we trust, the rest is `name: value` lines.
///
/// From a peer that is not trusted nothing is believed; and whoever trusts us by one hop finds the client that we found.
pub fn forwarded_for(input: &[u8]) {
    let Some((choice, text)) = input.split_first() else { return };
    let forwarding = Forwarding { use_remote_address: choice & 1 != 0, trusted_hops: u32::from(choice >> 2) };
    let peer = Peer { address: IpAddr::from([203, 0, 113, 7]), tls: choice & 2 != 0 };
    let mut headers = fields(text);
    if check_headers(&mut headers, UnderscorePolicy::Allow).is_err() {
        return;
    }
    strip_hop_by_hop(&mut headers);
    let found = client(forwarding, &headers, peer);
    if !found.trusted {
        assert_eq!(found.address, peer.address);
        assert_eq!(found.scheme, Some(if peer.tls { "https" } else { "http" }));
    }
    forward(&mut headers, forwarding, peer, &found, &plenipo_proxy::exchange::Connection::text(peer.address));
    if forwarding.use_remote_address {
        assert_eq!(headers["x-envoy-external-address"], found.address.to_string().as_str());
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        let next =
            Forwarding { use_remote_address: true, trusted_hops: forwarding.trusted_hops.saturating_add(1) };
        let us = Peer { address: IpAddr::from([192, 0, 2, 1]), tls: false };
        // One hop further on, the same place of the list is one further from its end.
        let seen = client(next, &headers, us);
        if found.address != peer.address {
            assert_eq!(seen.address, found.address);
        }
        assert_eq!(client(Forwarding { trusted_hops: 1, ..next }, &headers, us).address, peer.address);
    }
    assert!(headers.contains_key("x-forwarded-proto"));
    for name in headers.keys().map(HeaderName::as_str).filter(|name| name.contains('_')) {
        assert!(!name.replace('_', "-").starts_with("x-forwarded-"), "the look-alike {name} is left");
    }
    for gone in ["connection", "x-envoy-max-retries", "keep-alive", "transfer-encoding", "upgrade"] {
        assert!(!headers.contains_key(gone), "{gone} is left");
    }
}

fn fields(text: &[u8]) -> Fields {
    let mut headers = Fields::new();
    for line in text.split(|byte| *byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

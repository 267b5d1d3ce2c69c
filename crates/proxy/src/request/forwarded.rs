//! Who the client is and whether it came by TLS, and what the next hop is told about that.
//!
//! The rules are those of Envoy's `use_remote_address` and `xff_num_trusted_hops` ("HTTP header manipulation:
//! x-forwarded-for"), which the configurations we read are written for.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use plenipo_model::Forwarding;

use crate::exchange::Connection;
use crate::fields::Fields;

#[cfg(test)]
mod tests;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");

/// Fields by which a client would steer a proxy behind us; from nobody are they taken. With every `x-envoy-*` field
/// they go when we are the edge; behind another Envoy the rest is that one's to say.
const CONTROL: [&str; 15] = [
    "x-envoy-attempt-count",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

/// Set by the load balancers that we may stand behind, believed by the applications behind us.
const PROXY_ONLY: [&str; 3] = ["forwarded", "x-forwarded-host", "x-forwarded-port"];
const PROXY_ONLY_PREFIXES: [&str; 3] = ["x-amzn-mtls-", "x-amzn-oidc-", "x-amzn-tls-"];

/// The other end of a connection, as far as forwarding looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Who it is: the TCP peer, or who the PROXY header names.
    pub address: IpAddr,
    /// Did it speak TLS to us?
    pub tls: bool,
}

impl From<&Connection> for Peer {
    fn from(connection: &Connection) -> Self {
        Self { address: connection.peer.ip(), tls: connection.tls.is_some() }
    }
}

impl Peer {
    fn scheme(self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// Who is believed to have sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// `https` or `http`, which decides whether the request is secure. A believed `x-forwarded-proto` that is anything
    /// but exactly `https` counts as `http`; an empty one says nothing, and nothing may be routed by it (404).
    pub scheme: Option<&'static str>,
    /// Is the peer a proxy that is believed at all?
    pub trusted: bool,
}

/// Finds the client. Called before [`forward`] writes anything.
pub fn client(forwarding: Forwarding, headers: &Fields, peer: Peer) -> Client {
    let Forwarding { use_remote_address, trusted_hops } = forwarding;
    let trusted = !use_remote_address || trusted_hops > 0;
    // As the edge, the first trusted hop is our peer itself, who is not yet in the list.
    let place = if use_remote_address { trusted_hops.checked_sub(1) } else { Some(trusted_hops) };
    let address = place.and_then(|place| address_from_right(headers, place)).unwrap_or(peer.address);
    let stated = if trusted { stated_scheme(headers) } else { None };
    let scheme = stated.unwrap_or(Some(peer.scheme()));
    Client { address, scheme, trusted }
}

/// The `place`-th address from the right end of `x-forwarded-for`; none when that is not exactly an address. Nothing
/// is skipped over: who can put junk in the trusted place could as well put an address there.
fn address_from_right(headers: &Fields, place: u32) -> Option<IpAddr> {
    let mut place = usize::try_from(place).ok()?;
    for line in lines(headers).rev() {
        let mut entries = line.rsplit(|byte| *byte == b',');
        let count = line.iter().filter(|byte| **byte == b',').count() + 1;
        if place < count {
            let entry = entries.nth(place)?;
            return std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']).parse().ok();
        }
        place -= count;
    }
    None
}

/// The lines of `x-forwarded-for`, which are one list (RFC 9110 §5.3). An empty line adds nothing to it.
fn lines(headers: &Fields) -> impl DoubleEndedIterator<Item = &[u8]> {
    headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).filter(|line| !line.is_empty())
}

/// Outer none: no `x-forwarded-proto`. Inner none: an empty one.
fn stated_scheme(headers: &Fields) -> Option<Option<&'static str>> {
    let mut lines = headers.get_all(FORWARDED_PROTO).iter();
    let first = lines.next()?;
    let only = lines.next().is_none();
    Some(match first.as_bytes() {
        b"" if only => None,
        b"https" if only => Some("https"),
        _ => Some("http"),
    })
}

/// Writes what the next hop is told, and removes what only a trusted proxy may say. Called once, on the headers that
/// [`client`] judged.
///
/// `peer_text` is the peer's address, written once for all requests of its connection.
pub fn forward(
    headers: &mut Fields,
    forwarding: Forwarding,
    peer: Peer,
    client: &Client,
    peer_text: &HeaderValue,
) {
    remove_spoofed(headers, forwarding.use_remote_address, client.trusted);
    if !client.trusted || !headers.contains_key(FORWARDED_PROTO) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(peer.scheme()));
    }
    if forwarding.use_remote_address {
        let same = client.address == peer.address;
        let external = if same { peer_text.clone() } else { Connection::text(client.address) };
        append_peer(headers, peer_text.clone());
        // There is no other: as the edge we have removed every such field.
        headers.append(EXTERNAL_ADDRESS, external);
    }
}

fn append_peer(headers: &mut Fields, peer: HeaderValue) {
    let mut list: Vec<u8> = Vec::new();
    for line in lines(headers) {
        list.extend_from_slice(line);
        list.push(b',');
    }
    if !list.is_empty() {
        list.extend_from_slice(peer.as_bytes());
    }
    // What was a header value joined by commas is one.
    let value = if list.is_empty() { peer } else { HeaderValue::from_bytes(&list).unwrap_or(peer) };
    headers.insert(FORWARDED_FOR, value);
}

fn remove_spoofed(headers: &mut Fields, edge: bool, trusted: bool) {
    // All of them begin with one of two letters, which spares most fields the comparisons.
    let is_spoofed = |name: &str| {
        name.starts_with(['x', 'f'])
            && ((edge && name.starts_with("x-envoy-"))
                || CONTROL.contains(&name)
                || (!trusted && is_proxy_only(name)))
    };
    headers.retain(|name| !is_spoofed(name.as_str()) && !is_look_alike(name.as_str()));
}

fn is_proxy_only(name: &str) -> bool {
    PROXY_ONLY.contains(&name) || PROXY_ONLY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// `x_forwarded_for`: CGI-like applications cannot tell it from the real one, and no proxy writes it.
fn is_look_alike(name: &str) -> bool {
    name.contains('_') && {
        let dashed = name.replace('_', "-");
        dashed.starts_with("x-forwarded-") || dashed.starts_with("x-envoy-") || is_proxy_only(&dashed)
    }
}

//! What targets are told about the client and the way it came.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};
use plenipo_model::{BalancerRules, ForwardedFor, TlsFields};

use super::head::scheme;
use super::{certificate, trace_id};
use crate::exchange::Connection;
use crate::fields::Fields;
use crate::random::Random;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Writes all fields that the balancer answers for.
pub(super) fn write(rules: &BalancerRules, connection: &Connection, random: &Random, headers: &mut Fields) {
    if rules.drop_invalid_fields {
        drop_invalid(headers);
    }
    match rules.forwarded_for {
        ForwardedFor::Append => append(rules.client_port, connection, headers),
        ForwardedFor::Preserve => {}
        ForwardedFor::Remove => {
            headers.remove(FORWARDED_FOR);
        }
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme(connection)));
    headers.insert(FORWARDED_PORT, HeaderValue::from(connection.declared_port));
    if rules.trace_id {
        trace_id::write(headers, random);
    }
    if let (Some(TlsFields { version, cipher }), Some(tls)) = (&rules.tls_fields, &connection.tls) {
        headers.insert(version, HeaderValue::from_static(tls.version));
        headers.insert(cipher, HeaderValue::from_static(tls.cipher));
    }
    certificate::write(&rules.client_certificate, connection.tls.as_deref(), headers);
}

/// How many addresses the lines of `X-Forwarded-For` hold.
pub(super) fn forwarded_addresses(headers: &Fields) -> usize {
    let entries =
        headers.get_all(FORWARDED_FOR).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
    entries.filter(|entry| !entry.trim_ascii().is_empty()).count()
}

fn append(with_port: bool, connection: &Connection, headers: &mut Fields) {
    let mut list: Vec<u8> = Vec::new();
    for line in headers.get_all(FORWARDED_FOR).iter().filter(|line| !line.is_empty()) {
        list.extend_from_slice(line.as_bytes());
        list.extend_from_slice(b", ");
    }
    let last = client(with_port, connection);
    list.extend_from_slice(last.as_bytes());
    // What was a header value joined by commas is one.
    headers.insert(FORWARDED_FOR, HeaderValue::from_bytes(&list).unwrap_or(last));
}

/// An IPv6 address stands in brackets only where a port follows.
fn client(with_port: bool, connection: &Connection) -> HeaderValue {
    let (address, port) = (connection.peer.ip(), connection.peer.port());
    let text = match address {
        _ if !with_port => return connection.peer_text.clone(),
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    };
    HeaderValue::from_str(&text).unwrap_or_else(|_| connection.peer_text.clone())
}

/// Names of anything but letters, digits and dashes.
fn drop_invalid(headers: &mut Fields) {
    headers.retain(|name| name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
}

//! A request's head, as a load balancer reads it.

use http::uri::PathAndQuery;
use http::{Method, StatusCode, Version, header};
use plenipo_model::{BalancerAnswers, BalancerRules, ClientProtocol, ForwardedFor, HttpLimits};

use super::{fields, host};
use crate::exchange::Connection;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::message::RequestHead;
use crate::random::Random;
use crate::request::{self, Client, Host};

#[cfg(test)]
mod tests;

/// Bytes of one header field, `name: value` and the end of its line.
const FIELD_BYTES: usize = 16 * 1024;
/// Longest method of a Classic Load Balancer.
const CLASSIC_METHOD: usize = 127;
/// Bytes of a response's head; more is 502.
const RESPONSE_BYTES: usize = 32 * 1024;

/// Every check and change, in place of those of a gateway. The path stays as it came: balancers do not normalise.
pub(crate) fn understand(
    rules: &BalancerRules,
    limits: &HttpLimits,
    connection: &Connection,
    random: &Random,
    parts: &mut RequestHead,
) -> Result<(Host, Client), Failure> {
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    check_sizes(target, parts, limits)?;
    check_method(rules, &parts.method)?;
    check_target(target, &parts.method)?;
    if exceeds(rules, &parts.headers) {
        return Err(refused(463, "too_many_forwarded_addresses"));
    }
    let (host, host_field) = host::of(rules, connection, parts)?;
    if parts.uri.authority().is_some() {
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    }
    if let Some(field) = host_field {
        parts.headers.insert(header::HOST, field);
    }
    request::strip_hop_by_hop(&mut parts.headers);
    if parts
        .headers
        .get(header::EXPECT)
        .is_some_and(|wish| wish.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        // Met here, by reading the body.
        parts.headers.remove(header::EXPECT);
    }
    fields::write(rules, connection, random, &mut parts.headers);
    let scheme = Some(scheme(connection));
    Ok((host, Client { address: connection.peer.ip(), scheme, trusted: false }))
}

/// Does the client speak what the targets demand of it?
pub(crate) fn speaks(demand: ClientProtocol, parts: &RequestHead) -> bool {
    let http2 = parts.version == Version::HTTP_2;
    let content_type = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let grpc = content_type.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
    match demand {
        ClientProtocol::Http1 => !grpc,
        ClientProtocol::Http2 => http2,
        ClientProtocol::Grpc => http2 && parts.method == Method::POST,
    }
}

/// Is a response's head larger than a load balancer takes?
pub(crate) fn exceeds_response(headers: &Fields) -> bool {
    // Few responses have so many fields that adding them up costs anything.
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() > RESPONSE_BYTES
}

pub(super) fn scheme(connection: &Connection) -> &'static str {
    if connection.tls.is_some() { "https" } else { "http" }
}

fn refused(status: u16, details: &'static str) -> Failure {
    Failure::Request(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), details)
}

/// 414 for a long request line; 400 for a long field, or for too many of them.
fn check_sizes(target: &str, parts: &RequestHead, limits: &HttpLimits) -> Result<(), Failure> {
    let line = parts.method.as_str().len() + target.len() + " HTTP/1.1\r\n".len() + 1;
    if line > limits.target_bytes {
        return Err(refused(414, "target_too_long"));
    }
    let mut bytes = line;
    for (name, value) in &parts.headers {
        let field = name.as_str().len() + value.len() + 4;
        bytes += field;
        if field > FIELD_BYTES || bytes > limits.header_bytes {
            return Err(refused(400, "request_headers_too_large"));
        }
    }
    Ok(())
}

fn check_method(rules: &BalancerRules, method: &Method) -> Result<(), Failure> {
    match rules.answers {
        _ if method == Method::CONNECT => Err(refused(400, "connect_refused")),
        BalancerAnswers::Application if method == Method::TRACE => Err(refused(405, "trace_refused")),
        BalancerAnswers::Classic if method.as_str().len() > CLASSIC_METHOD => {
            Err(refused(405, "method_too_long"))
        }
        _ => Ok(()),
    }
}

fn check_target(target: &str, method: &Method) -> Result<(), Failure> {
    match target {
        // RFC 9112 §3.2.4.
        "*" if method == Method::OPTIONS => Ok(()),
        _ if !target.starts_with('/') => Err(refused(400, "path_not_absolute")),
        _ if target.bytes().any(|byte| !byte.is_ascii_graphic()) || target.contains('#') => {
            Err(refused(400, "path_invalid_character"))
        }
        _ => Ok(()),
    }
}

/// More addresses than the balancer goes through? What passes unread is not counted.
fn exceeds(rules: &BalancerRules, headers: &Fields) -> bool {
    let Some(max) = rules.max_forwarded.filter(|_| rules.forwarded_for == ForwardedFor::Append) else {
        return false;
    };
    fields::forwarded_addresses(headers) > max as usize
}

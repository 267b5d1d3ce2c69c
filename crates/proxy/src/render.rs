//! Fills in templates: access-log lines, header values, error bodies. What each operator prints is what Envoy prints
//! ("Access logging: command operators"), because people parse it.

use std::borrow::Cow;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderValue, Version};
use plenipo_model::{Operator, Segment, Template};

use crate::client_certificate::url_encoded_pem;
use crate::exchange::{Exchange, Shown, Tls};
use crate::fields::Fields;

mod start_time;
#[cfg(test)]
mod tests;

/// What operators are answered from.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The exchange. One without a path is a relayed connection: everything about requests is missing.
    pub exchange: &'a Exchange,
    /// The request's headers; none = those the exchange kept.
    pub request: Option<&'a Fields>,
    /// The response's headers; none = those the exchange kept.
    pub response: Option<&'a Fields>,
    /// The response's trailers; none = those the exchange kept.
    pub trailers: Option<&'a Fields>,
    /// From the head's arrival to the last byte of the response; none while it is under way.
    pub duration: Option<Duration>,
}

impl<'a> Facts<'a> {
    /// What the exchange itself knows.
    pub fn of(exchange: &'a Exchange) -> Self {
        Self { exchange, request: None, response: None, trailers: None, duration: None }
    }
}

/// The value of one operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Not there.
    Missing,
    /// Text; header values may hold any byte.
    Text(Cow<'a, [u8]>),
    /// A number, which typed JSON writes as one.
    Number(u64),
}

/// Writes the template to `out`; what is missing is `-`.
pub fn render(template: &Template, facts: &Facts<'_>, out: &mut Vec<u8>) {
    render_segments(template.segments(), facts, b"-", out);
}

/// The value of a header field; what is missing is left out. None when nothing is left, as Envoy then skips the field.
pub fn render_header(template: &Template, facts: &Facts<'_>) -> Option<HeaderValue> {
    let mut out = Vec::new();
    render_segments(template.segments(), facts, b"", &mut out);
    // Operators take from headers, names and addresses, none of which can hold a line end; should one, no field.
    if out.is_empty() { None } else { HeaderValue::from_bytes(&out).ok() }
}

pub(crate) fn render_segments(segments: &[Segment], facts: &Facts<'_>, missing: &[u8], out: &mut Vec<u8>) {
    for segment in segments {
        match segment {
            Segment::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Segment::Operator(operator, limit) => match evaluate(operator, facts) {
                Value::Missing => out.extend_from_slice(missing),
                Value::Text(text) => out.extend_from_slice(cut(&text, *limit)),
                Value::Number(number) => {
                    // Writing to a vector does not fail.
                    let _ = write!(out, "{number}");
                }
            },
        }
    }
}

/// The first `limit` bytes, and no half of a character.
pub(crate) fn cut(text: &[u8], limit: Option<usize>) -> &[u8] {
    let Some(mut end) = limit.filter(|limit| *limit < text.len()) else { return text };
    let is_continuation = |byte: u8| byte & 0xc0 == 0x80;
    while end > 0 && is_continuation(text[end]) {
        end -= 1;
    }
    &text[..end]
}

impl<'a> Value<'a> {
    fn text(text: &'a str) -> Self {
        if text.is_empty() { Self::Missing } else { Self::Text(Cow::Borrowed(text.as_bytes())) }
    }

    fn owned(text: String) -> Self {
        if text.is_empty() { Self::Missing } else { Self::Text(Cow::Owned(text.into_bytes())) }
    }

    fn address(address: Option<SocketAddr>) -> Self {
        address.map_or(Self::Missing, |address| Self::owned(address.to_string()))
    }

    fn millis(duration: Option<Duration>) -> Self {
        duration.map_or(Self::Missing, |d| Self::Number(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Words of an explanation are joined by `_`, so that fields of a line stay countable.
fn one_word(text: &str) -> Value<'_> {
    if text.contains(char::is_whitespace) {
        Value::owned(text.replace(char::is_whitespace, "_"))
    } else {
        Value::text(text)
    }
}

pub(crate) fn evaluate<'a>(operator: &'a Operator, facts: &Facts<'a>) -> Value<'a> {
    use Operator as O;
    let exchange = facts.exchange;
    match operator {
        O::Request(name, fallback) => either(name, fallback, |name| request_value(name, facts)),
        O::Response(name, fallback) => {
            let headers = facts.response.unwrap_or(&exchange.kept_response);
            either(name, fallback, |name| response_value(name, headers, exchange))
        }
        O::Trailer(name, fallback) => {
            let trailers = facts.trailers.unwrap_or(&exchange.kept_trailers);
            either(name, fallback, |name| field(trailers, name))
        }
        O::StartTime(format) => Value::owned(start_time::format(exchange.started, format.as_deref())),
        O::Environment(name) => Value::owned(std::env::var(name).unwrap_or_default()),
        O::Absent(_) => Value::Missing,
        O::Hostname => Value::text(&HOSTNAME),
        O::Protocol | O::ResponseCode | O::ResponseCodeDetails | O::ResponseFlags | O::RouteName => {
            exchange_value(operator, exchange)
        }
        O::BytesReceived => Value::Number(exchange.bytes_received),
        O::BytesSent => Value::Number(exchange.bytes_sent),
        O::Duration => Value::millis(facts.duration),
        O::RequestDuration => Value::millis(exchange.request_sent_after),
        O::ResponseDuration => {
            let sent = exchange.request_sent_after.unwrap_or_default();
            Value::millis(exchange.upstream_time.map(|time| sent + time))
        }
        O::GrpcStatus | O::GrpcStatusNumber => grpc_status(operator, exchange.grpc_status),
        O::UpstreamHost => Value::address(exchange.upstream),
        O::UpstreamCluster => Value::text(exchange.cluster.as_deref().unwrap_or_default()),
        O::UpstreamLocalAddress => Value::address(exchange.upstream_local),
        O::UpstreamTransportFailureReason => {
            one_word(exchange.upstream_failure.as_deref().unwrap_or_default())
        }
        _ => connection_value(operator, exchange),
    }
}

fn either<'a>(
    name: &'a str,
    fallback: &'a Option<String>,
    look_up: impl Fn(&'a str) -> Value<'a>,
) -> Value<'a> {
    match (look_up(name), fallback) {
        (Value::Missing, Some(fallback)) => look_up(fallback),
        (value, _) => value,
    }
}

fn request_value<'a>(name: &'a str, facts: &Facts<'a>) -> Value<'a> {
    let exchange = facts.exchange;
    if exchange.original_path.is_empty() {
        return Value::Missing;
    }
    match name {
        ":path" => {
            Value::text(exchange.sent_path.as_ref().map_or(&exchange.original_path, |path| path.as_str()))
        }
        ":method" => Value::text(exchange.method.as_str()),
        ":authority" | "host" => Value::text(&exchange.authority),
        ":scheme" => Value::text(exchange.scheme),
        // Ours is the one that counts, whether or not the client sent one.
        "x-request-id" if let Some(id) = &exchange.request_id => Value::Text(Cow::Borrowed(id.as_bytes())),
        _ => field(facts.request.unwrap_or(&exchange.kept_request), name),
    }
}

fn response_value<'a>(name: &str, headers: &'a Fields, exchange: &Exchange) -> Value<'a> {
    match name {
        ":status" if exchange.status != 0 => Value::owned(exchange.status.to_string()),
        _ => field(headers, name),
    }
}

/// The first value, as Envoy has it; an empty one is a value.
fn field<'a>(headers: &'a Fields, name: &str) -> Value<'a> {
    headers.get(name).map_or(Value::Missing, |value| Value::Text(Cow::Borrowed(value.as_bytes())))
}

fn exchange_value<'a>(operator: &Operator, exchange: &'a Exchange) -> Value<'a> {
    match operator {
        Operator::ResponseCode => Value::Number(exchange.status.into()),
        Operator::ResponseCodeDetails => one_word(exchange.details),
        Operator::ResponseFlags => Value::text(exchange.flags),
        Operator::RouteName => Value::text(exchange.route.as_deref().unwrap_or_default()),
        // A request refused before its path was read has a status; a relayed connection has none.
        _ if exchange.original_path.is_empty() && exchange.status == 0 => Value::Missing,
        _ => Value::text(protocol(exchange.version)),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

/// By name (`Unavailable`) or by number; a status nobody defined is a number in both.
fn grpc_status(operator: &Operator, status: Option<u16>) -> Value<'static> {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    match (status, operator) {
        (None, _) => Value::Missing,
        (Some(status), Operator::GrpcStatusNumber) => Value::Number(status.into()),
        (Some(status), _) => match NAMES.get(usize::from(status)) {
            Some(name) => Value::text(name),
            None => Value::owned(status.to_string()),
        },
    }
}

fn connection_value<'a>(operator: &Operator, exchange: &'a Exchange) -> Value<'a> {
    use Operator as O;
    let connection = &exchange.connection;
    match operator {
        O::DownstreamRemoteAddress => Value::address(Some(remote_address(exchange))),
        O::DownstreamRemoteAddressWithoutPort => Value::owned(exchange.client.to_string()),
        O::DownstreamDirectRemoteAddress => Value::address(Some(connection.direct)),
        O::DownstreamDirectRemoteAddressWithoutPort => Value::owned(connection.direct.ip().to_string()),
        O::DownstreamLocalAddress => Value::address(Some(connection.local)),
        O::DownstreamLocalAddressWithoutPort => Value::owned(connection.local.ip().to_string()),
        O::DownstreamLocalPort => Value::Number(connection.local.port().into()),
        O::ConnectionId => Value::Number(connection.id),
        O::DownstreamTlsVersion | O::DownstreamTlsCipher | O::RequestedServerName => {
            connection.tls.as_ref().map_or(Value::Missing, |tls| tls_value(operator, tls))
        }
        O::DownstreamPeerVerified => Value::text(match exchange.shown() {
            None => "NONE",
            Some(Shown { verified: true, .. }) => "SUCCESS",
            Some(_) => "FAILED:unverified",
        }),
        _ => exchange.shown().map_or(Value::Missing, |shown| certificate_value(operator, shown)),
    }
}

/// An address out of `x-forwarded-for` comes without a port, which Envoy prints as 0.
fn remote_address(exchange: &Exchange) -> SocketAddr {
    let peer = exchange.connection.peer;
    if peer.ip() == exchange.client { peer } else { (exchange.client, 0).into() }
}

fn tls_value<'a>(operator: &Operator, tls: &'a Tls) -> Value<'a> {
    use Operator as O;
    match operator {
        O::DownstreamTlsVersion => Value::text(tls.version),
        O::DownstreamTlsCipher => Value::text(tls.cipher),
        _ => Value::text(tls.server_name.as_deref().unwrap_or_default()),
    }
}

fn certificate_value<'a>(operator: &Operator, Shown { client, chain, .. }: Shown<'a>) -> Value<'a> {
    use Operator as O;
    match operator {
        O::DownstreamPeerCert => Value::owned(url_encoded_pem(&chain[..chain.len().min(1)])),
        O::DownstreamPeerSubject => Value::text(&client.subject),
        O::DownstreamPeerIssuer => Value::text(&client.issuer),
        O::DownstreamPeerSerial => Value::text(&client.serial),
        O::DownstreamPeerFingerprint256 => Value::text(&client.sha256),
        O::DownstreamPeerUriSan => Value::owned(client.uris.join(",")),
        O::DownstreamPeerDnsSan => Value::owned(client.dns.join(",")),
        // Every other operator was answered before.
        _ => Value::Missing,
    }
}

/// Read once; the name of a machine (or pod) does not change.
static HOSTNAME: LazyLock<String> = LazyLock::new(|| {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname");
    kernel.or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default().trim().to_owned()
});

//! Text with `%OPERATOR%`s: header values, access-log formats, error bodies. One grammar for all three.
//!
//! The grammar and the names are Envoy's command operators ("Access logging: command operators"), which is what people
//! have in their YAML. `%%` is a literal percent sign.

use std::fmt;

use serde::{Serialize, Serializer};

/// A parsed text. Equal when the text is equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

/// One piece of a [`Template`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// Copied as it is.
    Literal(String),
    /// Replaced for every request; cut to so many characters when given.
    Operator(Operator, Option<usize>),
}

/// What a `%…%` stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the names are the documentation: each is the operator's own name")]
pub enum Operator {
    /// `%REQ(name?fallback)%`: a request header, names in lower case; `:path`, `:method`, `:authority`, `:scheme` too.
    Request(String, Option<String>),
    /// `%RESP(name?fallback)%`.
    Response(String, Option<String>),
    /// `%TRAILER(name?fallback)%`.
    Trailer(String, Option<String>),
    /// `%START_TIME(format)%`: strftime with `%3f`-style fractions; none = `2020-01-31T12:00:00.000Z`.
    StartTime(Option<String>),
    /// `%ENVIRONMENT(NAME)%`, resolved when the template is compiled for use.
    Environment(String),
    /// `%DYNAMIC_METADATA(…)%`, `%FILTER_STATE(…)%` and the like: always `-` here, since nothing sets them.
    Absent(String),
    Protocol,
    ResponseCode,
    ResponseCodeDetails,
    ResponseFlags,
    BytesReceived,
    BytesSent,
    Duration,
    RequestDuration,
    ResponseDuration,
    UpstreamHost,
    UpstreamCluster,
    UpstreamLocalAddress,
    UpstreamTransportFailureReason,
    DownstreamRemoteAddress,
    DownstreamRemoteAddressWithoutPort,
    DownstreamDirectRemoteAddress,
    DownstreamDirectRemoteAddressWithoutPort,
    DownstreamLocalAddress,
    DownstreamLocalAddressWithoutPort,
    DownstreamLocalPort,
    DownstreamTlsVersion,
    DownstreamTlsCipher,
    DownstreamPeerSubject,
    DownstreamPeerIssuer,
    DownstreamPeerSerial,
    DownstreamPeerFingerprint256,
    DownstreamPeerUriSan,
    DownstreamPeerDnsSan,
    DownstreamPeerCert,
    /// `%DOWNSTREAM_PEER_VERIFIED%`: `SUCCESS` for a client certificate that its authority vouches for, `FAILED:unverified` for
    /// one that was let in without that, `NONE` without any (as nginx' `$ssl_client_verify`; Envoy has no such operator).
    DownstreamPeerVerified,
    RequestedServerName,
    RouteName,
    Hostname,
    ConnectionId,
    GrpcStatus,
    GrpcStatusNumber,
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A percent sign that starts no operator. Literal ones are written `%%`.
    #[error("'%' at character {0} starts no operator (write %% for a literal percent sign)")]
    Lone(usize),
    /// An operator nobody knows.
    #[error("unknown operator %{0}%")]
    Unknown(String),
    /// Wrong or missing argument.
    #[error("%{0}% {1}")]
    Argument(String, &'static str),
}

impl Template {
    /// Parses `text`.
    ///
    /// # Errors
    /// On an unknown operator or a lone percent sign.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            let position = text.len() - rest.len() + at;
            let after = &rest[at + 1..];
            if let Some(next) = after.strip_prefix('%') {
                literal.push('%');
                rest = next;
                continue;
            }
            let (operator, limit, next) = operator(after, position)?;
            if !literal.is_empty() {
                segments.push(Segment::Literal(std::mem::take(&mut literal)));
            }
            segments.push(Segment::Operator(operator, limit));
            rest = next;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// A template that is exactly `text`, whatever it holds.
    pub fn literal(text: &str) -> Self {
        let segments = if text.is_empty() { vec![] } else { vec![Segment::Literal(text.to_owned())] };
        Self { text: text.replace('%', "%%"), segments }
    }

    /// The pieces in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The text, when no operator is in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Reads what follows a `%`: `NAME`, `NAME(argument)` or `NAME(argument):limit`, and the closing `%`.
fn operator(after: &str, position: usize) -> Result<(Operator, Option<usize>, &str), TemplateError> {
    let name_end = after
        .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|end| *end > 0)
        .ok_or(TemplateError::Lone(position))?;
    let (name, mut rest) = after.split_at(name_end);
    let mut argument = None;
    if let Some(inside) = rest.strip_prefix('(') {
        // The argument of START_TIME holds percent signs itself, so it ends at the bracket, not at the next '%'.
        let end =
            inside.find(')').ok_or(TemplateError::Argument(name.to_owned(), "has no closing bracket"))?;
        argument = Some(&inside[..end]);
        rest = &inside[end + 1..];
    }
    let mut limit = None;
    if let Some(digits) = rest.strip_prefix(':') {
        let end = digits.find('%').ok_or(TemplateError::Lone(position))?;
        limit = Some(digits[..end].parse().map_err(|_| {
            TemplateError::Argument(name.to_owned(), "has a length limit that is not a number")
        })?);
        rest = &digits[end..];
    }
    let rest = rest.strip_prefix('%').ok_or(TemplateError::Lone(position))?;
    Ok((named(name, argument)?, limit, rest))
}

fn header(name: &str, argument: Option<&str>) -> Result<(String, Option<String>), TemplateError> {
    let argument = argument
        .filter(|a| !a.is_empty())
        .ok_or(TemplateError::Argument(name.to_owned(), "needs a header name: %REQ(name)%"))?;
    let mut names = argument.splitn(2, '?').map(str::to_ascii_lowercase);
    Ok((names.next().unwrap_or_default(), names.next().filter(|fallback| !fallback.is_empty())))
}

fn named(name: &str, argument: Option<&str>) -> Result<Operator, TemplateError> {
    use Operator as O;
    Ok(match name {
        "REQ" => header(name, argument).map(|(first, second)| O::Request(first, second))?,
        "RESP" => header(name, argument).map(|(first, second)| O::Response(first, second))?,
        "TRAILER" => header(name, argument).map(|(first, second)| O::Trailer(first, second))?,
        "START_TIME" => O::StartTime(argument.filter(|a| !a.is_empty()).map(str::to_owned)),
        "ENVIRONMENT" => O::Environment(
            argument.ok_or(TemplateError::Argument(name.to_owned(), "needs a variable name"))?.to_owned(),
        ),
        "DYNAMIC_METADATA" | "CLUSTER_METADATA" | "UPSTREAM_METADATA" | "FILTER_STATE" | "METADATA" => {
            O::Absent(format!("{name}({})", argument.unwrap_or_default()))
        }
        "PROTOCOL" => O::Protocol,
        "RESPONSE_CODE" => O::ResponseCode,
        "RESPONSE_CODE_DETAILS" => O::ResponseCodeDetails,
        "RESPONSE_FLAGS" => O::ResponseFlags,
        "BYTES_RECEIVED" => O::BytesReceived,
        "BYTES_SENT" => O::BytesSent,
        "DURATION" => O::Duration,
        "REQUEST_DURATION" => O::RequestDuration,
        "RESPONSE_DURATION" => O::ResponseDuration,
        "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => O::UpstreamHost,
        "UPSTREAM_CLUSTER" => O::UpstreamCluster,
        "UPSTREAM_LOCAL_ADDRESS" => O::UpstreamLocalAddress,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => O::UpstreamTransportFailureReason,
        "DOWNSTREAM_REMOTE_ADDRESS" => O::DownstreamRemoteAddress,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => O::DownstreamRemoteAddressWithoutPort,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => O::DownstreamDirectRemoteAddress,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => O::DownstreamDirectRemoteAddressWithoutPort,
        "DOWNSTREAM_LOCAL_ADDRESS" => O::DownstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => O::DownstreamLocalAddressWithoutPort,
        "DOWNSTREAM_LOCAL_PORT" => O::DownstreamLocalPort,
        "DOWNSTREAM_TLS_VERSION" => O::DownstreamTlsVersion,
        "DOWNSTREAM_TLS_CIPHER" => O::DownstreamTlsCipher,
        "DOWNSTREAM_PEER_SUBJECT" => O::DownstreamPeerSubject,
        "DOWNSTREAM_PEER_ISSUER" => O::DownstreamPeerIssuer,
        "DOWNSTREAM_PEER_SERIAL" => O::DownstreamPeerSerial,
        "DOWNSTREAM_PEER_FINGERPRINT_256" => O::DownstreamPeerFingerprint256,
        "DOWNSTREAM_PEER_URI_SAN" => O::DownstreamPeerUriSan,
        "DOWNSTREAM_PEER_DNS_SAN" => O::DownstreamPeerDnsSan,
        "DOWNSTREAM_PEER_CERT" => O::DownstreamPeerCert,
        "DOWNSTREAM_PEER_VERIFIED" => O::DownstreamPeerVerified,
        "REQUESTED_SERVER_NAME" => O::RequestedServerName,
        "ROUTE_NAME" => O::RouteName,
        "HOSTNAME" => O::Hostname,
        "CONNECTION_ID" => O::ConnectionId,
        "GRPC_STATUS" => O::GrpcStatus,
        "GRPC_STATUS_NUMBER" => O::GrpcStatusNumber,
        _ => return Err(TemplateError::Unknown(name.to_owned())),
    })
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_literals() {
        let template =
            Template::parse("a %REQ(X-Foo?:Authority):10% 100%% %START_TIME(%Y-%m)%").expect("valid");
        assert_eq!(
            template.segments(),
            [
                Segment::Literal("a ".into()),
                Segment::Operator(Operator::Request("x-foo".into(), Some(":authority".into())), Some(10)),
                Segment::Literal(" 100% ".into()),
                Segment::Operator(Operator::StartTime(Some("%Y-%m".into())), None),
            ]
        );
    }

    #[test]
    fn mistakes_say_what_is_wrong() {
        assert_eq!(Template::parse("50% off"), Err(TemplateError::Lone(2)));
        assert_eq!(Template::parse("%WHAT%"), Err(TemplateError::Unknown("WHAT".into())));
        assert!(matches!(Template::parse("%REQ%"), Err(TemplateError::Argument(..))));
        assert!(matches!(Template::parse("%REQ(x%"), Err(TemplateError::Argument(..))));
        assert_eq!(Template::literal("50% off").as_literal(), Some("50% off"));
    }
}

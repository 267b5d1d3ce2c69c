//! Which requests a route takes and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::balancer::{ClientProtocol, StickyTargets};
use crate::cluster::Priority;
use crate::http_server::ErrorResponse;
use crate::location::LocationTemplate;
use crate::policy::{Cors, HashKey, HeaderEdits, RetryPolicy, as_text};
use crate::regex::Pattern;
use crate::source::Source;
use crate::{HostPattern, duration};

/// One rule of a virtual host. The rules of a host are tried in order; the first whose [`RouteMatch`] accepts the
/// request (and whose [`Fraction`] draws it) decides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Route {
    /// Unique name, for logs, metrics and dumps.
    pub name: Arc<str>,
    /// Who asked for it.
    pub source: Source,
    /// The path pattern as its author wrote it: the `http.route` of metrics. Never the request's path.
    pub pattern: Arc<str>,
    /// Which requests.
    pub matches: RouteMatch,
    /// What happens to them.
    pub action: Action,
    /// Never redirected or refused for want of TLS (ACME HTTP-01 challenges).
    pub clear_text_allowed: bool,
    /// Changes to the request before it goes upstream.
    pub request_headers: HeaderEdits,
    /// Changes to the response before it goes to the client.
    pub response_headers: HeaderEdits,
    /// Cross-origin rules; none = preflights go upstream like any request.
    pub cors: Option<Arc<Cors>>,
    /// Own bodies for error answers; these go before those of the server. Empty = the server's.
    pub error_responses: Vec<Arc<ErrorResponse>>,
    /// Leaves error answers as they are, the server's rules too.
    pub plain_errors: bool,
}

/// What a request must be like. Every part must accept it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RouteMatch {
    /// Its path, without the query, after normalisation.
    pub path: PathMatch,
    /// Its `Host`, in addition to the virtual host's own pattern; none = any.
    pub host: Option<ValueMatch>,
    /// Its method; none = any.
    pub method: Option<ValueMatch>,
    /// Its headers.
    pub headers: Vec<HeaderMatch>,
    /// Its query parameters.
    pub query: Vec<QueryMatch>,
    /// Expressions over whole parameters as they stand in the query, `name=value`; for each, some parameter must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Pattern>,
    /// The networks that its peer (by TCP, or by what its PROXY header says) is in one of; empty = any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<IpNet>,
    /// Part of the requests it takes; the rest goes on to the next route. None = all.
    pub fraction: Option<Fraction>,
}

/// Out of 1,000,000.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Fraction(pub u32);

/// How a path is matched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// The beginning of the path, wherever it ends: `/foo` takes `/foobar`.
    Prefix(String),
    /// The beginning of the path up to a `/` or the end: `/foo` takes `/foo` and `/foo/bar`, not `/foobar`.
    Segments(String),
    /// As [`PathMatch::Exact`], letters in any case.
    ExactIgnoreCase(String),
    /// As [`PathMatch::Prefix`], letters in any case.
    PrefixIgnoreCase(String),
    /// The whole path.
    Regex(Pattern),
}

/// How a value is matched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueMatch {
    /// Equal, byte for byte.
    Exact(String),
    /// The whole value matches.
    Regex(Pattern),
    /// There is a value.
    Present,
    /// A host pattern (for hosts only; the host is compared in lower case).
    Host(HostPattern),
}

/// One header that a request must have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeaderMatch {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub name: HeaderName,
    /// Its value: of several lines, the values joined by `,` (RFC 9110 §5.3).
    pub value: ValueMatch,
    /// Accept the request when this does *not* match.
    pub invert: bool,
}

/// One query parameter that a request must have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct QueryMatch {
    /// Its name, as it stands in the query (not decoded).
    pub name: String,
    /// Its value, as it stands in the query; the first, when the name stands there twice.
    pub value: ValueMatch,
}

/// What happens to a matched request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It goes upstream.
    Forward(Box<Forward>),
    /// The client is sent elsewhere.
    Redirect(Box<Redirect>),
    /// An answer is made here.
    Respond(Respond),
}

/// An answer made here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Respond {
    /// Its status.
    #[serde(serialize_with = "as_u16")]
    pub status: StatusCode,
    /// Its content type; none sends none.
    pub content_type: Option<String>,
    /// Its body.
    pub body: Arc<str>,
}

/// A request that goes upstream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Forward {
    /// One or more. One random draw below `total` decides; a draw above the sum of the weights makes the request fall
    /// through to the next route.
    pub targets: Vec<Target>,
    /// What the weights are shares of: 100, or their sum if that is larger.
    pub total: u32,
    /// A copy of the request goes here, its answer is thrown away.
    pub mirror: Option<Mirror>,
    /// What is tried again; none = nothing.
    pub retry: Option<RetryPolicy>,
    /// Key for [`crate::Balance::RingHash`] and [`crate::Balance::Maglev`].
    pub hash: Option<HashKey>,
    /// Upgrades let through, lower case (`websocket`); others are refused with 403.
    pub upgrades: Vec<String>,
    /// Which circuit breakers it counts against.
    pub priority: Priority,
    /// What the client must speak; none = anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_protocol: Option<ClientProtocol>,
    /// The target drawn for a client is remembered by cookie; none = every request is drawn anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyTargets>,
}

/// One of the clusters of a [`Forward`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Target {
    /// Who asked for it.
    pub source: Source,
    /// Share of [`Forward::total`].
    pub weight: u32,
    /// Name of a cluster of the edge.
    pub cluster: Arc<str>,
    /// What becomes of the path.
    pub rewrite: PathRewrite,
    /// What becomes of the host.
    pub host: HostRewrite,
    /// The whole exchange, from the last byte of the request to the last byte of the response's head. None = no limit.
    #[serde(with = "duration::optional")]
    pub timeout: Option<Duration>,
    /// No byte in either direction for so long ends the exchange. Default 5 min.
    #[serde(with = "duration::optional")]
    pub idle_timeout: Option<Duration>,
}

/// What becomes of the path; the query always stays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathRewrite {
    /// Nothing.
    Keep,
    /// The matched part is replaced: the prefix of a prefix match, the whole path of an exact or regex match. No slash
    /// is added or removed.
    Matched(String),
    /// Every match of the expression is replaced (`\1` for groups).
    Regex(Pattern, String),
}

/// What becomes of the host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostRewrite {
    /// Nothing.
    Keep,
    /// This one.
    To(String),
    /// The upstream's DNS name.
    Upstream,
}

/// A copy of the traffic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mirror {
    /// Who asked for it.
    pub source: Source,
    /// Name of a cluster of the edge.
    pub cluster: Arc<str>,
    /// Part of the requests that are copied, out of 100.
    pub percent: u32,
}

/// A redirect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Redirect {
    /// New scheme; none = the request's.
    pub scheme: Option<String>,
    /// New host, which may carry a port; none = the request's.
    pub host: Option<String>,
    /// New port; none = as the host says. A port that is the scheme's default is not written.
    pub port: Option<u16>,
    /// What becomes of the path.
    pub path: RedirectPath,
    /// 301, 302, 303, 307 or 308.
    #[serde(serialize_with = "as_u16")]
    pub status: StatusCode,
    /// Leave the query out.
    pub strip_query: bool,
    /// The whole URL; when it is there, only it and `status` count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<LocationTemplate>,
}

/// What becomes of the path in a redirect. The query stays unless the new path has its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedirectPath {
    /// Nothing.
    Keep,
    /// This one.
    To(String),
    /// The matched part is replaced.
    Matched(String),
    /// Every match of the expression is replaced.
    Regex(Pattern, String),
}

impl ValueMatch {
    /// Does this value match?
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => text == value,
            Self::Regex(pattern) => pattern.matches(value),
            Self::Present => true,
            Self::Host(pattern) => pattern.matches(value),
        }
    }

    /// A match for one method, when the text is one.
    ///
    /// # Errors
    /// When the text cannot be a method (RFC 9110 §9.1: a token).
    pub fn method(text: &str) -> Result<Self, http::method::InvalidMethod> {
        Method::from_bytes(text.as_bytes()).map(|method| Self::Exact(method.to_string()))
    }
}

impl Forward {
    /// One target that takes everything, with nothing else set.
    pub fn to(target: Target) -> Self {
        let total = target.weight;
        Self {
            targets: vec![target],
            total,
            mirror: None,
            retry: None,
            hash: None,
            upgrades: Vec::new(),
            priority: Priority::Default,
            client_protocol: None,
            sticky: None,
        }
    }
}

impl Target {
    /// All requests, path and host kept, no time limit but the 5 minutes of silence.
    pub fn all(source: Source, cluster: Arc<str>) -> Self {
        Self {
            source,
            weight: 100,
            cluster,
            rewrite: PathRewrite::Keep,
            host: HostRewrite::Keep,
            timeout: None,
            idle_timeout: Some(Duration::from_secs(300)),
        }
    }
}

impl Route {
    /// A route for a path with nothing but its action set.
    pub fn new(name: &str, source: Source, path: PathMatch, action: Action) -> Self {
        let pattern = path.text().into();
        let matches = RouteMatch {
            path,
            host: None,
            method: None,
            headers: vec![],
            query: vec![],
            parameters: vec![],
            peers: vec![],
            fraction: None,
        };
        Self {
            name: name.into(),
            source,
            pattern,
            matches,
            action,
            clear_text_allowed: false,
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
            cors: None,
            error_responses: Vec::new(),
            plain_errors: false,
        }
    }
}

impl PathMatch {
    /// The text as written.
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text)
            | Self::Prefix(text)
            | Self::Segments(text)
            | Self::ExactIgnoreCase(text)
            | Self::PrefixIgnoreCase(text) => text,
            Self::Regex(pattern) => pattern.as_str(),
        }
    }

    /// Does this path match?
    pub fn matches(&self, path: &str) -> bool {
        let prefix_ignoring_case =
            |text: &str| path.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
        match self {
            Self::Exact(text) => path == text,
            Self::Prefix(text) => path.starts_with(text.as_str()),
            Self::Segments(text) => {
                let text = text.strip_suffix('/').unwrap_or(text);
                path.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::ExactIgnoreCase(text) => path.eq_ignore_ascii_case(text),
            Self::PrefixIgnoreCase(text) => prefix_ignoring_case(text),
            Self::Regex(pattern) => pattern.matches(path),
        }
    }

    /// Length of the part of `path` that [`PathRewrite::Matched`] replaces. The path must match.
    pub fn matched_len(&self, path: &str) -> usize {
        match self {
            Self::Prefix(text) | Self::PrefixIgnoreCase(text) => text.len(),
            Self::Segments(text) => text.strip_suffix('/').unwrap_or(text).len(),
            Self::Exact(_) | Self::ExactIgnoreCase(_) | Self::Regex(_) => path.len(),
        }
    }
}

fn as_u16<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

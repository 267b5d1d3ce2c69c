//! What happens to the requests that a route takes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::balancer::{ClientProtocol, StickyTargets};
use crate::cluster::Priority;
use crate::duration;
use crate::location::LocationTemplate;
use crate::matching::Fraction;
use crate::policy::{HashKey, HeaderEdits, RetryPolicy};
use crate::regex::Pattern;
use crate::source::Source;

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
    pub body: Payload,
}

/// A body as it is sent, whatever its bytes. In dumps it is text, with `�` for what is none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Payload {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A request that goes upstream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Forward {
    /// One or more. One random draw below `total` decides; a draw above the sum of the weights makes the request fall
    /// through to the next route.
    pub targets: Vec<Target>,
    /// What the weights are shares of: 100, or their sum if that is larger.
    pub total: u32,
    /// Copies of the request go here, their answers are thrown away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
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
    /// A gRPC request may ask for less than `timeout` (`grpc-timeout`).
    #[serde(skip_serializing_if = "is_false")]
    pub grpc_timeout: bool,
    /// No byte in either direction for so long ends the exchange. Default 5 min.
    #[serde(with = "duration::optional")]
    pub idle_timeout: Option<Duration>,
    /// Changes to the request before it goes there, before those of its route.
    #[serde(skip_serializing_if = "HeaderEdits::is_empty")]
    pub request_headers: HeaderEdits,
    /// Changes to the response that comes from there, before those of its route.
    #[serde(skip_serializing_if = "HeaderEdits::is_empty")]
    pub response_headers: HeaderEdits,
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
    /// As [`PathRewrite::Matched`] for a prefix, with exactly one slash between the new part and what follows it: `/foo`
    /// as `/` makes `/bar` of `/foo/bar`, and `/` of `/foo`.
    Segments(String),
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
    /// Part of the requests that are copied.
    pub part: Fraction,
    /// The copy's host is marked: `a.example.com-shadow`.
    pub host_suffix: bool,
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
    /// Where the port comes from when `port` names none.
    #[serde(skip_serializing_if = "PortFrom::is_usual")]
    pub port_from: PortFrom,
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

/// Where the port of a redirect comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortFrom {
    /// From the new host, or from the request's `Host`, but for one that was the default of the request's scheme and is not
    /// that of the new one.
    #[default]
    Host,
    /// The default of the new scheme.
    Scheme,
    /// The one that the request came to: that of its `Host`, else the declared one of the listener.
    Request,
}

impl PortFrom {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
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

impl Forward {
    /// One target that takes everything, with nothing else set.
    pub fn to(target: Target) -> Self {
        let total = target.weight;
        Self {
            targets: vec![target],
            total,
            mirrors: Vec::new(),
            retry: None,
            hash: None,
            upgrades: Vec::new(),
            priority: Priority::Default,
            client_protocol: None,
            sticky: None,
        }
    }
}

impl Redirect {
    /// To the same URL with this status: fields that differ are set by the caller.
    pub fn new(status: StatusCode) -> Self {
        Self {
            scheme: None,
            host: None,
            port: None,
            port_from: PortFrom::Host,
            path: RedirectPath::Keep,
            status,
            strip_query: false,
            location: None,
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
            grpc_timeout: false,
            idle_timeout: Some(Duration::from_secs(300)),
            request_headers: HeaderEdits::default(),
            response_headers: HeaderEdits::default(),
        }
    }
}

fn as_u16<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

fn is_false(value: &bool) -> bool {
    !*value
}

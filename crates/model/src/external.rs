//! An external service that says whether a request may pass, and how it is asked.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use serde::{Serialize, Serializer};

use crate::duration;
use crate::policy::as_text;
use crate::source::Source;
use crate::template::Template;

/// A service that says whether a request may pass.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExternalAuthorization {
    /// Who asked for it.
    pub source: Source,
    /// Name of a cluster of the edge.
    pub cluster: Arc<str>,
    /// How it is asked.
    pub protocol: ExternalProtocol,
    /// Bound on the whole question.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Without an answer (none in time, a 5xx, a broken one) the request passes, instead of being refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fail_open: bool,
    /// Status of the refusal without an answer. Default 403.
    #[serde(serialize_with = "as_u16")]
    pub status_on_error: StatusCode,
    /// The service gets the request's body too; none = it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<CheckedBody>,
    /// After it has said yes, the route is looked for again with the fields it has set.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reroute: bool,
}

/// How much of a body the service gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct CheckedBody {
    /// Bytes at most.
    pub max_bytes: usize,
    /// A longer body is cut for the service; else the request is answered 413.
    pub partial: bool,
    /// gRPC: as bytes (`raw_body`), not as text.
    pub raw: bool,
}

/// How an external service is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExternalProtocol {
    /// A plain request: a 2xx says yes.
    Http(Box<HttpCheck>),
    /// `envoy.service.auth.v3.Authorization/Check`.
    Grpc(GrpcCheck),
}

/// A question by gRPC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GrpcCheck {
    /// `:authority` of the question.
    pub authority: String,
}

/// A question by HTTP.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HttpCheck {
    /// Where it is asked.
    pub path: CheckPath,
    /// Its method; none = the request's.
    #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Its `Host`; none = the request's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Fields of the request that it has.
    pub request_headers: Vec<NameMatch>,
    /// Fields that it has besides (in the place of the request's own).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<CheckHeader>,
    /// Every 2xx says yes; else only 200 does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_success: bool,
    /// Only 401 and 403 say no; every other status but success is an error.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strict_refusals: bool,
    /// Fields of a yes that replace those of the request that goes upstream. What clients send in fields that are named
    /// exactly here is left out when the yes does not have them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstream_headers: Vec<NameMatch>,
    /// So it is with fields that clients usually bring too (`authorization`, `cookie`, `x-forwarded-for`); else those stay
    /// when the yes does not have them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaces_all: bool,
    /// Fields of a yes that the client gets with the upstream's response.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client_headers_on_success: Vec<NameMatch>,
    /// Fields of a no that the client gets; none = all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_headers_on_refusal: Option<Vec<NameMatch>>,
    /// A 401 sends the client elsewhere, with 302.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
}

/// Where clients prove who they are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SignIn {
    /// The URL.
    pub url: Template,
    /// The query parameter of it that tells where the client wanted to go; none = it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_parameter: Option<String>,
}

/// Where a question is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckPath {
    /// The request's path and query behind this.
    Prefix(String),
    /// Here, path and query.
    Exact(Template),
}

/// A field that a question has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckHeader {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub name: HeaderName,
    /// Its value.
    pub value: Template,
}

/// Names of header fields, lower case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NameMatch {
    /// This one.
    Exact(String),
    /// All that begin so.
    Prefix(String),
    /// All that end so.
    Suffix(String),
    /// All.
    Any,
}

impl NameMatch {
    /// `name`, `prefix*`, `*suffix` or `*`.
    pub fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Any,
            (Some(suffix), _) => Self::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => Self::Prefix(prefix.to_owned()),
            (None, None) => Self::Exact(text),
        }
    }

    /// Is this one of the names?
    pub fn matches(&self, name: &HeaderName) -> bool {
        match self {
            Self::Exact(text) => text == name.as_str(),
            Self::Prefix(text) => name.as_str().starts_with(text.as_str()),
            Self::Suffix(text) => name.as_str().ends_with(text.as_str()),
            Self::Any => true,
        }
    }
}

impl ExternalAuthorization {
    /// A service asked so, that must answer in 5 s; without an answer the request is refused with 403.
    pub fn new(source: Source, cluster: Arc<str>, protocol: ExternalProtocol) -> Self {
        Self {
            source,
            cluster,
            protocol,
            timeout: Duration::from_secs(5),
            fail_open: false,
            status_on_error: StatusCode::FORBIDDEN,
            body: None,
            reroute: false,
        }
    }
}

impl HttpCheck {
    /// The request's own method, host, path and query; none of its fields.
    pub fn new() -> Self {
        Self {
            path: CheckPath::Prefix(String::new()),
            method: None,
            host: None,
            request_headers: Vec::new(),
            added: Vec::new(),
            any_success: false,
            strict_refusals: false,
            upstream_headers: Vec::new(),
            replaces_all: false,
            client_headers_on_success: Vec::new(),
            client_headers_on_refusal: None,
            sign_in: None,
        }
    }
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self::new()
    }
}

fn as_u16<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

fn optional_text<S: Serializer>(method: &Option<Method>, serializer: S) -> Result<S::Ok, S::Error> {
    match method {
        Some(method) => serializer.serialize_str(method.as_str()),
        None => serializer.serialize_none(),
    }
}

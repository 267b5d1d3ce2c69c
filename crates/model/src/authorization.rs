//! Who may ask for what: rules decided here, and the word of an external service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};
use ipnet::IpNet;
use serde::{Serialize, Serializer};

use crate::duration;
use crate::policy::as_text;
use crate::regex::Pattern;
use crate::source::Source;
use crate::template::Template;

/// Rules for everybody who comes to a server. In this order: what an external service is asked about, what is denied,
/// what is allowed. A request (or connection) that is not let in is answered 403 (or closed).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Authorization {
    /// Questions to external services; each that concerns the request must be answered with yes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalRule>,
    /// Whoever one of these takes is not let in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<AccessPolicy>,
    /// Only whom one of these takes is let in; none = everybody who was not denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<AccessPolicy>>,
    /// Nobody is let in: what was asked for cannot be done. The text says why; clients never see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<String>,
}

/// Rules of one object; one that takes the request suffices. Without rules, it takes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AccessPolicy {
    /// Who asked for it.
    pub source: Source,
    /// Its rules.
    pub rules: Vec<AccessRule>,
}

/// Whom a rule takes: every group must have an alternative all of whose tests pass. Without groups, everybody.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct AccessRule {
    /// Groups of alternatives of tests.
    pub groups: Vec<Vec<Vec<AccessTest>>>,
}

/// One fact about a request or connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AccessTest {
    /// What must be.
    pub fact: Fact,
    /// Must not be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
}

/// A fact that can be tested. Of values in a list, one suffices. What is not there passes no test (and every negated
/// one).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// The TCP peer, or who its PROXY header says it is.
    Peer(Vec<IpNet>),
    /// The trusted address of the client.
    Client(Vec<IpNet>),
    /// The address that was connected to.
    Local(Vec<IpNet>),
    /// The port that was connected to, as users declared it.
    LocalPort(Vec<u16>),
    /// URIs of the client's certificate without `spiffe://`.
    Principal(Vec<TextMatch>),
    /// The name asked for in the TLS handshake.
    ServerName(Vec<TextMatch>),
    /// The request's `Host`, with its port if it names one, letters in any case (written in lower case here).
    Host(Vec<TextMatch>),
    /// The method.
    Method(Vec<TextMatch>),
    /// The path after normalisation, without the query.
    Path(Vec<TextMatch>),
    /// A header field: of several lines, the values joined by `,`.
    Header(#[serde(serialize_with = "as_text")] HeaderName, Vec<TextMatch>),
    /// `issuer/subject` of the verified token.
    TokenPrincipal(Vec<TextMatch>),
    /// A claim of the verified token, by the names on the way to it: a text, or one of a list of texts.
    Claim(Vec<String>, Vec<TextMatch>),
    /// Always.
    Anything,
}

/// How a text is matched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextMatch {
    /// Equal.
    Exact(String),
    /// Begins so.
    Prefix(String),
    /// Ends so.
    Suffix(String),
    /// Anything but the empty text.
    Present,
    /// The whole text matches.
    Regex(Pattern),
}

/// A question to an external service about some of the requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExternalRule {
    /// About those that one of these takes.
    pub policies: Vec<AccessPolicy>,
    /// Whom we ask.
    pub service: Arc<ExternalAuthorization>,
}

/// What guards a route, besides what guards its server. CORS preflights that are answered here pass before it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Guard {
    /// Rules decided here, first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Arc<Authorization>>,
    /// Whom we ask then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<Arc<ExternalAuthorization>>,
    /// What the service is told about the route (gRPC's `context_extensions`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
}

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
    /// Fields of a yes that the client gets with the upstream's response.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client_headers_on_success: Vec<NameMatch>,
    /// Fields of a no that the client gets; none = all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_headers_on_refusal: Option<Vec<NameMatch>>,
    /// A 401 becomes a 302 to this place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<Template>,
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

impl TextMatch {
    /// `text`, `prefix*`, `*suffix` or `*`, as Istio writes them.
    pub fn parse(text: &str) -> Self {
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Present,
            (Some(suffix), _) => Self::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => Self::Prefix(prefix.to_owned()),
            (None, None) => Self::Exact(text.to_owned()),
        }
    }

    /// Does this text match?
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(own) => own == text,
            Self::Prefix(own) => text.starts_with(own.as_str()),
            Self::Suffix(own) => text.ends_with(own.as_str()),
            Self::Present => !text.is_empty(),
            Self::Regex(pattern) => pattern.matches(text),
        }
    }

    /// Does this text match, letters in any case? What it is compared with must be written in lower case.
    pub fn matches_ignoring_case(&self, text: &str) -> bool {
        let (own, text) = (self, text.as_bytes());
        match own {
            Self::Exact(own) => text.eq_ignore_ascii_case(own.as_bytes()),
            Self::Prefix(own) => {
                text.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own.as_bytes()))
            }
            Self::Suffix(own) => {
                let start = text.len().checked_sub(own.len());
                start.is_some_and(|start| text[start..].eq_ignore_ascii_case(own.as_bytes()))
            }
            Self::Present => !text.is_empty(),
            Self::Regex(pattern) => {
                std::str::from_utf8(text).is_ok_and(|text| pattern.matches(&text.to_ascii_lowercase()))
            }
        }
    }
}

impl Fact {
    /// Is it known of connections that carry no HTTP?
    pub const fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Self::Peer(_)
                | Self::Client(_)
                | Self::Local(_)
                | Self::LocalPort(_)
                | Self::Principal(_)
                | Self::ServerName(_)
                | Self::Anything
        )
    }
}

impl From<Fact> for AccessTest {
    fn from(fact: Fact) -> Self {
        Self { fact, not: false }
    }
}

impl AccessRule {
    /// Takes whoever passes all these tests.
    pub fn all(tests: Vec<AccessTest>) -> Self {
        Self { groups: vec![vec![tests]] }
    }
}

impl Authorization {
    /// Lets nobody in.
    pub fn refusing(why: &str) -> Self {
        Self { refuse: Some(why.to_owned()), ..Self::default() }
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

//! Who may ask for what.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use ipnet::IpNet;
use serde::Serialize;

use crate::external::ExternalAuthorization;
use crate::policy::as_text;
use crate::regex::Pattern;
use crate::source::Source;

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
    /// The port that was connected to: its number, or the one that users wrote for the listener.
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

    /// Who says so: the objects of its policies.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let asked = self.external.iter().flat_map(|rule| &rule.policies);
        let allowed = self.allow.iter().flatten();
        self.deny.iter().chain(asked).chain(allowed).map(|policy| &policy.source)
    }
}

//! What is done to requests and responses on the way: retries, hash keys, header changes, cross-origin rules.

use std::time::Duration;

use http::HeaderName;
use serde::{Serialize, Serializer};

use crate::duration;
use crate::regex::Pattern;
use crate::source::Source;
use crate::template::Template;

/// What is tried again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RetryPolicy {
    /// Which outcomes.
    pub on: RetryOn,
    /// How many times at most, after the first try.
    pub retries: u32,
    /// Bound on each try; none = only the whole exchange is bound.
    #[serde(with = "duration::optional")]
    pub per_try_timeout: Option<Duration>,
    /// Statuses retried with [`RetryOn::RetriableStatusCodes`].
    pub statuses: Vec<u16>,
}

/// Outcomes that may be tried again (Envoy's `retry_on` conditions).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// Any 5xx, or no answer at all (reset, connect failure, per-try timeout).
    FiveXx,
    /// 502, 503, 504, or no answer at all.
    GatewayError,
    /// The connection could not be made.
    ConnectFailure,
    /// 409.
    Retriable4xx,
    /// The upstream refused the stream before working on it (HTTP/2 REFUSED_STREAM).
    RefusedStream,
    /// The statuses listed in the policy.
    RetriableStatusCodes,
}

/// What a request is hashed by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashKey {
    /// A header's value.
    Header(#[serde(serialize_with = "as_text")] HeaderName),
    /// The client's (trusted) address.
    SourceIp,
    /// A cookie's value. With a time to live, the gateway sets the cookie when it is missing (zero = a session cookie).
    Cookie {
        /// Its name.
        name: String,
        /// Its path, when the gateway sets it.
        path: Option<String>,
        /// How long it lasts.
        #[serde(with = "duration::optional")]
        ttl: Option<Duration>,
    },
}

/// Changes to headers: removals first, then additions in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct HeaderEdits {
    /// Names to remove; a name that ends in `*` removes all that begin so.
    #[serde(serialize_with = "as_texts", skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<HeaderName>,
    /// Fields to add or set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HeaderEdit>,
}

impl HeaderEdits {
    /// Does nothing.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

/// One field to add or set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeaderEdit {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub name: HeaderName,
    /// Its value; an operator without a value makes the field be left out when nothing else is in it.
    pub value: Template,
    /// Add beside an existing field, instead of replacing it.
    pub append: bool,
}

/// Cross-origin resource sharing (Fetch standard, "CORS protocol").
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cors {
    /// Who asked for it.
    pub source: Source,
    /// Origins let in.
    pub origins: Vec<OriginMatch>,
    /// `access-control-allow-methods`.
    pub methods: Option<String>,
    /// `access-control-allow-headers`.
    pub headers: Option<String>,
    /// `access-control-expose-headers`.
    pub exposed_headers: Option<String>,
    /// `access-control-allow-credentials: true`.
    pub credentials: bool,
    /// `access-control-max-age`.
    pub max_age: Option<String>,
}

/// An origin pattern.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginMatch {
    /// `*`.
    Any,
    /// Equal.
    Exact(String),
    /// `https://*.example.com`: the text before and after one star.
    Wildcard(String, String),
    /// The whole origin.
    Regex(Pattern),
}

impl OriginMatch {
    /// Does this origin match?
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => text == origin,
            Self::Wildcard(before, after) => {
                origin.len() > before.len() + after.len()
                    && origin.starts_with(before.as_str())
                    && origin.ends_with(after.as_str())
            }
            Self::Regex(pattern) => pattern.matches(origin),
        }
    }
}

pub(crate) fn as_text<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn as_texts<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}

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
    /// Which outcomes: any of these.
    pub on: Vec<RetryOn>,
    /// How many times at most, after the first try.
    pub retries: u32,
    /// Bound on each try; none = only the whole exchange is bound.
    #[serde(with = "duration::optional")]
    pub per_try_timeout: Option<Duration>,
    /// Statuses retried with [`RetryOn::RetriableStatusCodes`].
    pub statuses: Vec<u16>,
    /// The pause before each retry; none = [`Backoff::default`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
    /// Endpoints that failed are avoided where there is another.
    #[serde(skip_serializing_if = "is_true")]
    pub avoid_previous: bool,
    /// After every second try the priorities tried so far are left for others, where there are any.
    #[serde(skip_serializing_if = "is_false")]
    pub other_priorities: bool,
}

/// Pauses before retries: by chance between nothing and `base`, which is doubled each time up to `max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Backoff {
    /// Default 25 ms.
    #[serde(with = "duration")]
    pub base: Duration,
    /// Default 10 times `base`.
    #[serde(with = "duration")]
    pub max: Duration,
}

impl Backoff {
    /// Up to ten times the base.
    pub fn from_base(base: Duration) -> Self {
        Self { base, max: base.saturating_mul(10) }
    }

    /// Doubles the base for the next retry, if twice as much stays below the maximum; else makes it the maximum.
    pub fn lengthen(&mut self) {
        self.base = if self.base < self.max / 2 { self.base * 2 } else { self.max };
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::from_base(Duration::from_millis(25))
    }
}

impl RetryPolicy {
    /// Retries on one condition, at other endpoints than those that failed.
    pub fn new(on: RetryOn, retries: u32) -> Self {
        let (per_try_timeout, statuses, backoff) = (None, Vec::new(), None);
        let (avoid_previous, other_priorities) = (true, false);
        Self { on: vec![on], retries, per_try_timeout, statuses, backoff, avoid_previous, other_priorities }
    }
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
    /// No answer, however it failed: reset, connect failure, per-try timeout.
    Reset,
    /// The limiter upstream says so (`x-envoy-ratelimited`).
    EnvoyRateLimited,
    /// gRPC status 1 in the head of the answer.
    Cancelled,
    /// gRPC status 4 in the head of the answer.
    DeadlineExceeded,
    /// gRPC status 8 in the head of the answer.
    ResourceExhausted,
    /// gRPC status 13 in the head of the answer.
    Internal,
    /// gRPC status 14 in the head of the answer.
    Unavailable,
}

/// What a request is hashed by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashKey {
    /// A header's value.
    Header(#[serde(serialize_with = "as_text")] HeaderName),
    /// The first value of a query parameter, as it stands in the query.
    Query(String),
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
    /// Preflights from other origins go upstream; else they are answered here, and let nobody in.
    #[serde(skip_serializing_if = "is_true")]
    pub unmatched_preflights_forwarded: bool,
}

/// An origin pattern.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginMatch {
    /// `*`.
    Any,
    /// Equal.
    Exact(String),
    /// It begins so.
    Prefix(String),
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
            Self::Prefix(text) => origin.starts_with(text.as_str()),
            Self::Wildcard(before, after) => {
                origin.len() > before.len() + after.len()
                    && origin.starts_with(before.as_str())
                    && origin.ends_with(after.as_str())
            }
            Self::Regex(pattern) => pattern.matches(origin),
        }
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !*value
}

pub(crate) fn as_text<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn as_texts<S: Serializer>(names: &[HeaderName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(HeaderName::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let course = |mut backoff: Backoff| {
            std::array::from_fn::<_, 7, _>(|_| {
                let pause = backoff.base.as_millis();
                backoff.lengthen();
                pause
            })
        };
        let of = |base, max| Backoff { base: Duration::from_millis(base), max: Duration::from_millis(max) };
        assert_eq!(course(Backoff::default()), [25, 50, 100, 200, 250, 250, 250]);
        assert_eq!(course(of(25, 10_000)), [25, 50, 100, 200, 400, 800, 1600]);
        assert_eq!(course(of(25, 25)), [25; 7]);
        assert_eq!(course(of(25, 10)), [25, 10, 10, 10, 10, 10, 10]);
        assert_eq!(course(of(0, 0)), [0; 7]);
    }
}

//! Who a request comes from, by the token it carries (RFC 7519, RFC 8725).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use serde::Serialize;

use crate::duration;
use crate::policy::as_text;
use crate::source::Source;

/// Tokens that are looked for and verified before a request is routed. A request without a token goes on, as nobody's;
/// one whose token no rule accepts is answered 401.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Authentication {
    /// A token is judged by the rules of its issuer; one that accepts it suffices.
    pub rules: Vec<Arc<TokenRule>>,
}

/// Tokens of one issuer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TokenRule {
    /// Who asked for it.
    pub source: Source,
    /// The claim `iss`, byte for byte.
    pub issuer: String,
    /// The claim `aud` must have one of them; empty = any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// What signatures are verified with.
    pub keys: KeySource,
    /// Where tokens stand. Empty = `Authorization: Bearer`, then the query parameter `access_token`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<TokenLocation>,
    /// The upstream sees the token too; else it is taken out of the request.
    pub forward_token: bool,
    /// The token's payload goes upstream in this field, as it stands in the token (base64url without padding).
    #[serde(serialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub payload_header: Option<HeaderName>,
    /// Claims that go upstream as fields of their own. What clients send in these fields is always left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claim_headers: Vec<ClaimHeader>,
    /// Claims whose text is a list separated by spaces, besides `scope` and `permission`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spaced_claims: Vec<String>,
}

/// Where public keys come from (RFC 7517).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeySource {
    /// A JSON Web Key Set.
    Inline(Arc<str>),
    /// One that is fetched.
    Remote(RemoteKeys),
    /// There are none, for this reason: every token of the rule is refused.
    Missing(String),
}

/// A JSON Web Key Set that is fetched, beside the requests, and fetched again.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct RemoteKeys {
    /// `http:` or `https:`, of the set itself.
    pub url: String,
    /// The URL is that of an OpenID provider's metadata, which names the set (`jwks_uri`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub discovery: bool,
    /// The cluster that the URL's host is; none = the host is looked up in DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Arc<str>>,
    /// The host may have a private, link-local or loopback address. Never needed with a cluster.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub private_addresses: bool,
    /// Bound on one fetch. Default 5 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

/// A place in a request where a token stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenLocation {
    /// A header field, behind this prefix (`Bearer `).
    Header {
        /// Its name.
        #[serde(serialize_with = "as_text")]
        name: HeaderName,
        /// What stands before the token; may be empty.
        prefix: String,
    },
    /// A query parameter.
    Query(String),
    /// A cookie.
    Cookie(String),
}

/// A claim that goes upstream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClaimHeader {
    /// In this field.
    #[serde(serialize_with = "as_text")]
    pub header: HeaderName,
    /// The names on the way to it, outermost first.
    pub claim: Vec<String>,
}

impl TokenRule {
    /// Tokens of this issuer for any audience, in the usual places; what is verified is taken out.
    pub fn new(source: Source, issuer: &str, keys: KeySource) -> Self {
        Self {
            source,
            issuer: issuer.to_owned(),
            audiences: Vec::new(),
            keys,
            locations: Vec::new(),
            forward_token: false,
            payload_header: None,
            claim_headers: Vec::new(),
            spaced_claims: Vec::new(),
        }
    }

    /// Fields that only we may set.
    pub fn own_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.payload_header.iter().chain(self.claim_headers.iter().map(|claim| &claim.header))
    }
}

impl RemoteKeys {
    /// Default of [`RemoteKeys::timeout`].
    pub const TIMEOUT: Duration = Duration::from_secs(5);

    /// The set at this URL, on a public address.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            discovery: false,
            cluster: None,
            private_addresses: false,
            timeout: Self::TIMEOUT,
        }
    }
}

fn optional_text<S: serde::Serializer>(name: &Option<HeaderName>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) => serializer.serialize_str(name.as_str()),
        None => serializer.serialize_none(),
    }
}

//! PeerAuthentication and RequestAuthentication.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::destination_rule::LabelSelector;

/// What workloads demand of those who connect to them.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PeerAuthentication {
    /// The workloads; none = all of the namespace.
    pub selector: Option<LabelSelector>,
    /// For all ports.
    pub mtls: Option<MutualTls>,
    /// By port of the workload; only with a selector.
    pub port_level_mtls: BTreeMap<String, MutualTls>,
}

/// `mtls` of a PeerAuthentication.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MutualTls {
    /// `UNSET`, `DISABLE`, `PERMISSIVE` or `STRICT`.
    pub mode: Option<String>,
}

/// Whose tokens are valid.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RequestAuthentication {
    /// The workloads; none = all of the namespace.
    pub selector: Option<LabelSelector>,
    /// Gateways of the Gateway API, Services and the like, instead of a selector.
    pub target_ref: Option<TargetRef>,
    /// As before, several.
    pub target_refs: Vec<TargetRef>,
    /// Any of them may accept a token.
    pub jwt_rules: Vec<JwtRule>,
}

/// One of `targetRefs`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetRef {
    /// API group; empty = the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; none = that of the object.
    pub namespace: Option<String>,
}

/// One of `jwtRules`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JwtRule {
    /// The claim `iss`.
    pub issuer: String,
    /// One of them must be in the claim `aud`; empty = any.
    pub audiences: Vec<String>,
    /// URL of the key set.
    pub jwks_uri: Option<String>,
    /// The key set itself.
    pub jwks: Option<String>,
    /// Where tokens stand.
    pub from_headers: Vec<JwtHeader>,
    /// Query parameters in which tokens stand.
    pub from_params: Vec<String>,
    /// Cookies in which tokens stand.
    pub from_cookies: Vec<String>,
    /// The upstream sees the token too.
    pub forward_original_token: Option<bool>,
    /// The payload goes upstream in this field.
    pub output_payload_to_header: Option<String>,
    /// Claims go upstream in fields.
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// Bound on fetching the key set.
    pub timeout: Option<String>,
    /// Claims that are lists separated by spaces, besides `scope` and `permission`.
    pub space_delimited_claims: Vec<String>,
}

/// One of `fromHeaders`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct JwtHeader {
    /// The field's name.
    pub name: String,
    /// What stands before the token.
    pub prefix: Option<String>,
}

/// One of `outputClaimToHeaders`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClaimToHeader {
    /// The field's name.
    pub header: String,
    /// The claim; names on the way to it are separated by dots.
    pub claim: String,
}

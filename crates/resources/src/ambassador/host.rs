//! Host.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{AmbassadorId, Selector, TlsConfig};
use crate::definition::form;

/// A name under which clients reach the gateway, its certificate, and what becomes of requests without TLS.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "x-kubernetes-validations" = [{
        "rule": "!(has(self.tls) && has(self.tlsContext) && has(self.tlsContext.name) && self.tlsContext.name != '')",
        "message": "keep one of tls and tlsContext",
    }]
))]
pub struct Host {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[serde(alias = "ambassadorId")]
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// The name: exact, "*.suffix", "prefix.*" or "*" (also when absent). Of several that fit the most specific wins.
    /// It is the TLS server name too, without its port.
    pub hostname: Option<String>,
    /// Which Mappings are served under this name, by their labels. A Mapping with a hostname must fit by that, too.
    #[serde(rename = "mappingSelector")]
    pub mapping_selector: Option<Selector>,
    /// Deprecated spelling of mappingSelector, which goes before it.
    pub selector: Option<Selector>,
    /// The Secret with the certificate. When it is missing or broken the name is refused, in clear text too.
    #[serde(rename = "tlsSecret")]
    pub tls_secret: Option<SecretReference>,
    /// The TLSContext with further settings; not together with tls.
    #[serde(rename = "tlsContext")]
    pub tls_context: Option<NameReference>,
    /// Settings of a TLSContext, written here; not together with tlsContext.
    pub tls: Option<TlsConfig>,
    /// What becomes of insecure requests.
    #[serde(rename = "requestPolicy")]
    pub request_policy: Option<RequestPolicy>,
    /// Has no effect: certificates are not ordered by the gateway.
    #[serde(rename = "acmeProvider")]
    #[schemars(schema_with = "form::free_map")]
    pub acme_provider: Option<Value>,
    /// Edge Stack: client certificates.
    pub authentication: Option<Authentication>,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

/// A Secret.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretReference {
    /// Its name, or "name.namespace".
    pub name: Option<String>,
    /// Its namespace, if another than the Host's.
    pub namespace: Option<String>,
}

/// An object by name.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NameReference {
    /// Its name.
    pub name: Option<String>,
}

/// What becomes of requests.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RequestPolicy {
    /// Of insecure ones; the securityModel of the Listener says which these are.
    pub insecure: Option<InsecurePolicy>,
}

/// What becomes of insecure requests.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InsecurePolicy {
    /// Redirect (the default): to https, where a Mapping takes the request; Route: as if they were secure; Reject: 404.
    #[schemars(extend("enum" = ["Redirect", "Reject", "Route"]))]
    pub action: Option<String>,
    /// Has no effect, as in Emissary: write a Listener.
    #[serde(rename = "additionalPort")]
    pub additional_port: Option<i64>,
}

/// `authentication` of an Edge Stack Host.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Authentication {
    /// Client certificates.
    #[serde(rename = "mTLS", alias = "mtls")]
    pub mtls: Option<EdgeStackMtls>,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

/// `authentication.mTLS` of an Edge Stack Host.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EdgeStackMtls {
    /// The Secret with the authorities: a name, or {name, namespace}.
    #[serde(rename = "caSecret", alias = "ca_secret")]
    #[schemars(schema_with = "form::text_or_map")]
    pub ca_secret: Option<Value>,
    /// Whether clients must show a certificate.
    #[serde(rename = "certRequired", alias = "cert_required")]
    pub cert_required: Option<bool>,
}

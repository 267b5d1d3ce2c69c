//! `getambassador.io`: what Emissary-ingress reads, in the shape of v3alpha1. Older versions and annotation forms are
//! brought into this shape by [`upgrade`](fn@upgrade) before they are read.
//!
//! Field names, types and defaults: Emissary's CRD schema (`getambassador.io/v3alpha1`). A field that is absent is
//! `None`; defaults are the translator's business, because the Module may change them.

#![allow(missing_docs, reason = "the fields are those of Emissary's schema, and described in its reference")]

mod header;
mod mapping;
mod shape;
mod upgrade;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub use header::AddedHeader;
pub use mapping::{
    CircuitBreaker, Cors, ErrorResponseBody, ErrorResponseOverride, GrpcHealthCheck, HealthCheck,
    HealthCheckKind, HttpHealthCheck, Keepalive, LoadBalancer, LoadBalancerCookie, Mapping, RegexRewrite,
    RetryPolicy, StatusRange, TextFormatSource,
};
pub use upgrade::{Version, upgrade};

/// Names of the gateways an object is for; empty = `default`.
pub type AmbassadorId = Vec<String>;

/// `spec` of a Listener.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Listener {
    pub ambassador_id: AmbassadorId,
    pub port: Option<i64>,
    /// HTTP, HTTPS, HTTPPROXY, HTTPSPROXY, TCP, TLS, UDP.
    pub protocol: Option<String>,
    #[serde(rename = "protocolStack")]
    pub protocol_stack: Option<Vec<String>>,
    /// XFP, SECURE, INSECURE.
    #[serde(rename = "securityModel")]
    pub security_model: Option<String>,
    #[serde(rename = "statsPrefix")]
    pub stats_prefix: Option<String>,
    #[serde(rename = "l7Depth")]
    pub l7_depth: Option<i64>,
    #[serde(rename = "http2MaxConcurrentStreams")]
    pub http2_max_concurrent_streams: Option<i64>,
    #[serde(rename = "hostBinding")]
    pub host_binding: Option<HostBinding>,
    #[serde(alias = "bindAddress")]
    pub bind_address: Option<String>,
    /// Ours: networks whose PROXY headers are taken on a listener without PROXY in its stack, and the only ones on a
    /// listener with it.
    #[serde(rename = "proxyProtocolFrom")]
    pub proxy_protocol_from: Vec<String>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// `spec.hostBinding` of a Listener.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HostBinding {
    pub namespace: Option<NamespaceBinding>,
    pub selector: Option<Selector>,
}

/// `spec.hostBinding.namespace` of a Listener.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamespaceBinding {
    /// SELF, ALL (SELECTOR is not supported by anybody).
    pub from: Option<String>,
}

/// A label selector.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Selector {
    #[serde(rename = "matchLabels")]
    pub match_labels: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// `spec` of a Host.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Host {
    #[serde(alias = "ambassadorId")]
    pub ambassador_id: AmbassadorId,
    pub hostname: Option<String>,
    #[serde(rename = "mappingSelector")]
    pub mapping_selector: Option<Selector>,
    /// Deprecated spelling of `mappingSelector`.
    pub selector: Option<Selector>,
    #[serde(rename = "tlsSecret")]
    pub tls_secret: Option<SecretReference>,
    #[serde(rename = "tlsContext")]
    pub tls_context: Option<NameReference>,
    pub tls: Option<TlsConfig>,
    #[serde(rename = "requestPolicy")]
    pub request_policy: Option<RequestPolicy>,
    #[serde(rename = "acmeProvider")]
    pub acme_provider: Option<Value>,
    /// Edge Stack: `authentication.mTLS {caSecret, certRequired}`.
    pub authentication: Option<Authentication>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// `{name, namespace}`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SecretReference {
    pub name: Option<String>,
    pub namespace: Option<String>,
}

/// `{name}`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NameReference {
    pub name: Option<String>,
}

/// `spec.requestPolicy` of a Host.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RequestPolicy {
    pub insecure: Option<InsecurePolicy>,
}

/// `spec.requestPolicy.insecure` of a Host.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct InsecurePolicy {
    /// Redirect, Route, Reject.
    pub action: Option<String>,
    #[serde(rename = "additionalPort")]
    pub additional_port: Option<i64>,
}

/// `spec.authentication` of an Edge Stack Host.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Authentication {
    #[serde(rename = "mTLS", alias = "mtls")]
    pub mtls: Option<EdgeStackMtls>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// `spec.authentication.mTLS` of an Edge Stack Host.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EdgeStackMtls {
    /// A name, or `{name, namespace}`.
    #[serde(rename = "caSecret", alias = "ca_secret")]
    pub ca_secret: Option<Value>,
    #[serde(rename = "certRequired", alias = "cert_required")]
    pub cert_required: Option<bool>,
}

/// TLS settings: all of a TLSContext's, and `spec.tls` of a Host (where both spellings occur).
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    #[serde(alias = "certChainFile")]
    pub cert_chain_file: Option<String>,
    #[serde(alias = "privateKeyFile")]
    pub private_key_file: Option<String>,
    #[serde(alias = "caSecret")]
    pub ca_secret: Option<String>,
    #[serde(alias = "cacertChainFile")]
    pub cacert_chain_file: Option<String>,
    #[serde(alias = "crlSecret", alias = "v3CRLSecret")]
    pub crl_secret: Option<String>,
    #[serde(alias = "crlFile")]
    pub crl_file: Option<String>,
    #[serde(alias = "certRequired")]
    pub cert_required: Option<bool>,
    #[serde(alias = "alpnProtocols")]
    pub alpn_protocols: Option<String>,
    #[serde(alias = "minTLSVersion", alias = "minTlsVersion")]
    pub min_tls_version: Option<String>,
    #[serde(alias = "maxTLSVersion", alias = "maxTlsVersion")]
    pub max_tls_version: Option<String>,
    #[serde(alias = "cipherSuites")]
    pub cipher_suites: Option<Vec<String>>,
    #[serde(alias = "ecdhCurves")]
    pub ecdh_curves: Option<Vec<String>>,
    #[serde(alias = "redirectCleartextFrom")]
    pub redirect_cleartext_from: Option<i64>,
    pub sni: Option<String>,
    /// Ours: names that an upstream's certificate must hold one of.
    #[serde(alias = "verifySubjectAltNames")]
    pub verify_subject_alt_names: Option<Vec<String>>,
    /// Ours: check an upstream's certificate against the roots of the operating system.
    #[serde(alias = "verifySystemRoots")]
    pub verify_system_roots: Option<bool>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// `spec` of a TLSContext.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsContext {
    pub ambassador_id: AmbassadorId,
    pub hosts: Vec<String>,
    /// `name`, or `name.namespace`.
    pub secret: Option<String>,
    pub secret_namespacing: Option<bool>,
    /// The other fields of `spec`; [`decode`](crate::decode()) reads them.
    #[serde(skip)]
    pub tls: TlsConfig,
}

/// `spec` of a Module. Its `config` is free-form.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Module {
    pub ambassador_id: AmbassadorId,
    pub config: Value,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// KubernetesServiceResolver, KubernetesEndpointResolver.
#[derive(Clone, PartialEq, Debug)]
pub enum Resolver {
    /// Upstreams by DNS name.
    KubernetesService(AmbassadorId),
    /// Upstreams by endpoints.
    KubernetesEndpoint(AmbassadorId),
}

/// `spec` of an AuthService.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthService {
    pub ambassador_id: AmbassadorId,
    pub auth_service: Option<String>,
    pub path_prefix: Option<String>,
    pub tls: Option<String>,
    pub proto: Option<String>,
    pub protocol_version: Option<String>,
    pub timeout_ms: Option<i64>,
    pub allowed_request_headers: Vec<String>,
    pub allowed_authorization_headers: Vec<String>,
    pub add_auth_headers: Option<BTreeMap<String, String>>,
    pub allow_request_body: Option<bool>,
    pub include_body: Option<IncludeBody>,
    pub failure_mode_allow: Option<bool>,
    pub status_on_error: Option<StatusOnError>,
    pub circuit_breakers: Option<Value>,
    pub stats_name: Option<String>,
}

/// `include_body` of an AuthService.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IncludeBody {
    pub max_bytes: Option<i64>,
    pub allow_partial: Option<bool>,
}

/// `status_on_error` of an AuthService.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusOnError {
    pub code: Option<i64>,
}

/// `spec` of a TCPMapping.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TcpMapping {
    pub ambassador_id: AmbassadorId,
    pub port: Option<i64>,
    pub host: Option<String>,
    pub address: Option<String>,
    pub service: Option<String>,
    pub resolver: Option<String>,
    pub tls: Option<String>,
    pub weight: Option<i64>,
    pub cluster_tag: Option<String>,
    pub enable_ipv4: Option<bool>,
    pub enable_ipv6: Option<bool>,
    pub circuit_breakers: Option<Value>,
    /// A string in the schema; numbers are met.
    pub idle_timeout_ms: Option<Value>,
    pub stats_name: Option<String>,
    /// Ours: relay the TLS bytes as they are, choosing by `host` alone. Neither certificate nor Host is needed.
    #[serde(alias = "tlsPassthrough")]
    pub tls_passthrough: Option<bool>,
    /// Ours: PROXY header sent upstream, `v1` or `v2`.
    #[serde(alias = "proxyProtocol")]
    pub proxy_protocol: Option<String>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

//! MeshConfig and ProxyConfig, which stand as YAML in a ConfigMap, in an IstioOperator and in annotations.

#![allow(missing_docs, reason = "the fields are those of Istio's API, and described there")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::destination_rule::{LocalityLbSetting, TcpKeepalive};
use super::virtual_service::Retries;

/// Settings of a whole mesh, as far as a gateway cares.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MeshConfig {
    pub root_namespace: Option<String>,
    pub trust_domain: Option<String>,
    pub trust_domain_aliases: Vec<String>,
    pub enable_auto_mtls: Option<bool>,
    pub connect_timeout: Option<String>,
    pub tcp_keepalive: Option<TcpKeepalive>,
    pub h2_upgrade_policy: Option<String>,
    pub locality_lb_setting: Option<LocalityLbSetting>,
    pub default_config: Option<ProxyConfig>,
    pub default_http_retry_policy: Option<Retries>,
    pub default_service_export_to: Vec<String>,
    pub default_virtual_service_export_to: Vec<String>,
    pub default_destination_rule_export_to: Vec<String>,
    pub access_log_file: Option<String>,
    pub access_log_format: Option<String>,
    pub access_log_encoding: Option<String>,
    pub path_normalization: Option<PathNormalization>,
    #[serde(rename = "tlsDefaults")]
    pub tls_defaults: Option<TlsDefaults>,
    pub ingress_class: Option<String>,
    /// For AuthorizationPolicies with action CUSTOM, and for Telemetry.
    pub extension_providers: Vec<Value>,
    pub default_providers: Option<DefaultProviders>,
}

/// `defaultProviders`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DefaultProviders {
    pub access_logging: Vec<String>,
}

/// `pathNormalization`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PathNormalization {
    pub normalization: Option<String>,
}

/// `tlsDefaults` and `meshMTLS`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsDefaults {
    pub min_protocol_version: Option<String>,
    pub cipher_suites: Vec<String>,
    pub ecdh_curves: Vec<String>,
}

/// Settings of proxies: `defaultConfig`, and the annotation `proxy.istio.io/config`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxyConfig {
    pub gateway_topology: Option<Topology>,
    pub proxy_headers: Option<ProxyHeaders>,
    pub proxy_metadata: BTreeMap<String, Value>,
}

/// `gatewayTopology`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Topology {
    pub num_trusted_proxies: Option<i64>,
    pub forward_client_cert_details: Option<String>,
    /// It has no fields: that it is there is all it says.
    pub proxy_protocol: Option<BTreeMap<String, Value>>,
}

/// `proxyHeaders`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxyHeaders {
    pub server: Option<ServerHeader>,
    pub request_id: Option<HeaderSwitch>,
    pub attempt_count: Option<HeaderSwitch>,
    pub envoy_debug_headers: Option<HeaderSwitch>,
}

/// `proxyHeaders.server`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerHeader {
    pub disabled: Option<bool>,
    pub value: Option<String>,
}

/// One of `proxyHeaders`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeaderSwitch {
    pub disabled: Option<bool>,
    pub enabled: Option<bool>,
}

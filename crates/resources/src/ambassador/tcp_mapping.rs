//! TCPMapping.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{AmbassadorId, CircuitBreaker};
use crate::definition::form;

/// Connections to a port, and the service that gets their bytes.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["port", "service"]))]
pub struct TcpMapping {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// The port: a Listener's, or one of its own.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// TLS server name. With it TLS ends at the gateway, with the certificate of the Host or TLSContext of that name;
    /// without it every connection is taken as it is.
    pub host: Option<String>,
    /// The address that is bound when no Listener has the port.
    pub address: Option<String>,
    /// Where the bytes go: `[https://]name[.namespace][:port]`; with https:// TLS is spoken to it.
    pub service: Option<String>,
    /// The resolver that finds the service (that of the Module, else kubernetes-service).
    pub resolver: Option<String>,
    /// The TLSContext for TLS to the service; true or false only say whether TLS is spoken.
    #[schemars(schema_with = "form::context_or_bool")]
    pub tls: Option<String>,
    /// Share of the connections that several TCPMappings for the same port and host divide.
    #[schemars(range(min = 0))]
    pub weight: Option<i64>,
    /// Part of the cluster's name in metrics.
    pub cluster_tag: Option<String>,
    /// Whether addresses of IPv4 are used (true).
    pub enable_ipv4: Option<bool>,
    /// Whether addresses of IPv6 are used (false).
    pub enable_ipv6: Option<bool>,
    /// Limits of what is asked of the service at a time.
    #[schemars(with = "Vec<CircuitBreaker>")]
    pub circuit_breakers: Option<Value>,
    /// Milliseconds without a byte after which a connection is closed (an hour); 0 = never.
    #[schemars(schema_with = "form::int_or_text")]
    pub idle_timeout_ms: Option<Value>,
    /// The service's name in metrics.
    pub stats_name: Option<String>,
    /// Relay the TLS bytes as they are, choosing by host alone; neither certificate nor Host is needed. Plenipo's own.
    #[serde(alias = "tlsPassthrough")]
    pub tls_passthrough: Option<bool>,
    /// PROXY header sent to the service: v1 or v2. Plenipo's own.
    #[serde(alias = "proxyProtocol")]
    #[schemars(extend("enum" = ["", "v1", "v2"]))]
    pub proxy_protocol: Option<String>,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

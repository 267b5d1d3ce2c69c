//! Listener.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::AmbassadorId;
use crate::definition::form;

/// A port at which clients are served, what is spoken there, and which Hosts are behind it.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "required" = ["hostBinding", "port", "securityModel"],
    "x-kubernetes-validations" = [{
        "rule": "has(self.protocol) || has(self.protocolStack)",
        "message": "one of protocol and protocolStack is needed",
    }]
))]
pub struct Listener {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// The port that the gateway binds; of two Listeners for one address the first by name has it.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// What is spoken: HTTP (clear text), HTTPS (TLS; takes clear text too), HTTPPROXY and HTTPSPROXY (the same behind
    /// a load balancer that sends PROXY headers), TCP and TLS (for TCPMappings), UDP.
    #[schemars(extend("enum" = ["HTTP", "HTTPS", "HTTPPROXY", "HTTPSPROXY", "TCP", "TLS", "UDP"]))]
    pub protocol: Option<String>,
    /// The same, written out; goes before protocol. With PROXY in it every connection must begin with a PROXY header.
    #[serde(rename = "protocolStack")]
    #[schemars(schema_with = "form::layers")]
    pub protocol_stack: Option<Vec<String>>,
    /// Which requests are secure: XFP, those that came by TLS or of which a trusted proxy says so in
    /// X-Forwarded-Proto; SECURE, all; INSECURE, none. Hosts say what becomes of insecure ones.
    #[serde(rename = "securityModel")]
    #[schemars(extend("enum" = ["XFP", "SECURE", "INSECURE"]))]
    pub security_model: Option<String>,
    /// The name in metrics.
    #[serde(rename = "statsPrefix")]
    pub stats_prefix: Option<String>,
    /// How many HTTP proxies in front are trusted: the client's address is that far from the right end of
    /// X-Forwarded-For. 0 = the peer is the client.
    #[serde(rename = "l7Depth")]
    #[schemars(range(min = 0))]
    pub l7_depth: Option<i64>,
    /// Streams that a client may have open on one HTTP/2 connection.
    #[serde(rename = "http2MaxConcurrentStreams")]
    #[schemars(range(min = 1))]
    pub http2_max_concurrent_streams: Option<i64>,
    /// Which Hosts are served here.
    #[serde(rename = "hostBinding")]
    pub host_binding: Option<HostBinding>,
    /// The address that is bound instead of the gateway's own.
    #[serde(alias = "bindAddress")]
    pub bind_address: Option<String>,
    /// Networks (CIDR) whose PROXY headers are taken on a Listener without PROXY in its stack, and the only ones on a
    /// Listener with it. Plenipo's own.
    #[serde(rename = "proxyProtocolFrom")]
    #[schemars(schema_with = "form::one_or_many")]
    pub proxy_protocol_from: Vec<String>,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

/// Which Hosts; with both conditions, those that meet both.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "x-kubernetes-validations" = [{
        "rule": "has(self.__namespace__) || has(self.selector)",
        "message": "write which Hosts: namespace: {from: ALL}, or a selector",
    }]
))]
pub struct HostBinding {
    /// Those of which namespaces.
    pub namespace: Option<NamespaceBinding>,
    /// Those with which labels.
    pub selector: Option<Selector>,
}

/// Hosts of which namespaces.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NamespaceBinding {
    /// SELF, the Listener's own; ALL. (SELECTOR is taken as SELF, and reported.)
    #[schemars(extend("enum" = ["SELF", "ALL", "SELECTOR"]))]
    pub from: Option<String>,
}

/// A selection by labels.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Selector {
    /// Labels that must be there, with these values. matchExpressions are not evaluated, as in Emissary.
    #[serde(rename = "matchLabels")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

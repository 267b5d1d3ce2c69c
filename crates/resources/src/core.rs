//! Kubernetes' own kinds, as far as the gateway reads them.

#![allow(missing_docs, reason = "the fields are those of the Kubernetes API, and described there")]

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// `spec` of a Service.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Service {
    /// ClusterIP, NodePort, LoadBalancer, ExternalName.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    pub external_name: Option<String>,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    pub ports: Vec<ServicePort>,
    pub selector: Option<BTreeMap<String, String>>,
    pub load_balancer_class: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<String>,
    pub load_balancer_source_ranges: Vec<String>,
    pub allocate_load_balancer_node_ports: Option<bool>,
    pub external_traffic_policy: Option<String>,
    pub health_check_node_port: Option<i64>,
    pub session_affinity: Option<String>,
    pub ip_families: Vec<String>,
    pub ip_family_policy: Option<String>,
    /// Host names and addresses in `status.loadBalancer.ingress`.
    #[serde(skip)]
    pub status_addresses: Vec<String>,
}

/// One of `spec.ports` of a Service.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    pub name: Option<String>,
    pub port: i64,
    pub protocol: Option<String>,
    pub target_port: Option<IntOrString>,
    pub node_port: Option<i64>,
    pub app_protocol: Option<String>,
}

/// A port by number or by name.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// By number.
    Int(i64),
    /// By name.
    String(String),
}

/// An EndpointSlice (`discovery.k8s.io/v1`).
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointSlice {
    /// Name of the Service, from the label `kubernetes.io/service-name`.
    #[serde(skip)]
    pub service: String,
    pub address_type: Option<String>,
    pub endpoints: Vec<SliceEndpoint>,
    pub ports: Vec<SlicePort>,
}

/// One of `endpoints` of an EndpointSlice.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SliceEndpoint {
    pub addresses: Vec<String>,
    pub conditions: SliceConditions,
    /// Availability zone.
    pub zone: Option<String>,
    pub node_name: Option<String>,
    /// The Pod, usually.
    pub target_ref: Option<TargetRef>,
    pub hints: Option<SliceHints>,
}

/// `hints` of an endpoint: for whom it is meant.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SliceHints {
    pub for_zones: Vec<ZoneHint>,
}

/// One of `hints.forZones`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ZoneHint {
    pub name: String,
}

/// An object that an endpoint stands for.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetRef {
    pub kind: Option<String>,
    pub name: Option<String>,
    pub namespace: Option<String>,
}

/// `conditions` of an endpoint; unknown (none) counts as ready (API documentation of EndpointConditions).
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SliceConditions {
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

/// One of `ports` of an EndpointSlice.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SlicePort {
    pub name: Option<String>,
    pub port: Option<i64>,
    pub protocol: Option<String>,
}

/// The older Endpoints.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Endpoints {
    pub subsets: Vec<EndpointSubset>,
}

/// One of `subsets` of an Endpoints.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointSubset {
    pub addresses: Vec<EndpointAddress>,
    pub ports: Vec<SlicePort>,
}

/// One of `addresses` of a subset.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EndpointAddress {
    pub ip: String,
}

/// A ConfigMap. Its `binaryData` is not read.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    pub data: BTreeMap<String, String>,
}

/// `spec` of a Pod. Its labels are in the object's metadata.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pod {
    pub service_account_name: Option<String>,
    pub node_name: Option<String>,
    /// Addresses in `status`.
    #[serde(skip)]
    pub addresses: Vec<String>,
}

/// A Secret, decoded. Its values can be read and compared, never printed.
#[derive(Clone, PartialEq, Default)]
pub struct Secret {
    /// `kubernetes.io/tls`, `Opaque`, …
    pub type_: String,
    /// `data` (base64 decoded) and `stringData`.
    pub data: BTreeMap<String, Vec<u8>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, keys {:?})", self.type_, self.data.keys().collect::<Vec<_>>())
    }
}

//! `getambassador.io`: what Emissary-ingress reads, in the shape of v3alpha1. Older versions and annotation forms are
//! brought into this shape by [`upgrade`](fn@upgrade) before they are read.
//!
//! Field names, types and defaults: Emissary's CRD schema (`getambassador.io/v3alpha1`). A field that is absent is
//! `None`; defaults are the translator's business, because the Module may change them.
//!
//! The comments on fields are what `kubectl explain` and editors show: [`definition`](mod@crate::definition) makes
//! schemas of these types. What is stated there about values (`range`, `enum`, rules) the apiserver refuses.

mod auth_service;
mod header;
mod health;
mod host;
mod listener;
mod mapping;
mod policy;
mod shape;
mod tcp_mapping;
mod tls;
mod upgrade;
pub(crate) mod written;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::definition::form;

pub use auth_service::{AuthService, IncludeBody, StatusOnError};
pub use header::AddedHeader;
pub use health::{
    ErrorResponseBody, ErrorResponseOverride, GrpcHealthCheck, HealthCheck, HealthCheckKind, HttpHealthCheck,
    StatusRange, TextFormatSource,
};
pub use host::{
    Authentication, EdgeStackMtls, Host, InsecurePolicy, NameReference, RequestPolicy, SecretReference,
};
pub use listener::{HostBinding, Listener, NamespaceBinding, Selector};
pub use mapping::Mapping;
pub use policy::{
    CircuitBreaker, Cors, Keepalive, LoadBalancer, LoadBalancerCookie, RegexRewrite, RetryPolicy,
};
pub use tcp_mapping::TcpMapping;
pub use tls::{TlsConfig, TlsContext};
pub use upgrade::{Version, upgrade};

/// Names of the gateways an object is for; empty = `default`.
pub type AmbassadorId = Vec<String>;

/// Settings of the whole gateway.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Module {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// The settings. A Module named "ambassador" has those of the gateway; docs/emissary.md lists them.
    #[schemars(schema_with = "form::free_map")]
    pub config: Value,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
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

/// What an object says that names nothing but the gateways it is for.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OnlyId {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// Fields that are not understood.
    #[serde(flatten)]
    #[schemars(skip)]
    pub rest: BTreeMap<String, Value>,
}

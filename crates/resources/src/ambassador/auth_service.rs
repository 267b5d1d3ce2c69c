//! AuthService.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{AmbassadorId, CircuitBreaker};
use crate::definition::form;

/// A service that is asked about every request, but for those of Mappings with bypass_auth.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["auth_service"]))]
pub struct AuthService {
    /// Which gateways read this: those whose $AMBASSADOR_ID is listed. One name or a list; absent is "default".
    #[schemars(schema_with = "form::one_or_many")]
    pub ambassador_id: AmbassadorId,
    /// Where it is: `[https://]name[.namespace][:port]`.
    pub auth_service: Option<String>,
    /// Put before the path when it is asked by HTTP.
    pub path_prefix: Option<String>,
    /// The TLSContext for TLS to it; true or false only say whether TLS is spoken.
    #[schemars(schema_with = "form::context_or_bool")]
    pub tls: Option<String>,
    /// How it is asked: http (the default) or grpc (Envoy's ext_authz).
    #[schemars(extend("enum" = ["http", "grpc"]))]
    pub proto: Option<String>,
    /// Version of Envoy's protocol. With grpc it must be v3; v2 is refused by the gateway.
    #[schemars(extend("enum" = ["v2", "v3"]))]
    pub protocol_version: Option<String>,
    /// Milliseconds it may take to answer (5000).
    #[schemars(range(min = 0))]
    pub timeout_ms: Option<i64>,
    /// Headers of the request that it is told, besides those that are always told.
    pub allowed_request_headers: Vec<String>,
    /// Headers of its answer that go on with the request, besides those that always do.
    pub allowed_authorization_headers: Vec<String>,
    /// Headers added to what it is asked.
    #[schemars(schema_with = "form::map_of_scalars")]
    pub add_auth_headers: Option<BTreeMap<String, String>>,
    /// Deprecated: include_body with 4096 bytes, and partial bodies.
    pub allow_request_body: Option<bool>,
    /// How much of the body it is told.
    pub include_body: Option<IncludeBody>,
    /// Whether requests pass when it cannot be asked (false).
    pub failure_mode_allow: Option<bool>,
    /// What clients are answered when it cannot be asked.
    pub status_on_error: Option<StatusOnError>,
    /// Limits of what is asked of it at a time.
    #[schemars(with = "Vec<CircuitBreaker>")]
    pub circuit_breakers: Option<Value>,
    /// Its name in metrics.
    pub stats_name: Option<String>,
}

/// How much of the body the service is told.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IncludeBody {
    /// At most so many bytes.
    #[schemars(range(min = 0))]
    pub max_bytes: Option<i64>,
    /// Whether a larger body is told in part; otherwise the request is answered 413.
    pub allow_partial: Option<bool>,
}

/// What clients are answered when the service cannot be asked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatusOnError {
    /// The status (403).
    pub code: Option<i64>,
}

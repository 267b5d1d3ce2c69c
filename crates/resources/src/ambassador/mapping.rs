//! Mapping, and what its fields are made of.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::upgrade::{comma_list, one_or_many};
use super::{AddedHeader, AmbassadorId};

/// `spec` of a Mapping.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Mapping {
    pub ambassador_id: AmbassadorId,
    pub prefix: Option<String>,
    pub prefix_regex: Option<bool>,
    pub prefix_exact: Option<bool>,
    pub case_sensitive: Option<bool>,
    pub service: Option<String>,
    pub hostname: Option<String>,
    pub host: Option<String>,
    pub host_regex: Option<bool>,
    pub method: Option<String>,
    pub method_regex: Option<bool>,
    pub headers: BTreeMap<String, String>,
    pub regex_headers: BTreeMap<String, String>,
    pub query_parameters: BTreeMap<String, String>,
    pub regex_query_parameters: BTreeMap<String, String>,
    pub precedence: Option<i64>,
    pub weight: Option<i64>,
    pub rewrite: Option<String>,
    pub regex_rewrite: Option<RegexRewrite>,
    pub host_redirect: Option<bool>,
    pub path_redirect: Option<String>,
    pub prefix_redirect: Option<String>,
    pub regex_redirect: Option<RegexRewrite>,
    pub redirect_response_code: Option<i64>,
    pub host_rewrite: Option<String>,
    pub auto_host_rewrite: Option<bool>,
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    pub add_response_headers: Option<BTreeMap<String, AddedHeader>>,
    pub remove_request_headers: Option<Vec<String>>,
    pub remove_response_headers: Option<Vec<String>>,
    pub add_linkerd_headers: Option<bool>,
    pub bypass_auth: Option<bool>,
    pub auth_context_extensions: Option<BTreeMap<String, String>>,
    pub cors: Option<Cors>,
    pub retry_policy: Option<RetryPolicy>,
    pub circuit_breakers: Option<Value>,
    pub load_balancer: Option<LoadBalancer>,
    pub resolver: Option<String>,
    pub timeout_ms: Option<i64>,
    pub idle_timeout_ms: Option<i64>,
    pub connect_timeout_ms: Option<i64>,
    pub cluster_idle_timeout_ms: Option<i64>,
    pub cluster_max_connection_lifetime_ms: Option<i64>,
    pub grpc: Option<bool>,
    pub allow_upgrade: Option<Vec<String>>,
    pub use_websocket: Option<Value>,
    pub dns_type: Option<String>,
    pub respect_dns_ttl: Option<bool>,
    pub enable_ipv4: Option<bool>,
    pub enable_ipv6: Option<bool>,
    pub health_checks: Option<Vec<HealthCheck>>,
    pub priority: Option<String>,
    pub shadow: Option<bool>,
    pub keepalive: Option<Keepalive>,
    pub labels: Option<Value>,
    pub tls: Option<String>,
    pub cluster_tag: Option<String>,
    pub stats_name: Option<String>,
    pub error_response_overrides: Option<Vec<ErrorResponseOverride>>,
    pub bypass_error_response_overrides: Option<bool>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// `{pattern, substitution}`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RegexRewrite {
    pub pattern: String,
    pub substitution: String,
}

/// `cors` of a Mapping or the Module.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cors {
    #[serde(deserialize_with = "comma_list")]
    pub origins: Option<Vec<String>>,
    #[serde(deserialize_with = "one_or_many")]
    pub methods: Option<Vec<String>>,
    #[serde(deserialize_with = "one_or_many")]
    pub headers: Option<Vec<String>>,
    #[serde(deserialize_with = "one_or_many")]
    pub exposed_headers: Option<Vec<String>>,
    pub credentials: Option<bool>,
    /// A string in the schema; numbers are met.
    pub max_age: Option<Value>,
}

/// `retry_policy`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    pub retry_on: Option<String>,
    pub num_retries: Option<i64>,
    /// `1.5s`.
    pub per_try_timeout: Option<String>,
    /// For `retriable-status-codes`.
    pub retriable_status_codes: Option<Vec<i64>>,
}

/// `load_balancer`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    pub policy: Option<String>,
    pub cookie: Option<LoadBalancerCookie>,
    pub header: Option<String>,
    pub source_ip: Option<bool>,
}

/// `load_balancer.cookie`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoadBalancerCookie {
    pub name: Option<String>,
    pub path: Option<String>,
    pub ttl: Option<String>,
}

/// One of `circuit_breakers`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CircuitBreaker {
    pub priority: Option<String>,
    pub max_connections: Option<i64>,
    pub max_pending_requests: Option<i64>,
    pub max_requests: Option<i64>,
    pub max_retries: Option<i64>,
}

/// `keepalive`. The Module spells `idle_time` as `time` too.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Keepalive {
    pub probes: Option<i64>,
    #[serde(alias = "time")]
    pub idle_time: Option<i64>,
    pub interval: Option<i64>,
}

/// One of `health_checks`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    pub timeout: Option<String>,
    pub interval: Option<String>,
    pub unhealthy_threshold: Option<i64>,
    pub healthy_threshold: Option<i64>,
    pub health_check: Option<HealthCheckKind>,
}

/// `health_checks[].health_check`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthCheckKind {
    pub http: Option<HttpHealthCheck>,
    pub grpc: Option<GrpcHealthCheck>,
}

/// `health_checks[].health_check.http`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HttpHealthCheck {
    pub path: Option<String>,
    pub hostname: Option<String>,
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    pub remove_request_headers: Option<Vec<String>>,
    pub expected_statuses: Option<Vec<StatusRange>>,
}

/// Inclusive.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusRange {
    pub min: Option<i64>,
    pub max: Option<i64>,
}

/// `health_checks[].health_check.grpc`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcHealthCheck {
    pub upstream_name: Option<String>,
    pub authority: Option<String>,
}

/// One of `error_response_overrides`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorResponseOverride {
    pub on_status_code: Option<i64>,
    pub body: ErrorResponseBody,
}

/// `error_response_overrides[].body`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorResponseBody {
    pub text_format: Option<String>,
    pub json_format: Option<BTreeMap<String, Value>>,
    pub text_format_source: Option<TextFormatSource>,
    pub content_type: Option<String>,
}

/// `{filename}`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TextFormatSource {
    pub filename: Option<String>,
}

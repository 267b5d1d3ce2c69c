//! How requests are sent: what Mappings, and the Module for all of them, say about it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::upgrade::{comma_list, one_or_many};
use crate::definition::form;

/// A replacement by regular expression.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegexRewrite {
    /// What is replaced (RE2).
    pub pattern: String,
    /// By what; "\1" is the first group.
    pub substitution: String,
}

/// Which pages of other origins may use the answers.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cors {
    /// Origins: a list, or one text with commas; "*" is any.
    #[serde(deserialize_with = "comma_list")]
    #[schemars(schema_with = "form::one_or_many")]
    pub origins: Option<Vec<String>>,
    /// Methods: a list, or one text with commas.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "form::one_or_many")]
    pub methods: Option<Vec<String>>,
    /// Headers that may be sent: a list, or one text with commas.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "form::one_or_many")]
    pub headers: Option<Vec<String>>,
    /// Headers that may be read: a list, or one text with commas.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "form::one_or_many")]
    pub exposed_headers: Option<Vec<String>>,
    /// Whether cookies and credentials go along.
    pub credentials: Option<bool>,
    /// Seconds a browser may remember the answer.
    #[schemars(schema_with = "form::int_or_text")]
    pub max_age: Option<Value>,
}

/// What is tried again.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetryPolicy {
    /// When: 5xx, gateway-error, connect-failure, retriable-4xx, refused-stream or retriable-status-codes.
    #[schemars(extend("enum" = [
        "5xx", "gateway-error", "connect-failure", "retriable-4xx", "refused-stream", "retriable-status-codes"
    ]))]
    pub retry_on: Option<String>,
    /// How often at most (1).
    pub num_retries: Option<i64>,
    /// How long each try may take: "1.5s".
    pub per_try_timeout: Option<String>,
    /// The status codes that retriable-status-codes is about.
    pub retriable_status_codes: Option<Vec<i64>>,
}

/// Which endpoint of the service gets a request.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["policy"]))]
pub struct LoadBalancer {
    /// round_robin, least_request; ring_hash and maglev send what has the same cookie, header or source address to the
    /// same endpoint.
    #[schemars(extend("enum" = ["round_robin", "ring_hash", "maglev", "least_request"]))]
    pub policy: Option<String>,
    /// The cookie that is hashed.
    pub cookie: Option<LoadBalancerCookie>,
    /// The header that is hashed.
    pub header: Option<String>,
    /// Whether the client's address is hashed.
    pub source_ip: Option<bool>,
}

/// The cookie that is hashed.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["name"]))]
pub struct LoadBalancerCookie {
    /// Its name.
    pub name: Option<String>,
    /// Its path, when the gateway sets it.
    pub path: Option<String>,
    /// How long it lives: with this the gateway sets the cookie, without it only reads one.
    pub ttl: Option<String>,
}

/// Limits of what is asked of a service at a time; beyond them the answer is 503.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CircuitBreaker {
    /// For requests of which priority: default or high.
    #[schemars(extend("enum" = ["default", "high"]))]
    pub priority: Option<String>,
    /// Connections (1024).
    #[schemars(range(min = 0))]
    pub max_connections: Option<i64>,
    /// Requests that wait for a connection (1024).
    #[schemars(range(min = 0))]
    pub max_pending_requests: Option<i64>,
    /// Requests (1024).
    #[schemars(range(min = 0))]
    pub max_requests: Option<i64>,
    /// Requests that are tried again (3).
    #[schemars(range(min = 0))]
    pub max_retries: Option<i64>,
}

/// TCP keepalive probes to the service.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Keepalive {
    /// Probes without an answer after which the connection is given up.
    pub probes: Option<i64>,
    /// Seconds without traffic before the first probe. The Module spells it `time` too.
    #[serde(alias = "time")]
    pub idle_time: Option<i64>,
    /// Seconds between probes.
    pub interval: Option<i64>,
}

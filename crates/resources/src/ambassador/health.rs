//! What is asked of endpoints to know whether they are well, and what is answered in place of errors.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::AddedHeader;
use crate::definition::form;

/// A question asked of every endpoint again and again; those that fail it get no requests.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HealthCheck {
    /// How long an answer may take: "3s" (the default).
    pub timeout: Option<String>,
    /// Time between questions: "5s" (the default).
    pub interval: Option<String>,
    /// Failures in a row after which an endpoint is out (2).
    pub unhealthy_threshold: Option<i64>,
    /// Answers in a row after which it is back (1).
    pub healthy_threshold: Option<i64>,
    /// What is asked.
    pub health_check: Option<HealthCheckKind>,
}

/// What is asked: http or grpc.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend(
    "x-kubernetes-validations" = [{
        "rule": "has(self.http) != has(self.grpc)",
        "message": "write one of http and grpc",
    }]
))]
pub struct HealthCheckKind {
    /// A request by HTTP.
    pub http: Option<HttpHealthCheck>,
    /// A call of grpc.health.v1.Health.
    pub grpc: Option<GrpcHealthCheck>,
}

/// A request by HTTP.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HttpHealthCheck {
    /// Its path.
    pub path: Option<String>,
    /// Its host (the cluster's name).
    pub hostname: Option<String>,
    /// Headers added to it.
    #[schemars(schema_with = "form::added_headers")]
    pub add_request_headers: Option<BTreeMap<String, AddedHeader>>,
    /// Headers left out of it.
    #[schemars(schema_with = "form::one_or_many")]
    pub remove_request_headers: Option<Vec<String>>,
    /// Statuses that mean well (200).
    pub expected_statuses: Option<Vec<StatusRange>>,
}

/// Statuses from min to max, both included.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StatusRange {
    /// The first.
    pub min: Option<i64>,
    /// The last.
    pub max: Option<i64>,
}

/// A call of grpc.health.v1.Health.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GrpcHealthCheck {
    /// The service that is asked about.
    pub upstream_name: Option<String>,
    /// The :authority of the call.
    pub authority: Option<String>,
}

/// What is answered in place of an error, be it the service's or the gateway's.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["body", "on_status_code"]))]
pub struct ErrorResponseOverride {
    /// The status it is for, 400 to 599.
    #[schemars(range(min = 400, max = 599))]
    pub on_status_code: Option<i64>,
    /// The body.
    pub body: ErrorResponseBody,
}

/// A body: text_format, json_format or text_format_source.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ErrorResponseBody {
    /// A text with operators of the access log, "%RESPONSE_CODE%".
    pub text_format: Option<String>,
    /// A JSON object; its texts may hold operators.
    #[schemars(schema_with = "form::free_map")]
    pub json_format: Option<BTreeMap<String, Value>>,
    /// A file with the text.
    pub text_format_source: Option<TextFormatSource>,
    /// Content type of a text (text/plain).
    pub content_type: Option<String>,
}

/// A file.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TextFormatSource {
    /// Its path, where the gateway runs.
    pub filename: Option<String>,
}

//! Telemetry.

#![allow(missing_docs, reason = "the fields are those of Istio's API, and described there")]

use serde::Deserialize;
use serde_json::Value;

use super::authentication::TargetRef;
use super::authorization::Provider;
use super::destination_rule::LabelSelector;

/// What is reported, and where.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Telemetry {
    pub selector: Option<LabelSelector>,
    pub target_ref: Option<TargetRef>,
    pub target_refs: Vec<TargetRef>,
    pub access_logging: Vec<AccessLogging>,
    pub metrics: Vec<Value>,
    pub tracing: Vec<Value>,
}

/// One of `accessLogging`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AccessLogging {
    pub r#match: Option<LogSelector>,
    pub providers: Vec<Provider>,
    pub disabled: Option<bool>,
    pub filter: Option<LogFilter>,
}

/// `match`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LogSelector {
    pub mode: Option<String>,
}

/// `filter`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LogFilter {
    pub expression: Option<String>,
}

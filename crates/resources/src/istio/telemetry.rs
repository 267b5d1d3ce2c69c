//! Telemetry.

use serde::Deserialize;

/// What is reported, and where.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Telemetry {}

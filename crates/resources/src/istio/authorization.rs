//! AuthorizationPolicy.

use serde::Deserialize;

/// Who may do what.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AuthorizationPolicy {}

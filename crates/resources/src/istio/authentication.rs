//! PeerAuthentication and RequestAuthentication.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::destination_rule::LabelSelector;

/// What workloads demand of those who connect to them.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PeerAuthentication {
    /// The workloads; none = all of the namespace.
    pub selector: Option<LabelSelector>,
    /// For all ports.
    pub mtls: Option<MutualTls>,
    /// By port of the workload; only with a selector.
    pub port_level_mtls: BTreeMap<String, MutualTls>,
}

/// `mtls` of a PeerAuthentication.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MutualTls {
    /// `UNSET`, `DISABLE`, `PERMISSIVE` or `STRICT`.
    pub mode: Option<String>,
}

/// Whose tokens are valid.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RequestAuthentication {}

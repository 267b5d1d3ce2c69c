//! `networking.istio.io`, `security.istio.io` and `telemetry.istio.io`.

use serde::Deserialize;
use serde_json::Value;

use super::Fields;
use super::typed::{Fault, drop_nulls, typed_noting};
use crate::object::View;

/// The kinds that are read.
pub(super) const KINDS: [&str; 9] = [
    "AuthorizationPolicy",
    "DestinationRule",
    "Gateway",
    "PeerAuthentication",
    "RequestAuthentication",
    "ServiceEntry",
    "Telemetry",
    "VirtualService",
    "WorkloadEntry",
];

/// The groups that are read.
pub(super) const GROUPS: [&str; 3] = ["networking.istio.io", "security.istio.io", "telemetry.istio.io"];

/// Reads `spec`; the fields in it that are not understood go to `unknown`.
pub(super) fn view(kind: &str, mut fields: Fields, unknown: &mut Vec<String>) -> Result<View, Fault> {
    let mut spec = fields.remove("spec").filter(|spec| !spec.is_null());
    spec.iter_mut().for_each(drop_nulls);
    let spec = spec.unwrap_or_else(|| Value::Object(Fields::new()));
    Ok(match kind {
        "AuthorizationPolicy" => View::AuthorizationPolicy(read(&spec, unknown)?),
        "DestinationRule" => View::DestinationRule(read(&spec, unknown)?),
        "Gateway" => View::Gateway(read(&spec, unknown)?),
        "PeerAuthentication" => View::PeerAuthentication(read(&spec, unknown)?),
        "RequestAuthentication" => View::RequestAuthentication(read(&spec, unknown)?),
        "ServiceEntry" => View::ServiceEntry(read(&spec, unknown)?),
        "Telemetry" => View::Telemetry(read(&spec, unknown)?),
        "VirtualService" => View::VirtualService(read(&spec, unknown)?),
        "WorkloadEntry" => View::WorkloadEntry(read(&spec, unknown)?),
        _ => View::Foreign,
    })
}

fn read<'a, T: Deserialize<'a>>(spec: &'a Value, unknown: &mut Vec<String>) -> Result<T, Fault> {
    typed_noting(spec, "spec", unknown)
}

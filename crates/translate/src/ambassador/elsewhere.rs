//! Objects that ask gateways of the Gateway API for something that this version does not do.

use plenipo_resources::Object;

use crate::findings::Findings;

const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Is there something to be told about this object? Asked for every object, so it begins with what is cheap.
pub(super) fn is_told(object: &Object) -> bool {
    told(object).is_some()
}

/// Says that the object has no effect, and what has it.
pub(super) fn report(object: &Object, findings: &mut Findings) {
    let Some((effect, fix)) = told(object) else { return };
    findings.ignore(object);
    let message =
        format!("the Gateway API's {} objects are not read by this version: {effect}", kind(object));
    findings.warn(object, "not-supported", "", message, fix);
}

/// What does not happen, and what to do instead.
fn told(object: &Object) -> Option<(&'static str, &'static str)> {
    let (group, _) = object.meta.api_version.split_once('/')?;
    if group != GATEWAY_API {
        return None;
    }
    Some(match kind(object) {
        "Gateway" => {
            ("nothing listens for it", "write a Listener for each port, and a Host with the certificate")
        }
        "HTTPRoute" | "GRPCRoute" => ("no request is routed by it", "write a Mapping for each of its routes"),
        "TCPRoute" | "TLSRoute" => {
            ("no connection is routed by it", "write a TCPMapping for each of its rules")
        }
        _ => return None,
    })
}

/// Without the group that tells kinds of one name apart.
fn kind(object: &Object) -> &str {
    object.id.kind.split('.').next().unwrap_or_default()
}

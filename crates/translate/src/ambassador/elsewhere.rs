//! Objects that ask other gateways (Istio's, those of the Gateway API) for something that this version does not do.

use plenipo_resources::Object;

use crate::findings::Findings;

const ISTIO: &str = "networking.istio.io";
const ISTIO_SECURITY: &str = "security.istio.io";
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// Is there something to be told about this object? Asked for every object, so it begins with what is cheap.
pub(super) fn is_told(object: &Object) -> bool {
    told(object).is_some()
}

/// Says that the object has no effect, and what has it.
pub(super) fn report(object: &Object, findings: &mut Findings) {
    let Some((dialect, effect, fix)) = told(object) else { return };
    findings.ignore(object);
    let message = format!("{dialect} {} objects are not read by this version: {effect}", kind(object));
    findings.warn(object, "not-supported", "", message, fix);
}

/// Whose dialect it is, what does not happen, and what to do instead.
fn told(object: &Object) -> Option<(&'static str, &'static str, &'static str)> {
    let (group, _) = object.meta.api_version.split_once('/')?;
    let dialect = match group {
        ISTIO | ISTIO_SECURITY => "Istio's",
        GATEWAY_API => "the Gateway API's",
        _ => return None,
    };
    let (effect, fix) = match kind(object) {
        "Gateway" => {
            ("nothing listens for it", "write a Listener for each port, and a Host with the certificate")
        }
        "VirtualService" | "HTTPRoute" | "GRPCRoute" => {
            ("no request is routed by it", "write a Mapping for each of its routes")
        }
        "TCPRoute" | "TLSRoute" => {
            ("no connection is routed by it", "write a TCPMapping for each of its rules")
        }
        "DestinationRule" => (
            "nothing of it holds for upstreams",
            "write https:// before the Mapping's service, and a TLSContext that its tls names",
        ),
        "PeerAuthentication" => (
            "pods that demand mutual TLS refuse this gateway",
            "let the Mapping's tls name a TLSContext with a certificate of the mesh",
        ),
        "AuthorizationPolicy" | "RequestAuthentication" => (
            "the gateway asks nobody for it",
            "leave the decision to the services' sidecars, or to the services",
        ),
        "ServiceEntry" => ("no name is known by it", "write the name of the service into the Mapping"),
        _ => return None,
    };
    Some((dialect, effect, fix))
}

/// Without the group that tells kinds of one name apart.
fn kind(object: &Object) -> &str {
    object.id.kind.split('.').next().unwrap_or_default()
}

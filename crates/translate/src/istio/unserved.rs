//! What Istio's objects say of upstreams where no Gateway of Istio's is there that leads to any.

use plenipo_resources::Set;

use crate::findings::Findings;

/// Kinds, what does not happen, and what to do instead.
const KINDS: [(&str, &str, &str); 3] = [
    (
        "DestinationRule",
        "nothing of it holds for the upstreams of others",
        "write https:// before the Mapping's service, and a TLSContext that its tls names",
    ),
    (
        "PeerAuthentication",
        "pods that demand mutual TLS refuse this gateway",
        "let the Mapping's tls name a TLSContext with a certificate of the mesh",
    ),
    ("ServiceEntry", "no name is known by it", "write the name of the service into the Mapping"),
];

/// Says that the objects have no effect.
pub(super) fn report(set: &Set, findings: &mut Findings) {
    for (kind, effect, fix) in KINDS {
        for object in set.of_kind(kind) {
            findings.ignore(object);
            let message = format!("there is no Gateway of Istio's that it would hold for: {effect}");
            findings.warn(object, "no-gateway", "", message, fix);
        }
    }
}

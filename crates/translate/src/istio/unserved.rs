//! What Istio's objects say of upstreams where no Gateway of Istio's is there that leads to any.

use plenipo_resources::{Object, Set, View};

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

/// Says that the objects have no effect, unless Ingresses of Istio's class may be there that they hold for.
pub(super) fn report(set: &Set, findings: &mut Findings) {
    if set.of_kind("Ingress").iter().any(|object| may_be_istio(object)) {
        return;
    }
    for (kind, effect, fix) in KINDS {
        for object in set.of_kind(kind) {
            findings.ignore(object);
            let message = format!("there is no Gateway of Istio's that it would hold for: {effect}");
            findings.warn(object, "no-gateway", "", message, fix);
        }
    }
}

fn may_be_istio(object: &Object) -> bool {
    let View::Ingress(ingress) = &object.view else { return false };
    let written = object.meta.annotations.get("kubernetes.io/ingress.class");
    [written, ingress.ingress_class_name.as_ref()].into_iter().flatten().any(|class| class.contains("istio"))
}

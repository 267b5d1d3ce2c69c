//! Certificates that are shown.

use std::collections::BTreeMap;

use plenipo_model::{Accepts, ChainTls, HostPattern};
use plenipo_resources::Object;

use super::Scene;
use crate::findings::Findings;

/// Certificates for other names than those that they are shown for. (When they end, only who knows the time can tell.)
pub(super) fn other_names(scene: &Scene<'_, '_>, findings: &mut Findings) {
    let gateways: BTreeMap<&str, &Object> =
        scene.servers.iter().map(|server| (server.source.as_str(), server.gateway)).collect();
    for chain in scene.edge.listeners.iter().flat_map(|listener| &listener.chains) {
        let (Accepts::Tls(names), ChainTls::Terminate(tls)) = (&chain.accepts, &chain.tls) else { continue };
        let Some(gateway) = gateways.get(chain.source.as_str()) else { continue };
        // Clients of the mesh look at the identity, and at no name.
        if tls.certificates.iter().any(|one| !one.uris().is_empty()) {
            continue;
        }
        let shown = |name: &&HostPattern| {
            let asked = match name {
                HostPattern::Exact(name) => name.clone(),
                HostPattern::Suffix(suffix) => format!("any{suffix}"),
                HostPattern::Any | HostPattern::Prefix(_) | HostPattern::OneLabel(_) => return false,
            };
            !tls.certificates.is_empty() && !tls.certificates.iter().any(|one| one.is_valid_for(&asked))
        };
        for name in names.iter().filter(shown) {
            let known: Vec<&str> =
                tls.certificates.iter().flat_map(|one| one.names()).map(String::as_str).collect();
            let message = format!(
                "the certificate shown for {name} is one for {}: clients refuse it",
                known.join(", ")
            );
            let fix = "name a Secret whose certificate has that name, or correct the hosts";
            findings.warn(gateway, "certificate-for-other-name", "spec.servers", message, fix);
        }
    }
}

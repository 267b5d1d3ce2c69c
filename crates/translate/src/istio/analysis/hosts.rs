//! Hosts of VirtualServices, next to each other.

use super::super::binding::{covers, is_bound};
use super::super::virtual_service::Service;
use super::Scene;
use super::matches::takes_all;
use crate::findings::Findings;

/// The narrowest host of all has a request, whether a route there takes it or not: what a VirtualService for `*` says is not
/// asked for names that another one has.
pub(super) fn shadowed(scene: &Scene<'_, '_>, findings: &mut Findings) {
    let wide: Vec<&Service<'_>> =
        scene.services.iter().filter(|one| !one.http.is_empty() && is_wide(one)).collect();
    for narrow in scene.services.iter().filter(|one| !one.http.is_empty() && !answers_all(one)) {
        for (place, host) in &narrow.hosts {
            let over = wide.iter().find(|wide| {
                let above = wide.hosts.iter().any(|(_, pattern)| pattern != host && covers(pattern, host));
                above && shares_server(scene, wide, narrow)
            });
            let Some(over) = over else { continue };
            let same = |other: &&Service<'_>| other.hosts.iter().any(|(_, pattern)| pattern == host);
            if scene
                .services
                .iter()
                .filter(same)
                .any(|other| answers_all(other) && shares_server(scene, other, narrow))
            {
                continue;
            }
            let message = format!(
                "a request for {host} that none of its routes takes is answered 404: {}, whose hosts are wider, is not \
                 asked",
                over.object.id
            );
            let fix = "end it with a route without a match, or write its routes into the wider one";
            findings.warn(narrow.object, "no-fall-through", &format!("spec.hosts[{place}]"), message, fix);
        }
    }
}

fn is_wide(service: &Service<'_>) -> bool {
    use plenipo_model::HostPattern::{Any, Suffix};
    service.hosts.iter().any(|(_, host)| matches!(host, Any | Suffix(_)))
}

fn answers_all(service: &Service<'_>) -> bool {
    service.http.iter().any(|rule| {
        let matches = &rule.route.r#match;
        matches.is_empty() || matches.iter().any(|one| takes_all(Some(one)))
    })
}

fn shares_server(scene: &Scene<'_, '_>, one: &Service<'_>, other: &Service<'_>) -> bool {
    scene.servers.iter().any(|server| is_bound(one, server) && is_bound(other, server))
}

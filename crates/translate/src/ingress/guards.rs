//! What guards everything that Istio's gateway and Emissary serve, their Ingresses too, and is not asked about these here:
//! nothing is served without it.

use std::sync::Arc;

use plenipo_model::Authorization;
use plenipo_resources::{Severity, View};

use super::class::Flavour;
use super::{Entry, World, path};
use crate::findings::Findings;
use crate::istio::{self, Mesh};

/// Emissary asks its AuthService about Ingresses too.
pub(super) fn close_emissary(entries: &mut [Entry<'_>], world: World<'_>, findings: &mut Findings) {
    let own = world.options.ambassador_id.as_str();
    let ours = world.set.of_kind("AuthService").iter().find(|object| match &object.view {
        View::AuthService(spec) => {
            let ids = &spec.ambassador_id;
            ids.iter().any(|id| id == own) || (ids.is_empty() && own == "default")
        }
        _ => false,
    });
    let guard = match ours {
        Some(object) => object.id.to_string(),
        None if is_lost(world, "AuthService") => "an AuthService that cannot be read".to_owned(),
        None => return,
    };
    close(entries, Flavour::Emissary, &guard, "write Mappings instead of the Ingress", findings);
}

/// Is there an object of this kind that could not be read?
fn is_lost(world: World<'_>, kind: &str) -> bool {
    let errors = world.set.problems().iter().filter(|problem| problem.severity == Severity::Error);
    let mut lost = errors.filter_map(|problem| problem.object.as_ref()).filter(|id| *id.kind == *kind);
    lost.any(|id| world.set.get(&id.kind, &id.namespace, &id.name).is_none())
}

/// Istio's gateway asks its policies about Ingresses too.
pub(super) fn close_istio(entries: &mut [Entry<'_>], mesh: &Mesh, world: World<'_>, findings: &mut Findings) {
    if let Some(guard) = istio::guard_of_ingresses(mesh, world.set, world.options) {
        let fix = "write a Gateway and a VirtualService instead of the Ingress";
        close(entries, Flavour::Istio, &guard, fix, findings);
    }
}

/// Who may come where TLS is relayed as it is: by address, as to the routes. What would be asked of requests can be asked of
/// nobody there.
pub(super) fn of_bytes(entry: &Entry<'_>, findings: &mut Findings) -> Option<Arc<Authorization>> {
    let policy = &entry.policy;
    if policy.closed {
        return Some(Arc::new(Authorization::refusing("what guards it cannot be had")));
    }
    let guard = policy.guard.as_deref();
    if policy.client_auth.is_none() && guard.is_none_or(|guard| guard.external.is_none()) {
        return guard.and_then(|guard| guard.authorization.clone());
    }
    let message = "requests are to be asked about, and nobody reads them where TLS is relayed: its connections are closed".to_owned();
    let field = "metadata.annotations[nginx.ingress.kubernetes.io/ssl-passthrough]";
    let fix = "remove it, or remove what guards the requests and let the Service guard them";
    findings.error(entry.object, "protection-not-available", field, message.clone(), fix);
    Some(Arc::new(Authorization::refusing(&message)))
}

fn close(entries: &mut [Entry<'_>], flavour: Flavour, guard: &str, fix: &str, findings: &mut Findings) {
    for entry in entries.iter_mut().filter(|entry| entry.flavour == flavour) {
        entry.policy.closed = true;
        // Nobody is asked for who answers challenges only.
        let paths =
            entry.spec.rules.iter().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
        let mut texts = paths.map(|path| path.path.as_deref().unwrap_or_default());
        if entry.spec.default_backend.is_none() && texts.all(path::is_challenge) {
            continue;
        }
        let message =
            format!("{guard} guards it there, and is not asked here: its requests are answered 503");
        findings.error(entry.object, "unguarded-ingress", "spec.ingressClassName", message, fix);
    }
}

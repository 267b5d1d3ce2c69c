//! Servers of Gateways.

use super::super::binding::narrower;
use super::super::gateway::Kind;
use super::super::ports::Ports;
use super::Scene;
use crate::findings::Findings;
use plenipo_resources::View;

/// Clients are sent to https where nobody answers.
pub(super) fn redirect_to_nowhere(scene: &Scene<'_, '_>, findings: &mut Findings) {
    for server in scene.servers.iter().filter(|server| server.kind == Kind::Http { redirect: true }) {
        let twin = |pattern| {
            let tls = scene.servers.iter().filter(|other| other.kind.is_tls() && other.number == 443);
            tls.flat_map(|other| &other.hosts).any(|other| narrower(&other.pattern, pattern).is_some())
        };
        let alone: Vec<String> = server
            .hosts
            .iter()
            .filter(|host| !twin(&host.pattern))
            .map(|host| host.pattern.to_string())
            .collect();
        if alone.is_empty() {
            continue;
        }
        let message =
            format!("clients are sent to https, and no server for {} is on port 443", alone.join(", "));
        let fix = "write a server with port 443 and protocol HTTPS for the same hosts";
        findings.warn(
            server.gateway,
            "redirect-without-https",
            &server.field("tls.httpsRedirect"),
            message,
            fix,
        );
    }
}

/// Nothing leads from the Service of the gateway to what listens.
pub(super) fn port_without_service(scene: &Scene<'_, '_>, findings: &mut Findings) {
    let ports = Ports::new(scene.set, scene.options);
    for server in scene.servers {
        let View::Gateway(written) = &server.gateway.view else { continue };
        let Some(service) = ports.lacking(&written.selector, server.number) else { continue };
        let message = format!("{} has no port {}: nobody gets there", service.id, server.number);
        let fix = "add the port to the Service, or write one that it has";
        findings.warn(server.gateway, "port-not-on-service", &server.field("port.number"), message, fix);
    }
}

/// A Secret that is not where it is looked for, and is somewhere else.
pub(super) fn secret_elsewhere(scene: &Scene<'_, '_>, findings: &mut Findings) {
    let ours = scene.mesh.namespace.as_str();
    for server in scene.servers {
        let Some(tls) = server.tls().filter(|_| server.kind != Kind::Passthrough) else { continue };
        let several = tls.credential_names.iter();
        for text in tls.credential_name.iter().chain(several).filter(|text| !text.is_empty()) {
            let name = text.strip_prefix("kubernetes://").unwrap_or(text);
            let own = &*server.gateway.id.namespace;
            let known = |namespace: &str| scene.set.get("Secret", namespace, name).is_some();
            if name.contains('/') || known(ours) || known(own) {
                continue;
            }
            let there: Vec<&str> = scene
                .set
                .of_kind("Secret")
                .iter()
                .filter(|secret| *secret.id.name == *name)
                .map(|secret| &*secret.id.namespace)
                .collect();
            if there.is_empty() {
                continue;
            }
            let message = format!("the Secret {name} is in {}, a gateway looks in {ours}", there.join(", "));
            let fix = format!("create it in {ours}, where the gateway's pods are");
            let field = server.field("tls.credentialName");
            findings.warn(server.gateway, "secret-elsewhere", &field, message, &fix);
        }
    }
}

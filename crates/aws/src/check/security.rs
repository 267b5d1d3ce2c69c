//! Which requests count as secure behind a load balancer that ends TLS: AWS-01, -02, -03, -71.

use plenipo_model::{HeaderMatch, InsecureAction, Listener, SecurityModel, VirtualHost};
use plenipo_resources::{Object, View};
use serde_json::json;

use super::finding::{Finding, Findings, Operation};
use super::scene::{Passage, Scene};

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for passage in &scene.passages {
        if passage.ends_tls_blindly() && !passage.group.protocol.is_tls() {
            decrypted(scene, passage, found);
        }
        redirected_for_ever(scene, passage, found);
    }
}

/// The gateway gets clear text for what was TLS, and nothing tells it so.
fn decrypted(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    for (server, host) in passage.hosts() {
        if server.security == SecurityModel::Secure {
            continue;
        }
        let object = scene.object_or(&host.source, passage);
        let (rule, does, field) = match host.insecure {
            InsecureAction::Redirect => {
                (1, "redirects it to https, for ever", "/spec/requestPolicy/insecure/action")
            }
            InsecureAction::Reject => (2, "answers it 404", "/spec/requestPolicy/insecure/action"),
            InsecureAction::Route => {
                relies_on_scheme(scene, passage, host, found);
                continue;
            }
        };
        let finding = found.on(
            rule,
            object,
            if object.id == passage.service.id { "" } else { field },
            format!(
                "{} ends TLS on port {} and sends clear text to port {} of the gateway, which takes every such request \
                 for insecure and {does}: layer 4 tells nobody what it was",
                passage.name(),
                passage.listener.port,
                passage.gateway.declared_port,
            ),
        );
        finding.fix(
            "give clear text a gateway port of its own: securityModel SECURE on the port that gets decrypted traffic, a \
             second Listener with securityModel INSECURE, and port 80 of the load balancer on that one",
        );
        two_ports(scene, passage, finding);
    }
}

/// Decrypted requests and clear text get a gateway port each, so that the port tells what a request was.
fn two_ports(scene: &Scene<'_>, passage: &Passage<'_>, finding: &mut Finding) {
    let Some(object) = scene.object_of(&passage.gateway.source) else { return };
    let View::Listener(_) = &object.view else { return };
    let edit = |path: &str, value: &str| Operation::Add { path: path.to_owned(), value: value.into() };
    finding.edit(object.id.clone(), edit("/spec/securityModel", "SECURE"));
    let clear = scene.passages.iter().filter(|other| {
        other.gateway.name == passage.gateway.name
            && other.is_opaque()
            && other.service.id == passage.service.id
    });
    let places: Vec<usize> = clear.map(|other| other.place).collect();
    if places.is_empty() {
        return;
    }
    let port = free_port(scene, passage.gateway);
    for place in places {
        let path = format!("/spec/ports/{place}/targetPort");
        finding.edit(passage.service.id.clone(), Operation::Add { path, value: port.into() });
    }
    finding.create(second_listener(object, port));
}

/// The same Listener on another port, where nothing is secure.
fn second_listener(object: &Object, port: u16) -> serde_json::Value {
    let View::Listener(listener) = &object.view else { return json!(null) };
    let mut spec = json!({ "port": port, "securityModel": "INSECURE" });
    match &listener.protocol_stack {
        Some(stack) => spec["protocolStack"] = json!(stack),
        None => spec["protocol"] = json!(listener.protocol),
    }
    let namespace =
        listener.host_binding.as_ref().and_then(|binding| binding.namespace.as_ref()?.from.clone());
    let labels =
        listener.host_binding.as_ref().and_then(|binding| binding.selector.as_ref()?.match_labels.clone());
    let mut binding = json!({});
    if let Some(from) = namespace {
        binding["namespace"] = json!({ "from": from });
    }
    if let Some(labels) = labels {
        binding["selector"] = json!({ "matchLabels": labels });
    }
    spec["hostBinding"] = binding;
    if !listener.proxy_protocol_from.is_empty() {
        spec["proxyProtocolFrom"] = json!(listener.proxy_protocol_from);
    }
    json!({
        "apiVersion": "getambassador.io/v3alpha1",
        "kind": "Listener",
        "metadata": { "name": format!("{}-redirect", object.id.name), "namespace": &*object.id.namespace },
        "spec": spec,
    })
}

fn free_port(scene: &Scene<'_>, beside: &Listener) -> u16 {
    let taken = |port: &u16| scene.edge.listeners.iter().any(|listener| listener.declared_port == *port);
    (beside.declared_port.saturating_add(1)..u16::MAX).find(|port| !taken(port)).unwrap_or(8081)
}

/// A route that looks at the scheme, which is `http` for everybody here.
fn relies_on_scheme(scene: &Scene<'_>, passage: &Passage<'_>, host: &VirtualHost, found: &mut Findings) {
    let looks = |header: &HeaderMatch| header.name.as_str() == "x-forwarded-proto";
    for route in host.routes.iter().filter(|route| route.matches.headers.iter().any(looks)) {
        found
            .on(
                3,
                scene.object_or(&route.source, passage),
                "/spec/headers",
                format!(
                    "it looks at X-Forwarded-Proto, which is http for what came to {} by TLS: layer 4 writes no \
                     headers, and the gateway sees clear text",
                    passage.name()
                ),
            )
            .fix("use a load balancer of layer 7, or a gateway port of its own with securityModel SECURE");
    }
}

/// TLS ends on layer 7, which says so, but the gateway does not listen.
fn redirected_for_ever(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let protocol = passage.listener.protocol;
    if !(protocol.is_http() && protocol.ends_tls()) || passage.group.protocol.is_tls() {
        return;
    }
    for (server, host) in passage.hosts() {
        let believes = server.forwarding.believes();
        let insecure = match server.security {
            SecurityModel::Secure => false,
            SecurityModel::Insecure => true,
            SecurityModel::Forwarded => !believes,
        };
        if !insecure || host.insecure != InsecureAction::Redirect {
            continue;
        }
        let object = scene.object_or(&host.source, passage);
        let finding = found.on(
            71,
            object,
            "/spec/requestPolicy/insecure/action",
            format!(
                "{} ends TLS and says so in X-Forwarded-Proto, which the gateway does not believe: it redirects to https, \
                 the client comes again the same way, and is redirected again",
                passage.name()
            ),
        );
        finding
            .fix("believe X-Forwarded-Proto: use_remote_address: false in the Module, and securityModel XFP");
        if server.security == SecurityModel::Insecure
            && let Some(listener) = scene.object_of(&passage.gateway.source)
        {
            let path = "/spec/securityModel".to_owned();
            finding.edit(listener.id.clone(), Operation::Add { path, value: "XFP".into() });
        }
        if !believes {
            super::hops::mend(scene, passage, finding);
        }
    }
}

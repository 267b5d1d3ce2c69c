//! Which port leads where, and in what protocol: AWS-24 to -30, -80, -81.

use plenipo_model::{Accepts, Serve};
use plenipo_resources::core::{IntOrString, Service, ServicePort};
use serde_json::json;

use super::finding::{Findings, Operation};
use super::proxy::is_layer_7;
use super::scene::{Passage, Scene, ServiceView, ends_tls, ingress_note, service_note};
use crate::reach;
use crate::stack::Kind;

const CERTIFICATE: &str = "aws-load-balancer-ssl-cert";
const PORTS: &str = "aws-load-balancer-ssl-ports";

/// Ports of protocols that are not HTTP, and cannot be taken for it.
const NOT_HTTP: [i64; 15] = [21, 22, 25, 53, 110, 143, 389, 465, 587, 1883, 3306, 5432, 6379, 9092, 27017];

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for service in scene.services.iter().filter(|service| service.owner.is_some()) {
        tls_ports(service, found);
        names(service, found);
        others_behind_http(scene, service, found);
    }
    for passage in &scene.passages {
        protocols(scene, passage, found);
    }
    relays(scene, found);
}

/// AWS-27, -28 and -29: what `ssl-ports` says.
fn tls_ports(service: &ServiceView<'_>, found: &mut Findings) {
    if service.note(CERTIFICATE).is_none_or(str::is_empty) {
        return;
    }
    let tcp = || service.spec.ports.iter().filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    let secure = tcp().find(|port| port.port == 443).or_else(|| tcp().find(|port| is_named_https(port)));
    let usual =
        secure.or_else(|| tcp().next_back()).map_or_else(|| "443".to_owned(), |port| port.port.to_string());
    match service.note(PORTS) {
        Some(raw) if service.is_lbc() => unknown_ports(service, raw, &usual, found),
        Some(raw) => misspelled_ports(service, raw, found),
        None if tcp().count() > 1
            && tcp().any(|port| port.port == 80 || port.name.as_deref() == Some("http")) =>
        {
            found
                .on(
                    27,
                    service.object,
                    service_note(CERTIFICATE),
                    "without aws-load-balancer-ssl-ports every port ends TLS, port 80 as well: clients that speak \
                     clear text there get no answer",
                )
                .fix("name the ports that shall end TLS")
                .add(service_note(PORTS), usual);
        }
        None => {}
    }
}

/// AWS-28.
fn unknown_ports(service: &ServiceView<'_>, raw: &str, usual: &str, found: &mut Findings) {
    let is_port = |entry: &str| {
        let mut ports = service.spec.ports.iter();
        ports.any(|port| port.name.as_deref() == Some(entry) || port.port.to_string() == entry)
    };
    let entries: Vec<&str> = raw.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
    let (sound, wrong): (Vec<&str>, Vec<&str>) = entries.into_iter().partition(|entry| is_port(entry));
    let Some(first) = wrong.first() else { return };
    let why = if *first == "*" { "it is no wildcard here" } else { "the Service has no such port" };
    found
        .on(
            28,
            service.object,
            service_note(PORTS),
            format!("'{first}': {why}, and the load balancer is not made"),
        )
        .fix("name ports of the Service, by number or name")
        .set(if sound.is_empty() { usual.to_owned() } else { sound.join(",") });
}

/// AWS-29.
fn misspelled_ports(service: &ServiceView<'_>, raw: &str, found: &mut Findings) {
    let plain = |entry: &str| entry.trim().to_lowercase();
    let wrong = |entry: &&str| {
        let sound = plain(entry);
        let is_port = |port: &ServicePort| {
            port.port.to_string() == sound
                || port.name.as_ref().is_some_and(|name| name.to_lowercase() == sound)
        };
        **entry != sound && service.spec.ports.iter().any(is_port)
    };
    let Some(entry) = raw.split(',').find(wrong) else { return };
    let value: Vec<String> = raw.split(',').map(plain).collect();
    found
        .on(
            29,
            service.object,
            service_note(PORTS),
            format!(
                "the cloud provider compares letter by letter, with port names in lower case: '{entry}' is no port, \
                 which stays clear text"
            ),
        )
        .fix("write it without spaces and in lower case")
        .set(value.join(","));
}

fn is_named_https(port: &ServicePort) -> bool {
    port.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case("https"))
}

/// AWS-30: a port's name is what many programs take its protocol from.
fn names(service: &ServiceView<'_>, found: &mut Findings) {
    let ends = service.note(CERTIFICATE).is_some_and(|arn| !arn.is_empty());
    for (place, port) in service.spec.ports.iter().enumerate() {
        let named = port.name.as_deref() == Some("http");
        if port.port != 443 || !named || !ends || service.spec.ports.iter().any(is_named_https) {
            continue;
        }
        let finding = found.on(30, service.object, format!("/spec/ports/{place}/name"),
            "port 443 ends TLS and is called http: what reads a protocol from the name takes it for clear text");
        finding.fix("call it https").set("https");
        if let Some(raw) = service.note(PORTS) {
            let entries: Vec<&str> = raw
                .split(',')
                .map(str::trim)
                .map(|entry| if entry == "http" { "https" } else { entry })
                .collect();
            if entries.contains(&"https") {
                finding.add(service_note(PORTS), entries.join(","));
            }
        }
    }
}

/// AWS-24, -25 and -26: what is spoken on both sides of a connection to the gateway.
fn protocols(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let gateway = passage.gateway;
    let clear = gateway.chains.iter().any(|chain| !matches!(chain.accepts, Accepts::Tls(_)));
    let tls = passage.gateway_ends_tls();
    let anything = gateway.chains.iter().any(|chain| matches!(chain.accepts, Accepts::Anything));
    if passage.stack.load_balancer.kind == Kind::Application {
        let (wrong, does) = match (passage.group.protocol.is_tls(), tls, clear) {
            (true, false, _) if !anything => ("HTTP", "speaks HTTPS to it, and it has clear text"),
            (false, _, false) => ("HTTPS", "speaks HTTP to it, and it has TLS"),
            _ => return,
        };
        let source = passage.rule.map(|rule| &rule.source).or(passage.stack.members.first());
        let Some(ingress) = source.and_then(|id| scene.ingress(id)) else { return };
        let message = format!(
            "port {} of the gateway is behind it: the load balancer {does} only (502)",
            gateway.declared_port
        );
        found
            .on(24, ingress.object, ingress_note("backend-protocol"), message)
            .fix(format!("write {wrong}, or name another port of the Service"))
            .set(wrong);
        return;
    }
    let field = format!("/spec/ports/{}/targetPort", passage.place);
    if passage.listener.protocol.ends_tls() && !passage.group.protocol.is_tls() && tls {
        let finding = found.on(
            25,
            passage.service,
            field,
            format!(
                "{} ends TLS on port {} and sends clear text to port {}, where the gateway waits for TLS",
                passage.name(),
                passage.listener.port,
                gateway.declared_port
            ),
        );
        finding.fix("lead it to the gateway's clear-text port, or begin TLS anew (aws-load-balancer-backend-protocol: ssl or https)");
        if let Some(other) = scene.edge.listeners.iter().find(|other| !ends_tls(other) && serves_http(other))
        {
            finding.set(other.declared_port);
        }
    } else if passage.is_opaque() && is_for_tls(passage.port) && !tls && !anything {
        let finding = found.on(26, passage.service, field, format!(
            "nobody ends TLS for port {}: {} passes it on to port {} of the gateway, which has clear text only",
            passage.listener.port, passage.name(), gateway.declared_port
        ));
        finding.fix("lead it to the gateway's TLS port, or give the load balancer a certificate (aws-load-balancer-ssl-cert)");
        if let Some(other) = scene.edge.listeners.iter().find(|other| ends_tls(other) && serves_http(other)) {
            finding.set(other.declared_port);
        }
    }
}

fn is_for_tls(port: &ServicePort) -> bool {
    port.port == 443 || is_named_https(port)
}

fn serves_http(listener: &plenipo_model::Listener) -> bool {
    listener.chains.iter().any(|chain| matches!(chain.serve, Serve::Http(_)))
}

/// AWS-80: one backend protocol holds for all ports.
fn others_behind_http(scene: &Scene<'_>, service: &ServiceView<'_>, found: &mut Findings) {
    if service.kind() != Some(Kind::Classic) || !is_layer_7(service) {
        return;
    }
    for (place, port) in service.spec.ports.iter().enumerate() {
        let relayed =
            reach::listener(scene.set, scene.edge, &service.object.id, &IntOrString::Int(port.port))
                .is_some_and(|listener| !serves_http(listener));
        let spoken = port.app_protocol.as_deref().is_some_and(|name| !name.starts_with("http"));
        if !relayed && !spoken && !NOT_HTTP.contains(&port.port) {
            continue;
        }
        let finding = found.on(80, service.object, format!("/spec/ports/{place}"), format!(
            "aws-load-balancer-backend-protocol holds for all ports: port {} becomes an HTTP listener, too", port.port
        ));
        finding.fix("give what is no HTTP a Service, and a load balancer, of its own");
        finding.unset().create(own_service(service, port));
    }
}

/// A Service for one port.
fn own_service(service: &ServiceView<'_>, port: &ServicePort) -> serde_json::Value {
    let Service { selector, .. } = service.spec;
    let mut written =
        json!({ "name": port.name.clone().unwrap_or_else(|| "tcp".to_owned()), "port": port.port });
    match &port.target_port {
        Some(IntOrString::Int(number)) => written["targetPort"] = json!(number),
        Some(IntOrString::String(name)) => written["targetPort"] = json!(name),
        None => {}
    }
    let mut annotations = json!({});
    for suffix in ["aws-load-balancer-internal", "aws-load-balancer-type"] {
        if let Some(value) = service.note(suffix) {
            annotations[format!("{}/{suffix}", crate::annotations::SERVICE)] = json!(value);
        }
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": format!("{}-tcp-{}", service.object.id.name, port.port),
            "namespace": &*service.object.id.namespace,
            "annotations": annotations,
        },
        "spec": { "type": "LoadBalancer", "ports": [written], "selector": selector },
    })
}

/// AWS-81: TCP through a load balancer.
fn relays(scene: &Scene<'_>, found: &mut Findings) {
    let Some(front) = scene.passages.first() else { return };
    for listener in &scene.edge.listeners {
        for chain in &listener.chains {
            let Serve::Tcp(route) = &chain.serve else { continue };
            let Some(object) = scene.object_of(&route.source) else { continue };
            let ways: Vec<_> =
                scene.passages.iter().filter(|one| one.gateway.name == listener.name).collect();
            let port = listener.declared_port;
            if ways.is_empty() {
                let finding = found.on(
                    81,
                    object,
                    "/spec/port",
                    format!(
                        "no load balancer leads to port {port} of the gateway: {} has no such port",
                        front.service.id
                    ),
                );
                finding.fix("add the port to the Service of a network load balancer");
                if front.stack.load_balancer.kind != Kind::Application {
                    let value = json!({ "name": format!("tcp-{port}"), "port": port, "targetPort": port });
                    let path = "/spec/ports/-".to_owned();
                    finding.edit(front.service.id.clone(), Operation::Add { path, value });
                }
            }
            for passage in ways {
                let by_name = matches!(chain.accepts, Accepts::Tls(_));
                let why = if passage.listener.protocol.is_http() {
                    "which takes nothing but HTTP"
                } else if by_name && passage.listener.protocol.ends_tls() && !passage.group.protocol.is_tls()
                {
                    "which ends TLS: the server name that the connection is chosen by never arrives"
                } else {
                    continue;
                };
                found
                    .on(
                        81,
                        object,
                        if by_name { "/spec/host" } else { "/spec/port" },
                        format!("connections to port {port} come through {}, {why}", passage.name()),
                    )
                    .fix("use a TCP listener of a network load balancer, which passes bytes on");
            }
        }
    }
}

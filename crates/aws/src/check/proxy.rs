//! The PROXY protocol between load balancer and gateway: AWS-10 to -19, and -98.

use plenipo_model::{Accepts, Listener, ProxyProtocol, Serve};
use plenipo_resources::View;
use serde_json::{Value, json};

use super::PROXY_PROTOCOL;
use super::finding::{Finding, Findings, Operation};
use super::scene::{Passage, Scene, ServiceView, ends_tls, entry, ingress_note, service_note, with_entry};
use crate::stack::{HealthPort, Kind, PeerRef, TargetType};

const ANNOTATION: &str = "aws-load-balancer-proxy-protocol";
const ATTRIBUTES: &str = "aws-load-balancer-target-group-attributes";
const V2: &str = "proxy_protocol_v2.enabled";

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for service in &scene.services {
        annotations(service, found);
        understood(scene, service, found);
    }
    for passage in &scene.passages {
        sent(scene, passage, found);
        health(scene, passage, found);
    }
    stacks(scene, found);
    application(scene, found);
}

/// AWS-12, -13 and -18: what the annotation does.
fn annotations(service: &ServiceView<'_>, found: &mut Findings) {
    let Some(value) = service.note(ANNOTATION) else { return };
    let field = service_note(ANNOTATION);
    let read = service.is_lbc() || (service.is_cloud() && !value.is_empty());
    if service.is_cloud() && service.kind() == Some(Kind::Network) {
        found
            .on(
                12,
                service.object,
                field,
                "the cloud provider does not read it for network load balancers: no PROXY \
                header is sent",
            )
            .fix("turn it on by target group attribute")
            .unset()
            .add(service_note(ATTRIBUTES), with_entry(service.note(ATTRIBUTES), V2, Some("true")));
    } else if read && value != "*" {
        found
            .on(13, service.object, field, format!("'{value}' is refused, and the load balancer is not made: only * is a value"))
            .fix("write \"*\", or name ports in aws-load-balancer-proxy-protocol-per-target-group (AWS Load Balancer Controller)")
            .set("*");
    } else if read && service.kind() == Some(Kind::Classic) && is_layer_7(service) {
        found
            .on(
                18,
                service.object,
                field,
                "a classic load balancer of layer 7 sends no PROXY header: it writes X-Forwarded-For",
            )
            .fix("take it out, and take the client's address from X-Forwarded-For")
            .unset();
    }
}

/// Does a classic load balancer read requests?
pub(super) fn is_layer_7(service: &ServiceView<'_>) -> bool {
    let secured = service.note("aws-load-balancer-ssl-cert").is_some_and(|arn| !arn.is_empty());
    match service.note("aws-load-balancer-backend-protocol") {
        Some("http") => true,
        Some("https") => secured,
        _ => false,
    }
}

/// AWS-10, -11, -17 and -19: both sides of the connection.
fn sent(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    if passage.listener.protocol.is_http() {
        return;
    }
    let gateway = passage.gateway;
    let listener = scene.object_or(&gateway.source, passage);
    match (passage.group.proxy_version(), &gateway.proxy_protocol) {
        (Some(_), ProxyProtocol::Off) if is_relay(gateway) => relayed(scene, passage, found),
        (Some(_), ProxyProtocol::Off) => {
            let finding = found.on(10, listener, "/spec/protocol", format!(
                "{} begins every connection to port {} with a PROXY header, which is no HTTP and no TLS: every one is refused",
                passage.name(), gateway.declared_port
            ));
            finding.fix("put PROXY in front of the Listener's protocolStack");
            expect(scene, gateway, finding);
        }
        (None, ProxyProtocol::Required) => {
            let finding = found.on(
                11,
                passage.service,
                "/metadata/annotations",
                format!(
                    "port {} of the gateway closes connections without a PROXY header, and {} sends none",
                    gateway.declared_port,
                    passage.name()
                ),
            );
            finding.fix("turn it on at the load balancer, or let the Listener take PROXY headers from the load balancer only \
                where they come (proxyProtocolFrom)");
            send(scene, passage, finding);
        }
        (Some(_), ProxyProtocol::Required) if !is_restricted(passage) => {
            let networks = scene.networks();
            let finding = found.on(
                17,
                listener,
                "/spec/protocolStack",
                format!(
                    "who reaches port {} past the load balancer writes itself any address it likes",
                    gateway.declared_port
                ),
            );
            finding.fix("take PROXY headers from the load balancer's subnets only (proxyProtocolFrom), or open the port to its \
                security group only");
            if matches!(listener.view, View::Listener(_)) {
                finding.add("/spec/proxyProtocolFrom", networks);
            }
        }
        _ => {}
    }
}

/// Are the connections of this listener relayed, unread?
fn is_relay(listener: &Listener) -> bool {
    listener.chains.iter().all(|chain| matches!(chain.serve, Serve::Tcp(_)))
        && listener.chains.iter().any(|chain| matches!(chain.accepts, Accepts::Anything))
}

/// Do security groups let nobody but the load balancer to the targets?
fn is_restricted(passage: &Passage<'_>) -> bool {
    let Some(rules) = &passage.group.networking else { return false };
    let is_group = |peer: &PeerRef| matches!(peer, PeerRef::Group(_));
    !rules.is_empty() && rules.iter().all(|rule| rule.from.iter().all(is_group))
}

/// Makes the Listener expect PROXY headers.
fn expect(scene: &Scene<'_>, gateway: &Listener, finding: &mut Finding) {
    let Some(object) = scene.object_of(&gateway.source) else { return };
    let View::Listener(spec) = &object.view else { return };
    let mut layers = match &spec.protocol_stack {
        Some(layers) if !layers.is_empty() => layers.clone(),
        _ if ends_tls(gateway) || spec.protocol.as_deref() == Some("HTTPS") => {
            ["TLS", "HTTP", "TCP"].map(str::to_owned).to_vec()
        }
        _ => ["HTTP", "TCP"].map(str::to_owned).to_vec(),
    };
    layers.insert(0, "PROXY".to_owned());
    finding.edit(object.id.clone(), Operation::Remove { path: "/spec/protocol".to_owned() });
    finding.edit(
        object.id.clone(),
        Operation::Add { path: "/spec/protocolStack".to_owned(), value: json!(layers) },
    );
}

/// Makes the load balancer send PROXY headers.
fn send(scene: &Scene<'_>, passage: &Passage<'_>, finding: &mut Finding) {
    let Some(service) = scene.service(&passage.service.id) else { return };
    if service.kind() == Some(Kind::Network) {
        finding.add(service_note(ATTRIBUTES), with_entry(service.note(ATTRIBUTES), V2, Some("true")));
    } else if service.kind() == Some(Kind::Classic) {
        finding.add(service_note(ANNOTATION), "*");
    }
}

/// AWS-19: the header goes to a backend as the first bytes of its protocol.
fn relayed(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let route = passage.gateway.chains.iter().find_map(|chain| match &chain.serve {
        Serve::Tcp(route) => Some(route),
        _ => None,
    });
    let object = route.and_then(|route| scene.object_of(&route.source)).unwrap_or(passage.service);
    let finding = found.on(19, object, "/spec/port", format!(
        "{} begins connections to every port with a PROXY header, and this one relays it to a backend that expects none",
        passage.name()
    ));
    finding.fix("send it to the HTTP ports only (aws-load-balancer-proxy-protocol-per-target-group), or write a Listener \
        with PROXY for this port");
    let Some(service) = scene.service(&passage.service.id).filter(|service| service.is_lbc()) else { return };
    let others = scene.passages.iter().filter(|other| {
        other.service.id == passage.service.id && other.gateway.proxy_protocol != ProxyProtocol::Off
    });
    let ports: Vec<String> = others.map(|other| other.port.port.to_string()).collect();
    let id = &service.object.id;
    finding.edit(id.clone(), Operation::Remove { path: service_note(ANNOTATION) });
    if entry(service.note(ATTRIBUTES), V2).is_some() {
        let rest = with_entry(service.note(ATTRIBUTES), V2, None);
        let path = service_note(ATTRIBUTES);
        let operation = if rest.is_empty() {
            Operation::Remove { path }
        } else {
            Operation::Replace { path, value: rest.into() }
        };
        finding.edit(id.clone(), operation);
    }
    let path = service_note("aws-load-balancer-proxy-protocol-per-target-group");
    finding.edit(id.clone(), Operation::Add { path, value: ports.join(",").into() });
}

/// AWS-14: network load balancers begin health checks with a PROXY header too.
fn health(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let (Some(2), HealthPort::Port(port)) = (passage.group.proxy_version(), passage.group.health_check.port)
    else {
        return;
    };
    let Some(service) = scene.service(&passage.service.id) else { return };
    let node = service.spec.health_check_node_port == Some(i64::from(port));
    let takes = |listener: &Listener| listener.proxy_protocol != ProxyProtocol::Off;
    let behind = scene.passages.iter().filter(|other| {
        other.service.id == passage.service.id
            && (other.port.node_port == Some(i64::from(port)) || other.gateway.declared_port == port)
    });
    let mut behind = behind.peekable();
    if behind.peek().is_some() && behind.all(|other| takes(other.gateway)) {
        return;
    }
    let who =
        if node { "kube-proxy answers there, and knows no PROXY header" } else { "which does not take them" };
    let finding = found.on(
        14,
        passage.service,
        service_note("aws-load-balancer-healthcheck-port"),
        format!("health checks begin with a PROXY header, too, and go to port {port}: {who}"),
    );
    finding.fix("check the port that traffic goes to, which takes PROXY headers");
    if passage.group.target_type == TargetType::Ip || !service.is_local() {
        finding.set("traffic-port");
    } else {
        finding.set("traffic-port").add(service_note("aws-load-balancer-healthcheck-protocol"), "tcp");
    }
}

/// AWS-15: pods that are not the gateway say what they understand.
fn understood(scene: &Scene<'_>, service: &ServiceView<'_>, found: &mut Findings) {
    let said = service.object.meta.annotations.get(PROXY_PROTOCOL).map(String::as_str);
    let (Some(said @ ("v1" | "v2" | "none")), Some(stack)) = (said, scene.stack(&service.object.id)) else {
        return;
    };
    let groups = stack.target_groups.values().filter(|group| group.service == service.object.id);
    for version in groups.filter_map(crate::stack::TargetGroup::proxy_version) {
        if said == format!("v{version}") {
            continue;
        }
        let kind = super::scene::kind_name(stack.load_balancer.kind);
        found
            .on(
                15,
                service.object,
                super::scene::annotation(PROXY_PROTOCOL),
                format!(
                    "{kind} sends version {version} of the PROXY protocol, and the pods understand {said}"
                ),
            )
            .fix("configure what is behind to take both versions, or use the other kind of load balancer");
    }
}

/// AWS-16: the order on the wire.
fn stacks(scene: &Scene<'_>, found: &mut Findings) {
    for object in scene.set.of_kind("Listener") {
        let View::Listener(spec) = &object.view else { continue };
        let Some(layers) = &spec.protocol_stack else { continue };
        let place = |name: &str| layers.iter().position(|layer| layer == name);
        let (Some(proxy), Some(tls)) = (place("PROXY"), place("TLS")) else { continue };
        if tls < proxy {
            let mut ordered = layers.clone();
            ordered.remove(proxy);
            ordered.insert(0, "PROXY".to_owned());
            found
                .on(
                    16,
                    object,
                    "/spec/protocolStack",
                    "load balancers write the PROXY header before the TLS handshake, \
                    not inside it",
                )
                .fix("write PROXY first")
                .set(json!(ordered));
        }
    }
}

/// AWS-98: application load balancers send none.
fn application(scene: &Scene<'_>, found: &mut Findings) {
    for ingress in &scene.ingresses {
        let raw = ingress.note("target-group-attributes");
        if entry(raw, V2) == Some("true") {
            let rest = with_entry(raw, V2, None);
            let finding = found.on(98, ingress.object, ingress_note("target-group-attributes"),
                "application load balancers send no PROXY header: the attribute is one of network load balancers");
            finding.fix("take the client's address from X-Forwarded-For");
            if rest.is_empty() {
                finding.unset()
            } else {
                finding.set(rest)
            };
        }
    }
    let through = scene.passages.iter().filter(|passage| {
        passage.listener.protocol.is_http() && passage.gateway.proxy_protocol == ProxyProtocol::Required
    });
    for passage in through {
        let object = scene.object_or(&passage.gateway.source, passage);
        let finding = found.on(
            98,
            object,
            "/spec/protocolStack",
            format!(
                "{} sends no PROXY header, and port {} of the gateway closes connections without one",
                passage.name(),
                passage.gateway.declared_port
            ),
        );
        finding.fix("take PROXY out of the stack, and the client's address from X-Forwarded-For");
        if let View::Listener(spec) = &object.view {
            let layers: Vec<Value> = spec
                .protocol_stack
                .iter()
                .flatten()
                .filter(|layer| *layer != "PROXY")
                .map(|layer| json!(layer))
                .collect();
            match spec.protocol.as_deref() {
                Some("HTTPPROXY") => finding.add("/spec/protocol", "HTTP"),
                Some("HTTPSPROXY") => finding.add("/spec/protocol", "HTTPS"),
                _ => finding.add("/spec/protocolStack", layers),
            };
        }
    }
}

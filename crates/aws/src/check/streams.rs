//! Long connections, streams, and what speaks neither: AWS-76 to -79.

use std::time::Duration;

use plenipo_model::{Action, Forward, Serve, Source};
use plenipo_resources::View;

use super::finding::{Findings, Operation};
use super::scene::{Passage, Scene, ingress_note, service_note, with_entry};
use super::tls::speaks_http2;
use crate::stack::{Kind, ListenerProtocol};

/// Of application and classic load balancers, in seconds.
const IDLE: u64 = 60;
/// Of network load balancers, in seconds.
const FLOW_IDLE: u64 = 350;
const IDLE_ATTRIBUTE: &str = "idle_timeout.timeout_seconds";

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for passage in &scene.passages {
        match passage.stack.load_balancer.kind {
            Kind::Application => {
                grpc(scene, passage, found);
                idle(scene, passage, found);
            }
            Kind::Classic if passage.listener.protocol.is_http() => {
                classic(scene, passage, found);
                idle(scene, passage, found);
            }
            Kind::Network => flows(scene, passage, found),
            Kind::Classic => {}
        }
    }
    for ingress in &scene.ingresses {
        let clear = super::groups::listen_ports(ingress).iter().all(|(protocol, _)| protocol == "HTTP");
        if ingress.note("backend-protocol-version") == Some("GRPC") && clear {
            found
                .on(
                    76,
                    ingress.object,
                    ingress_note("listen-ports"),
                    "gRPC is carried by HTTPS listeners only: clear-text HTTP/2 is \
                    not spoken to clients",
                )
                .fix("listen on HTTPS, with a certificate");
        }
    }
}

fn forwards<'a>(passage: &Passage<'a>) -> impl Iterator<Item = (&'a Source, &'a Forward)> + use<'a> {
    passage.hosts().flat_map(|(_, host)| host.routes.iter()).filter_map(|route| match &route.action {
        Action::Forward(forward) => Some((&route.source, &**forward)),
        Action::Redirect(_) | Action::Respond(_) => None,
    })
}

/// AWS-76.
fn grpc(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let version = passage.group.protocol_version.as_deref().unwrap_or("HTTP1");
    if version != "HTTP1" || !speaks_http2(scene, passage) {
        return;
    }
    let source = passage.rule.map(|rule| &rule.source).or(passage.stack.members.first());
    let Some(ingress) = source.and_then(|id| scene.ingress(id)) else { return };
    let all = forwards(passage).all(|(_, forward)| {
        forward.targets.iter().all(|target| {
            scene
                .edge
                .clusters
                .get(&target.cluster)
                .is_some_and(|one| one.protocol == plenipo_model::UpstreamProtocol::Http2)
        })
    });
    let finding = found.on(
        76,
        ingress.object,
        ingress_note("backend-protocol-version"),
        "gRPC services are behind it, and the load \
        balancer speaks HTTP/1.1 to the gateway: gRPC requests are answered 464",
    );
    finding.fix("give gRPC an Ingress (of the same group) with backend-protocol-version: GRPC");
    if all {
        finding.set("GRPC");
    }
}

/// AWS-77.
fn idle(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let attribute = if passage.stack.load_balancer.kind == Kind::Application {
        IDLE_ATTRIBUTE
    } else {
        "connection_settings.idle_timeout"
    };
    let service = scene.service(&passage.service.id);
    let annotated = service.and_then(|service| service.note("aws-load-balancer-connection-idle-timeout"));
    let attributes = &passage.stack.load_balancer.attributes;
    let said = attributes
        .get(attribute)
        .map(String::as_str)
        .or(annotated.filter(|_| passage.stack.load_balancer.kind == Kind::Classic));
    let seconds = said.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(IDLE);
    let idle = Duration::from_secs(seconds);
    if let Some(server) = passage.servers().find(|server| server.limits.idle_timeout <= idle) {
        let object = scene.module().map_or(passage.service, |(object, _)| object);
        found
            .on(77, object, "/spec/config/listener_idle_timeout_ms", format!(
                "the gateway closes idle connections after {} s, {} keeps them for {seconds} s and sends the next request into \
                 a closed one (502)",
                server.limits.idle_timeout.as_secs_f64(), passage.name()
            ))
            .fix("let the gateway wait longer than the load balancer")
            .set(i64::try_from((seconds + 60) * 1000).unwrap_or(i64::MAX));
    }
    if said.is_some() {
        return;
    }
    let slow = |forward: &Forward| {
        forward.targets.iter().any(|target| target.timeout.is_some_and(|time| time > idle))
    };
    let upgraded = |forward: &Forward| forward.upgrades.iter().any(|upgrade| upgrade == "websocket");
    // Every route of a VirtualService may be upgraded: that says nothing of what is behind it.
    let upgrades_all = |source: &Source| {
        scene.object_of(source).is_some_and(|object| matches!(object.view, View::VirtualService(_)))
    };
    let Some((source, _)) = forwards(passage)
        .find(|(source, forward)| slow(forward) || (upgraded(forward) && !upgrades_all(source)))
    else {
        return;
    };
    let (object, field) = balancer_field(scene, passage);
    let finding = found.on(77, object, field, format!(
        "{} cuts what is quiet for {seconds} s (504), and {source} has WebSockets or answers that take longer", passage.name()
    ));
    finding.fix("raise the load balancer's idle time-out");
    if passage.stack.load_balancer.kind == Kind::Application {
        let raw = scene.ingress(&object.id).and_then(|ingress| ingress.note("load-balancer-attributes"));
        finding.set(with_entry(raw, IDLE_ATTRIBUTE, Some("600")));
    } else {
        finding.set("600");
    }
}

fn balancer_field<'a>(
    scene: &Scene<'a>,
    passage: &Passage<'a>,
) -> (&'a std::sync::Arc<plenipo_resources::Object>, String) {
    match passage.stack.members.first().and_then(|id| scene.ingress(id)) {
        Some(ingress) => (ingress.object, ingress_note("load-balancer-attributes")),
        None => (passage.service, service_note("aws-load-balancer-connection-idle-timeout")),
    }
}

/// AWS-78.
fn flows(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let raised =
        passage.listener.attributes.get("tcp.idle_timeout.seconds").and_then(|text| text.parse::<u64>().ok());
    let seconds = raised.filter(|_| passage.listener.protocol == ListenerProtocol::Tcp).unwrap_or(FLOW_IDLE);
    for chain in &passage.gateway.chains {
        let Serve::Tcp(route) = &chain.serve else { continue };
        if route.idle_timeout.is_some_and(|idle| idle <= Duration::from_secs(seconds)) || seconds >= 6000 {
            continue;
        }
        let object = scene.object_or(&route.source, passage);
        let finding = found.on(78, object, "/spec/idle_timeout_ms", format!(
            "{} forgets connections that are quiet for {seconds} s, and the gateway keeps them: the next byte is answered by a \
             reset",
            passage.name()
        ));
        finding.fix("let the gateway close them before (idle_timeout_ms), use keepalive at both ends, or raise the listener's \
            tcp.idle_timeout.seconds");
        if matches!(object.view, View::TcpMapping(_)) {
            let value = (seconds.saturating_sub(10) * 1000).to_string();
            finding.edit(
                object.id.clone(),
                Operation::Add { path: "/spec/idle_timeout_ms".to_owned(), value: value.into() },
            );
        }
    }
}

/// AWS-79.
fn classic(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let upgraded =
        forwards(passage).find(|(_, forward)| forward.upgrades.iter().any(|upgrade| upgrade == "websocket"));
    let what = match (upgraded.is_some(), speaks_http2(scene, passage)) {
        (true, _) => "WebSockets",
        (_, true) => "gRPC",
        _ => return,
    };
    found
        .on(
            79,
            passage.service,
            service_note("aws-load-balancer-backend-protocol"),
            format!("a classic load balancer of layer 7 speaks plain HTTP/1.1, and {what} are behind it"),
        )
        .fix("use layer 4 (tcp, ssl) with the PROXY protocol, or an application load balancer");
}

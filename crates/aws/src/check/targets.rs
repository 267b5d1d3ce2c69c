//! Services as targets: AWS-20 to -22, -32, -83 to -85.

use plenipo_model::{Endpoints, HashKey, ProxyProtocol};
use plenipo_resources::View;

use super::finding::Findings;
use super::scene::{
    Passage, Scene, ServiceView, annotation, entry, ingress_note, note, service_note, with_entry,
};
use crate::annotations::{INGRESS, SERVICE};
use crate::stack::{Kind, Stack, TargetGroup, TargetType};

const ATTRIBUTES: &str = "aws-load-balancer-target-group-attributes";

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    behind_ingresses(scene, found);
    behind_bindings(scene, found);
    for service in &scene.services {
        without_owner(service, found);
        if service.is_local() && service.has_ip_targets() {
            found
                .on(
                    32,
                    service.object,
                    "/spec/externalTrafficPolicy",
                    "pods are targets themselves, no node passes \
                    traffic on: the policy changes nothing here",
                )
                .fix("take it out; the client's address is a matter of target group attributes")
                .unset();
        }
        if let Some(stack) = scene.stack(&service.object.id) {
            source_ranges(service, stack, found);
            addresses(scene, service, stack, found);
        }
    }
    hairpins(scene, found);
}

/// AWS-20 and -21: Services that Ingresses name.
fn behind_ingresses(scene: &Scene<'_>, found: &mut Findings) {
    for ingress in &scene.ingresses {
        for (pointer, backend) in ingress.backends() {
            let id = plenipo_resources::ObjectId::new(
                "Service",
                &ingress.object.id.namespace,
                backend.name().unwrap_or_default(),
            );
            let Some(service) = scene.service(&id) else { continue };
            let of_class = ingress.params.and_then(|params| params.target_type.as_deref());
            let said = note(service.object, INGRESS, "target-type").or_else(|| ingress.note("target-type"));
            let target = of_class.or(said).unwrap_or("instance");
            if target == "instance" && service.type_() == "ClusterIP" {
                found
                    .on(20, ingress.object, pointer, format!(
                        "{id} is of type ClusterIP: it has no node port, which targets of type instance are reached by"
                    ))
                    .fix("write target-type: ip, or make the Service a NodePort")
                    .add(ingress_note("target-type"), "ip");
            }
            second_balancer(service, &ingress.object.id.to_string(), target, found);
        }
    }
}

fn behind_bindings(scene: &Scene<'_>, found: &mut Findings) {
    for object in scene.set.of_kind("TargetGroupBinding") {
        let View::TargetGroupBinding(binding) = &object.view else { continue };
        let id = plenipo_resources::ObjectId::new("Service", &object.id.namespace, &binding.service_ref.name);
        if let Some(service) = scene.service(&id) {
            let target = binding.target_type.as_deref().unwrap_or("instance");
            second_balancer(service, &object.id.to_string(), target, found);
        }
    }
}

fn second_balancer(service: &ServiceView<'_>, by: &str, target: &str, found: &mut Findings) {
    if service.type_() == "LoadBalancer" {
        let finding = found.on(
            21,
            service.object,
            "/spec/type",
            format!("{by} has it behind a load balancer, and its type asks for a second one, past the first"),
        );
        finding
            .fix(
                "make it a NodePort, or with ip targets a ClusterIP, without annotations for a load balancer",
            )
            .set(if target == "ip" { "ClusterIP" } else { "NodePort" });
        for key in balancer_annotations(service) {
            finding.remove(annotation(key));
        }
        if service.spec.load_balancer_class.is_some() {
            finding.remove("/spec/loadBalancerClass");
        }
    }
}

/// AWS-22: annotations that nobody reads.
fn without_owner(service: &ServiceView<'_>, found: &mut Findings) {
    if service.owner.is_some() || service.type_() == "LoadBalancer" {
        return;
    }
    for key in balancer_annotations(service) {
        found
            .on(
                22,
                service.object,
                annotation(key),
                format!(
                    "a Service of type {} gets no load balancer of its own: nobody reads it",
                    service.type_()
                ),
            )
            .fix("take it out")
            .unset();
    }
}

/// Its annotations for a load balancer of its own.
fn balancer_annotations<'a>(service: &ServiceView<'a>) -> impl Iterator<Item = &'a String> + use<'a> {
    let keys = service.object.meta.annotations.keys();
    keys.filter(|key| key.strip_prefix(SERVICE).is_some_and(|rest| rest.starts_with("/aws-load-balancer-")))
}

/// AWS-85: nobody is there to look at source ranges.
fn source_ranges(service: &ServiceView<'_>, stack: &Stack, found: &mut Findings) {
    let annotated = service.note("load-balancer-source-ranges").is_some();
    let written = !service.spec.load_balancer_source_ranges.is_empty();
    let without = stack.load_balancer.kind == Kind::Network && stack.load_balancer.security_groups.is_empty();
    if !service.is_lbc()
        || !(annotated || written)
        || !without
        || stack.target_groups.values().all(TargetGroup::preserves_client)
    {
        return;
    }
    let field = if written {
        "/spec/loadBalancerSourceRanges".to_owned()
    } else {
        service_note("load-balancer-source-ranges")
    };
    let finding = found.on(
        85,
        service.object,
        field,
        "the load balancer has no security groups, and its targets see its own \
        address: nobody is there to hold other sources off",
    );
    finding.fix("let it have security groups, which is decided when it is made");
    if service.note("aws-load-balancer-disable-nlb-sg").is_some() {
        finding.remove(service_note("aws-load-balancer-disable-nlb-sg"));
    }
}

/// AWS-84: who asks for the client's address, and does not get it.
fn addresses(scene: &Scene<'_>, service: &ServiceView<'_>, stack: &Stack, found: &mut Findings) {
    let ways: Vec<&Passage<'_>> = scene
        .passages
        .iter()
        .filter(|one| one.service.id == service.object.id && !one.listener.protocol.is_http())
        .collect();
    let used = ways.iter().any(|passage| passage.servers().any(|server| {
        let sticks = server.hosts.iter().flat_map(|host| host.routes.iter()).any(|route| {
            matches!(&route.action, plenipo_model::Action::Forward(forward) if forward.hash == Some(HashKey::SourceIp))
        });
        server.addresses.is_some() || sticks
    }));
    let why = if service.is_local() {
        "externalTrafficPolicy: Local asks for the client's address"
    } else if used {
        "the gateway decides by the client's address"
    } else {
        return;
    };
    let expected = ways.iter().any(|passage| passage.gateway.proxy_protocol == ProxyProtocol::Required);
    let lost = stack.target_groups.values().any(|group| {
        group.target_type == TargetType::Ip && group.proxy_version().is_none() && !group.preserves_client()
    });
    if stack.load_balancer.kind != Kind::Network || !lost || expected {
        return;
    }
    found
        .on(
            84,
            service.object,
            service_note(ATTRIBUTES),
            format!("{why}, but ip targets of TCP and TLS see the load balancer's unless that is turned on"),
        )
        .fix("preserve it, or send it in a PROXY header")
        .set(with_entry(service.note(ATTRIBUTES), TargetGroup::PRESERVE, Some("true")));
}

/// AWS-83: a pod that calls the load balancer before it may meet itself.
fn hairpins(scene: &Scene<'_>, found: &mut Findings) {
    let external = scene.services.iter().filter_map(|service| service.spec.external_name.as_deref());
    let clusters = scene.edge.clusters.values().filter_map(|cluster| match &cluster.endpoints {
        Endpoints::Dns(dns) => Some(dns.name.as_str()),
        Endpoints::Static(_) => None,
    });
    let called: Vec<&str> = external.chain(clusters).map(|name| name.trim_end_matches('.')).collect();
    for service in scene.services.iter().filter(|service| service.kind() == Some(Kind::Network)) {
        let Some(stack) = scene.stack(&service.object.id) else { continue };
        let addresses = &service.spec.status_addresses;
        let Some(name) = addresses.iter().find(|name| called.contains(&name.as_str())) else { continue };
        if entry(service.note(ATTRIBUTES), TargetGroup::PRESERVE) == Some("false")
            || !stack.target_groups.values().any(TargetGroup::preserves_client)
        {
            continue;
        }
        let without = with_entry(service.note(ATTRIBUTES), TargetGroup::PRESERVE, Some("false"));
        found
            .on(83, service.object, service_note(ATTRIBUTES), format!(
                "{name} is called from inside the cluster, and the client's address is preserved: a call that is led back to \
                 the node it came from times out"
            ))
            .fix("turn preservation off and send the address in a PROXY header, or call the Service itself")
            .set(with_entry(Some(&without), "proxy_protocol_v2.enabled", Some("true")));
    }
}

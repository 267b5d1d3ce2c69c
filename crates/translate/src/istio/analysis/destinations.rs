//! Where routes send requests and connections.

use std::sync::Arc;

use plenipo_resources::core::Service;
use plenipo_resources::istio::Destination;
use plenipo_resources::{Object, View};

use super::Scene;
use crate::findings::Findings;

/// A destination as it is written.
struct Named<'s> {
    object: &'s Object,
    field: String,
    destination: &'s Destination,
}

fn named<'s>(scene: &'s Scene<'_, '_>) -> Vec<Named<'s>> {
    let mut all = Vec::new();
    for service in scene.services {
        for rule in &service.http {
            for (place, one) in rule.route.route.iter().enumerate() {
                let field = format!("{}.route[{place}].destination", rule.field);
                let destination = one.destination.as_ref();
                all.extend(destination.map(|destination| Named { object: rule.object, field, destination }));
            }
        }
        let tls = service.written.tls.iter().map(|one| &one.route).enumerate().map(|one| ("tls", one));
        let tcp = service.written.tcp.iter().map(|one| &one.route).enumerate().map(|one| ("tcp", one));
        for (list, (at, routes)) in tls.chain(tcp) {
            for (place, one) in routes.iter().enumerate() {
                let field = format!("spec.{list}[{at}].route[{place}].destination");
                let destination = one.destination.as_ref();
                all.extend(destination.map(|destination| Named {
                    object: service.object,
                    field,
                    destination,
                }));
            }
        }
    }
    all
}

/// Which of several ports is meant is not said: it is the one that happens to have the number of the server.
pub(super) fn ambiguous_port(scene: &Scene<'_, '_>, findings: &mut Findings) {
    for Named { object, field, destination } in named(scene) {
        if destination.port.as_ref().is_some_and(|port| port.number.is_some_and(|number| number != 0)) {
            continue;
        }
        let Some(found) = scene.service(&destination.host, &object.id.namespace) else { continue };
        let View::Service(service) = &found.view else { continue };
        let ports = tcp_ports(service);
        // Where none has that number the route goes nowhere, which is told already.
        let numbers: Vec<i64> = scene.servers.iter().map(|server| i64::from(server.number)).collect();
        if ports.len() > 1 && ports.iter().any(|port| numbers.contains(port)) {
            let list: Vec<String> = ports.iter().map(i64::to_string).collect();
            let message = format!(
                "{} has several ports ({}): without a number the one that the gateway was asked on is taken",
                found.id,
                list.join(", ")
            );
            findings.warn(object, "ambiguous-port", &format!("{field}.port"), message, "write port.number");
        }
    }
}

fn tcp_ports(service: &Service) -> Vec<i64> {
    let is_tcp = |name: &String| name == "TCP";
    service
        .ports
        .iter()
        .filter(|port| port.protocol.as_ref().is_none_or(is_tcp))
        .map(|port| port.port)
        .collect()
}

/// DestinationRules for hosts that there are not.
pub(super) fn rule_for_nobody(scene: &Scene<'_, '_>, findings: &mut Findings) {
    for object in scene.set.of_kind("DestinationRule") {
        let View::DestinationRule(rule) = &object.view else { continue };
        let namespace = &*object.id.namespace;
        let seen = scene.mesh.sees(
            &rule.export_to,
            &scene.mesh.config.default_destination_rule_export_to,
            namespace,
        );
        let host = scene.mesh.full_name(&rule.host, namespace);
        let local = host.ends_with(&format!(".svc.{}", scene.mesh.cluster_domain));
        if !seen || !local || host.starts_with('*') || is_known(scene, &host, namespace) {
            continue;
        }
        let message = format!("there is no service {host}: it holds for nothing");
        let fix = "write the name of a Service, in full if it is in another namespace";
        findings.warn(object, "rule-without-host", "spec.host", message, fix);
    }
}

fn is_known(scene: &Scene<'_, '_>, host: &str, namespace: &str) -> bool {
    if scene.service(host, namespace).is_some() {
        return true;
    }
    let declared = |object: &Arc<Object>| match &object.view {
        View::ServiceEntry(entry) => entry.hosts.iter().any(|one| one.eq_ignore_ascii_case(host)),
        _ => false,
    };
    let mut labels = host.split('.');
    let (Some(name), Some(space)) = (labels.next(), labels.next()) else { return false };
    // Only its endpoints may be known, or its address.
    let sliced = |object: &Arc<Object>| match &object.view {
        View::EndpointSlice(slice) => *object.id.namespace == *space && slice.service == name,
        _ => false,
    };
    let given = format!("{name}.{space}");
    scene.options.resolve.keys().any(|(known, _)| *known == given || known == host)
        || scene.set.of_kind("ServiceEntry").iter().any(declared)
        || scene.set.of_kind("EndpointSlice").iter().any(sliced)
}

//! Which listener of the gateway stands behind a port of a Service.
//!
//! A load balancer's targets are a Service's pods or nodes. Whether those pods are the gateway is what the local edge,
//! the checks and the audit all need to know, and nothing in Kubernetes says it. The rule, in this order:
//!
//! 1. the Service has the annotation `plenipo.io/gateway`: `"true"` or `"false"` decides;
//! 2. the set holds endpoints for it: they are its pods, and it is not the gateway;
//! 3. it selects nothing, or the gateway itself sends requests to it: it is not the gateway;
//! 4. one of its ports leads to a port that a listener of the gateway declares: it is the gateway.

use std::sync::Arc;

use plenipo_model::{Edge, Listener};
use plenipo_resources::core::{IntOrString, Service, ServicePort};
use plenipo_resources::{Object, ObjectId, Set, View};
use serde_json::Value;

use crate::stack::{TargetGroup, TargetType};

/// The annotation by which a Service says whether its pods are the gateway.
pub const GATEWAY: &str = "plenipo.io/gateway";

/// Port numbers behind the names that gateways usually give their ports.
const WELL_KNOWN: [(&str, u16); 4] = [("http", 8080), ("https", 8443), ("http2", 8080), ("admin", 8877)];

/// Are this Service's pods the gateway?
pub fn is_gateway(set: &Set, edge: &Edge, object: &Object, service: &Service) -> bool {
    match object.meta.annotations.get(GATEWAY).map(String::as_str) {
        Some("true") => return true,
        Some(_) => return false,
        None => {}
    }
    let selects = service.selector.as_ref().is_some_and(|labels| !labels.is_empty());
    if !selects || has_endpoints(set, &object.id) || is_backend(edge, &object.id) {
        return false;
    }
    let declared = |port: u16| edge.listeners.iter().any(|listener| listener.declared_port == port);
    service.ports.iter().filter_map(|port| pod_port(set, object, port)).any(declared)
}

/// The gateway's listener that a Service port leads to, if the Service is the gateway's.
pub fn listener<'a>(
    set: &Set,
    edge: &'a Edge,
    service: &ObjectId,
    port: &IntOrString,
) -> Option<&'a Listener> {
    let object = set.get("Service", &service.namespace, &service.name)?;
    let View::Service(spec) = &object.view else { return None };
    if !is_gateway(set, edge, object, spec) {
        return None;
    }
    let pod = pod_port(set, object, service_port(spec, port)?)?;
    edge.listeners.iter().find(|listener| listener.declared_port == pod)
}

/// A Service's port, by number or name.
pub fn service_port<'a>(service: &'a Service, port: &IntOrString) -> Option<&'a ServicePort> {
    service.ports.iter().find(|candidate| match port {
        IntOrString::Int(number) => candidate.port == *number,
        IntOrString::String(name) => candidate.name.as_deref() == Some(name),
    })
}

/// The port of the pods. A name is looked up in the Deployments that the Service selects, then among the names that
/// gateways usually give their ports.
pub fn pod_port(set: &Set, service: &Object, port: &ServicePort) -> Option<u16> {
    let number = |number: i64| u16::try_from(number).ok().filter(|port| *port != 0);
    match &port.target_port {
        None => number(port.port),
        Some(IntOrString::Int(0)) => number(port.port),
        Some(IntOrString::Int(target)) => number(*target),
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(target) => number(target),
            Err(_) => container_port(set, service, name)
                .or_else(|| WELL_KNOWN.iter().find(|(known, _)| known == name).map(|(_, port)| *port)),
        },
    }
}

fn container_port(set: &Set, service: &Object, name: &str) -> Option<u16> {
    let View::Service(spec) = &service.view else { return None };
    for (_, written) in deployments(set, service, spec) {
        let containers = written.pointer("/spec/template/spec/containers").and_then(|all| all.as_array());
        let ports =
            containers.into_iter().flatten().filter_map(|container| container.get("ports")?.as_array());
        let named =
            ports.flatten().find(|port| port.get("name").and_then(|text| text.as_str()) == Some(name));
        if let Some(number) = named.and_then(|port| port.get("containerPort")?.as_u64()) {
            return u16::try_from(number).ok();
        }
    }
    None
}

/// Do nodes pass connections on to these targets from their own address? (kube-proxy does, unless the Service says
/// `externalTrafficPolicy: Local`.)
pub(crate) fn masquerades(set: &Set, group: &TargetGroup) -> bool {
    let service = set.get("Service", &group.service.namespace, &group.service.name);
    let is_local = service.is_some_and(|object| {
        matches!(&object.view, View::Service(service) if service.external_traffic_policy.as_deref() == Some("Local"))
    });
    group.target_type == TargetType::Instance && !is_local
}

/// The Deployments whose pods a Service selects, and what they hold.
pub(crate) fn deployments<'a>(
    set: &'a Set,
    object: &Object,
    service: &Service,
) -> impl Iterator<Item = (&'a Arc<Object>, &'a Value)> {
    let selector = service.selector.as_ref().filter(|labels| !labels.is_empty());
    let near = set.of_kind("Deployment").iter().filter(|one| one.id.namespace == object.id.namespace);
    near.filter_map(move |one| {
        let View::Written(written) = &one.view else { return None };
        let labels = written.pointer("/spec/template/metadata/labels");
        let label = |key: &str| labels?.get(key)?.as_str();
        selector?.iter().all(|(key, value)| label(key) == Some(value)).then_some((one, &**written))
    })
}

fn has_endpoints(set: &Set, service: &ObjectId) -> bool {
    let slices = set.of_kind("EndpointSlice").iter().any(|object| {
        matches!(&object.view, View::EndpointSlice(slice) if object.id.namespace == service.namespace
            && slice.service == *service.name && !slice.endpoints.is_empty())
    });
    slices || set.get("Endpoints", &service.namespace, &service.name).is_some()
}

/// Does the gateway send requests to it?
fn is_backend(edge: &Edge, service: &ObjectId) -> bool {
    let qualified = format!("{}.{}", service.name, service.namespace);
    edge.clusters.values().any(|cluster| {
        let plenipo_model::Endpoints::Dns(dns) = &cluster.endpoints else { return false };
        let name = dns.name.trim_end_matches('.');
        let name = name.strip_suffix(".svc.cluster.local").unwrap_or(name);
        name == qualified || (*service.namespace == *"default" && *name == *service.name)
    })
}

//! Which listener of the gateway stands behind a port of a Service.
//!
//! A load balancer's targets are a Service's pods or nodes. Whether those pods are the gateway is what the local edge,
//! the checks and the audit all need to know, and nothing in Kubernetes says it. The rule, in this order:
//!
//! 1. the Service has the annotation `plenipo.io/gateway`: `"true"` or `"false"` decides;
//! 2. the set holds endpoints for it: they are its pods, and it is not the gateway;
//! 3. it selects nothing, or the gateway itself sends requests to it: it is not the gateway;
//! 4. one of its ports leads to a port that a listener of the gateway declares: it is the gateway.

use plenipo_model::{Edge, Listener};
use plenipo_resources::core::{IntOrString, Service, ServicePort};
use plenipo_resources::{Object, ObjectId, Set, View};

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
    let selector = spec.selector.as_ref().filter(|labels| !labels.is_empty())?;
    let deployments = set.of_kind("Deployment").iter().filter(|one| one.id.namespace == service.id.namespace);
    for deployment in deployments {
        let View::Written(written) = &deployment.view else { continue };
        let labels = written.pointer("/spec/template/metadata/labels");
        let label = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(|value| value.as_str());
        if !selector.iter().all(|(key, value)| label(key) == Some(value)) {
            continue;
        }
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

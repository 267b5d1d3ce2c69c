//! From a port of a Service to the port of the pods behind it.

use plenipo_resources::core::{IntOrString, Service, ServicePort};
use plenipo_resources::{Object, Set, View};
use serde_json::Value;

/// The annotation by which a Service says whether its pods are the gateway.
pub(crate) const GATEWAY: &str = "plenipo.io/gateway";

/// The port of the pods. A name is looked up in the Deployments that the Service selects, else in its EndpointSlices.
pub(crate) fn target(set: &Set, object: &Object, service: &Service, port: &ServicePort) -> Option<u16> {
    let number = |number: i64| u16::try_from(number).ok().filter(|port| *port > 0);
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => number(port.port),
        Some(IntOrString::Int(target)) => number(*target),
        Some(IntOrString::String(name)) => {
            let by_pods =
                || container_port(set, object, service, name).or_else(|| listed_port(set, object, port));
            name.parse().ok().and_then(number).or_else(by_pods)
        }
    }
}

/// A port by its name in the Deployments whose pods the Service selects.
fn container_port(set: &Set, object: &Object, service: &Service, name: &str) -> Option<u16> {
    let near = set.of_kind("Deployment").iter().filter(|one| one.id.namespace == object.id.namespace);
    let mut found = near.filter_map(|one| {
        let View::Written(written) = &one.view else { return None };
        let labels = written.pointer("/spec/template/metadata/labels");
        let label = |key: &str| labels?.get(key)?.as_str();
        let mut selected = service.selector.iter().flatten();
        if !selected.all(|(key, value)| label(key) == Some(value)) {
            return None;
        }
        let containers = written.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let ports = containers.into_iter().flatten().filter_map(|one| one.get("ports")?.as_array());
        let named = ports.flatten().find(|port| port.get("name").and_then(Value::as_str) == Some(name))?;
        u16::try_from(named.get("containerPort")?.as_u64()?).ok()
    });
    found.next()
}

/// A port by the name that the Service has for it, where its EndpointSlices say what it comes to.
fn listed_port(set: &Set, object: &Object, port: &ServicePort) -> Option<u16> {
    let name = port.name.as_deref().unwrap_or("");
    let slices = set.of_kind("EndpointSlice").iter().filter(|one| one.id.namespace == object.id.namespace);
    let slices = slices.filter_map(|one| match &one.view {
        View::EndpointSlice(slice) if slice.service == *object.id.name => Some(slice),
        _ => None,
    });
    let mut ports = slices.flat_map(|slice| &slice.ports);
    ports.find(|listed| listed.name.as_deref().unwrap_or("") == name)?.port?.try_into().ok()
}

//! The ports of the gateway's Service, which is what Gateways number.

use std::collections::BTreeMap;

use plenipo_resources::core::{IntOrString, Service, ServicePort};
use plenipo_resources::{Object, Set, View};
use serde_json::Value;

use crate::options::Options;

/// A Service that says here whether its pods are the gateway.
const GATEWAY: &str = "plenipo.io/gateway";
/// The label by which a Service says that its ports are not to be translated.
const NO_TRANSLATION: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The Services that lead to gateways, in the order of their names.
#[derive(Debug)]
pub(super) struct Ports<'a> {
    set: &'a Set,
    services: Vec<(&'a Object, &'a Service)>,
    labels: &'a BTreeMap<String, String>,
}

impl<'a> Ports<'a> {
    pub(super) fn new(set: &'a Set, options: &'a Options) -> Self {
        let all = set.of_kind("Service").iter().filter_map(|object| match &object.view {
            View::Service(service) => Some((&**object, &**service)),
            _ => None,
        });
        let translated = |object: &Object| {
            object.meta.labels.get(NO_TRANSLATION).is_none_or(|value| value != "true")
                && object.meta.annotations.get(GATEWAY).is_none_or(|value| value == "true")
        };
        Self { set, services: all.filter(|(object, _)| translated(object)).collect(), labels: &options.istio.labels }
    }

    /// The port on which the gateway listens for connections to `number` of its Service; where no Service has it, that
    /// number itself.
    pub(super) fn behind(&self, selector: &BTreeMap<String, String>, number: u16) -> u16 {
        let services = self.services.iter().filter(|(object, service)| self.leads(object, service, selector));
        let mut ports = services.filter_map(|(object, service)| {
            let port = service.ports.iter().find(|port| {
                port.port == i64::from(number) && port.protocol.as_deref().is_none_or(|name| name == "TCP")
            })?;
            self.target(object, service, port)
        });
        ports.next().unwrap_or(number)
    }

    /// Does the Service select the pods that the Gateway does? Where nobody said which labels those have, one that they
    /// must have to be selected by both has to be the same, and none may differ.
    fn leads(&self, object: &Object, service: &Service, selector: &BTreeMap<String, String>) -> bool {
        if object.meta.annotations.get(GATEWAY).is_some_and(|value| value == "true") {
            return true;
        }
        let Some(selected) = service.selector.as_ref().filter(|labels| !labels.is_empty()) else { return false };
        if !self.labels.is_empty() {
            return selected.iter().all(|(key, value)| self.labels.get(key) == Some(value));
        }
        let shared = || selected.iter().filter_map(|(key, value)| Some((value, selector.get(key)?)));
        shared().next().is_some() && shared().all(|(one, other)| one == other)
    }

    fn target(&self, object: &Object, service: &Service, port: &ServicePort) -> Option<u16> {
        let number = |number: i64| u16::try_from(number).ok().filter(|port| *port > 0);
        match &port.target_port {
            None | Some(IntOrString::Int(0)) => number(port.port),
            Some(IntOrString::Int(target)) => number(*target),
            Some(IntOrString::String(name)) => {
                name.parse().ok().and_then(number).or_else(|| self.container_port(object, service, name))
            }
        }
    }

    /// A port by its name in the Deployments whose pods the Service selects.
    fn container_port(&self, object: &Object, service: &Service, name: &str) -> Option<u16> {
        let near = self.set.of_kind("Deployment").iter().filter(|one| one.id.namespace == object.id.namespace);
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
}

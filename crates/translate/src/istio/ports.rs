//! The ports of the gateway's Service, which is what Gateways number.

use std::collections::BTreeMap;

use plenipo_resources::core::Service;
use plenipo_resources::{Object, Set, View};

use crate::options::Options;
use crate::ports::{self, GATEWAY};

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
        Self {
            set,
            services: all.filter(|(object, _)| translated(object)).collect(),
            labels: &options.istio.labels,
        }
    }

    /// The port on which the gateway listens for connections to `number` of its Service; where no Service has it, that
    /// number itself.
    pub(super) fn behind(&self, selector: &BTreeMap<String, String>, number: u16) -> u16 {
        let services = self.services.iter().filter(|(object, service)| self.leads(object, service, selector));
        let mut ports = services.filter_map(|(object, service)| {
            let port = service.ports.iter().find(|port| {
                port.port == i64::from(number) && port.protocol.as_deref().is_none_or(|name| name == "TCP")
            })?;
            ports::target(self.set, object, service, port)
        });
        ports.next().unwrap_or(number)
    }

    /// The first of the Services that lead there, when none of them leads to that port.
    pub(super) fn lacking(&self, selector: &BTreeMap<String, String>, number: u16) -> Option<&'a Object> {
        let leading: Vec<_> =
            self.services.iter().filter(|(object, service)| self.leads(object, service, selector)).collect();
        let leads = |(object, service): &&&(&'a Object, &'a Service)| {
            let there = |port: &plenipo_resources::core::ServicePort| {
                port.port == i64::from(number)
                    || ports::target(self.set, object, service, port) == Some(number)
            };
            service.ports.iter().any(there)
        };
        let first = leading.first().map(|(object, _)| *object);
        first.filter(|_| !leading.iter().any(|one| leads(&one)))
    }

    /// Does the Service select the pods that the Gateway does? Where nobody said which labels those have, one that they
    /// must have to be selected by both has to be the same, and none may differ.
    fn leads(&self, object: &Object, service: &Service, selector: &BTreeMap<String, String>) -> bool {
        if object.meta.annotations.get(GATEWAY).is_some_and(|value| value == "true") {
            return true;
        }
        let Some(selected) = service.selector.as_ref().filter(|labels| !labels.is_empty()) else {
            return false;
        };
        if !self.labels.is_empty() {
            return selected.iter().all(|(key, value)| self.labels.get(key) == Some(value));
        }
        let shared = || selected.iter().filter_map(|(key, value)| Some((value, selector.get(key)?)));
        shared().next().is_some() && shared().all(|(one, other)| one == other)
    }
}

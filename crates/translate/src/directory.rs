//! Where the endpoints of a Kubernetes Service are.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use plenipo_model::{DnsFamily, Endpoint};
use plenipo_resources::core::{
    EndpointSlice, Endpoints, IntOrString, Service, ServicePort, SliceConditions, SliceEndpoint, SlicePort,
};
use plenipo_resources::{Object, Set, View};

use crate::changes::Changes;

/// Services and their endpoints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Directory<'a> {
    set: &'a Set,
    slices: &'a Slices,
    /// The zone we are in; empty where nobody knows.
    zone: &'a str,
}

/// EndpointSlices by the Service they are of, kept up from one translation to the next.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    of_service: HashMap<String, Vec<Arc<Object>>>,
}

impl Slices {
    /// Takes changes over, and says which Services they concern.
    pub(crate) fn follow(&mut self, changes: &Changes) -> HashSet<String> {
        for object in &changes.gone {
            let Some((place, _)) = slice(object) else { continue };
            if let Some(list) = self.of_service.get_mut(&place) {
                list.retain(|other| !Arc::ptr_eq(other, object));
                if list.is_empty() {
                    self.of_service.remove(&place);
                }
            }
        }
        for object in &changes.new {
            let Some((place, _)) = slice(object) else { continue };
            self.of_service.entry(place).or_default().push(Arc::clone(object));
        }
        changes.all().filter_map(|object| concerned(object)).collect()
    }
}

fn slice(object: &Object) -> Option<(String, &EndpointSlice)> {
    match &object.view {
        View::EndpointSlice(slice) => Some((Directory::place(&object.id.namespace, &slice.service), slice)),
        _ => None,
    }
}

/// The Service that an object says something about.
fn concerned(object: &Object) -> Option<String> {
    match &object.view {
        View::Service(_) | View::Endpoints(_) => {
            Some(Directory::place(&object.id.namespace, &object.id.name))
        }
        _ => slice(object).map(|(place, _)| place),
    }
}

/// What is known of a port of a Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lookup<E = Endpoint> {
    /// No such Service, and no endpoints under its name.
    NoService,
    /// The Service has no such port.
    NoPort,
    /// These, in the order of their addresses; perhaps none is ready.
    Found(Vec<E>),
}

/// An address, with what an EndpointSlice says of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located<'a> {
    pub(crate) address: SocketAddr,
    /// The older Endpoints say nothing more.
    pub(crate) endpoint: Option<&'a SliceEndpoint>,
}

impl<'a> Directory<'a> {
    pub(crate) fn new(set: &'a Set, slices: &'a Slices, zone: &'a str) -> Self {
        Self { set, slices, zone }
    }

    /// How a Service is called in sets of them.
    pub(crate) fn place(namespace: &str, name: &str) -> String {
        [namespace, "/", name].concat()
    }

    /// The Service of that name.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&'a Service> {
        match &self.set.get("Service", namespace, name)?.view {
            View::Service(service) => Some(service),
            _ => None,
        }
    }

    fn slices(&self, namespace: &str, name: &str) -> Option<Vec<&'a EndpointSlice>> {
        let list = self.slices.of_service.get(&Self::place(namespace, name))?;
        Some(list.iter().filter_map(|object| slice(object)).map(|(_, slice)| slice).collect())
    }

    /// The endpoints behind `port` of a Service, which must be one of its own ports (not a target port).
    /// Slices go before the older Endpoints, which mirror them.
    pub(crate) fn endpoints(&self, namespace: &str, name: &str, port: u16, family: DnsFamily) -> Lookup {
        match self.located(namespace, name, port, family) {
            Lookup::NoService => Lookup::NoService,
            Lookup::NoPort => Lookup::NoPort,
            Lookup::Found(found) => {
                Lookup::Found(found.into_iter().map(|located| Endpoint::at(located.address)).collect())
            }
        }
    }

    /// As [`Self::endpoints`], with what is known of each.
    pub(crate) fn located(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
        family: DnsFamily,
    ) -> Lookup<Located<'a>> {
        let service = self.service(namespace, name);
        let (slices, older) = (self.slices(namespace, name), self.older(namespace, name));
        if service.is_none() && slices.is_none() && older.is_none() {
            return Lookup::NoService;
        }
        let declared = service.map(|service| service.ports.iter().find(|entry| is_port(entry, port)));
        if declared == Some(None) {
            return Lookup::NoPort;
        }
        let wanted = Wanted { port, declared: declared.flatten() };
        let found = match slices {
            Some(slices) => of_slices(&slices, &wanted, self.zone),
            None => older.map(|older| of_endpoints(older, &wanted)).unwrap_or_default(),
        };
        Lookup::Found(arranged(found, family))
    }

    fn older(&self, namespace: &str, name: &str) -> Option<&'a Endpoints> {
        match &self.set.get("Endpoints", namespace, name)?.view {
            View::Endpoints(endpoints) => Some(endpoints),
            _ => None,
        }
    }
}

struct Wanted<'a> {
    port: u16,
    declared: Option<&'a ServicePort>,
}

fn is_port(entry: &ServicePort, port: u16) -> bool {
    entry.port == i64::from(port) && !is_udp(entry.protocol.as_deref())
}

fn is_udp(protocol: Option<&str>) -> bool {
    protocol.is_some_and(|protocol| !protocol.eq_ignore_ascii_case("TCP"))
}

impl Wanted<'_> {
    /// The number among `ports` that stands for the wanted service port: the one of its name, else the only one, else
    /// the one its target port names or numbers.
    fn among(&self, ports: &[SlicePort]) -> Option<u16> {
        let tcp: Vec<&SlicePort> = ports.iter().filter(|entry| !is_udp(entry.protocol.as_deref())).collect();
        let number = |entry: &SlicePort| entry.port.and_then(|port| u16::try_from(port).ok());
        let named = |name: &str| tcp.iter().find(|entry| entry.name.as_deref().unwrap_or("") == name);
        if let Some(declared) = self.declared {
            if let Some(found) = named(declared.name.as_deref().unwrap_or("")) {
                return number(found);
            }
            let by_target = match &declared.target_port {
                Some(IntOrString::Int(target)) => tcp.iter().find(|entry| entry.port == Some(*target)),
                Some(IntOrString::String(target)) => named(target),
                None => None,
            };
            if let Some(found) = by_target {
                return number(found);
            }
        }
        match tcp.as_slice() {
            [only] => number(only),
            several => {
                several.iter().find(|entry| entry.port == Some(i64::from(self.port))).and_then(|e| number(e))
            }
        }
    }
}

/// Ready endpoints; when there is none, those that still serve while they terminate (what kube-proxy does too).
fn of_slices<'a>(slices: &[&'a EndpointSlice], wanted: &Wanted<'_>, zone: &str) -> Vec<Located<'a>> {
    let addresses = |accept: &dyn Fn(&SliceConditions) -> bool| {
        let mut found = Vec::new();
        for slice in slices {
            let Some(port) = wanted.among(&slice.ports) else { continue };
            let chosen = slice.endpoints.iter().filter(|endpoint| accept(&endpoint.conditions));
            let texts =
                chosen.flat_map(|endpoint| endpoint.addresses.iter().map(move |text| (endpoint, text)));
            found.extend(texts.filter_map(|(endpoint, text)| {
                let address = SocketAddr::new(text.parse().ok()?, port);
                Some(Located { address, endpoint: Some(endpoint) })
            }));
        }
        found
    };
    let ready = addresses(&|conditions| conditions.ready.unwrap_or(true));
    if ready.is_empty() {
        return addresses(&|conditions| conditions.serving.unwrap_or(false));
    }
    hinted(ready, zone)
}

/// Those that are meant for our zone, where every one says for which zones it is, and one for ours (so kube-proxy has it:
/// anything less means that the hints are just changing).
fn hinted<'a>(ready: Vec<Located<'a>>, zone: &str) -> Vec<Located<'a>> {
    let zones = |located: &Located<'a>| {
        let hints = located.endpoint.and_then(|endpoint| endpoint.hints.as_ref());
        hints.map_or(&[][..], |hints| &hints.for_zones)
    };
    let is_ours = |located: &Located<'a>| zones(located).iter().any(|hint| hint.name == zone);
    let told = !zone.is_empty() && ready.iter().all(|located| !zones(located).is_empty());
    if told && ready.iter().any(is_ours) { ready.into_iter().filter(is_ours).collect() } else { ready }
}

fn of_endpoints<'a>(older: &Endpoints, wanted: &Wanted<'_>) -> Vec<Located<'a>> {
    let mut found = Vec::new();
    for subset in &older.subsets {
        let Some(port) = wanted.among(&subset.ports) else { continue };
        let ips = subset.addresses.iter().filter_map(|address| address.ip.parse::<IpAddr>().ok());
        found.extend(ips.map(|ip| Located { address: SocketAddr::new(ip, port), endpoint: None }));
    }
    found
}

/// Of a dual-stack Service, the wanted family (any, when there is none of it); sorted, each once.
fn arranged(mut found: Vec<Located<'_>>, family: DnsFamily) -> Vec<Located<'_>> {
    let wanted = |located: &Located<'_>| match family {
        DnsFamily::PreferV6 => located.address.is_ipv6(),
        family => family.accepts(located.address.ip()),
    };
    if found.iter().any(wanted) {
        found.retain(wanted);
    }
    found.sort_by_key(|located| located.address);
    found.dedup_by_key(|located| located.address);
    found
}

#[cfg(test)]
mod tests;

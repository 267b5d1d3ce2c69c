//! Where Ingresses are served: ports of the gateway's Service, or Listeners of Emissary.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use plenipo_resources::core::Service;
use plenipo_resources::{Object, View};

use super::World;
use super::class::Flavour;
use crate::options::Options;
use crate::ports::{self, GATEWAY};

/// An address at which connections for Ingresses arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) bind: SocketAddr,
    /// Requests in clear text are served.
    pub(super) clear: bool,
    /// TLS is ended.
    pub(super) tls: bool,
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// The addresses for Ingresses of this flavour, each once.
pub(super) fn places(flavour: Flavour, world: &World<'_>) -> Vec<Place> {
    if flavour == Flavour::Emissary {
        let listeners = emissary(world);
        if !listeners.is_empty() {
            return listeners;
        }
    }
    let services = gateways(flavour, world);
    let port = |number: u16| {
        let targets: BTreeSet<u16> = services.iter().filter_map(|one| target(world, *one, number)).collect();
        // Services that do not agree do not say anything.
        if targets.len() == 1 { targets.first().copied().unwrap_or(number) } else { number }
    };
    let (http, https) = (port(HTTP), port(HTTPS));
    let at = |port: u16, clear: bool, tls: bool| Place { bind: bind(world.options, port), clear, tls };
    match http == https {
        // The load balancer in front ends TLS, for one.
        true => vec![at(http, true, true)],
        false => vec![at(http, true, false), at(https, false, true)],
    }
}

fn bind(options: &Options, port: u16) -> SocketAddr {
    SocketAddr::new(options.bind_address, port)
}

/// Emissary's Listeners that speak HTTP, which take its Ingresses as they take its Hosts.
fn emissary(world: &World<'_>) -> Vec<Place> {
    let mut places: BTreeMap<u16, Place> = BTreeMap::new();
    for object in world.set.of_kind("Listener") {
        let View::Listener(spec) = &object.view else { continue };
        let ids = &spec.ambassador_id;
        let ours = world.options.ambassador_id.as_str();
        if !(ids.iter().any(|id| id == ours) || (ids.is_empty() && ours == "default")) {
            continue;
        }
        let stack =
            |layer: &str| spec.protocol_stack.as_ref().is_some_and(|all| all.iter().any(|one| one == layer));
        let protocol = spec.protocol.as_deref().unwrap_or_default();
        let (http, tls) =
            (protocol.starts_with("HTTP") || stack("HTTP"), protocol.starts_with("HTTPS") || stack("TLS"));
        let port = spec.port.and_then(|port| u16::try_from(port).ok());
        if let (true, Some(port)) = (http, port) {
            let bind = bind(world.options, port);
            places.entry(port).or_insert(Place { bind, clear: true, tls });
        }
    }
    places.into_values().collect()
}

/// The Services that lead to the gateway: those that say so; else, for Istio's Ingresses, those that select its ingress
/// gateway; else Services of type LoadBalancer whose endpoints nobody has told (they are ours then) and that no Ingress
/// names.
fn gateways<'a>(flavour: Flavour, world: &World<'a>) -> Vec<(&'a Object, &'a Service)> {
    let all = || {
        world.set.of_kind("Service").iter().filter_map(|object| match &object.view {
            View::Service(service) => Some((&**object, &**service)),
            _ => None,
        })
    };
    let says = |object: &Object, wanted: &str| {
        object.meta.annotations.get(GATEWAY).is_some_and(|text| text == wanted)
    };
    let named: Vec<_> = all().filter(|(object, _)| says(object, "true")).collect();
    if !named.is_empty() {
        return named;
    }
    let is_istio = |service: &Service| {
        let selector = service.selector.as_ref();
        selector.and_then(|labels| labels.get("istio")).is_some_and(|name| name == "ingressgateway")
    };
    let istio: Vec<_> =
        all().filter(|(object, service)| is_istio(service) && !says(object, "false")).collect();
    if flavour == Flavour::Istio && !istio.is_empty() {
        return istio;
    }
    let backends = backends(world);
    let is_ours = |(object, service): &(&Object, &Service)| {
        service.type_.as_deref() == Some("LoadBalancer")
            && service.selector.as_ref().is_some_and(|labels| !labels.is_empty())
            && !says(object, "false")
            && !has_endpoints(world, object)
            && !backends.contains(&(&*object.id.namespace, &*object.id.name))
    };
    all().filter(is_ours).collect()
}

fn has_endpoints(world: &World<'_>, service: &Object) -> bool {
    let (namespace, name) = (&service.id.namespace, &service.id.name);
    world.set.get("Endpoints", namespace, name).is_some()
        || world.set.of_kind("EndpointSlice").iter().any(|object| match &object.view {
            View::EndpointSlice(slice) => {
                object.id.namespace == *namespace && slice.service == **name && !slice.endpoints.is_empty()
            }
            _ => false,
        })
}

fn backends<'a>(world: &World<'a>) -> BTreeSet<(&'a str, &'a str)> {
    let mut found = BTreeSet::new();
    for object in world.set.of_kind("Ingress") {
        let View::Ingress(spec) = &object.view else { continue };
        let paths = spec.rules.iter().filter_map(|rule| rule.http.as_ref()).flat_map(|http| &http.paths);
        let backends = paths.map(|path| &path.backend).chain(&spec.default_backend);
        found.extend(backends.filter_map(|backend| Some((&*object.id.namespace, backend.name()?))));
    }
    found
}

fn target(world: &World<'_>, (object, service): (&Object, &Service), number: u16) -> Option<u16> {
    let port = service.ports.iter().find(|port| {
        port.port == i64::from(number) && port.protocol.as_deref().is_none_or(|name| name == "TCP")
    })?;
    ports::target(world.set, object, service, port)
}

/// The addresses of the entry point of Ingresses of this flavour, sorted.
pub(super) fn addresses(flavour: Flavour, world: &World<'_>) -> Vec<String> {
    let mut found: Vec<String> =
        gateways(flavour, world).iter().flat_map(|(_, service)| service.status_addresses.clone()).collect();
    found.sort();
    found.dedup();
    found
}

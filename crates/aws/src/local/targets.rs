//! Where the targets of a target group are, on one machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use plenipo_model::Transport;
use plenipo_resources::core::{EndpointSlice, ServicePort, SlicePort};
use plenipo_resources::{ObjectId, Set, View};

use super::health::CheckPort;
use super::{Builder, LocalOptions, Site};
use crate::reach;
use crate::stack::{HealthPort, TargetGroup, TargetType};

/// Where the targets are, and what to call that.
pub(super) struct Found {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) what: String,
    whose: Whose,
}

/// Whose addresses they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Gateway,
    Pods,
    /// Of something that stands for pods or a load balancer: its other ports are not theirs.
    Other,
}

impl Builder<'_> {
    /// The targets: the application load balancer behind, a listener of the gateway, or a Service's pods.
    pub(super) fn targets(&mut self, site: Site<'_>, group: &TargetGroup, transport: Transport) -> Found {
        if group.target_type == TargetType::Alb {
            let addresses: Vec<_> = site.behind.map(|place| place.inner(group.port)).into_iter().collect();
            return Found {
                addresses,
                what: "its application load balancer".to_owned(),
                whose: Whose::Other,
            };
        }
        if let Some(listener) =
            reach::listener(self.set, self.options.gateway, &group.service, &group.service_port)
            && listener.transport == transport
        {
            let address = of_gateway(self.options, listener.bind);
            let what = format!("the gateway's {}", listener.declared_port);
            return Found { addresses: vec![address], what, whose: Whose::Gateway };
        }
        let what = group.service.to_string();
        if let Some(address) = self.resolved(group) {
            return Found { addresses: vec![address], what, whose: Whose::Other };
        }
        let addresses = of_slices(self.set, group, transport);
        if addresses.is_empty() {
            let name = resolved_name(&group.service, port_of(self.set, group).map(|port| port.port));
            let message =
                format!("the target group {} has no targets: nobody knows where {name} is", group.name);
            let fix =
                format!("give --resolve {name}=ADDR:PORT, or put its EndpointSlices into the directory");
            self.warn("edge-no-targets", site.member(), message, &fix);
        }
        Found { addresses, what, whose: Whose::Pods }
    }

    /// The port that the targets are checked on.
    pub(super) fn check_port(&self, group: &TargetGroup, found: &Found) -> CheckPort {
        let HealthPort::Port(written) = group.health_check.port else { return CheckPort::Traffic };
        if written == group.port {
            return CheckPort::Traffic;
        }
        let pod = match group.target_type {
            TargetType::Instance => self.pod_port(&group.service, written),
            TargetType::Ip | TargetType::Alb => Some(written),
        };
        let bound = pod.and_then(|pod| match found.whose {
            Whose::Pods => Some(pod),
            Whose::Gateway => {
                let listeners = &self.options.gateway.listeners;
                let listener = listeners.iter().find(|listener| listener.declared_port == pod);
                let other = || self.options.gateway_ports.get(&pod).copied();
                listener.map(|listener| listener.bind.port()).or_else(other)
            }
            Whose::Other => None,
        });
        bound.map_or(CheckPort::Unknown(written), CheckPort::Other)
    }

    /// The pods' port behind a node port.
    fn pod_port(&self, service: &ObjectId, node_port: u16) -> Option<u16> {
        let object = self.set.get("Service", &service.namespace, &service.name)?;
        let View::Service(spec) = &object.view else { return None };
        let port = spec.ports.iter().find(|port| port.node_port == Some(node_port.into()))?;
        reach::pod_port(self.set, object, port)
    }

    fn resolved(&self, group: &TargetGroup) -> Option<SocketAddr> {
        let ObjectId { namespace, name, .. } = &group.service;
        let port = port_of(self.set, group);
        let number = port.and_then(|port| u16::try_from(port.port).ok()).unwrap_or(group.port);
        let resolve = &self.options.resolve;
        let bare = || resolve.get(&(name.to_string(), number)).filter(|_| &**namespace == "default");
        resolve.get(&(format!("{name}.{namespace}"), number)).or_else(bare).copied()
    }
}

/// A listener's address for who is on this machine, or where the gateway is said to be.
pub(super) fn of_gateway(options: &LocalOptions<'_>, bind: SocketAddr) -> SocketAddr {
    let ip = options.gateway_address.unwrap_or(match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    });
    SocketAddr::new(ip, bind.port())
}

fn port_of<'a>(set: &'a Set, group: &TargetGroup) -> Option<&'a ServicePort> {
    let object = set.get("Service", &group.service.namespace, &group.service.name)?;
    let View::Service(service) = &object.view else { return None };
    reach::service_port(service, &group.service_port)
}

fn resolved_name(service: &ObjectId, port: Option<i64>) -> String {
    format!("{}.{}:{}", service.name, service.namespace, port.unwrap_or(80))
}

fn of_slices(set: &Set, group: &TargetGroup, transport: Transport) -> Vec<SocketAddr> {
    let ObjectId { namespace, name, .. } = &group.service;
    let port = port_of(set, group);
    let mut found = Vec::new();
    for object in set.of_kind("EndpointSlice").iter().filter(|object| object.id.namespace == *namespace) {
        let View::EndpointSlice(slice) = &object.view else { continue };
        if slice.service != **name {
            continue;
        }
        found.extend(of_slice(slice, port, transport));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Endpoints that are ready, or of which nothing is known, as the controller registers them.
fn of_slice<'a>(
    slice: &'a EndpointSlice,
    port: Option<&ServicePort>,
    transport: Transport,
) -> impl Iterator<Item = SocketAddr> + 'a {
    let carried = |entry: &&SlicePort| {
        let udp = entry.protocol.as_deref().is_some_and(|protocol| protocol.eq_ignore_ascii_case("UDP"));
        udp == (transport == Transport::Udp)
    };
    let ports: Vec<&SlicePort> = slice.ports.iter().filter(carried).collect();
    let wanted = port.and_then(|port| port.name.as_deref()).unwrap_or_default();
    let named = ports.iter().find(|entry| entry.name.as_deref().unwrap_or_default() == wanted);
    let only = ports.first().filter(|_| ports.len() == 1);
    let number = named.or(only).and_then(|entry| entry.port).and_then(|port| u16::try_from(port).ok());
    let ready = slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready.unwrap_or(true));
    let texts = ready.flat_map(|endpoint| &endpoint.addresses);
    texts.filter_map(move |text| Some(SocketAddr::new(text.parse().ok()?, number?)))
}

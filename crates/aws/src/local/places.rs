//! Where load balancers listen on one machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::LocalOptions;
use crate::stack::Stack;

/// What is added to a port that cannot be bound as it is.
const MOVED_BY: u16 = 9000;

/// Where one load balancer listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// All of its listeners are on this address.
    pub(super) address: IpAddr,
    /// An address where nobody but the load balancer in front of it comes in.
    pub(super) inner: IpAddr,
    ports: BTreeMap<u16, u16>,
}

/// Gives every load balancer an address of its own: 127.0.0.1 to the first, and the next one to each that would have a
/// port in common with an earlier one.
pub(super) struct Places<'a> {
    options: &'a LocalOptions<'a>,
    /// Ports of the gateway on this machine: a load balancer there would send requests to itself.
    gateway: BTreeSet<u16>,
    taken: BTreeSet<(u8, u16)>,
}

impl Place {
    /// The address bound for a declared port.
    pub(super) fn bind(&self, declared: u16) -> SocketAddr {
        SocketAddr::new(self.address, self.ports.get(&declared).copied().unwrap_or(declared))
    }

    /// The same for who comes from the load balancer in front.
    pub(super) fn inner(&self, declared: u16) -> SocketAddr {
        SocketAddr::new(self.inner, self.bind(declared).port())
    }
}

impl<'a> Places<'a> {
    pub(super) fn new(options: &'a LocalOptions<'a>) -> Self {
        let here = options.gateway_address.is_none_or(|address| address.is_loopback());
        let listeners = options.gateway.listeners.iter().filter(|_| here);
        Self {
            options,
            gateway: listeners.map(|listener| listener.bind.port()).collect(),
            taken: BTreeSet::new(),
        }
    }

    pub(super) fn take(&mut self, stack: &Stack) -> Place {
        let ports: BTreeMap<u16, u16> =
            stack.listeners.iter().map(|listener| (listener.port, self.bound(listener.port))).collect();
        let free = |host: &u8| ports.values().all(|port| !self.taken.contains(&(*host, *port)));
        let host = (1..=254).find(free).unwrap_or(254);
        self.taken.extend(ports.values().map(|port| (host, *port)));
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, host));
        Place { address, inner: IpAddr::V4(Ipv4Addr::new(127, 1, 0, host)), ports }
    }

    fn bound(&self, declared: u16) -> u16 {
        let mapped = self.options.ports.get(&declared).copied();
        let own = Some(declared).filter(|port| *port >= self.options.lowest_port);
        let moved = (1..=u16::MAX / MOVED_BY).filter_map(|times| declared.checked_add(MOVED_BY * times));
        let mut candidates = mapped.into_iter().chain(own).chain(moved);
        candidates.find(|port| !self.gateway.contains(port)).unwrap_or(declared)
    }
}

//! The root: everything the edge shall do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::listener::Listener;

/// Everything the edge shall do. Two equal edges serve alike; nothing else decides what is served.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Edge {
    /// One per bound address, in the order of their addresses.
    pub listeners: Vec<Listener>,
    /// By name. Every cluster that a route names is here.
    pub clusters: BTreeMap<Arc<str>, Arc<Cluster>>,
}

/// Declared port → port bound instead: how a laptop runs YAML that says 443.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortMap(BTreeMap<u16, u16>);

impl PortMap {
    /// Maps `declared` to `bound`.
    pub fn insert(&mut self, declared: u16, bound: u16) {
        self.0.insert(declared, bound);
    }

    /// The port to bind for a declared one.
    pub fn bound(&self, declared: u16) -> u16 {
        self.0.get(&declared).copied().unwrap_or(declared)
    }
}

impl Edge {
    /// The listener bound to this address.
    pub fn listener(&self, bind: SocketAddr) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.bind == bind)
    }

    /// Moves bound ports, keeping the declared ones.
    pub fn map_ports(&mut self, ports: &PortMap) {
        for listener in &mut self.listeners {
            listener.bind.set_port(ports.bound(listener.declared_port));
        }
    }
}

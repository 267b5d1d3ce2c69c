//! The root: everything the edge shall do.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::listener::{Listener, ProxyProtocol, Serve};

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

    /// Believes proxies on this machine wherever proxies of some network are believed: their PROXY headers, and what they
    /// tell of client certificates. A load balancer that is tried out beside the gateway connects from a loopback address.
    pub fn trust_loopback(&mut self) {
        let loopback = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
        for listener in &mut self.listeners {
            if let ProxyProtocol::AcceptedFrom(networks) = &mut listener.proxy_protocol {
                networks.push(loopback);
            }
            for chain in &mut listener.chains {
                let Serve::Http(server) = &mut chain.serve else { continue };
                if server.hosts.iter().all(|host| host.client_identity.is_none()) {
                    continue;
                }
                let hosts = Arc::make_mut(server).hosts.iter_mut();
                for identity in hosts.filter_map(|host| host.client_identity.as_mut()) {
                    Arc::make_mut(identity).from.push(loopback);
                }
            }
        }
    }

    /// Moves bound ports, keeping the declared ones.
    pub fn map_ports(&mut self, ports: &PortMap) {
        for listener in &mut self.listeners {
            listener.bind.set_port(ports.bound(listener.declared_port));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Accepts, Chain, ChainTls, Transport};
    use crate::{ClientCertificateFields, ForwardedIdentity, HostPattern, HttpServer, Source, VirtualHost};

    #[test]
    fn this_machine_is_believed_only_where_somebody_is() {
        let network: IpNet = "10.0.0.0/8".parse().unwrap();
        let host = |identity: Option<ForwardedIdentity>| {
            let plain = VirtualHost::new(Source::new("test"), HostPattern::Any, Vec::new());
            VirtualHost { client_identity: identity.map(Arc::new), ..plain }
        };
        let identity = ForwardedIdentity {
            from: vec![network],
            fields: ClientCertificateFields::passthrough(),
            roots: None,
            required: true,
        };
        let server = HttpServer::new(Source::new("test"), vec![host(Some(identity)), host(None)]);
        let chain = Chain {
            accepts: Accepts::ClearText,
            tls: ChainTls::Untouched,
            serve: Serve::Http(Arc::new(server)),
            source: Source::new("test"),
        };
        let bind: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let listener = Listener {
            name: "a".to_owned(),
            source: Source::new("test"),
            bind,
            transport: Transport::Tcp,
            declared_port: 1,
            proxy_protocol: ProxyProtocol::Off,
            inner_proxy_from: Vec::new(),
            stats_prefix: String::new(),
            max_connections: None,
            chains: vec![chain],
        };
        let from =
            Listener { proxy_protocol: ProxyProtocol::AcceptedFrom(vec![network]), ..listener.clone() };
        let mut edge = Edge { listeners: vec![listener, from], clusters: BTreeMap::new() };
        edge.trust_loopback();
        let loopback: IpNet = "127.0.0.0/8".parse().unwrap();
        assert_eq!(edge.listeners[0].proxy_protocol, ProxyProtocol::Off);
        assert_eq!(edge.listeners[1].proxy_protocol, ProxyProtocol::AcceptedFrom(vec![network, loopback]));
        let Serve::Http(server) = &edge.listeners[0].chains[0].serve else { panic!("it is HTTP") };
        assert_eq!(server.hosts[0].client_identity.as_ref().unwrap().from, [network, loopback]);
        assert!(server.hosts[1].client_identity.is_none());
    }
}

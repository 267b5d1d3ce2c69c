//! Listeners: the servers of all Gateways by the address they are at, and what is made of connections there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use plenipo_model::{
    Accepts, Chain, ChainTls, HostPattern, HttpServer, Listener, ProxyProtocol, Serve, Transport,
};

use super::binding::{Offers, Open, virtual_hosts};
use super::chains::{self, TlsHttp};
use super::gateway::{Kind, Server, ServerHost};
use super::relay;
use super::tls::{Identified, chain_tls};
use super::virtual_service::Service;
use super::world::World;
use crate::findings::Flaw;

/// What all listeners have in common.
pub(super) struct Terms<'t> {
    /// All but its hosts.
    pub(super) http: &'t HttpServer,
    pub(super) proxy_protocol: bool,
    pub(super) tls: Identified<'t>,
}

/// A listener for every address that has something to serve.
pub(super) fn listeners(
    servers: &[Server<'_>],
    services: &[Service<'_>],
    terms: &Terms<'_>,
    world: &mut World<'_, '_>,
) -> Vec<Listener> {
    let mut places: BTreeMap<SocketAddr, Vec<&Server<'_>>> = BTreeMap::new();
    for server in servers {
        places.entry(server.bind).or_default().push(server);
    }
    let mut offers = Offers::default();
    let made = places.into_iter().filter_map(|(bind, servers)| {
        let place = Place { bind, servers, services, terms };
        place.listener(&mut offers, world)
    });
    made.collect()
}

/// One address, and the servers there in the order in which they go before each other.
struct Place<'p, 'a> {
    bind: SocketAddr,
    servers: Vec<&'p Server<'a>>,
    services: &'p [Service<'a>],
    terms: &'p Terms<'p>,
}

/// Names of TLS servers, and who has them.
type Claims<'p, 'a> = BTreeMap<HostPattern, &'p Server<'a>>;

impl<'p, 'a> Place<'p, 'a> {
    fn listener(&self, offers: &mut Offers, world: &mut World<'_, '_>) -> Option<Listener> {
        let clear = self.clear_servers(world);
        let mut chains = self.tls_chains(offers, world);
        chains.extend(self.clear_chain(&clear, offers, world));
        let first = self.servers.first()?;
        (!chains.is_empty()).then(|| Listener {
            name: self.name(),
            source: first.source.clone(),
            bind: self.bind,
            transport: Transport::Tcp,
            declared_port: self.bind.port(),
            proxy_protocol: match self.terms.proxy_protocol {
                true => ProxyProtocol::Required,
                false => ProxyProtocol::Off,
            },
            inner_proxy_from: Vec::new(),
            stats_prefix: format!("outbound_{}", self.name()),
            max_connections: None,
            chains,
        })
    }

    /// As Envoy calls it behind Istio.
    fn name(&self) -> String {
        format!("{}_{}", self.bind.ip(), self.bind.port())
    }

    /// The servers that take connections in clear text: those that speak HTTP share them, or one that does not has them all.
    fn clear_servers(&self, world: &mut World<'_, '_>) -> Vec<&'p Server<'a>> {
        let mut taken: Vec<&Server<'_>> = Vec::new();
        for server in self.servers.iter().filter(|server| !server.kind.is_tls()) {
            let is_http = |server: &Server<'_>| server.kind != Kind::Tcp;
            match taken.first() {
                Some(first) if !(is_http(first) && is_http(server)) => {
                    let message =
                        format!("{} {} has port {} already", first.source, first.field, server.number);
                    let fix = "use another port for one of the two";
                    let flaw = Flaw::new("port-conflict", server.field("port"), message, fix);
                    world.findings.flaw(server.gateway, &flaw);
                }
                _ => taken.push(server),
            }
        }
        let other = self.servers.iter().find(|server| server.kind.is_tls());
        if let (Some(clear), Some(tls)) = (taken.first(), other) {
            let message = format!(
                "port {} is also that of {} {}, which speaks TLS: connections are told apart by their first bytes",
                clear.number, tls.source, tls.field
            );
            let fix = "use another port for one of the two";
            world.findings.warn(clear.gateway, "protocol-conflict", &clear.field("port"), message, fix);
        }
        taken
    }

    fn clear_chain(
        &self,
        servers: &[&'p Server<'a>],
        offers: &mut Offers,
        world: &mut World<'_, '_>,
    ) -> Option<Chain> {
        let first = servers.first()?;
        let (accepts, serve) = if first.kind == Kind::Tcp {
            (Accepts::Anything, Serve::Tcp(relay::tcp(first, self.services, world)?))
        } else {
            let open = |server: &&'p Server<'a>| Open { server, hosts: server.hosts.iter().collect() };
            let open: Vec<Open<'_, '_>> = servers.iter().map(open).collect();
            let hosts = virtual_hosts(&open, self.services, offers, world);
            let hosts = hosts.into_values().collect();
            let server = HttpServer { source: first.source.clone(), hosts, ..self.terms.http.clone() };
            (Accepts::ClearText, Serve::Http(Arc::new(server)))
        };
        Some(Chain { source: first.source.clone(), accepts, tls: ChainTls::Untouched, serve })
    }

    fn tls_chains(&self, offers: &mut Offers, world: &mut World<'_, '_>) -> Vec<Chain> {
        let mut claims: Claims<'_, '_> = BTreeMap::new();
        let mut chains = Vec::new();
        let mut with_http: Vec<TlsHttp<'_>> = Vec::new();
        for server in self.servers.iter().filter(|server| server.kind.is_tls()) {
            if server.kind == Kind::Passthrough {
                self.pass(server, &mut claims, &mut chains, world);
                continue;
            }
            let hosts = claim(server, &mut claims, world);
            if hosts.is_empty() {
                continue;
            }
            let tls = chain_tls(server, self.terms.tls, world.options, world.secrets, world.findings);
            let names = hosts.iter().map(|host| host.pattern.clone()).collect();
            if server.kind == Kind::TlsToTcp {
                if let Some(route) = relay::tcp(server, self.services, world) {
                    let (source, accepts) = (server.source.clone(), Accepts::Tls(names));
                    chains.push(Chain { source, accepts, tls, serve: Serve::Tcp(route) });
                }
                continue;
            }
            let open = [Open { server, hosts }];
            let hosts = virtual_hosts(&open, self.services, offers, world);
            with_http.push(TlsHttp { source: &server.source, names, tls, hosts });
        }
        chains.extend(chains::finish(with_http, claims.keys(), self.terms.http));
        chains
    }

    /// Chains for the names that a server passes on.
    fn pass(
        &self,
        server: &'p Server<'a>,
        claims: &mut Claims<'p, 'a>,
        chains: &mut Vec<Chain>,
        world: &mut World<'_, '_>,
    ) {
        for (passed, service) in relay::tls(server, self.services, world) {
            let mut names = passed.names;
            names.retain(|name| match claims.get(name) {
                None => true,
                Some(first) => {
                    let message =
                        format!("{} {} has the server name {name} already", first.source, first.field);
                    let fix = "use another name for one of the two";
                    let field = server.field("hosts");
                    let message = format!("{message}: it is not passed on as {service} asks");
                    world.findings.error(server.gateway, "duplicate-server-name", &field, message, fix);
                    false
                }
            });
            claims.extend(names.iter().map(|name| (name.clone(), server)));
            if !names.is_empty() {
                chains.push(Chain {
                    source: passed.route.source.clone(),
                    accepts: Accepts::Tls(names),
                    tls: ChainTls::Untouched,
                    serve: Serve::Tcp(passed.route),
                });
            }
        }
    }
}

/// The hosts of a server whose names nobody had before it. It loses the others, and only those.
fn claim<'p, 'a>(
    server: &'p Server<'a>,
    claims: &mut Claims<'p, 'a>,
    world: &mut World<'_, '_>,
) -> Vec<&'p ServerHost> {
    let mut hosts = Vec::new();
    for host in &server.hosts {
        match claims.get(&host.pattern) {
            None => {
                claims.insert(host.pattern.clone(), server);
                hosts.push(host);
            }
            Some(first) => {
                let message = format!(
                    "{} {} has the server name {} on this port already, and its certificate and routes",
                    first.source, first.field, host.pattern
                );
                let field = server.field(&format!("hosts[{}]", host.place));
                let fix =
                    "write the name in one of the two only, and let its VirtualServices name that gateway";
                world.findings.error(server.gateway, "duplicate-server-name", &field, message, fix);
            }
        }
    }
    hosts
}

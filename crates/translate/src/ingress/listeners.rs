//! Listeners: the hosts of Ingresses at the addresses where they are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{
    Accepts, Chain, ChainTls, ClientAuth, HeaderEdits, HostPattern, HttpServer, Listener, ProxyProtocol,
    Route, RouteMatch, Serve, Source, TcpRoute, Transport, VirtualHost,
};

use super::place::Place;
use super::tls::HostTls;

/// A host, ready to be served.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) host: VirtualHost,
    pub(super) tls: HostTls,
    /// TLS is relayed there, unread.
    pub(super) passthrough: Option<TcpRoute>,
    /// Browsers are told to come by TLS only.
    pub(super) strict_transport: bool,
}

/// Everything that is served at some addresses.
#[derive(Debug)]
pub(super) struct Serving {
    /// In the order of their patterns.
    pub(super) hosts: Vec<Served>,
    /// TLS for names that have none of their own.
    pub(super) fallback: Option<HostTls>,
    /// What they are told, where they are.
    pub(super) strict_transport: HeaderEdits,
    /// Whether connections begin with a PROXY header.
    pub(super) proxy_protocol: ProxyProtocol,
    /// What is the same for all chains.
    pub(super) server: HttpServer,
}

/// The listener of a place; none when nothing is served there.
pub(super) fn listener(place: &Place, serving: &Serving) -> Option<Listener> {
    let mut chains = Vec::new();
    if place.tls {
        chains.extend(tls_chains(serving));
    }
    if place.clear {
        let hosts = serving
            .hosts
            .iter()
            .filter(|served| served.passthrough.is_none() || !served.host.routes.is_empty());
        let hosts: Vec<VirtualHost> = hosts.map(in_clear_text).collect();
        if !hosts.is_empty() {
            let server = HttpServer { hosts, ..serving.server.clone() };
            chains.push(chain(
                Accepts::ClearText,
                ChainTls::Untouched,
                Serve::Http(Arc::new(server)),
                source(),
            ));
        }
    }
    if chains.is_empty() {
        return None;
    }
    let port = place.bind.port();
    let word = if place.clear { "http" } else { "https" };
    Some(Listener {
        name: format!("ingress-{word}-{port}"),
        source: source(),
        bind: place.bind,
        transport: Transport::Tcp,
        declared_port: port,
        proxy_protocol: serving.proxy_protocol.clone(),
        inner_proxy_from: Vec::new(),
        stats_prefix: format!("ingress_{word}"),
        max_connections: None,
        chains,
    })
}

/// A host as it is served in clear text. Where client certificates are asked for, everybody is sent to TLS, whatever a proxy
/// in front says about the scheme.
fn in_clear_text(served: &Served) -> VirtualHost {
    let asks = matches!(&served.tls, HostTls::Terminate(server) if server.client_auth != ClientAuth::None);
    let mut host = served.host.clone();
    if asks {
        let redirects = |route: &&Arc<Route>| route.clear_text_allowed || route.matches.scheme.is_some();
        let routes = host.routes.iter().filter(redirects).map(|route| {
            let matches = RouteMatch { scheme: None, ..route.matches.clone() };
            Arc::new(Route { matches, ..(**route).clone() })
        });
        host.routes = routes.collect();
    }
    host
}

fn source() -> Source {
    Source::new("Ingress")
}

fn chain(accepts: Accepts, tls: ChainTls, serve: Serve, source: Source) -> Chain {
    Chain { source, accepts, tls, serve }
}

/// A chain for every name with TLS, and one for all other names where there is a certificate for them.
fn tls_chains(serving: &Serving) -> Vec<Chain> {
    let is_own = |served: &&Served| served.tls.is_asked() && served.passthrough.is_none();
    let mut groups: BTreeMap<&HostPattern, (&HostTls, Vec<&Served>)> = BTreeMap::new();
    for served in serving.hosts.iter().filter(is_own) {
        groups.insert(&served.host.host, (&served.tls, vec![served]));
    }
    let any = groups.get(&HostPattern::Any).map(|(tls, _)| *tls).or(serving.fallback.as_ref());
    if let Some(tls) = any {
        let rest =
            serving.hosts.iter().filter(|served| !served.tls.is_asked() && served.passthrough.is_none());
        groups.entry(&HostPattern::Any).or_insert((tls, Vec::new())).1.extend(rest);
    }
    let names = groups.values().flat_map(|(_, hosts)| hosts).map(|served| served.host.host.clone());
    let mut names: Vec<HostPattern> = names.collect();
    names.sort_unstable();
    let names: Arc<[HostPattern]> = names.into();
    let mut chains: Vec<Chain> = serving.hosts.iter().filter_map(passthrough).collect();
    for (name, (tls, mut hosts)) in groups {
        hosts.sort_by(|a, b| a.host.host.cmp(&b.host.host));
        let strict = hosts.iter().any(|served| served.strict_transport);
        let virtual_hosts = hosts.iter().map(|served| served.host.clone()).collect();
        let mut server =
            HttpServer { hosts: virtual_hosts, elsewhere: Arc::clone(&names), ..serving.server.clone() };
        if strict {
            server.response_headers = serving.strict_transport.clone();
        }
        let source = hosts.first().map_or_else(source, |served| served.host.source.clone());
        let tls = match tls {
            HostTls::Terminate(server) => ChainTls::Terminate(Arc::clone(server)),
            HostTls::Broken(reason) => ChainTls::Broken(reason.clone()),
            HostTls::None => continue,
        };
        chains.push(chain(Accepts::Tls(vec![name.clone()]), tls, Serve::Http(Arc::new(server)), source));
    }
    chains
}

fn passthrough(served: &Served) -> Option<Chain> {
    let route = served.passthrough.as_ref()?;
    let accepts = Accepts::Tls(vec![served.host.host.clone()]);
    Some(chain(accepts, ChainTls::Untouched, Serve::Tcp(Arc::new(route.clone())), served.host.source.clone()))
}

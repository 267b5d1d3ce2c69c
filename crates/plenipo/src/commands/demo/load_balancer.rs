//! The load balancer in front of the gateway, as an edge of its own: the same data plane runs it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use plenipo_model::{
    Accepts, Action, Certificate, Chain, ChainTls, ClientAuth, Cluster, Edge, Endpoints, Forward,
    HostPattern, HttpServer, Listener, PathMatch, ProxyProtocol, Route, SendProxyProtocol, Serve, Source,
    Target, TcpRoute, TcpTarget, TlsServer, TlsVersion, VirtualHost,
};

use super::certificates::Pair;

/// Which load balancer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// An NLB that passes connections on, each with a PROXY v2 header: 80 → 8080, 443 → 8443.
    NlbProxyProtocol,
    /// A layer 4 load balancer that ends TLS: 80 → 8080, 443 → 8080.
    L4Tls,
    /// A layer 7 load balancer that ends TLS and says so in `X-Forwarded-*`: 80 → 8080, 443 → 8080.
    L7Tls,
}

/// Where the load balancer listens, and what is behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// Its port 80.
    pub(super) http: u16,
    /// Its port 443.
    pub(super) https: u16,
    /// The gateway's port for clear text.
    pub(super) gateway_http: u16,
    /// The gateway's port for TLS.
    pub(super) gateway_https: u16,
}

/// The load balancer as an edge.
pub(super) fn edge(kind: Kind, ports: Ports, shown: &Pair) -> anyhow::Result<Edge> {
    let source = Source::new("the demo's load balancer");
    let mut edge = Edge::default();
    let mut cluster = |name: &str, port: u16| -> Arc<str> {
        let endpoints = Endpoints::addresses([SocketAddr::from((Ipv4Addr::LOCALHOST, port))]);
        let mut cluster = Cluster::new(name, source.clone(), endpoints);
        cluster.send_proxy = (kind == Kind::NlbProxyProtocol).then_some(SendProxyProtocol::V2);
        let cluster = Arc::new(cluster);
        edge.clusters.insert(Arc::clone(&cluster.name), Arc::clone(&cluster));
        Arc::clone(&cluster.name)
    };
    let clear = cluster("gateway", ports.gateway_http);
    let listeners = match kind {
        Kind::NlbProxyProtocol => {
            let tls = cluster("gateway-tls", ports.gateway_https);
            [
                listener(&source, ports.http, 80, vec![relay(&source, ChainTls::Untouched, clear)]),
                listener(&source, ports.https, 443, vec![relay(&source, ChainTls::Untouched, tls)]),
            ]
        }
        Kind::L4Tls => {
            let tls = ChainTls::Terminate(Arc::new(terminate(&source, shown)?));
            [
                listener(
                    &source,
                    ports.http,
                    80,
                    vec![relay(&source, ChainTls::Untouched, Arc::clone(&clear))],
                ),
                listener(&source, ports.https, 443, vec![relay(&source, tls, clear)]),
            ]
        }
        Kind::L7Tls => {
            let tls = ChainTls::Terminate(Arc::new(terminate(&source, shown)?));
            let serve = Serve::Http(Arc::new(forward_all(&source, clear)));
            let chain = |accepts, tls| Chain { source: source.clone(), accepts, tls, serve: serve.clone() };
            [
                listener(&source, ports.http, 80, vec![chain(Accepts::ClearText, ChainTls::Untouched)]),
                listener(&source, ports.https, 443, vec![chain(Accepts::Tls(vec![HostPattern::Any]), tls)]),
            ]
        }
    };
    edge.listeners = listeners.into();
    Ok(edge)
}

fn listener(source: &Source, bind: u16, declared: u16, chains: Vec<Chain>) -> Listener {
    Listener {
        name: format!("load-balancer-{declared}"),
        source: source.clone(),
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, bind)),
        declared_port: declared,
        proxy_protocol: ProxyProtocol::Off,
        stats_prefix: format!("load_balancer_{declared}"),
        max_connections: None,
        chains,
    }
}

/// A chain that passes bytes on, taking TLS off first when told to.
fn relay(source: &Source, tls: ChainTls, cluster: Arc<str>) -> Chain {
    let accepts = match tls {
        ChainTls::Untouched => Accepts::Anything,
        ChainTls::Terminate(_) | ChainTls::Broken(_) => Accepts::Tls(vec![HostPattern::Any]),
    };
    let route = TcpRoute {
        name: format!("to {cluster}"),
        source: source.clone(),
        targets: vec![TcpTarget { source: source.clone(), weight: 1, cluster }],
        idle_timeout: None,
        access_log: None,
    };
    Chain { source: source.clone(), accepts, tls, serve: Serve::Tcp(Arc::new(route)) }
}

fn terminate(source: &Source, shown: &Pair) -> anyhow::Result<TlsServer> {
    let certificate = Certificate::from_pem(shown.certificate.as_bytes(), shown.key.as_bytes())?;
    Ok(TlsServer {
        source: source.clone(),
        certificates: vec![Arc::new(certificate)],
        client_auth: ClientAuth::None,
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        cipher_suites: Vec::new(),
        alpn: Vec::new(),
    })
}

/// Every request goes to the gateway, with `X-Forwarded-For` and `X-Forwarded-Proto` as the client came.
fn forward_all(source: &Source, cluster: Arc<str>) -> HttpServer {
    let action = Action::Forward(Box::new(Forward::to(Target::all(source.clone(), cluster))));
    let route = Route::new("everything", source.clone(), PathMatch::Prefix("/".to_owned()), action);
    let host = VirtualHost::new(source.clone(), HostPattern::Any, vec![Arc::new(route)]);
    HttpServer::new(source.clone(), vec![host])
}

//! Listeners that relay connections or datagrams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{
    Accepts, Chain, ChainTls, HostPattern, Listener as Bound, ProxyProtocol, Serve, Source, TcpRoute,
    TcpTarget, Transport, UdpRoute,
};

use super::attributes::Attributes;
use super::{Builder, Remarks, Site, clusters};
use crate::stack::{Action, Kind, Listener, ListenerProtocol, TargetGroup};

/// Idle time of a network load balancer's connections.
const NETWORK_IDLE: Duration = Duration::from_secs(350);

impl Builder<'_> {
    pub(super) fn layer4(&mut self, site: Site<'_>, listener: &Listener, remarks: &mut Remarks) {
        use ListenerProtocol as P;
        let (tcp, udp) = match listener.protocol {
            P::Tcp | P::Tls | P::Ssl | P::Http | P::Https => (true, false),
            P::Udp | P::Quic => (false, true),
            P::TcpUdp | P::TcpQuic => (true, true),
        };
        if matches!(listener.protocol, P::Quic | P::TcpQuic) {
            let text = "QUIC connections that move to another address are new ones: server ids are not read";
            remarks.deviations.push(text.to_owned());
        }
        if tcp {
            let chain = self.relay(site, listener, remarks);
            self.bind(site, listener, Transport::Tcp, &chain);
        }
        if udp {
            let chain = self.datagrams(site, listener, remarks);
            self.bind(site, listener, Transport::Udp, &chain);
        }
    }

    fn relay(&mut self, site: Site<'_>, listener: &Listener, remarks: &mut Remarks) -> Chain {
        let kind = site.stack.load_balancer.kind;
        let (targets, first) = self.weighted(site, listener, Transport::Tcp, remarks);
        let source = Source::new(site.listener_name(listener.port));
        let group = first.map(|group| Attributes(&group.attributes));
        let ends = |group: Attributes<'_>| {
            group.switch("target_health_state.unhealthy.connection_termination.enabled").unwrap_or(true)
        };
        let route = TcpRoute {
            idle_timeout: Some(idle(site, listener)),
            end_unhealthy: kind == Kind::Network && group.is_none_or(ends),
            reset: kind == Kind::Network,
            ..TcpRoute::new(source.as_str(), source.clone(), targets)
        };
        let serve = Serve::Tcp(Arc::new(route));
        if !listener.protocol.ends_tls() {
            return Chain { source, accepts: Accepts::Anything, tls: ChainTls::Untouched, serve };
        }
        let tls = self.terminate(site, listener, remarks);
        Chain { source, accepts: Accepts::Tls(vec![HostPattern::Any]), tls, serve }
    }

    fn datagrams(&mut self, site: Site<'_>, listener: &Listener, remarks: &mut Remarks) -> Chain {
        let (targets, _) = self.weighted(site, listener, Transport::Udp, remarks);
        let source = Source::new(site.listener_name(listener.port));
        let route = UdpRoute::new(&format!("{source} (UDP)"), source.clone(), targets);
        let serve = Serve::Udp(Arc::new(route));
        Chain { source, accepts: Accepts::Anything, tls: ChainTls::Untouched, serve }
    }

    /// The clusters that the listener's default action forwards to, and the first one's target group.
    fn weighted<'s>(
        &mut self,
        site: Site<'s>,
        listener: &Listener,
        transport: Transport,
        remarks: &mut Remarks,
    ) -> (Vec<TcpTarget>, Option<&'s TargetGroup>) {
        let mut targets = Vec::new();
        let mut first = None;
        let forwards = listener.default_actions.iter().filter_map(|action| match action {
            Action::Forward(forward) => Some(forward),
            _ => None,
        });
        for weighted in forwards.flat_map(|forward| &forward.targets) {
            let target = self.target(site, listener, &weighted.target, transport, remarks);
            first = first.or(target.group);
            targets.push(TcpTarget {
                source: Source::new(site.listener_name(listener.port)),
                weight: weighted.weight.unwrap_or(1),
                cluster: target.cluster,
            });
        }
        if targets.is_empty() {
            let message = format!("port {}: it forwards to nothing: connections are closed", listener.port);
            self.refuse("edge-no-action", site.member(), message, "give the listener a forward action");
        }
        (targets, first)
    }

    /// Binds a listener that has one chain.
    pub(super) fn bind(&mut self, site: Site<'_>, listener: &Listener, transport: Transport, chain: &Chain) {
        let name = site.listener_name(listener.port);
        let mut bind = |name: String, address: SocketAddr, proxy_protocol: ProxyProtocol| {
            self.listeners.push(Bound {
                source: Source::new(site.member().map_or_else(|| name.clone(), ToString::to_string)),
                bind: address,
                transport,
                declared_port: listener.port,
                proxy_protocol,
                inner_proxy_from: Vec::new(),
                stats_prefix: stats_prefix(&name),
                max_connections: None,
                chains: vec![chain.clone()],
                name,
            });
        };
        if site.fronted {
            bind(format!("{name} (behind NLB)"), site.place.inner(listener.port), ProxyProtocol::Required);
        }
        let suffix = if transport == Transport::Udp { " (UDP)" } else { "" };
        bind(format!("{name}{suffix}"), site.place.bind(listener.port), ProxyProtocol::Off);
    }
}

fn stats_prefix(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn idle(site: Site<'_>, listener: &Listener) -> Duration {
    if site.stack.load_balancer.kind == Kind::Classic {
        return clusters::idle(site);
    }
    // Of a TLS listener it is fixed.
    let own = Attributes(&listener.attributes).seconds("tcp.idle_timeout.seconds");
    own.filter(|_| listener.protocol != ListenerProtocol::Tls).unwrap_or(NETWORK_IDLE)
}

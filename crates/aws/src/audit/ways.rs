//! The ways, one by one.

use std::collections::BTreeSet;

use plenipo_model::{Edge, HostPattern, Listener, ProxyProtocol, SecurityModel};
use plenipo_resources::Set;

use super::address::{Front, client_address};
use super::doors::{Door, doors};
use super::{Checked, ClientAddress, ClientShows, Hop, HopTls, Outcome, Party, Role, Way};
use crate::proxies;
use crate::reach;
use crate::stack::{
    Action, Condition, Kind, Listener as BalancerListener, ListenerProtocol, MutualMode, Stack, TargetGroup,
    TargetRef, Values,
};

/// Every way through these load balancers, and those that begin at the gateway itself.
pub(super) fn ways(set: &Set, stacks: &[Stack], edge: &Edge) -> Vec<Way> {
    let mut ways = Vec::new();
    let mut reached = BTreeSet::new();
    for stack in stacks {
        let first = ways.len();
        for listener in &stack.listeners {
            Drawing { set, edge, stack, listener, ways: &mut ways, reached: &mut reached }.draw();
        }
        if let Some(frontend) = &stack.frontend {
            let behind: Vec<Way> = ways[first..].to_vec();
            ways.extend(behind.into_iter().filter_map(|way| through_frontend(frontend, way)));
        }
    }
    for listener in edge.listeners.iter().filter(|listener| !reached.contains(&listener.name)) {
        for door in doors(listener) {
            ways.extend(from_door(edge, None, listener, &door));
        }
    }
    ways
}

/// The same way, begun at the network load balancer in front of an application one: it passes bytes on.
fn through_frontend(frontend: &Stack, mut way: Way) -> Option<Way> {
    let first = way.hops.first_mut()?;
    let port = first.to.port?;
    let listener = frontend.listeners.iter().find(|listener| listener.port == port)?;
    let frontend = balancer(frontend, listener);
    let carried = first.tls.clone().map(|tls| HopTls { carried: true, ..tls });
    let hop =
        Hop { from: Party::client(), to: frontend.clone(), protocol: first.protocol.clone(), tls: carried };
    first.from = frontend;
    way.hops.insert(0, hop);
    Some(way)
}

/// The drawing of what one listener of a load balancer leads to.
struct Drawing<'a, 'b> {
    set: &'a Set,
    edge: &'a Edge,
    stack: &'a Stack,
    listener: &'a BalancerListener,
    ways: &'b mut Vec<Way>,
    reached: &'b mut BTreeSet<String>,
}

impl Drawing<'_, '_> {
    fn draw(&mut self) {
        for rule in &self.listener.rules {
            self.actions(&rule.actions, &hosts(&rule.conditions), &rule.source.to_string());
        }
        let source = self.stack.members.first().map(ToString::to_string).unwrap_or_default();
        self.actions(&self.listener.default_actions, &[], &source);
    }

    fn actions(&mut self, actions: &[Action], hosts: &[String], source: &str) {
        for action in actions {
            match action {
                Action::Forward(forward) => {
                    for target in &forward.targets {
                        self.target(&target.target, hosts, source);
                    }
                }
                Action::Redirect(redirect) => {
                    let secure = redirect.protocol.as_deref() == Some("HTTPS");
                    if secure && !self.listener.protocol.ends_tls() {
                        self.ended(hosts, Outcome::Redirected, source);
                    }
                }
                // An answer is no way, and a sign-in is on the way of the action that follows.
                Action::FixedResponse { .. }
                | Action::AuthenticateOidc(_)
                | Action::AuthenticateCognito(_)
                | Action::ValidateJwt(_) => {}
            }
        }
    }

    fn target(&mut self, target: &TargetRef, hosts: &[String], source: &str) {
        let TargetRef::Own(key) = target else {
            let (TargetRef::Arn(name) | TargetRef::Name(name) | TargetRef::Own(name)) = target;
            let why =
                format!("the target group {name} belongs to somebody else: what is behind it is not known");
            return self.ended(hosts, Outcome::Refused(why), source);
        };
        let Some(group) = self.stack.target_groups.get(key) else { return };
        let Some(gateway) = reach::listener(self.set, self.edge, &group.service, &group.service_port) else {
            return self.bypass(group, hosts, source);
        };
        self.reached.insert(gateway.name.clone());
        let proxies = proxies::before(self.set, self.stack, self.listener);
        let masqueraded =
            self.stack.load_balancer.kind == Kind::Network && reach::masquerades(self.set, group);
        let front = Front { stack: self.stack, listener: self.listener, group, masqueraded, proxies };
        let mut doors = doors(gateway);
        // Behind a handshake without a server name the chain is the same for every host.
        let nameless = group.protocol.is_tls() && doors.iter().any(Door::takes_nameless_tls);
        doors.retain(|door| meets(hosts, door) && (!nameless || door.takes_nameless_tls()));
        for door in doors {
            for mut way in from_door(self.edge, Some(&front), gateway, &door) {
                way.sources.insert(0, source.to_owned());
                way.sources.dedup();
                self.ways.push(way);
            }
        }
    }

    /// From the load balancer straight to pods that are not the gateway.
    fn bypass(&mut self, group: &TargetGroup, hosts: &[String], source: &str) {
        let balancer = balancer(self.stack, self.listener);
        let backend = Party {
            role: Role::Backend,
            name: format!("{}.{}", group.service.name, group.service.namespace),
            port: Some(group.port),
        };
        let first = Hop {
            from: Party::client(),
            to: balancer.clone(),
            protocol: protocol(self.listener).to_owned(),
            tls: balancer_tls(self.listener),
        };
        let last = Hop {
            from: balancer,
            to: backend,
            protocol: protocol(self.listener).to_owned(),
            tls: group.protocol.is_tls().then(unverified),
        };
        let name = if hosts.is_empty() { "*".to_owned() } else { hosts.join(", ") };
        let mut sources = vec![source.to_owned(), group.service.to_string()];
        sources.dedup();
        self.ways.push(Way {
            host: name,
            scheme: scheme(self.listener),
            outcome: Outcome::Served,
            hops: vec![first],
            backends: vec![last],
            client_address: ClientAddress { from: "not the gateway's matter".to_owned(), trusted: true },
            sources,
        });
    }

    /// A way that ends at the load balancer.
    fn ended(&mut self, hosts: &[String], outcome: Outcome, source: &str) {
        self.ways.push(Way {
            host: if hosts.is_empty() { "*".to_owned() } else { hosts.join(", ") },
            scheme: scheme(self.listener),
            outcome,
            hops: vec![Hop {
                from: Party::client(),
                to: balancer(self.stack, self.listener),
                protocol: protocol(self.listener).to_owned(),
                tls: balancer_tls(self.listener),
            }],
            backends: Vec::new(),
            client_address: ClientAddress { from: "not needed".to_owned(), trusted: true },
            sources: vec![source.to_owned()],
        });
    }
}

/// The ways through one door of the gateway: with TLS, in clear text, or both.
fn from_door(edge: &Edge, front: Option<&Front<'_>>, listener: &Listener, door: &Door<'_>) -> Vec<Way> {
    let (tls, clear_text) = match front {
        Some(front) if !front.is_opaque() => {
            let tls = front.group.protocol.is_tls();
            (tls && door.takes_tls(), !tls && door.takes_clear_text())
        }
        // Whatever the client begins with arrives.
        _ => (door.takes_tls(), door.takes_clear_text()),
    };
    let comes = [(true, tls), (false, clear_text)].into_iter().filter(|(_, comes)| *comes);
    comes.map(|(tls, _)| way(edge, front, listener, door, tls)).collect()
}

/// One way: `tls` says whether the gateway sees a ClientHello.
fn way(edge: &Edge, front: Option<&Front<'_>>, listener: &Listener, door: &Door<'_>, tls: bool) -> Way {
    let gateway =
        Party { role: Role::Gateway, name: "gateway".to_owned(), port: Some(listener.declared_port) };
    let mut sources = vec![door.chain.source.to_string()];
    sources.extend(door.http.map(|(_, host)| host.source.to_string()));
    sources.dedup();
    let at_gateway = if tls { door.tls() } else { None };
    let secure = judged(door, tls, front);
    let client_tls =
        front.map_or(tls, |front| front.listener.protocol.ends_tls() || (tls && front.is_opaque()));
    let mut outcome = door.outcome(secure);
    if outcome == Outcome::Redirected && client_tls {
        outcome = Outcome::Loops(
            "TLS ends at the load balancer, the gateway takes the request for clear text and redirects it to https"
                .to_owned(),
        );
    }
    if front.is_some_and(|front| front.group.proxy_version().is_none())
        && listener.proxy_protocol == ProxyProtocol::Required
    {
        outcome = Outcome::Refused(
            "the gateway closes connections without a PROXY header, and the load balancer sends none"
                .to_owned(),
        );
    } else if let Some(refused) = front.and_then(|front| refused_hello(front, door, tls)) {
        outcome = refused;
    }
    let hops = match front {
        None => vec![Hop {
            from: Party::client(),
            to: gateway.clone(),
            protocol: door.protocol().to_owned(),
            tls: at_gateway,
        }],
        Some(front) => through(front, &gateway, door.protocol(), at_gateway),
    };
    Way {
        host: door.host.clone(),
        scheme: match (door.protocol(), client_tls) {
            ("HTTP", true) => "https",
            ("HTTP", false) => "http",
            ("UDP", _) => "udp",
            (_, true) => "tls",
            (_, false) => "tcp",
        },
        backends: if outcome == Outcome::Served { door.backends(edge, &gateway, tls) } else { Vec::new() },
        outcome,
        hops,
        client_address: client_address(front, listener, door),
        sources,
    }
}

/// A handshake that the load balancer begins and the gateway refuses.
fn refused_hello(front: &Front<'_>, door: &Door<'_>, tls: bool) -> Option<Outcome> {
    let begins = tls && front.group.protocol.is_tls();
    if begins && !door.takes_nameless_tls() {
        return Some(Outcome::Refused(
            "the load balancer sends no server name, and the gateway has no certificate for connections without one"
                .to_owned(),
        ));
    }
    let required = door.tls().is_some_and(|tls| tls.client == ClientShows::Required);
    (begins && required).then(|| {
        Outcome::Refused(
            "the gateway demands a client certificate, and the load balancer shows none".to_owned(),
        )
    })
}

/// Does the gateway take these requests for secure?
fn judged(door: &Door<'_>, tls: bool, front: Option<&Front<'_>>) -> bool {
    let Some((server, _)) = door.http else { return tls };
    match server.security {
        SecurityModel::Secure => true,
        SecurityModel::Insecure => false,
        SecurityModel::Forwarded => {
            let believes = server.forwarding.believes();
            match front {
                Some(front) if front.listener.protocol.is_http() && believes => {
                    front.listener.protocol.ends_tls()
                }
                _ => tls,
            }
        }
    }
}

/// The hops through a load balancer.
fn through(front: &Front<'_>, gateway: &Party, protocol: &str, at_gateway: Option<HopTls>) -> Vec<Hop> {
    let balancer = balancer(front.stack, front.listener);
    let (first, second) = if front.is_opaque() {
        let carried = at_gateway.clone().map(|tls| HopTls { carried: true, ..tls });
        (carried, at_gateway)
    } else {
        // No load balancer of AWS checks the certificate of its targets, or shows one.
        let unchecked = |tls| HopTls { server: Checked::No, client: ClientShows::Nothing, ..tls };
        (balancer_tls(front.listener), at_gateway.map(unchecked))
    };
    let protocol = protocol.to_owned();
    vec![
        Hop { from: Party::client(), to: balancer.clone(), protocol: protocol.clone(), tls: first },
        Hop { from: balancer, to: gateway.clone(), protocol, tls: second },
    ]
}

fn balancer(stack: &Stack, listener: &BalancerListener) -> Party {
    let kind = match stack.load_balancer.kind {
        Kind::Classic => "Classic ELB",
        Kind::Network => "NLB",
        Kind::Application => "ALB",
    };
    Party {
        role: Role::LoadBalancer,
        name: format!("{kind} {}", stack.load_balancer.name),
        port: Some(listener.port),
    }
}

fn balancer_tls(listener: &BalancerListener) -> Option<HopTls> {
    listener.protocol.ends_tls().then(|| HopTls {
        versions: listener.ssl_policy.clone().unwrap_or_else(|| "the default policy".to_owned()),
        certificate: match listener.certificates.first() {
            Some(first) => first.clone(),
            None => "none is named".to_owned(),
        },
        server: Checked::ByClient,
        client: match listener.mutual_authentication.as_ref().map(|mutual| mutual.mode) {
            None | Some(MutualMode::Off) => ClientShows::Nothing,
            Some(MutualMode::Passthrough) => ClientShows::Unverified,
            Some(MutualMode::Verify) => ClientShows::Required,
        },
        client_name: None,
        carried: false,
    })
}

fn unverified() -> HopTls {
    HopTls {
        versions: "as the target says".to_owned(),
        certificate: "whatever it shows".to_owned(),
        server: Checked::No,
        client: ClientShows::Nothing,
        client_name: None,
        carried: false,
    }
}

fn protocol(listener: &BalancerListener) -> &'static str {
    match listener.protocol {
        ListenerProtocol::Http | ListenerProtocol::Https => "HTTP",
        ListenerProtocol::Udp | ListenerProtocol::Quic => "UDP",
        ListenerProtocol::Tcp
        | ListenerProtocol::Ssl
        | ListenerProtocol::Tls
        | ListenerProtocol::TcpUdp
        | ListenerProtocol::TcpQuic => "TCP",
    }
}

fn scheme(listener: &BalancerListener) -> &'static str {
    match listener.protocol {
        ListenerProtocol::Https => "https",
        ListenerProtocol::Http => "http",
        ListenerProtocol::Tls | ListenerProtocol::Ssl => "tls",
        ListenerProtocol::Udp | ListenerProtocol::Quic => "udp",
        ListenerProtocol::Tcp | ListenerProtocol::TcpUdp | ListenerProtocol::TcpQuic => "tcp",
    }
}

/// The hosts that a rule is for; none = all.
fn hosts(conditions: &[Condition]) -> Vec<String> {
    let values = conditions.iter().filter_map(|condition| match condition {
        Condition::Host(Values::Wildcards(values) | Values::Regexes(values)) => Some(values),
        _ => None,
    });
    values.flatten().cloned().collect()
}

/// Can a request for one of these hosts be for this door?
fn meets(hosts: &[String], door: &Door<'_>) -> bool {
    let Some((_, host)) = door.http else { return true };
    let overlaps = |text: &String| match HostPattern::parse(text) {
        Ok(pattern) => pattern.overlaps(&host.host),
        // A pattern that only the load balancer has: it may.
        Err(_) => true,
    };
    hosts.is_empty() || hosts.iter().any(overlaps)
}

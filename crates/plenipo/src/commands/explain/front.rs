//! The load balancer in front: where a request begins, and how it arrives at the gateway.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderValue;
use plenipo_aws::Account;
use plenipo_aws::local::{self, Local, LocalOptions};
use plenipo_aws::stack::{Condition, Kind, Listener, ListenerProtocol, Scheme, Stack, Values};
use plenipo_model::{
    Action, BalancerRules, ChainTls, ClientCertificateFields, Cluster, Edge, Endpoints, ForwardedFor,
    HttpServer, ProxyProtocol, SendProxyProtocol, Serve, TcpTarget,
};
use plenipo_proxy::Snapshot;
use plenipo_proxy::explain::{Outcome, Question, explain};

use super::Request;
use super::way::Way;
use crate::balancers::stand_ins;
use crate::reading::Read;

/// The address of a load balancer that nobody named with `--peer`.
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10));

/// What clients get when the gateway closes the connection at its beginning.
pub(super) const REFUSED: &str = "502 of the load balancer, a reset of one of layer 4";

/// What a load balancer makes of a request.
pub(super) enum Front {
    /// None stands in front of that port.
    Absent,
    /// The way ends there.
    Ended,
    /// It goes on to the gateway, like this.
    Passed(Box<Request>),
}

/// Follows a request through the load balancer that the objects put in front of its port.
pub(super) fn follow(request: &Request, read: &Read, way: &mut Way) -> Front {
    let account = Account::default();
    let stacks = plenipo_aws::stacks(&read.set, &account).stacks;
    let wanted = local::wanted_certificates(&stacks, &read.set, &read.edge);
    let (certificates, trust_stores) = stand_ins(&wanted, local::wanted_trust_stores(&stacks));
    let options = LocalOptions {
        gateway: &read.edge,
        gateway_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        gateway_ports: [].into(),
        resolve: [].into(),
        ports: [].into(),
        lowest_port: 1,
        certificates,
        trust_stores,
        without_web_acl: true,
    };
    let local = local::edge(&stacks, &read.set, &options);
    let able = able(request, &stacks);
    let Some((stack, listener)) = able.first().copied() else { return Front::Absent };
    Behind { request, read, stack, listener, local: &local }.follow(&able[1..], way)
}

/// Listeners of load balancers that take such a request. The one whose rules name the host comes first; `--through`
/// leaves only the one that it names.
fn able<'a>(request: &Request, stacks: &'a [Stack]) -> Vec<(&'a Stack, &'a Listener)> {
    let named = stacks.iter().filter(|stack| match &request.through {
        Some(name) => {
            stack.load_balancer.name == *name
                || stack.members.iter().any(|member| member.to_string() == *name)
        }
        None => true,
    });
    let listeners = named.flat_map(|stack| stack.listeners.iter().map(move |one| (stack, one)));
    let mut able: Vec<_> = listeners
        .filter(|(_, listener)| {
            let speaks = match listener.protocol {
                ListenerProtocol::Http => !request.tls,
                ListenerProtocol::Https | ListenerProtocol::Tls | ListenerProtocol::Ssl => request.tls,
                _ => true,
            };
            listener.port == request.port && speaks
        })
        .collect();
    able.sort_by_key(|(_, listener)| !names_host(listener, &request.name));
    able
}

fn names_host(listener: &Listener, host: &str) -> bool {
    let conditions = listener.rules.iter().flat_map(|rule| &rule.conditions);
    let mut names = conditions.filter_map(|condition| match condition {
        Condition::Host(Values::Wildcards(names)) => Some(names),
        _ => None,
    });
    names.any(|names| names.iter().any(|name| name.eq_ignore_ascii_case(host)))
}

/// A request at a listener of a load balancer.
struct Behind<'a> {
    request: &'a Request,
    read: &'a Read,
    stack: &'a Stack,
    listener: &'a Listener,
    local: &'a Local,
}

impl Behind<'_> {
    fn follow(&self, others: &[(&Stack, &Listener)], way: &mut Way) -> Front {
        let balancer = &self.stack.load_balancer;
        let kind = match balancer.kind {
            Kind::Classic => "Classic ELB",
            Kind::Network => "NLB",
            Kind::Application => "ALB",
        };
        let members: Vec<String> = self.stack.members.iter().map(ToString::to_string).collect();
        let (port, protocol) = (self.listener.port, self.listener.protocol.as_str());
        let scheme = match balancer.scheme {
            Scheme::Internal => "internal",
            Scheme::InternetFacing => "internet-facing",
        };
        way.step_of(
            "balancer",
            format!("{kind} {} ({scheme}) takes it on port {port}, {protocol}", balancer.name),
            &members.join(", "),
        );
        if !others.is_empty() {
            let names: Vec<&str> =
                others.iter().map(|(stack, _)| stack.load_balancer.name.as_str()).collect();
            way.step("others", format!("{} could take it too (--through NAME)", names.join(", ")));
        }
        let ported = self.local.balancers.iter().find(|one| one.name == balancer.name);
        let bound = ported.and_then(|one| one.ports.iter().find(|one| one.declared == port));
        let Some(bound) = bound.and_then(|port| self.local.edge.listener(port.bind)) else {
            return Front::Absent;
        };
        let chains = bound.chains.iter();
        let chain = chains.clone().find(|chain| matches!(chain.tls, ChainTls::Untouched) != self.ends_tls());
        let Some(chain) = chain.or(bound.chains.first()) else { return Front::Absent };
        if let ChainTls::Broken(why) = &chain.tls {
            way.step("tls", format!("the handshake with it is refused: {why}"));
            return Front::Ended;
        }
        way.step("tls", self.tls());
        if let ChainTls::Terminate(server) = &chain.tls
            && !way.client_certificate(&server.client_auth, self.request.certificate.is_some())
        {
            return Front::Ended;
        }
        let cluster = match &chain.serve {
            Serve::Tcp(route) => self.relayed(&route.targets),
            Serve::Udp(route) => self.relayed(&route.targets),
            Serve::Http(server) => match self.routed(bound.bind, server, way) {
                Some(cluster) => Some(cluster),
                None => return Front::Ended,
            },
        };
        match cluster.and_then(|name| self.local.edge.clusters.get(&name)) {
            Some(cluster) => self.arrive(cluster, &chain.serve, way),
            None => {
                let answer =
                    if self.listener.protocol.is_http() { "503 of the load balancer" } else { "a reset" };
                way.step("answer", format!("{answer}: there is no target group"));
                Front::Ended
            }
        }
    }

    fn ends_tls(&self) -> bool {
        self.listener.protocol.ends_tls()
    }

    fn tls(&self) -> String {
        match (&self.listener.ssl_policy, self.listener.certificates.first()) {
            (Some(policy), certificate) if self.ends_tls() => {
                let shown = certificate.map_or("no certificate that is named", String::as_str);
                format!("ends at the load balancer, with {shown} and {policy}")
            }
            _ if self.ends_tls() => "ends at the load balancer".to_owned(),
            _ if self.request.tls => "passes through the load balancer unread".to_owned(),
            _ => "none".to_owned(),
        }
    }

    fn relayed(&self, targets: &[TcpTarget]) -> Option<Arc<str>> {
        targets.first().map(|target| Arc::clone(&target.cluster))
    }

    /// The cluster that the rules lead to; none when the load balancer answers itself.
    fn routed(&self, bind: std::net::SocketAddr, server: &HttpServer, way: &mut Way) -> Option<Arc<str>> {
        let snapshot = Snapshot::build(Arc::new(self.local.edge.clone()), None);
        let request = self.request;
        let name = self.ends_tls().then_some(request.name.as_str());
        let http = snapshot.listener(bind).and_then(|compiled| compiled.http(self.ends_tls(), name))?;
        let question = Question {
            authority: request.authority.clone(),
            path: request.path.clone(),
            method: request.method.clone(),
            headers: request.headers.clone(),
            scheme: Some(if self.ends_tls() { "https" } else { "http" }),
            named: false,
            peer: Some(request.from),
        };
        let told = explain(http, &question);
        if let Outcome::Error(status, details) = told.outcome {
            way.step("answer", format!("{status} of the load balancer ({details})"));
            return None;
        }
        let branch = told.branches.first()?;
        way.step_of("rule", branch.route.name.to_string(), &branch.route.source);
        match &branch.route.action {
            Action::Forward(forward) => {
                if forward.targets.len() > 1 {
                    way.step("share", format!("one of {} target groups, by weight", forward.targets.len()));
                }
                self.told_to_targets(server.balancer.as_deref(), way);
                forward
                    .targets
                    .iter()
                    .find(|target| target.weight > 0)
                    .map(|target| Arc::clone(&target.cluster))
            }
            Action::Redirect(redirect) => {
                let to = redirect.location.as_ref().map(|to| format!(" to {to:?}")).unwrap_or_default();
                way.step("answer", format!("{} of the load balancer{to}", redirect.status.as_u16()));
                None
            }
            Action::Respond(respond) => {
                let said = if respond.body.bytes().is_empty() {
                    String::new()
                } else {
                    format!(": {}", respond.body)
                };
                way.step("answer", format!("{} of the load balancer{said}", respond.status.as_u16()));
                None
            }
        }
    }

    fn told_to_targets(&self, rules: Option<&BalancerRules>, way: &mut Way) {
        let Some(rules) = rules else { return };
        let scheme = if self.ends_tls() { "https" } else { "http" };
        let list = match rules.forwarded_for {
            ForwardedFor::Append => format!("{} at the end of X-Forwarded-For", self.request.from),
            ForwardedFor::Preserve => "X-Forwarded-For as it came".to_owned(),
            ForwardedFor::Remove => "no X-Forwarded-For".to_owned(),
        };
        way.step(
            "adds",
            format!("{list}, X-Forwarded-Proto: {scheme}, X-Forwarded-Port: {}", self.listener.port),
        );
    }

    /// The request as the gateway gets it.
    fn arrive(&self, cluster: &Cluster, serve: &Serve, way: &mut Way) -> Front {
        let Endpoints::Static(endpoints) = &cluster.endpoints else { return Front::Absent };
        let elsewhere = |at: String| {
            format!("{at}: they are not the gateway (`plenipo.io/gateway` on the Service says otherwise)")
        };
        let Some(endpoint) = endpoints.first() else {
            let pods = "pods that nothing here tells the addresses of".to_owned();
            way.step_of("targets", elsewhere(pods), &cluster.source);
            return Front::Ended;
        };
        let gateway: &Edge = &self.read.edge;
        let port = endpoint.address.port();
        let Some(listener) = gateway.listeners.iter().find(|listener| listener.bind.port() == port) else {
            let all: Vec<String> = endpoints.iter().map(|one| one.address.to_string()).collect();
            way.step_of("targets", elsewhere(all.join(", ")), &cluster.source);
            return Front::Ended;
        };
        let opaque = !self.ends_tls() && !matches!(serve, Serve::Http(_));
        let mut request = self.request.clone();
        request.port = listener.declared_port;
        request.tls = if opaque { self.request.tls } else { cluster.tls.is_some() };
        request.balanced = true;
        let proxied = cluster.send_proxy.as_ref().map(|version| match version {
            SendProxyProtocol::V1 => "version 1",
            SendProxyProtocol::V2(_) => "version 2",
        });
        request.peer = match proxied {
            Some(_) => self.request.from,
            None if cluster.from_client => self.request.peer_given.unwrap_or(self.request.from),
            None => self.request.peer_given.unwrap_or(BALANCER),
        };
        if !opaque {
            // The gateway sees a handshake of the load balancer's.
            request.certificate = None;
            request.named = false;
        }
        if let Serve::Http(server) = serve {
            forwarded(&mut request, self, server.balancer.as_deref());
        }
        let inside = match (opaque, cluster.tls.is_some()) {
            (true, _) => "the bytes as they came",
            (false, true) => "TLS of its own, whose certificate it does not check and without a server name",
            (false, false) => "clear text",
        };
        let header =
            proxied.map(|version| format!(", after a PROXY header of {version}")).unwrap_or_default();
        way.step("hop", format!("port {} of the gateway gets {inside}{header}", listener.declared_port));
        if proxied.is_none() && listener.proxy_protocol == ProxyProtocol::Required {
            let without = "no PROXY header comes first: the gateway closes the connection";
            way.step_of("proxy", without.to_owned(), &listener.source);
            way.step("answer", REFUSED.to_owned());
            return Front::Ended;
        }
        Front::Passed(Box::new(request))
    }
}

/// The fields that an HTTP load balancer writes.
fn forwarded(request: &mut Request, behind: &Behind<'_>, rules: Option<&BalancerRules>) {
    let Some(rules) = rules else { return };
    let headers = &mut request.headers;
    let text = |text: String| HeaderValue::from_str(&text).expect("addresses and numbers are visible ASCII");
    match rules.forwarded_for {
        ForwardedFor::Append => {
            let before = headers.get("x-forwarded-for").and_then(|list| list.to_str().ok());
            let list = before.map(|list| format!("{list}, ")).unwrap_or_default();
            headers.insert("x-forwarded-for", text(format!("{list}{}", behind.request.from)));
        }
        ForwardedFor::Preserve => {}
        ForwardedFor::Remove => drop(headers.remove("x-forwarded-for")),
    }
    let scheme = if behind.ends_tls() { "https" } else { "http" };
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    headers.insert("x-forwarded-port", text(behind.listener.port.to_string()));
    for name in ClientCertificateFields::passthrough().names().chain(rules.client_certificate.names()) {
        headers.remove(name);
    }
    if let (ClientCertificateFields::Passthrough { name }, Some(pem)) =
        (&rules.client_certificate, &behind.request.certificate)
    {
        let encoded: String = pem.bytes().map(encoded).collect();
        headers.insert(name, text(encoded));
    }
}

/// As an ALB writes certificates: everything but letters, digits and `-_.~+=/` by its number.
fn encoded(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'+' | b'=' | b'/' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    }
}

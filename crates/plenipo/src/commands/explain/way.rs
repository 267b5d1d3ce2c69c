//! The way of one request, hop by hop.

use std::io::{self, Write};

use plenipo_model::{
    Abort, Action, ChainTls, ClientAuth, Cluster, Endpoints, Fault, Fraction, HttpServer, Listener,
    ProxyProtocol, Route, Serve, Source, TcpTarget, TlsServer, Verify,
};
use plenipo_proxy::Snapshot;
use plenipo_proxy::explain::{Branch, Explanation, Outcome, Question, ToldIdentity, explain, identity};
use plenipo_proxy::request::Client;
use serde::Serialize;

use super::client::Believed;
use super::front::{self, Front};
use super::{Request, entry};
use crate::reading::Read;

/// The way of one request: what is told about it, in order.
#[derive(Debug, Default, Serialize)]
pub(super) struct Way {
    /// Steps: a name and a sentence.
    steps: Vec<Step>,
    /// Routes near the one that won, and why they did not.
    lost: Vec<Lost>,
}

#[derive(Debug, Serialize)]
struct Step {
    /// `listener`, `tls`, `host`, `route`, …
    what: &'static str,
    /// What happens there.
    text: String,
    /// Who asked for it.
    source: Option<String>,
}

#[derive(Debug, Serialize)]
struct Lost {
    route: String,
    why: String,
}

impl Way {
    /// The way of this request through what was read.
    pub(super) fn of(request: &Request, read: &Read, snapshot: &Snapshot) -> Self {
        let mut way = Self::default();
        let scheme = if request.tls { "https" } else { "http" };
        let Request { method, authority, path, from, .. } = request;
        way.step("request", format!("{method} {scheme}://{authority}{path} from {from}"));
        match front::follow(request, read, &mut way) {
            Front::Absent => way.through_gateway(request, read, snapshot),
            Front::Passed(request) => way.through_gateway(&request, read, snapshot),
            Front::Ended => {}
        }
        way
    }

    fn through_gateway(&mut self, request: &Request, read: &Read, snapshot: &Snapshot) {
        let Some(entry) = entry::find(request, &read.edge, &read.set) else {
            self.step(
                "listener",
                "none: nothing listens, no object that asks for it was accepted".to_owned(),
            );
            return;
        };
        self.listener(entry.listener, &entry.how);
        let Some(chain) = entry.chain else {
            let lacking = match request.server_name() {
                "" => "connections without a server name".to_owned(),
                name => format!("{name:?}"),
            };
            self.step("tls", format!("nothing here takes TLS for {lacking}: the handshake is refused"));
            if request.balanced {
                self.step("answer", front::REFUSED.to_owned());
            }
            return;
        };
        if !self.tls(&chain.tls, request, entry.tls) {
            return;
        }
        match &chain.serve {
            Serve::Tcp(route) => {
                let passes = entry.tls && matches!(chain.tls, ChainTls::Untouched);
                let bytes = if passes { "bytes, encrypted by the client and the service" } else { "bytes" };
                self.relay(bytes, &route.source, &route.targets, read);
            }
            Serve::Udp(route) => self.relay("datagrams", &route.source, &route.targets, read),
            Serve::Http(server) => {
                let name = (entry.tls && request.named).then_some(request.name.as_str());
                let compiled = snapshot.listener(entry.listener.bind);
                let Some(http) = compiled.and_then(|compiled| compiled.http(entry.tls, name)) else {
                    return;
                };
                let believed = Believed::by(server.forwarding, request, entry.tls);
                let Client { address, scheme, .. } = believed.client;
                self.step("client", format!("{address}: {}", believed.address));
                self.step("scheme", format!("{}: {}", scheme.unwrap_or("unknown"), believed.scheme));
                let told = identity(http, &request.authority, request.peer, &request.headers);
                if !self.told_identity(told) {
                    return;
                }
                let question = Question {
                    authority: request.authority.clone(),
                    path: request.path.clone(),
                    method: request.method.clone(),
                    headers: believed.headers,
                    scheme,
                    named: entry.tls && request.named,
                    peer: Some(request.peer),
                };
                self.http(server, explain(http, &question), read);
            }
        }
    }

    /// Writes it for people.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for step in &self.steps {
            let source = step.source.as_ref().map(|source| format!("  [{source}]")).unwrap_or_default();
            writeln!(out, "{:<12} {}{source}", step.what, step.text)?;
        }
        if !self.lost.is_empty() {
            writeln!(out, "\nroutes that did not take it:")?;
        }
        for lost in &self.lost {
            writeln!(out, "  {}: {}", lost.route, lost.why)?;
        }
        Ok(())
    }

    pub(super) fn step(&mut self, what: &'static str, text: String) {
        self.steps.push(Step { what, text, source: None });
    }

    pub(super) fn step_of(&mut self, what: &'static str, text: String, source: &impl ToString) {
        self.steps.push(Step { what, text, source: Some(source.to_string()) });
    }

    fn listener(&mut self, listener: &Listener, how: &str) {
        self.step_of("listener", format!("{} on {} ({how})", listener.name, listener.bind), &listener.source);
        match &listener.proxy_protocol {
            ProxyProtocol::Off => {}
            ProxyProtocol::Required => {
                self.step(
                    "proxy",
                    "a PROXY header must come first; the client's address is in it".to_owned(),
                );
            }
            ProxyProtocol::AcceptedFrom(networks) => {
                let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
                self.step("proxy", format!("a PROXY header is taken from {}", networks.join(", ")));
            }
        }
    }

    /// What is done with TLS; false when the way ends here.
    fn tls(&mut self, tls: &ChainTls, request: &Request, here: bool) -> bool {
        match tls {
            ChainTls::Broken(why) => {
                self.step("tls", format!("the handshake is refused: {why}"));
                false
            }
            ChainTls::Terminate(server) => self.handshake(server, request),
            ChainTls::Untouched if here => {
                self.step("tls", "passes through unread".to_owned());
                true
            }
            ChainTls::Untouched if request.tls => {
                self.step("tls", "not seen here: something in front of the gateway ended it".to_owned());
                true
            }
            ChainTls::Untouched => {
                self.step("tls", "none".to_owned());
                true
            }
        }
    }

    fn handshake(&mut self, server: &TlsServer, request: &Request) -> bool {
        let names: Vec<String> = server
            .certificates
            .iter()
            .map(|certificate| format!("{} ({})", certificate.names().join(", "), certificate.fingerprint()))
            .collect();
        self.step_of(
            "tls",
            format!("ends here, with the certificate for {}", names.join("; ")),
            &server.source,
        );
        self.client_certificate(&server.client_auth, request.certificate.is_some())
    }

    /// What is asked of the client; false when the handshake is refused.
    pub(super) fn client_certificate(&mut self, asked: &ClientAuth, shown: bool) -> bool {
        let (text, goes_on) = match (asked, shown) {
            (ClientAuth::None, _) => return true,
            (ClientAuth::Optional(_), false) => ("may show a certificate, shows none", true),
            (ClientAuth::Unverified, false) => ("may show any certificate, shows none", true),
            (ClientAuth::Unverified, true) => ("shows a certificate, which nobody checks here", true),
            (ClientAuth::Optional(_), true) => ("shows a certificate, which must be valid", true),
            (ClientAuth::Required(_), true) => ("must show a valid certificate, and shows one", true),
            (ClientAuth::Required(_), false) => {
                ("must show a certificate and shows none (--cert): the handshake is refused", false)
            }
        };
        self.step("client", text.to_owned());
        goes_on
    }

    fn http(&mut self, server: &HttpServer, told: Explanation, read: &Read) {
        if let Some(refusal) = &server.refuse {
            self.step("refused", format!("{}: {}", refusal.status, refusal.reason));
        }
        self.step("path", told.path);
        self.guards_of_server(server);
        if let Some((pattern, source)) = &told.host {
            self.step_of("host", pattern.clone(), source);
        }
        // A redirect to https needs a route, but says nothing of it.
        if told.outcome != Outcome::RedirectToHttps {
            let lost = |(route, why): &(String, String)| Lost { route: route.clone(), why: why.clone() };
            self.lost = told.lost.iter().map(lost).collect();
        }
        match &told.outcome {
            Outcome::Error(status, details) => self.step("answer", format!("{status} ({details})")),
            Outcome::RedirectToHttps => self.step("answer", "301 to the same URL with https".to_owned()),
            Outcome::Route => self.branches(&told.branches, read),
        }
    }

    /// Every route that takes such requests, or a share of them.
    fn branches(&mut self, branches: &[Branch], read: &Read) {
        let only = matches!(branches, [one] if one.share >= 1.0);
        for Branch { position, route, share } in branches {
            if !only {
                self.step("branch", format!("{} of such requests", percent(*share)));
            }
            self.route(route, *position, read);
        }
        let left = 1.0 - branches.iter().map(|branch| branch.share).sum::<f64>();
        if left > 1e-9 {
            self.step("branch", format!("{} of such requests", percent(left)));
            self.step("answer", "404 (route_not_found)".to_owned());
        }
    }

    fn route(&mut self, route: &Route, position: usize, read: &Read) {
        self.step_of("route", format!("number {}: {}", position + 1, route.name), &route.source);
        if let Some(guard) = &route.guard {
            self.guard_of_route(guard);
        }
        if let Some(fault) = &route.fault {
            self.fault(fault);
        }
        match &route.action {
            Action::Forward(forward) => {
                for mirror in &forward.mirrors {
                    let text = format!("{} to {}", part(mirror.part), mirror.cluster);
                    self.step_of("copy", text, &mirror.source);
                }
                let sum: u32 = forward.targets.iter().map(|target| target.weight).sum();
                let drawn = forward.targets.iter().filter(|target| target.weight > 0);
                for target in drawn {
                    if forward.targets.len() > 1 {
                        let share = percent(f64::from(target.weight) / f64::from(sum));
                        let text = format!("{share} (weight {} of {sum})", target.weight);
                        self.step_of("share", text, &target.source);
                    }
                    self.cluster(&target.cluster, read);
                }
            }
            Action::Redirect(redirect) => {
                self.step("answer", format!("{} to somewhere else", redirect.status.as_u16()));
            }
            Action::Respond(respond) => {
                self.step("answer", format!("{}, made here", respond.status.as_u16()));
            }
        }
    }

    fn fault(&mut self, fault: &Fault) {
        if let Some((share, time)) = fault.delay {
            self.step("fault", format!("{} of the requests wait {time:?} first", part(share)));
        }
        if let Some((share, abort)) = fault.abort {
            let answer = match abort {
                Abort::Http(status) => status.as_u16().to_string(),
                Abort::Grpc(code) => format!("gRPC status {code}"),
            };
            self.step("fault", format!("{} of the requests are answered {answer} here", part(share)));
        }
    }

    /// Who the client is, by what a load balancer tells; false when the way ends here.
    fn told_identity(&mut self, told: Option<ToldIdentity>) -> bool {
        let (text, goes_on) = match told {
            None => return true,
            Some(ToldIdentity::Unbelieved { refused: true }) => {
                ("the peer is not the load balancer that tells of client certificates: 403".to_owned(), false)
            }
            Some(ToldIdentity::Unbelieved { refused: false }) => (
                "the peer is not the load balancer that tells of client certificates: nobody".to_owned(),
                true,
            ),
            Some(ToldIdentity::Nobody) => ("the load balancer tells of no certificate".to_owned(), true),
            Some(ToldIdentity::Subject(subject)) => {
                (format!("{subject}, by the certificate that the load balancer tells of"), true)
            }
            Some(ToldIdentity::Refused(reason)) => {
                (format!("403: what the load balancer tells is refused ({reason})"), false)
            }
        };
        self.step("identity", text);
        goes_on
    }

    fn relay(&mut self, what: &str, source: &Source, targets: &[TcpTarget], read: &Read) {
        self.step_of("relay", format!("{what}, as they are"), source);
        for target in targets {
            self.cluster(&target.cluster, read);
        }
    }

    fn cluster(&mut self, name: &str, read: &Read) {
        let Some(cluster) = read.edge.clusters.get(name) else { return };
        self.step_of("cluster", cluster.name.to_string(), &cluster.source);
        self.step("encryption", encryption(cluster));
        let endpoints = match &cluster.endpoints {
            Endpoints::Dns(dns) => format!("whatever {} resolves to, port {}", dns.name, dns.port),
            Endpoints::Static(all) if all.is_empty() => "none: 503".to_owned(),
            Endpoints::Static(all) => {
                let all: Vec<String> = all.iter().map(|endpoint| endpoint.address.to_string()).collect();
                all.join(", ")
            }
        };
        self.step("endpoints", endpoints);
    }
}

fn part(fraction: Fraction) -> String {
    percent(f64::from(fraction.0) / 1e6)
}

/// `30 %`, `0.01 %`.
fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn encryption(cluster: &Cluster) -> String {
    let Some(tls) = &cluster.tls else { return "none".to_owned() };
    let shown = if tls.certificate.is_some() { ", showing our certificate" } else { "" };
    match &tls.verify {
        Verify::Nothing => format!("TLS to whoever answers: its certificate is not checked{shown}"),
        Verify::Chain { names, .. } if names.is_empty() => {
            format!("TLS, its certificate checked against the roots but not against a name{shown}")
        }
        Verify::Chain { names, .. } => {
            format!("TLS, its certificate checked for {}{shown}", names.join(" or "))
        }
    }
}

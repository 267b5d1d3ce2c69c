//! The way of one request, hop by hop.

use std::io::{self, Write};

use plenipo_model::{
    Action, ChainTls, ClientAuth, Cluster, Endpoints, HttpServer, Listener, ProxyProtocol, Route, Serve,
    TcpRoute, TlsServer, Verify,
};
use plenipo_proxy::Snapshot;
use plenipo_proxy::explain::{Explanation, Outcome, Question, explain};
use serde::Serialize;

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
        let Some(entry) = entry::find(request, &read.edge, &read.set) else {
            way.step("listener", "none: nothing listens, no Listener was accepted".to_owned());
            return way;
        };
        way.listener(entry.listener, &entry.how);
        let Some(chain) = entry.chain else {
            let name = &request.name;
            way.step(
                "tls",
                format!("no Host or TLSContext has a certificate for {name:?}: the handshake is refused"),
            );
            return way;
        };
        if !way.tls(&chain.tls, request, entry.tls) {
            return way;
        }
        match &chain.serve {
            Serve::Tcp(route) => way.relay(route, read),
            Serve::Http(server) => {
                let name = entry.tls.then_some(request.name.as_str());
                let compiled = snapshot.listener(entry.listener.bind);
                let Some(http) = compiled.and_then(|compiled| compiled.http(entry.tls, name)) else {
                    return way;
                };
                let believed = way.scheme(server, request, entry.tls);
                let question = Question {
                    authority: request.authority.clone(),
                    path: request.path.clone(),
                    method: request.method.clone(),
                    headers: request.headers.clone(),
                    scheme: believed,
                    named: entry.tls,
                    draw: 0,
                };
                way.http(server, &explain(http, &question), read);
            }
        }
        way
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

    fn step(&mut self, what: &'static str, text: String) {
        self.steps.push(Step { what, text, source: None });
    }

    fn step_of(&mut self, what: &'static str, text: String, source: &impl ToString) {
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
        let (text, goes_on) = match (&server.client_auth, request.certificate) {
            (ClientAuth::None, _) => return true,
            (ClientAuth::Optional(_), false) => ("may show a certificate, shows none", true),
            (ClientAuth::Optional(_), true) => ("shows a certificate, which must be valid", true),
            (ClientAuth::Required(_), true) => ("must show a valid certificate, and shows one", true),
            (ClientAuth::Required(_), false) => {
                ("must show a certificate and shows none (--cert): the handshake is refused", false)
            }
        };
        self.step("client", text.to_owned());
        goes_on
    }

    /// The scheme as believed: the connection's, or what whoever is in front says.
    fn scheme(&mut self, server: &HttpServer, request: &Request, tls: bool) -> Option<&'static str> {
        let forwarding = server.forwarding;
        let own = if tls { "https" } else { "http" };
        if forwarding.use_remote_address && forwarding.trusted_hops == 0 {
            self.step(
                "scheme",
                format!("{own}, as the connection; x-forwarded-proto of clients is not believed"),
            );
            return Some(own);
        }
        let said = request.headers.get("x-forwarded-proto").map(|value| value.as_bytes());
        let (scheme, text) = match said {
            Some(b"https") => (Some("https"), "https, as x-forwarded-proto says".to_owned()),
            Some(_) => (Some("http"), "http: x-forwarded-proto does not say https".to_owned()),
            None if request.tls => (Some("https"), "https, as the load balancer in front says".to_owned()),
            None => (Some("http"), "http, as the load balancer in front says".to_owned()),
        };
        self.step("scheme", text);
        scheme
    }

    fn http(&mut self, server: &HttpServer, told: &Explanation, read: &Read) {
        if let Some(refusal) = &server.refuse {
            self.step("refused", format!("{}: {}", refusal.status, refusal.reason));
        }
        self.step("path", told.path.clone());
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
            Outcome::Route { position, name, target } => {
                let hosts = server.hosts.iter();
                let route = hosts.flat_map(|host| &host.routes).find(|route| *route.name == **name);
                if let Some(route) = route {
                    self.route(route, *position, *target, read);
                }
            }
        }
    }

    fn route(&mut self, route: &Route, position: usize, target: usize, read: &Read) {
        self.step_of("route", format!("number {}: {}", position + 1, route.name), &route.source);
        match &route.action {
            Action::Forward(forward) => {
                let Some(target) = forward.targets.get(target) else { return };
                if forward.targets.len() > 1 {
                    let share = format!("{} of {}, as drawn here", target.weight, forward.total);
                    self.step_of("share", share, &target.source);
                }
                self.cluster(&target.cluster, read);
            }
            Action::Redirect(redirect) => {
                self.step("answer", format!("{} to somewhere else", redirect.status.as_u16()));
            }
            Action::Respond(respond) => {
                self.step("answer", format!("{}, made here", respond.status.as_u16()));
            }
        }
    }

    fn relay(&mut self, route: &TcpRoute, read: &Read) {
        self.step_of("relay", "bytes, as they are".to_owned(), &route.source);
        for target in &route.targets {
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

//! The chains of one Listener: one for every TLS name, one for clear text, and those of TCPMappings.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{
    Accepts, Chain, ChainTls, ClientAuth, HostPattern, HttpServer, InsecureAction, Listener, Refusal, Route,
    SecurityModel, Serve, Source, TlsServer, VirtualHost,
};

use super::super::hosts::{HostEntry, HostTls};
use super::super::module::Settings;
use super::super::tcp::TcpGroup;
use super::{Terms, balancer};
use crate::findings::{Findings, Flaw};
use crate::options::Options;

/// Everything that is served somewhere.
#[derive(Debug)]
pub(crate) struct Serving<'s, 'a> {
    pub(crate) hosts: &'s [HostEntry<'a>],
    /// The routes of each Host, in the order in which they are tried.
    pub(crate) routes: &'s [Arc<[Arc<Route>]>],
    pub(crate) tcp: &'s [TcpGroup<'a>],
    pub(crate) settings: &'s Settings<'a>,
    pub(crate) options: &'s Options,
}

/// The hosts of one TLS name.
struct Secured<'s> {
    tls: ChainTls,
    source: &'s Source,
    hosts: Vec<VirtualHost>,
}

/// One Listener; none when it has nothing to serve.
pub(crate) fn listener(
    terms: &Terms<'_>,
    serving: &Serving<'_, '_>,
    findings: &mut Findings,
) -> Option<Listener> {
    let tcp: Vec<&TcpGroup<'_>> = serving.tcp.iter().filter(|group| group.bind == terms.bind).collect();
    let mut chains = Vec::new();
    if terms.stack.http {
        let taken = taken(terms, serving, findings);
        if !taken.is_empty() {
            http_chains(terms, serving, &taken, &tcp, &mut chains, findings);
        }
    }
    chains.extend(tcp.iter().map(|group| group.chain()));
    if chains.is_empty() {
        if let Some(object) = terms.object {
            let message = "no Host and no TCPMapping belongs to it, so that it is not opened".to_owned();
            let fix = "create a Host that its hostBinding takes, or a TCPMapping for its port";
            findings.warn(object, "listener-without-hosts", "spec.hostBinding", message, fix);
        }
        return None;
    }
    Some(Listener {
        name: terms.name.clone(),
        source: terms.source.clone(),
        bind: terms.bind,
        transport: plenipo_model::Transport::Tcp,
        declared_port: terms.bind.port(),
        proxy_protocol: terms.proxy_protocol.clone(),
        inner_proxy_from: terms.inner_proxy_from.clone(),
        stats_prefix: terms.stats_prefix.clone(),
        max_connections: None,
        chains,
    })
}

/// The Listener's Hosts, by place; of two for the same name the first.
fn taken(terms: &Terms<'_>, serving: &Serving<'_, '_>, findings: &mut Findings) -> Vec<usize> {
    let mut by_pattern: BTreeMap<&HostPattern, usize> = BTreeMap::new();
    for (place, host) in serving.hosts.iter().enumerate() {
        if !terms.takes(host, serving.options) {
            continue;
        }
        match by_pattern.get(&host.pattern) {
            None => drop(by_pattern.insert(&host.pattern, place)),
            Some(first) => {
                if let Some(object) = host.object {
                    let message = format!(
                        "{} has this name already, and was there first",
                        serving.hosts[*first].source
                    );
                    let flaw =
                        Flaw::new("duplicate-host", "spec.hostname", message, "use one Host for one name");
                    findings.fatal(object, &flaw);
                }
            }
        }
    }
    by_pattern.into_values().collect()
}

fn http_chains(
    terms: &Terms<'_>,
    serving: &Serving<'_, '_>,
    taken: &[usize],
    tcp: &[&TcpGroup<'_>],
    chains: &mut Vec<Chain>,
    findings: &mut Findings,
) {
    let mut clear: Vec<VirtualHost> = Vec::new();
    let mut secured: BTreeMap<HostPattern, Secured<'_>> = BTreeMap::new();
    for place in taken {
        let host = &serving.hosts[*place];
        let mut virtual_host = virtual_host(host, &serving.routes[*place], serving.settings);
        let asked = balancer::asked(&host.tls, terms.told_by.as_ref());
        virtual_host.client_identity = asked.identity;
        if terms.stack.tls {
            secure(host, &asked.tls, &mut virtual_host, &mut secured, tcp, terms.security, findings);
        }
        clear.push(virtual_host);
    }
    let names = secured.values().flat_map(|chain| chain.hosts.iter().map(|host| host.host.clone()));
    let mut names: Vec<HostPattern> = names.collect();
    names.sort_unstable();
    let names: Arc<[HostPattern]> = names.into();
    guard(&mut secured);
    for (name, chain) in secured {
        let mut server = http_server(terms, serving, chain.hosts);
        server.elsewhere = Arc::clone(&names);
        chains.push(Chain {
            source: chain.source.clone(),
            accepts: Accepts::Tls(vec![name]),
            tls: chain.tls,
            serve: Serve::Http(Arc::new(server)),
        });
    }
    match tcp.iter().find(|group| group.host.is_none()) {
        Some(group) => {
            let message = format!(
                "without a host it takes every connection to {}, no Host is served there in clear text",
                terms.bind
            );
            let fix = "use a port of its own, or give it a host";
            findings.warn(group.object, "tcp-takes-clear-text", "spec.host", message, fix);
        }
        None => chains.push(Chain {
            source: terms.source.clone(),
            accepts: Accepts::ClearText,
            tls: ChainTls::Untouched,
            serve: Serve::Http(Arc::new(http_server(terms, serving, clear))),
        }),
    }
}

/// Puts a Host behind the TLS chain of its name. Hosts that differ only in a port share it, if they agree about TLS;
/// one that does not agree serves nothing.
fn secure<'s>(
    host: &'s HostEntry<'_>,
    tls: &HostTls,
    virtual_host: &mut VirtualHost,
    secured: &mut BTreeMap<HostPattern, Secured<'s>>,
    tcp: &[&TcpGroup<'_>],
    security: SecurityModel,
    findings: &mut Findings,
) {
    let tls = match tls {
        HostTls::None => return,
        HostTls::Terminate(server) => {
            past_client_certificates(host, server, security, findings);
            ChainTls::Terminate(Arc::clone(server))
        }
        HostTls::Broken(reason) => ChainTls::Broken(reason.clone()),
    };
    let name = host.pattern.without_port();
    if let Some(group) = tcp.iter().find(|group| group.host.as_ref() == Some(&name)) {
        if let Some(object) = host.object {
            let message = format!("{} takes the TLS connections for {name} on this port", group.object.id);
            let fix = "use another port or another host for one of the two";
            findings.error(object, "tcp-mapping-takes-host", "spec.hostname", message, fix);
        }
        return;
    }
    match secured.get_mut(&name) {
        None => {
            let hosts = vec![virtual_host.clone()];
            secured.insert(name, Secured { tls, source: &host.source, hosts });
        }
        Some(chain) => {
            if !same_tls(&chain.tls, &tls) {
                let message =
                    format!("{} asks for other TLS settings for {name}, and was there first", chain.source);
                let fix = "write the same TLS settings in both";
                virtual_host.refuse = Some(refusal(&message));
                if let Some(object) = host.object {
                    findings.fatal(object, &Flaw::new("tls-mismatch", "spec.tlsSecret", message, fix));
                }
            }
            chain.hosts.push(virtual_host.clone());
        }
    }
}

/// Keeps the chain of a wildcard from being a way around a name under it that has a chain of its own: a name that requires
/// client certificates, or whose TLS is broken, is refused there. (A client that sends no server name could get in
/// otherwise.)
fn guard(secured: &mut BTreeMap<HostPattern, Secured<'_>>) {
    let mut guarded: Vec<(HostPattern, ChainTls, VirtualHost)> = Vec::new();
    for (name, chain) in secured.iter().filter(|(_, chain)| protection(&chain.tls).is_some()) {
        let refuse = protection(&chain.tls);
        for host in &chain.hosts {
            let closed = VirtualHost { refuse: refuse.clone(), routes: Arc::from([]), ..host.clone() };
            guarded.push((name.clone(), chain.tls.clone(), closed));
        }
    }
    for (name, chain) in secured.iter_mut().filter(|(name, _)| !matches!(name, HostPattern::Exact(_))) {
        let under = guarded
            .iter()
            .filter(|(other, tls, _)| other != name && other.overlaps(name) && *tls != chain.tls);
        let closed: Vec<VirtualHost> = under.map(|(_, _, host)| host.clone()).collect();
        chain.hosts.extend(closed);
    }
}

/// What a request is answered that got past the protection of a chain.
fn protection(tls: &ChainTls) -> Option<Refusal> {
    match tls {
        ChainTls::Broken(reason) => Some(refusal(reason)),
        ChainTls::Terminate(server) if matches!(server.client_auth, ClientAuth::Required(_)) => {
            let reason =
                format!("{} requires client certificates on connections for its own name", server.source);
            Some(Refusal { status: 421, reason })
        }
        ChainTls::Terminate(_) | ChainTls::Untouched => None,
    }
}

/// Client certificates are asked for, but the same routes are there in clear text, where nobody asks.
fn past_client_certificates(
    host: &HostEntry<'_>,
    server: &TlsServer,
    security: SecurityModel,
    findings: &mut Findings,
) {
    let open = host.insecure == InsecureAction::Route || security == SecurityModel::Secure;
    if let (true, true, Some(object)) = (open, server.client_auth != ClientAuth::None, host.object) {
        let message = "clear text is served too, where no client certificate is asked for".to_owned();
        let fix =
            "write requestPolicy: {insecure: {action: Redirect}}, and securityModel: XFP in the Listener";
        findings.warn(object, "clear-text-without-client-certificate", "spec.requestPolicy", message, fix);
    }
}

/// Do two Hosts ask for the same TLS, whoever they are?
fn same_tls(a: &ChainTls, b: &ChainTls) -> bool {
    match (a, b) {
        (ChainTls::Terminate(a), ChainTls::Terminate(b)) => {
            **a == TlsServer { source: a.source.clone(), ..(**b).clone() }
        }
        (a, b) => a == b,
    }
}

fn virtual_host(host: &HostEntry<'_>, routes: &Arc<[Arc<Route>]>, settings: &Settings<'_>) -> VirtualHost {
    let mut made = VirtualHost::new(host.source.clone(), host.pattern.clone(), Arc::clone(routes));
    made.insecure = host.insecure;
    made.redirect_unmatched = settings.redirect_unmatched;
    if let HostTls::Broken(reason) = &host.tls {
        made.refuse = Some(refusal(reason));
    }
    made
}

fn refusal(reason: &str) -> Refusal {
    Refusal { status: 503, reason: reason.to_owned() }
}

fn http_server(terms: &Terms<'_>, serving: &Serving<'_, '_>, mut hosts: Vec<VirtualHost>) -> HttpServer {
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    let mut server = HttpServer {
        source: terms.source.clone(),
        hosts,
        security: terms.security,
        ..serving.settings.server.clone()
    };
    // The Listener's depth goes before the Module's number of hops (which Emissary documents and forgets).
    if let Some(depth) = terms.l7_depth {
        server.forwarding.trusted_hops = depth;
    }
    if let Some(streams) = terms.max_streams {
        server.limits.max_streams = streams;
    }
    server
}

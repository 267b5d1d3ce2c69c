//! The edge, compiled: what a request is looked up in.
//!
//! Built on the control thread from an [`Edge`] and the snapshot before it. Whatever is equal is taken over, so that
//! connection pools, health, TLS tickets and counters survive a change that does not concern them. Building never
//! fails: what cannot be compiled refuses its traffic and is listed in [`Snapshot::problems`].

mod build;
pub mod clusters;
pub mod hosts;
mod kept;
mod logs;
pub mod routes;
pub(crate) mod tls;
mod upstreams;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderName, HeaderValue};
use plenipo_model::{
    Accepts, Edge, HostPattern, HttpServer, Listener, Source, TcpRoute, Transport, UdpRoute,
};

use crate::authentication::{CompiledAuthentication, KeySets};
use crate::client_identity::{CompiledIdentity, Identities};
use crate::request::Host;
use build::Build;
use clusters::Upstream;
use hosts::{HostTable, Pages};
pub(crate) use logs::Log;
use logs::LogSinks;
use tls::TlsConfigs;
pub(crate) use upstreams::Upstreams;

/// The compiled edge. Immutable; a request holds one from its head to its last byte.
pub struct Snapshot {
    edge: Arc<Edge>,
    revision: u64,
    listeners: HashMap<SocketAddr, Arc<CompiledListener>>,
    datagrams: HashMap<SocketAddr, Arc<CompiledUdp>>,
    upstreams: Upstreams,
    pages: Pages,
    tls: TlsConfigs,
    identities: Identities,
    keys: KeySets,
    logs: LogSinks,
    problems: Vec<(Source, String)>,
}

/// One listener, compiled.
pub struct CompiledListener {
    pub(crate) stats_prefix: Arc<str>,
    /// As the model says.
    pub model: Listener,
    /// By server name.
    names: HostTable<usize>,
    clear_text: Option<usize>,
    anything: Option<usize>,
    chains: Vec<CompiledChain>,
}

/// One chain, compiled.
pub struct CompiledChain {
    /// What is done with TLS.
    pub(crate) tls: CompiledTls,
    /// What is behind it.
    pub(crate) serve: CompiledServe,
}

/// What a chain does with TLS.
pub(crate) enum CompiledTls {
    Untouched,
    Terminate(Arc<tls::TerminatedTls>),
    /// The handshake is refused.
    Broken,
}

/// What is behind a chain.
#[derive(Clone)]
pub(crate) enum CompiledServe {
    Http(Arc<CompiledHttp>),
    Tcp(Arc<CompiledTcp>),
}

/// HTTP behind a chain.
pub struct CompiledHttp {
    /// As the model says.
    pub model: Arc<HttpServer>,
    /// Virtual hosts and their routes.
    pub hosts: HostTable<hosts::CompiledHost>,
    /// Names that the listener's TLS chains serve.
    names: Arc<HostTable<HostPattern>>,
    /// Those of them that this chain serves.
    own: HashSet<HostPattern>,
    /// Whose tokens are verified.
    pub(crate) authentication: Option<CompiledAuthentication>,
    pub(crate) log: Option<Arc<Log>>,
    /// Request headers that are read when the request is over.
    pub(crate) kept_request: Vec<HeaderName>,
    /// Some host believes somebody about its clients' certificates.
    pub(crate) believes: bool,
    /// What responses say that they are from; none leaves what the upstream says.
    pub(crate) server_name: Option<HeaderValue>,
}

/// A relay behind a chain.
pub struct CompiledTcp {
    /// As the model says.
    pub model: Arc<TcpRoute>,
    /// The cluster of each target.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) log: Option<Arc<Log>>,
}

/// A relay of datagrams, and the listener it is behind.
pub struct CompiledUdp {
    pub(crate) stats_prefix: Arc<str>,
    /// As the model says.
    pub model: Arc<UdpRoute>,
    /// The cluster of each target.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) log: Option<Arc<Log>>,
    /// The listener's declared port.
    pub(crate) declared_port: u16,
}

static REVISION: AtomicU64 = AtomicU64::new(1);

impl Snapshot {
    /// Compiles an edge, taking over from the snapshot before whatever is equal.
    pub fn build(edge: Arc<Edge>, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let mut build = Build::new(&edge, previous.map(|previous| &**previous));
        let of = |transport| edge.listeners.iter().filter(move |listener| listener.transport == transport);
        let listeners =
            of(Transport::Tcp).map(|listener| (listener.bind, build.listener(listener))).collect();
        let datagrams = of(Transport::Udp)
            .filter_map(|listener| Some((listener.bind, build.datagrams(listener)?)))
            .collect();
        let Build { upstreams, pages, tls, identities, keys, logs, problems, .. } = build;
        let revision = REVISION.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            revision,
            listeners,
            datagrams,
            upstreams,
            pages,
            tls,
            identities,
            keys,
            logs,
            problems,
            edge,
        })
    }

    /// What it was built from.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// Grows with every snapshot of the process.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What could not be compiled, and therefore refuses its traffic.
    pub fn problems(&self) -> &[(Source, String)] {
        &self.problems
    }

    /// The TCP listener bound to this address.
    pub fn listener(&self, bind: SocketAddr) -> Option<&Arc<CompiledListener>> {
        self.listeners.get(&bind)
    }

    /// All TCP listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<CompiledListener>> {
        self.listeners.values()
    }

    /// What is behind the UDP listener bound to this address.
    pub(crate) fn datagrams(&self, bind: SocketAddr) -> Option<&Arc<CompiledUdp>> {
        self.datagrams.get(&bind)
    }

    /// Is there a listener at this address?
    pub(crate) fn binds(&self, (transport, bind): (Transport, SocketAddr)) -> bool {
        match transport {
            Transport::Tcp => self.listeners.contains_key(&bind),
            Transport::Udp => self.datagrams.contains_key(&bind),
        }
    }

    /// All bound addresses.
    pub(crate) fn bound(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        let tcp = self.listeners.keys().map(|bind| (Transport::Tcp, *bind));
        tcp.chain(self.datagrams.keys().map(|bind| (Transport::Udp, *bind)))
    }

    /// Access-log lines lost so far.
    pub fn log_lines_dropped(&self) -> u64 {
        self.logs.dropped()
    }

    /// Waits until all access-log lines are written, for 2 s at most per file. Blocks.
    pub fn flush_logs(&self) {
        self.logs.flush();
    }

    /// Opens all access logs anew.
    pub fn reopen_logs(&self) {
        self.logs.reopen();
    }

    /// Keys that tokens are verified with.
    pub(crate) fn key_sets(&self) -> &KeySets {
        &self.keys
    }

    /// The cluster of that name.
    pub(crate) fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.find(name)
    }

    /// All clusters, to be compared with those of another snapshot.
    pub(crate) fn clusters(&self) -> &Upstreams {
        &self.upstreams
    }

    /// All clusters.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.all()
    }
}

impl CompiledHttp {
    /// Who is believed about the certificates of this host's clients.
    pub(crate) fn identity(&self, host: &Host) -> Option<&Arc<CompiledIdentity>> {
        let served = self.believes.then(|| self.hosts.find_authority(&host.name, host.port)).flatten();
        served?.identity.as_ref()
    }

    /// Does another TLS chain of the listener serve this name better than any host here?
    pub(crate) fn is_elsewhere(&self, name: &str) -> bool {
        self.names.find(name).is_some_and(|best| !self.own.contains(best))
    }
}

impl CompiledServe {
    /// Where its traffic is reported.
    pub(crate) fn log(&self) -> Option<&Arc<Log>> {
        match self {
            Self::Http(http) => http.log.as_ref(),
            Self::Tcp(route) => route.log.as_ref(),
        }
    }
}

impl CompiledListener {
    /// Where a connection is reported that no chain was chosen for: the log of the first chain that has one.
    pub(crate) fn log(&self) -> Option<Arc<Log>> {
        self.chains.iter().find_map(|chain| chain.serve.log()).cloned()
    }

    /// The chain for a TLS connection that asks for `server_name`.
    pub(crate) fn tls_chain(&self, server_name: Option<&str>) -> Option<&CompiledChain> {
        let by_name = match server_name {
            Some(name) => self.names.find(name),
            None => self.names.any(),
        };
        self.choice(by_name.copied().or(self.anything))
    }

    /// The chain for a connection that is not TLS.
    pub(crate) fn clear_chain(&self) -> Option<&CompiledChain> {
        self.choice(self.clear_text.or(self.anything))
    }

    /// Must bytes be looked at to choose a chain? Otherwise a server that speaks first can be relayed.
    pub(crate) fn needs_sniffing(&self) -> bool {
        self.anything.is_none() || self.chains.len() > 1
    }

    fn choice(&self, index: Option<usize>) -> Option<&CompiledChain> {
        index.and_then(|index| self.chains.get(index))
    }

    /// HTTP behind the chain that a request for this name would come through.
    pub fn http(&self, tls: bool, server_name: Option<&str>) -> Option<&Arc<CompiledHttp>> {
        let choice = if tls { self.tls_chain(server_name) } else { self.clear_chain() };
        match choice {
            Some(CompiledChain { serve: CompiledServe::Http(http), .. }) => Some(http),
            _ => None,
        }
    }

    /// The rules of the TLS chain that takes this server name.
    pub(crate) fn tls_rules(&self, server_name: Option<&str>) -> Option<&Arc<plenipo_model::TlsServer>> {
        match self.tls_chain(server_name) {
            Some(CompiledChain { tls: CompiledTls::Terminate(config), .. }) => Some(&config.model),
            _ => None,
        }
    }

    /// Patterns of server names, for `explain`.
    pub fn server_names(&self) -> impl Iterator<Item = &HostPattern> {
        self.model.chains.iter().flat_map(|chain| match &chain.accepts {
            Accepts::Tls(names) => names.as_slice(),
            _ => &[],
        })
    }
}

#[cfg(test)]
mod tests;

//! The edge, compiled: what a request is looked up in.
//!
//! Built on the control thread from an [`Edge`] and the snapshot before it. Whatever is equal is taken over, so that
//! connection pools, health, TLS tickets and counters survive a change that does not concern them. Building never
//! fails: what cannot be compiled refuses its traffic and is listed in [`Snapshot::problems`].

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

use http::HeaderName;
use plenipo_model::{
    Accepts, Chain, ChainTls, Edge, HostPattern, HttpServer, Listener, Serve, Source, TcpRoute, TcpTarget,
    Transport, UdpRoute,
};

use crate::client_identity::{CompiledIdentity, Identities};
use crate::request::Host;
use clusters::Upstream;
use hosts::{HostTable, Pages};
pub(crate) use logs::Log;
use logs::LogSinks;
use tls::TlsConfigs;
use upstreams::Retired;
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
    pub(crate) log: Option<Arc<Log>>,
    /// Request headers that are read when the request is over.
    pub(crate) kept_request: Vec<HeaderName>,
    /// Some host believes somebody about its clients' certificates.
    pub(crate) believes: bool,
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
        let before = previous.map(|previous| (&previous.edge.clusters, &previous.upstreams));
        let (upstreams, retired) = Upstreams::build(&edge.clusters, before);
        let mut build = Build {
            previous: previous.map(|previous| &**previous),
            problems: upstreams.problems().to_vec(),
            upstreams,
            retired,
            tls: TlsConfigs::default(),
            identities: Identities::default(),
            pages: Pages::default(),
            names: HashMap::new(),
            logs: LogSinks::default(),
        };
        let of = |transport| edge.listeners.iter().filter(move |listener| listener.transport == transport);
        let listeners =
            of(Transport::Tcp).map(|listener| (listener.bind, build.listener(listener))).collect();
        let datagrams = of(Transport::Udp)
            .filter_map(|listener| Some((listener.bind, build.datagrams(listener)?)))
            .collect();
        let Build { upstreams, pages, tls, identities, logs, problems, .. } = build;
        let revision = REVISION.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            revision,
            listeners,
            datagrams,
            upstreams,
            pages,
            tls,
            identities,
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

/// A snapshot being built.
struct Build<'a> {
    previous: Option<&'a Snapshot>,
    upstreams: Upstreams,
    retired: Retired,
    tls: TlsConfigs,
    identities: Identities,
    pages: Pages,
    /// Tables of server names, by the address of the list they are made from.
    names: HashMap<usize, Arc<HostTable<HostPattern>>>,
    logs: LogSinks,
    problems: Vec<(Source, String)>,
}

impl Build<'_> {
    fn listener(&mut self, model: &Listener) -> Arc<CompiledListener> {
        let before = self.previous.and_then(|previous| previous.listeners.get(&model.bind));
        let mut listener = CompiledListener {
            stats_prefix: model.stats_prefix.as_str().into(),
            model: model.clone(),
            names: HostTable::default(),
            clear_text: None,
            anything: None,
            chains: Vec::with_capacity(model.chains.len()),
        };
        for chain in &model.chains {
            let serve = match &chain.serve {
                Serve::Http(server) => {
                    let before = before.and_then(|before| before.chains.get(listener.chains.len()));
                    CompiledServe::Http(self.http(server, before))
                }
                Serve::Tcp(route) => CompiledServe::Tcp(self.tcp(route)),
                Serve::Udp(route) => {
                    let problem = "datagrams cannot be relayed from a TCP listener".to_owned();
                    self.problems.push((route.source.clone(), problem));
                    continue;
                }
            };
            let index = listener.chains.len();
            match &chain.accepts {
                Accepts::ClearText => listener.clear_text = Some(index),
                Accepts::Anything => listener.anything = Some(index),
                Accepts::Tls(names) => {
                    for name in names {
                        listener.names.insert(&name.without_port(), index);
                    }
                }
            }
            let tls = match &chain.tls {
                ChainTls::Untouched => CompiledTls::Untouched,
                ChainTls::Broken(_) => CompiledTls::Broken,
                ChainTls::Terminate(server) => {
                    match self.tls.terminate(server, self.previous.map(|previous| &previous.tls)) {
                        Ok(config) => CompiledTls::Terminate(config),
                        Err(error) => {
                            self.problems.push((server.source.clone(), error.to_string()));
                            CompiledTls::Broken
                        }
                    }
                }
            };
            listener.chains.push(CompiledChain { tls, serve });
        }
        Arc::new(listener)
    }

    /// `before` is the chain that stood in the place of this one.
    fn http(&mut self, server: &Arc<HttpServer>, before: Option<&CompiledChain>) -> Arc<CompiledHttp> {
        let before = before.and_then(|chain| match &chain.serve {
            CompiledServe::Http(http) => Some(http),
            CompiledServe::Tcp(_) => None,
        });
        let mut hosts = HostTable::default();
        for host in &server.hosts {
            let like = before.and_then(|before| before.hosts.of(&host.host));
            let pages = self.previous.map(|previous| &previous.pages);
            let mut compiled = self.pages.host(host, &self.upstreams, &self.retired, pages, like);
            compiled.identity = host.client_identity.as_ref().map(|model| {
                let before = self.previous.map(|previous| &previous.identities);
                self.identities.compile(&host.source, model, before, &mut self.problems)
            });
            hosts.insert(&host.host, compiled);
        }
        let names =
            Arc::clone(self.names.entry(Arc::as_ptr(&server.elsewhere).addr()).or_insert_with(|| {
                let mut names = HostTable::default();
                server.elsewhere.iter().for_each(|name| names.insert(name, name.clone()));
                Arc::new(names)
            }));
        let own = server.hosts.iter().map(|host| host.host.without_port()).collect();
        let log = self.log(server.access_log.as_ref());
        let tables = server.hosts.iter().filter_map(|host| hosts.of(&host.host)).map(|host| &*host.routes);
        let kept_request = kept::request_headers(server, log.as_deref(), tables);
        let believes = server.hosts.iter().any(|host| host.client_identity.is_some());
        Arc::new(CompiledHttp { model: Arc::clone(server), hosts, names, own, log, kept_request, believes })
    }

    fn tcp(&mut self, route: &Arc<TcpRoute>) -> Arc<CompiledTcp> {
        let upstreams = self.targets(&route.targets);
        let log = self.log(route.access_log.as_ref());
        Arc::new(CompiledTcp { model: Arc::clone(route), upstreams, log })
    }

    /// What is behind a UDP listener; none (and a problem) when it is no relay of datagrams.
    fn datagrams(&mut self, listener: &Listener) -> Option<Arc<CompiledUdp>> {
        let [Chain { serve: Serve::Udp(route), .. }] = listener.chains.as_slice() else {
            let problem = "a UDP listener relays datagrams, and nothing else".to_owned();
            self.problems.push((listener.source.clone(), problem));
            return None;
        };
        Some(Arc::new(CompiledUdp {
            stats_prefix: listener.stats_prefix.as_str().into(),
            model: Arc::clone(route),
            upstreams: self.targets(&route.targets),
            log: self.log(route.access_log.as_ref()),
            declared_port: listener.declared_port,
        }))
    }

    fn targets(&self, targets: &[TcpTarget]) -> Vec<Arc<Upstream>> {
        let upstream = |target: &TcpTarget| self.upstreams.named(&target.cluster, &target.source);
        targets.iter().map(upstream).collect()
    }

    fn log(&mut self, log: Option<&Arc<plenipo_model::AccessLog>>) -> Option<Arc<Log>> {
        // What nobody will read is not written in the first place.
        let log = log.filter(|log| log.path != "/dev/null")?;
        match self.logs.open(log, self.previous.map(|previous| &previous.logs)) {
            Ok(sink) => Some(sink),
            Err(error) => {
                self.problems.push((Source::new("access log"), format!("{}: {error}", log.path)));
                None
            }
        }
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

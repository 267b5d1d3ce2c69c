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

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;
use plenipo_model::{Accepts, ChainTls, Edge, HostPattern, HttpServer, Listener, Serve, Source, TcpRoute};

use clusters::Upstream;
use hosts::{HostTable, Pages};
pub(crate) use logs::Log;
use logs::LogSinks;
use tls::TlsConfigs;

/// The compiled edge. Immutable; a request holds one from its head to its last byte.
pub struct Snapshot {
    edge: Arc<Edge>,
    revision: u64,
    listeners: HashMap<SocketAddr, Arc<CompiledListener>>,
    upstreams: HashMap<Arc<str>, Arc<Upstream>>,
    tls: TlsConfigs,
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
}

/// A relay behind a chain.
pub struct CompiledTcp {
    /// As the model says.
    pub model: Arc<TcpRoute>,
    /// The cluster of each target.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) log: Option<Arc<Log>>,
}

static REVISION: AtomicU64 = AtomicU64::new(1);

impl Snapshot {
    /// Compiles an edge, taking over from the snapshot before whatever is equal.
    pub fn build(edge: Arc<Edge>, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let mut build = Build {
            edge: &edge,
            previous: previous.map(|previous| &**previous),
            upstreams: HashMap::with_capacity(edge.clusters.len()),
            tls: TlsConfigs::default(),
            pages: Pages::default(),
            names: HashMap::new(),
            logs: LogSinks::default(),
            problems: Vec::new(),
        };
        build.upstreams();
        let listeners =
            edge.listeners.iter().map(|listener| (listener.bind, build.listener(listener))).collect();
        let Build { upstreams, tls, logs, problems, .. } = build;
        let revision = REVISION.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { revision, listeners, upstreams, tls, logs, problems, edge })
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

    /// The listener bound to this address.
    pub fn listener(&self, bind: SocketAddr) -> Option<&Arc<CompiledListener>> {
        self.listeners.get(&bind)
    }

    /// All listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<CompiledListener>> {
        self.listeners.values()
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

    /// All clusters.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }
}

/// A snapshot being built.
struct Build<'a> {
    edge: &'a Edge,
    previous: Option<&'a Snapshot>,
    upstreams: HashMap<Arc<str>, Arc<Upstream>>,
    tls: TlsConfigs,
    pages: Pages,
    /// Tables of server names, by the address of the list they are made from.
    names: HashMap<usize, Arc<HostTable<HostPattern>>>,
    logs: LogSinks,
    problems: Vec<(Source, String)>,
}

impl Build<'_> {
    fn upstreams(&mut self) {
        for (name, cluster) in &self.edge.clusters {
            let before = self.previous.and_then(|previous| previous.upstreams.get(name));
            let upstream = Upstream::build(cluster, before);
            if let Some(problem) = upstream.problem() {
                self.problems.push((cluster.source.clone(), problem.to_owned()));
            }
            self.upstreams.insert(Arc::clone(name), upstream);
        }
    }

    fn listener(&mut self, model: &Listener) -> Arc<CompiledListener> {
        let mut listener = CompiledListener {
            stats_prefix: model.stats_prefix.as_str().into(),
            model: model.clone(),
            names: HostTable::default(),
            clear_text: None,
            anything: None,
            chains: Vec::with_capacity(model.chains.len()),
        };
        for (index, chain) in model.chains.iter().enumerate() {
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
            let serve = match &chain.serve {
                Serve::Http(server) => CompiledServe::Http(self.http(server)),
                Serve::Tcp(route) => CompiledServe::Tcp(self.tcp(route)),
            };
            listener.chains.push(CompiledChain { tls, serve });
        }
        Arc::new(listener)
    }

    fn http(&mut self, server: &Arc<HttpServer>) -> Arc<CompiledHttp> {
        let mut hosts = HostTable::default();
        for host in &server.hosts {
            let compiled = self.pages.host(host, &self.upstreams);
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
        let kept_request = kept::request_headers(server, log.as_deref());
        Arc::new(CompiledHttp { model: Arc::clone(server), hosts, names, own, log, kept_request })
    }

    fn tcp(&mut self, route: &Arc<TcpRoute>) -> Arc<CompiledTcp> {
        let upstreams = route
            .targets
            .iter()
            .map(|target| hosts::upstream(&self.upstreams, &target.cluster, &target.source))
            .collect();
        let log = self.log(route.access_log.as_ref());
        Arc::new(CompiledTcp { model: Arc::clone(route), upstreams, log })
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
    /// Does another TLS chain of the listener serve this name better than any host here?
    pub(crate) fn is_elsewhere(&self, name: &str) -> bool {
        self.names.find(name).is_some_and(|best| !self.own.contains(best))
    }
}

impl CompiledListener {
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

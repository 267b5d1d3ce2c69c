//! How a snapshot is put together, from an edge and the snapshot before.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use plenipo_model::{
    Accepts, Chain, ChainTls, Edge, HostPattern, HttpServer, Listener, Serve, Source, TcpRoute, TcpTarget,
};

use super::clusters::Upstream;
use super::hosts::{HostTable, Pages};
use super::logs::LogSinks;
use super::tls::TlsConfigs;
use super::upstreams::{Retired, Upstreams};
use super::{
    CompiledChain, CompiledHttp, CompiledListener, CompiledServe, CompiledTcp, CompiledTls, CompiledUdp, Log,
    Snapshot, kept,
};
use crate::authentication::{CompiledAuthentication, KeySets};
use crate::client_identity::Identities;

/// A snapshot being built.
pub(super) struct Build<'a> {
    previous: Option<&'a Snapshot>,
    pub(super) upstreams: Upstreams,
    retired: Retired,
    pub(super) tls: TlsConfigs,
    pub(super) identities: Identities,
    pub(super) keys: KeySets,
    pub(super) pages: Pages,
    /// Tables of server names, by the address of the list they are made from.
    names: HashMap<usize, Arc<HostTable<HostPattern>>>,
    pub(super) logs: LogSinks,
    pub(super) problems: Vec<(Source, String)>,
}

impl<'a> Build<'a> {
    /// Begins with the clusters.
    pub(super) fn new(edge: &Edge, previous: Option<&'a Snapshot>) -> Self {
        let before = previous.map(|previous| (&previous.edge.clusters, &previous.upstreams));
        let (upstreams, retired) = Upstreams::build(&edge.clusters, before);
        Self {
            previous,
            problems: upstreams.problems().to_vec(),
            upstreams,
            retired,
            tls: TlsConfigs::default(),
            identities: Identities::default(),
            keys: KeySets::default(),
            pages: Pages::default(),
            names: HashMap::new(),
            logs: LogSinks::default(),
        }
    }

    /// A TCP listener.
    pub(super) fn listener(&mut self, model: &Listener) -> Arc<CompiledListener> {
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
        let mut hosts = HostTable::with_capacity(server.hosts.len());
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
        // Asked for only where a name may be served elsewhere.
        let told_apart = server.hosts.iter().filter(|_| !server.elsewhere.is_empty());
        let own = told_apart.map(|host| host.host.without_port()).collect();
        let log = self.log(server.access_log.as_ref());
        let tables = server.hosts.iter().filter_map(|host| hosts.of(&host.host)).map(|host| &*host.routes);
        let kept_request = kept::request_headers(server, log.as_deref(), tables);
        let believes = server.hosts.iter().any(|host| host.client_identity.is_some());
        let authentication = server.authentication.as_ref().map(|model| {
            let before = self.previous.map(|previous| &previous.keys);
            CompiledAuthentication::new(model, &mut self.keys, before, &mut self.problems)
        });
        let server_name = server.server_name.as_deref().and_then(|name| HeaderValue::from_str(name).ok());
        Arc::new(CompiledHttp {
            model: Arc::clone(server),
            hosts,
            names,
            own,
            authentication,
            log,
            kept_request,
            believes,
            server_name,
        })
    }

    fn tcp(&mut self, route: &Arc<TcpRoute>) -> Arc<CompiledTcp> {
        let upstreams = self.targets(&route.targets);
        let log = self.log(route.access_log.as_ref());
        Arc::new(CompiledTcp { model: Arc::clone(route), upstreams, log })
    }

    /// What is behind a UDP listener; none (and a problem) when it is no relay of datagrams.
    pub(super) fn datagrams(&mut self, listener: &Listener) -> Option<Arc<CompiledUdp>> {
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

//! From a host name to its routes.

use std::collections::HashMap;
use std::sync::Arc;

use plenipo_model::{
    Action, Cluster, Endpoints, HostPattern, InsecureAction, Refusal, Route, Source, VirtualHost,
};

use super::clusters::Upstream;
use super::routes::RouteTable;

/// Values by host pattern, found by precedence: exact, longest suffix, longest prefix, any.
#[derive(Debug)]
pub struct HostTable<T> {
    exact: HashMap<String, T>,
    /// Longest first.
    suffixes: Vec<(String, T)>,
    prefixes: Vec<(String, T)>,
    any: Option<T>,
    /// Some exact pattern names a port.
    ported: bool,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), suffixes: Vec::new(), prefixes: Vec::new(), any: None, ported: false }
    }
}

impl<T> HostTable<T> {
    /// Adds a value; the first for a pattern stays.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) {
        fn by_length<T>(list: &mut Vec<(String, T)>, text: &str, value: T) {
            if list.iter().all(|(other, _)| other != text) {
                let at = list.partition_point(|(other, _)| other.len() >= text.len());
                list.insert(at, (text.to_owned(), value));
            }
        }
        match pattern {
            HostPattern::Exact(name) => {
                self.ported |= name.contains(':');
                self.exact.entry(name.clone()).or_insert(value);
            }
            HostPattern::Suffix(suffix) => by_length(&mut self.suffixes, suffix, value),
            HostPattern::Prefix(prefix) => by_length(&mut self.prefixes, prefix, value),
            HostPattern::Any => {
                self.any.get_or_insert(value);
            }
        }
    }

    /// The value for a name in lower case.
    pub fn find(&self, name: &str) -> Option<&T> {
        self.exact
            .get(name)
            .or_else(|| {
                let longer = |text: &str| name.len() > text.len();
                let suffix =
                    self.suffixes.iter().find(|(text, _)| longer(text) && name.ends_with(text.as_str()));
                let found = suffix.or_else(|| {
                    self.prefixes.iter().find(|(text, _)| longer(text) && name.starts_with(text.as_str()))
                });
                found.map(|(_, value)| value)
            })
            .or(self.any.as_ref())
    }

    /// The value for any name.
    pub fn any(&self) -> Option<&T> {
        self.any.as_ref()
    }

    /// The value for an authority: as it stands, with its port; else without it.
    pub fn find_authority(&self, name: &str, port: Option<u16>) -> Option<&T> {
        let with_port =
            port.filter(|_| self.ported).and_then(|port| self.exact.get(&format!("{name}:{port}")));
        with_port.or_else(|| self.find(name))
    }
}

/// A virtual host, compiled.
#[derive(Clone)]
pub struct CompiledHost {
    /// Who asked for it.
    pub source: Source,
    /// Which hosts.
    pub pattern: HostPattern,
    /// What happens to a request that is not secure.
    pub insecure: InsecureAction,
    /// See [`VirtualHost::redirect_unmatched`].
    pub redirect_unmatched: bool,
    /// See [`VirtualHost::refuse`].
    pub refuse: Option<Refusal>,
    /// Its routes.
    pub routes: Arc<RouteTable>,
}

/// A route, compiled.
pub struct CompiledRoute {
    /// As the model says.
    pub model: Arc<Route>,
    /// The cluster of each target of a forwarding route.
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    /// The cluster that gets copies.
    pub(crate) mirror: Option<Arc<Upstream>>,
}

/// Route tables by the addresses of the routes they hold: the same routes behind several hosts and chains (the usual
/// case: clear text and TLS) are compiled once.
#[derive(Default)]
pub(crate) struct Pages(HashMap<Vec<usize>, Arc<RouteTable>>);

impl Pages {
    /// Compiles a virtual host.
    pub(crate) fn host(
        &mut self,
        host: &VirtualHost,
        upstreams: &HashMap<Arc<str>, Arc<Upstream>>,
    ) -> CompiledHost {
        let key = host.routes.iter().map(|route| Arc::as_ptr(route) as usize).collect();
        let table = self.0.entry(key).or_insert_with(|| {
            let routes = host.routes.iter().map(|route| CompiledRoute::new(route, upstreams));
            Arc::new(RouteTable::new(routes.collect()))
        });
        CompiledHost {
            source: host.source.clone(),
            pattern: host.host.clone(),
            insecure: host.insecure,
            redirect_unmatched: host.redirect_unmatched,
            refuse: host.refuse.clone(),
            routes: Arc::clone(table),
        }
    }
}

impl CompiledRoute {
    fn new(model: &Arc<Route>, upstreams: &HashMap<Arc<str>, Arc<Upstream>>) -> Self {
        let (targets, mirror) = match &model.action {
            Action::Forward(forward) => (
                forward
                    .targets
                    .iter()
                    .map(|target| upstream(upstreams, &target.cluster, &target.source))
                    .collect(),
                forward.mirror.as_ref().map(|mirror| upstream(upstreams, &mirror.cluster, &mirror.source)),
            ),
            _ => (Vec::new(), None),
        };
        Self { model: Arc::clone(model), upstreams: targets, mirror }
    }
}

/// The cluster of that name. An edge that names one it does not have (which translators never make) gets one without
/// endpoints: its requests are answered 503.
pub(crate) fn upstream(
    upstreams: &HashMap<Arc<str>, Arc<Upstream>>,
    name: &Arc<str>,
    source: &Source,
) -> Arc<Upstream> {
    upstreams.get(name).cloned().unwrap_or_else(|| {
        let missing = Cluster::new(name, source.clone(), Endpoints::Static(Arc::from([])));
        Upstream::build(&Arc::new(missing), None)
    })
}

//! From a host name to its routes.

use std::collections::HashMap;
use std::sync::Arc;

use plenipo_model::{Action, HostPattern, InsecureAction, Refusal, Route, Source, VirtualHost};

use super::clusters::Upstream;
use super::routes::RouteTable;
use super::upstreams::{Retired, Upstreams};
use crate::client_identity::CompiledIdentity;

/// Values by host pattern, found by precedence: exact, longest suffix, longest prefix, any.
#[derive(Debug)]
pub struct HostTable<T> {
    exact: HashMap<String, T>,
    /// In the order of their precedence; both kinds of suffix.
    suffixes: Vec<(HostPattern, T)>,
    /// Longest first.
    prefixes: Vec<(String, T)>,
    any: Option<T>,
    /// Some pattern names a port.
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
        self.ported |= match pattern {
            HostPattern::Exact(text)
            | HostPattern::Suffix(text)
            | HostPattern::OneLabel(text)
            | HostPattern::Prefix(text) => text.contains(':'),
            HostPattern::Any => false,
        };
        match pattern {
            HostPattern::Exact(name) => {
                self.exact.entry(name.clone()).or_insert(value);
            }
            HostPattern::Suffix(_) | HostPattern::OneLabel(_) => {
                if let Err(at) = self.suffixes.binary_search_by(|(other, _)| other.cmp(pattern)) {
                    self.suffixes.insert(at, (pattern.clone(), value));
                }
            }
            HostPattern::Prefix(prefix) => by_length(&mut self.prefixes, prefix, value),
            HostPattern::Any => {
                self.any.get_or_insert(value);
            }
        }
    }

    /// The value for a name in lower case.
    pub fn find(&self, name: &str) -> Option<&T> {
        self.best(&[name])
    }

    /// The value of the first pattern, in their precedence, that accepts one of these ways to write a name.
    fn best(&self, names: &[&str]) -> Option<&T> {
        let begins = |text: &str| names.iter().any(|name| name.len() > text.len() && name.starts_with(text));
        let exact = names.iter().find_map(|name| self.exact.get(*name));
        let wildcard = || {
            let suffix =
                self.suffixes.iter().find(|(suffix, _)| names.iter().any(|name| suffix.matches(name)));
            let prefix = || self.prefixes.iter().find(|(text, _)| begins(text)).map(|(_, value)| value);
            suffix.map(|(_, value)| value).or_else(prefix)
        };
        exact.or_else(wildcard).or(self.any.as_ref())
    }

    /// The value for this very pattern.
    pub(crate) fn of(&self, pattern: &HostPattern) -> Option<&T> {
        let among = |list: &'_ [(String, T)], text: &str| list.iter().position(|(other, _)| other == text);
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::Suffix(_) | HostPattern::OneLabel(_) => {
                self.suffixes.iter().find(|(other, _)| other == pattern).map(|(_, value)| value)
            }
            HostPattern::Prefix(text) => among(&self.prefixes, text).map(|at| &self.prefixes[at].1),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// The value for any name.
    pub fn any(&self) -> Option<&T> {
        self.any.as_ref()
    }

    /// The value for an authority: patterns may be meant for it with its port or without.
    pub fn find_authority(&self, name: &str, port: Option<u16>) -> Option<&T> {
        match port {
            Some(port) if self.ported => self.best(&[&format!("{name}:{port}"), name]),
            _ => self.find(name),
        }
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
    /// Who is believed about the client's certificate.
    pub(crate) identity: Option<Arc<CompiledIdentity>>,
    /// Its routes.
    pub routes: Arc<RouteTable>,
}

/// A route, compiled.
#[derive(Clone)]
pub struct CompiledRoute {
    /// As the model says.
    pub model: Arc<Route>,
    /// The cluster of each target of a forwarding route.
    pub(crate) upstreams: Arc<[Arc<Upstream>]>,
    /// The cluster of each of its mirrors.
    pub(crate) mirrors: Arc<[Arc<Upstream>]>,
    /// All of them are clusters of the edge.
    is_whole: bool,
}

/// Route tables by the addresses of the lists they are made of: the same list behind several hosts and chains (the usual
/// case: clear text and TLS) is compiled once, and one that outlives a change is not compiled again.
#[derive(Default)]
pub(crate) struct Pages(HashMap<usize, Arc<RouteTable>>);

impl Pages {
    /// Compiles a virtual host. `like` is what stood in its place before.
    pub(crate) fn host(
        &mut self,
        host: &VirtualHost,
        upstreams: &Upstreams,
        retired: &Retired,
        before: Option<&Self>,
        like: Option<&CompiledHost>,
    ) -> CompiledHost {
        let address = host.routes.as_ptr().addr();
        let table = self.0.entry(address).or_insert_with(|| {
            let same = before.and_then(|before| before.0.get(&address));
            let before = same.or(like.map(|host| &host.routes));
            RouteTable::following(&host.routes, upstreams, retired, before)
        });
        CompiledHost {
            source: host.source.clone(),
            pattern: host.host.clone(),
            insecure: host.insecure,
            redirect_unmatched: host.redirect_unmatched,
            refuse: host.refuse.clone(),
            identity: None,
            routes: Arc::clone(table),
        }
    }
}

impl CompiledRoute {
    pub(super) fn new(model: &Arc<Route>, upstreams: &Upstreams) -> Self {
        let mut is_whole = true;
        let mut named = |name: &Arc<str>, source: &Source| {
            is_whole &= upstreams.find(name).is_some();
            upstreams.named(name, source)
        };
        let (targets, mirrors) = match &model.action {
            Action::Forward(forward) => (
                forward.targets.iter().map(|target| named(&target.cluster, &target.source)).collect(),
                forward.mirrors.iter().map(|mirror| named(&mirror.cluster, &mirror.source)).collect(),
            ),
            _ => (Arc::from([]), Arc::from([])),
        };
        Self { model: Arc::clone(model), upstreams: targets, mirrors, is_whole }
    }

    /// Are its clusters still what their names stand for?
    pub(super) fn is_current(&self, retired: &Retired) -> bool {
        self.is_whole && !self.upstreams.iter().chain(&*self.mirrors).any(|one| retired.contains(one))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_may_name_a_port() {
        let mut table = HostTable::default();
        for pattern in [
            "a.test:8080",
            "a.test",
            "*.a.test:8080",
            "*.a.test",
            "*.b.test:8443",
            "*.b.test",
            "b.*",
            "*:9000",
            "*",
        ] {
            table.insert(&HostPattern::parse(pattern).expect("valid"), pattern);
        }
        for (name, port, expected) in [
            ("a.test", Some(8080), "a.test:8080"),
            ("a.test", Some(81), "a.test"),
            ("a.test", None, "a.test"),
            ("x.a.test", Some(8080), "*.a.test:8080"),
            ("x.a.test", Some(80), "*.a.test"),
            ("x.a.test", None, "*.a.test"),
            ("x.b.test", Some(8443), "*.b.test:8443"),
            ("x.b.test", Some(9000), "*.b.test"),
            ("b.c", Some(80), "b.*"),
            ("c.c", Some(9000), "*:9000"),
            ("c.c", Some(9001), "*"),
        ] {
            assert_eq!(table.find_authority(name, port), Some(&expected), "{name} {port:?}");
        }
    }

    #[test]
    fn a_star_for_one_label_stands_before_one_for_many() {
        let mut table = HostTable::default();
        let one = |text| HostPattern::parse_one_label(text).expect("valid");
        table.insert(&HostPattern::parse("*.a.test").expect("valid"), "any");
        table.insert(&one("*.a.test"), "one");
        table.insert(&one("*.b.a.test"), "longer");
        table.insert(&one("*.a.test"), "twice");
        let all =
            [("x.a.test", "one"), ("x.y.a.test", "any"), ("x.b.a.test", "longer"), ("x.y.b.a.test", "any")];
        for (name, expected) in all {
            assert_eq!(table.find(name), Some(&expected), "{name}");
        }
        assert_eq!(table.find_authority("x.a.test", Some(8080)), Some(&"one"));
        assert_eq!(table.of(&one("*.a.test")), Some(&"one"));
        assert_eq!(table.find("a.test"), None);
    }
}

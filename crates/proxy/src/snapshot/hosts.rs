//! From a host name to its routes.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use plenipo_model::{Action, HostPattern, InsecureAction, Refusal, Route, Source, VirtualHost};

use rustc_hash::{FxBuildHasher, FxHashMap};

use super::clusters::Upstream;
use super::routes::RouteTable;
use super::upstreams::{Retired, Upstreams};
use crate::client_identity::CompiledIdentity;

/// Values by host pattern, found by precedence: exact, longest suffix, longest prefix, any.
///
/// A look-up costs about the same however many patterns there are: names are hashed, whole and from each of their dots on.
/// (The hash needs no secret: clients ask for names, they never add any.)
#[derive(Debug)]
pub struct HostTable<T> {
    exact: FxHashMap<String, T>,
    suffixes: Suffixes<T>,
    prefixes: ByLength<T>,
    any: Option<T>,
    /// Some pattern names a port.
    ported: bool,
}

/// Values by what stands after a star.
#[derive(Debug)]
struct Suffixes<T> {
    /// Those that begin with a dot: nearly all.
    dotted: FxHashMap<String, Starred<T>>,
    others: ByLength<Starred<T>>,
}

/// Values for one suffix, by what the star stands for.
#[derive(Debug)]
struct Starred<T> {
    one_label: Option<T>,
    anything: Option<T>,
}

/// Values by texts, of which the longest shall be found that a name begins or ends with.
#[derive(Debug)]
struct ByLength<T> {
    values: FxHashMap<String, T>,
    /// How long the texts are; each length once, the greatest first.
    lengths: Vec<usize>,
}

impl<T> Default for HostTable<T> {
    fn default() -> Self {
        let suffixes = Suffixes { dotted: FxHashMap::default(), others: ByLength::default() };
        let (exact, prefixes) = (FxHashMap::default(), ByLength::default());
        Self { exact, suffixes, prefixes, any: None, ported: false }
    }
}

impl<T> Default for Starred<T> {
    fn default() -> Self {
        Self { one_label: None, anything: None }
    }
}

impl<T> Default for ByLength<T> {
    fn default() -> Self {
        Self { values: FxHashMap::default(), lengths: Vec::new() }
    }
}

impl<T> HostTable<T> {
    /// With room for so many exact names: one that grows hashes all of them again and again.
    pub(crate) fn with_capacity(names: usize) -> Self {
        let exact = FxHashMap::with_capacity_and_hasher(names, FxBuildHasher);
        Self { exact, ..Self::default() }
    }

    /// Adds a value; the first for a pattern stays.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) {
        self.ported |= match pattern {
            HostPattern::Exact(text)
            | HostPattern::Suffix(text)
            | HostPattern::OneLabel(text)
            | HostPattern::Prefix(text) => text.contains(':'),
            HostPattern::Any => false,
        };
        match pattern {
            HostPattern::Exact(name) => drop(self.exact.entry(name.clone()).or_insert(value)),
            HostPattern::Suffix(text) => drop(self.suffixes.of(text).anything.get_or_insert(value)),
            HostPattern::OneLabel(text) => drop(self.suffixes.of(text).one_label.get_or_insert(value)),
            HostPattern::Prefix(text) => drop(self.prefixes.entry(text).or_insert(value)),
            HostPattern::Any => drop(self.any.get_or_insert(value)),
        }
    }

    /// The value for a name in lower case.
    pub fn find(&self, name: &str) -> Option<&T> {
        self.best(&[name])
    }

    /// The value of the first pattern, in their precedence, that accepts one of these ways to write a name.
    fn best(&self, names: &[&str]) -> Option<&T> {
        let exact = names.iter().find_map(|name| self.exact.get(*name));
        let suffix = || longest(names.iter().filter_map(|name| self.suffixes.longest(name)));
        let prefix = || longest(names.iter().filter_map(|name| self.prefixes.longest_beginning(name)));
        exact.or_else(suffix).or_else(prefix).or(self.any.as_ref())
    }

    /// The value for this very pattern.
    pub(crate) fn of(&self, pattern: &HostPattern) -> Option<&T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name),
            HostPattern::Suffix(text) => self.suffixes.get(text)?.anything.as_ref(),
            HostPattern::OneLabel(text) => self.suffixes.get(text)?.one_label.as_ref(),
            HostPattern::Prefix(text) => self.prefixes.values.get(text),
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

impl<T> Suffixes<T> {
    /// What there is for this suffix, nothing at first.
    fn of(&mut self, text: &str) -> &mut Starred<T> {
        if text.starts_with('.') {
            self.dotted.entry(text.to_owned()).or_default()
        } else {
            self.others.entry(text).or_default()
        }
    }

    fn get(&self, text: &str) -> Option<&Starred<T>> {
        if text.starts_with('.') { self.dotted.get(text) } else { self.others.values.get(text) }
    }

    /// The longest suffix that takes a name.
    fn longest<'n>(&self, name: &'n str) -> Option<(&'n str, &T)> {
        let dotted = || {
            let dots = name.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
            dots.map(|(at, _)| name.split_at(at))
                .find_map(|(label, suffix)| Some((suffix, self.dotted.get(suffix)?.standing_for(label)?)))
        };
        let dotted = if self.dotted.is_empty() { None } else { dotted() };
        let other = self.others.lengths.iter().find_map(|length| {
            let (label, suffix) = name.split_at_checked(name.len().checked_sub(*length)?)?;
            Some((suffix, self.others.values.get(suffix)?.standing_for(label)?))
        });
        dotted.into_iter().chain(other).max_by_key(|(suffix, _)| suffix.len())
    }
}

impl<T> Starred<T> {
    /// The value, when the star stands for this.
    fn standing_for(&self, label: &str) -> Option<&T> {
        let one = self.one_label.as_ref().filter(|_| !label.contains('.'));
        one.or(self.anything.as_ref()).filter(|_| !label.is_empty())
    }
}

impl<T> ByLength<T> {
    fn entry(&mut self, text: &str) -> Entry<'_, String, T> {
        if let Err(at) = self.lengths.binary_search_by(|length| text.len().cmp(length)) {
            self.lengths.insert(at, text.len());
        }
        self.values.entry(text.to_owned())
    }

    /// The longest text that a name begins with and that is not all of it.
    fn longest_beginning<'n>(&self, name: &'n str) -> Option<(&'n str, &T)> {
        let fitting = self.lengths.iter().filter(|length| **length < name.len());
        let mut texts = fitting.filter_map(|length| name.get(..*length));
        texts.find_map(|text| Some((text, self.values.get(text)?)))
    }
}

/// The value that was found by the longest text.
fn longest<'t, 'v, T>(found: impl Iterator<Item = (&'t str, &'v T)>) -> Option<&'v T> {
    let first = |(a, _): &(&str, &T), (b, _): &(&str, &T)| b.len().cmp(&a.len()).then_with(|| a.cmp(b));
    found.min_by(first).map(|(_, value)| value)
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
pub(crate) struct Pages(FxHashMap<usize, Arc<RouteTable>>);

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
    fn the_first_pattern_in_their_order_wins() {
        let texts = [
            "a.test",
            "*.a.test",
            "*a.test",
            "*.test",
            "*test",
            "b.*",
            "b.a*",
            "b*",
            "*.b.a.test",
            "*é.test",
        ];
        let mut patterns: Vec<_> = texts.iter().filter_map(|text| HostPattern::parse(text).ok()).collect();
        patterns
            .extend(["*.test", "*.a.test"].map(|text| HostPattern::parse_one_label(text).expect("valid")));
        let mut table = HostTable::default();
        patterns.iter().for_each(|pattern| table.insert(pattern, pattern.clone()));
        patterns.sort();
        for name in [
            "a.test",
            "b.a.test",
            "c.b.a.test",
            ".a.test",
            "xa.test",
            "b.x.test",
            "x.test",
            "b.test",
            "test",
            "b",
            "bx",
            "b.a",
            "b.ax",
            ".",
            "",
            "x..a.test",
            "é.test",
            "bé",
        ] {
            let expected = patterns.iter().find(|pattern| pattern.matches(name));
            assert_eq!(table.find(name), expected, "{name}");
        }
        for pattern in &patterns {
            assert_eq!(table.of(pattern), Some(pattern));
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

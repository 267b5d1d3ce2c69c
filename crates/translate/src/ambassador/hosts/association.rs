//! Which Hosts take which Mappings.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::HostPattern;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::super::mapping::HostRule;
use super::{HostEntry, Labels};

/// The Hosts, indexed so that ten thousand Mappings find theirs without asking every Host.
#[derive(Debug)]
pub(crate) struct Association<'h> {
    patterns: Vec<&'h HostPattern>,
    /// Hosts without a selector, by name, and those of them that have a star.
    exact: FxHashMap<&'h str, Vec<usize>>,
    starred: Vec<usize>,
    plain: Vec<usize>,
    /// Hosts with a selector, by one of the labels they demand; those that demand none.
    by_label: FxHashMap<(&'h str, &'h str), Vec<usize>>,
    all_labels: Vec<usize>,
    selectors: Vec<Option<Labels<'h>>>,
    either: bool,
    known: FxHashMap<String, Arc<[usize]>>,
}

/// The Hosts of a Mapping, by their places in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    /// Those without a selector: by the name alone.
    pub(crate) by_name: Arc<[usize]>,
    /// Those with one.
    pub(crate) by_label: Vec<usize>,
}

impl Taken {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.by_label.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.by_name.iter().chain(&self.by_label).copied()
    }
}

impl<'h> Association<'h> {
    /// With `either`, a Host with a selector takes what fits its name *or* one of the labels it demands.
    pub(crate) fn new(hosts: &'h [HostEntry<'_>], either: bool) -> Self {
        let mut index = Self {
            patterns: hosts.iter().map(|host| &host.pattern).collect(),
            exact: FxHashMap::with_capacity_and_hasher(hosts.len(), FxBuildHasher),
            starred: Vec::new(),
            plain: Vec::new(),
            by_label: FxHashMap::default(),
            all_labels: Vec::new(),
            selectors: hosts.iter().map(|host| host.selector).collect(),
            either,
            known: FxHashMap::default(),
        };
        for (place, host) in hosts.iter().enumerate() {
            match (host.selector.map(|labels| labels.iter().next()), &host.pattern) {
                (Some(Some((key, value))), _) => index.by_label.entry((key, value)).or_default().push(place),
                (Some(None), _) => index.all_labels.push(place),
                (None, pattern) => {
                    index.plain.push(place);
                    match pattern {
                        HostPattern::Exact(name) => index.exact.entry(name).or_default().push(place),
                        _ => index.starred.push(place),
                    }
                }
            }
        }
        index
    }

    /// The Hosts that take a Mapping with this host and these labels: those whose name may be the same (a regex may
    /// always be) and whose selector, if they have one, fits. A Mapping without host belongs to those that select it.
    pub(crate) fn hosts(&mut self, host: Option<&HostRule>, labels: &BTreeMap<String, String>) -> Taken {
        let overlaps = |place: &usize| host.is_none_or(|host| host.overlaps(self.patterns[*place]));
        let by_label = if self.either {
            let fits = |place: &usize| {
                let wanted = self.selectors[*place];
                wanted
                    .is_some_and(|wanted| fit_loosely(wanted, labels) || (host.is_some() && overlaps(place)))
            };
            (0..self.patterns.len()).filter(fits).collect()
        } else {
            let mut fitting = self.selecting(labels);
            fitting.retain(overlaps);
            fitting
        };
        Taken { by_name: host.map_or_else(|| Arc::from([]), |host| self.named(host)), by_label }
    }

    /// Hosts with a selector that these labels fit.
    fn selecting(&self, labels: &BTreeMap<String, String>) -> Vec<usize> {
        let candidates =
            labels.iter().filter_map(|(key, value)| self.by_label.get(&(key.as_str(), value.as_str())));
        let fits = |place: &usize| self.selectors[*place].is_some_and(|wanted| fit(wanted, labels));
        let mut found: Vec<usize> = candidates.flatten().copied().filter(fits).collect();
        found.extend(&self.all_labels);
        found.sort_unstable();
        found
    }

    /// Hosts without a selector that a name fits.
    fn named(&mut self, host: &HostRule) -> Arc<[usize]> {
        let key = if host.is_regex() { "~".to_owned() } else { host.text.clone() };
        if let Some(known) = self.known.get(&key) {
            return Arc::clone(known);
        }
        let overlapping = |list: &[usize]| -> Vec<usize> {
            list.iter().copied().filter(|place| host.overlaps(self.patterns[*place])).collect()
        };
        let found: Arc<[usize]> = match host.glob() {
            Some(HostPattern::Exact(name)) => {
                let exact = self.exact.get(name.as_str()).into_iter().flatten().copied();
                exact.chain(overlapping(&self.starred)).collect()
            }
            _ => overlapping(&self.plain).into(),
        };
        self.known.insert(key, Arc::clone(&found));
        found
    }
}

/// Are all labels there that are demanded?
pub(crate) fn fit(wanted: Labels<'_>, labels: Labels<'_>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Is one of them there? (What Emissary before 3.2 took for a match.)
pub(crate) fn fit_loosely(wanted: Labels<'_>, labels: Labels<'_>) -> bool {
    wanted.is_empty() || wanted.iter().any(|(key, value)| labels.get(key) == Some(value))
}

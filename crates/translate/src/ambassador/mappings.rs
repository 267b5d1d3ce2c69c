//! All Mappings, kept up from one translation to the next: what they say, who takes them, and which routes they make.

use std::collections::HashMap;
use std::sync::Arc;

use plenipo_model::Route;
use plenipo_resources::{Object, ObjectId};

use super::group::{Candidate, Change, Groups, own_route};
use super::hosts::{Association, HostEntry};
use super::mapping::{Patterns, Rank, Reading, Rule};
use super::module::{Probe, Settings};
use super::upstream::Clusters;
use crate::findings::{Finding, Findings};
use crate::ledger::Ledger;
use crate::secrets::SecretName;

/// All Mappings.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    entries: HashMap<ObjectId, Entry>,
    pub(crate) groups: Groups,
    pub(crate) clusters: Clusters,
}

/// A Mapping and its place.
#[derive(Debug)]
struct Entry {
    reading: Arc<Reading>,
    place: Place,
}

/// Where a Mapping is served.
#[derive(Debug)]
enum Place {
    /// It was not looked for, or there is nothing to serve.
    Unknown,
    /// No Host takes it.
    Nowhere(Vec<Finding>),
    /// Among those that take the same requests.
    Among(Arc<Candidate>),
}

impl Mappings {
    /// Takes a Mapping out.
    pub(crate) fn remove(&mut self, id: &ObjectId, patterns: &mut Patterns, ledger: &mut Ledger) {
        let Some(mut entry) = self.entries.remove(id) else { return };
        entry.leave(&mut self.groups, ledger);
        self.clusters.unwant(&entry.reading);
        ledger.take_back(&entry.reading.found);
        patterns.release(&entry.reading.patterns);
    }

    /// Takes a Mapping in, in place of an earlier version. It has no place yet.
    pub(crate) fn insert(&mut self, reading: Reading, patterns: &mut Patterns, ledger: &mut Ledger) {
        let id = reading.object.id.clone();
        self.remove(&id, patterns, ledger);
        let reading = Arc::new(reading);
        ledger.enter(&reading.found);
        self.clusters.want(&reading);
        self.entries.insert(id, Entry { reading, place: Place::Unknown });
    }

    /// Those whose reading looked at one of these Secrets.
    pub(crate) fn that_asked_for<'s>(
        &'s self,
        secrets: &'s [SecretName],
    ) -> impl Iterator<Item = &'s Arc<Object>> {
        let asked = |entry: &&Entry| entry.reading.secrets.iter().any(|name| secrets.contains(name));
        self.entries.values().filter(asked).map(|entry| &entry.reading.object)
    }

    /// Places these Mappings, or all when none are named, wherever they were before.
    pub(crate) fn place(
        &mut self,
        ids: Option<&[ObjectId]>,
        association: &mut Association<'_>,
        ledger: &mut Ledger,
    ) {
        match ids {
            None => {
                for entry in self.entries.values_mut() {
                    entry.place(association, &mut self.groups, ledger);
                }
            }
            Some(ids) => {
                for id in ids {
                    if let Some(entry) = self.entries.get_mut(id) {
                        entry.place(association, &mut self.groups, ledger);
                    }
                }
            }
        }
    }
}

impl Entry {
    fn place(&mut self, association: &mut Association<'_>, groups: &mut Groups, ledger: &mut Ledger) {
        self.leave(groups, ledger);
        let Some(rule) = &self.reading.rule else { return };
        let hosts = association.hosts(rule.matching.host.as_ref(), &rule.object.meta.labels);
        if hosts.is_empty() {
            let mut findings = Findings::default();
            no_host(rule, &mut findings);
            let found = findings.into_found();
            ledger.enter(&found);
            self.place = Place::Nowhere(found);
        } else {
            let reading = Arc::clone(&self.reading);
            let candidate = Arc::new(Candidate { reading, rule: Arc::clone(rule), hosts });
            groups.add(&candidate);
            self.place = Place::Among(candidate);
        }
    }

    fn leave(&mut self, groups: &mut Groups, ledger: &mut Ledger) {
        match std::mem::replace(&mut self.place, Place::Unknown) {
            Place::Unknown => {}
            Place::Nowhere(found) => ledger.take_back(&found),
            Place::Among(candidate) => groups.remove(&candidate),
        }
    }
}

/// The routes of every Host, in the order in which they are tried.
#[derive(Debug, Default)]
pub(crate) struct RouteLists {
    /// Routes of the gateway's own, for every Host; the one that is tried first comes first.
    own: Vec<(Rank, Arc<Route>)>,
    probes: Vec<Probe>,
    lists: Vec<Arc<[Arc<Route>]>>,
    /// Which of them are served somewhere.
    served: Vec<bool>,
}

impl RouteLists {
    /// Makes the lists of the Hosts that `changes` concern anew; with `all`, every one.
    pub(crate) fn follow(
        &mut self,
        groups: &Groups,
        changes: &[Change],
        hosts: &[HostEntry<'_>],
        settings: &Settings<'_>,
        all: bool,
    ) -> &[Arc<[Arc<Route>]>] {
        if self.probes != settings.probes {
            self.probes.clone_from(&settings.probes);
            let own = self.probes.iter();
            let own =
                own.map(|probe| (Rank::own(&probe.prefix), own_route(probe.name, &probe.prefix, probe.body)));
            self.own = own.collect();
            // A user's route of the same rank goes first.
            self.own.sort_by(|a, b| b.0.cmp(&a.0));
        }
        let mut new: Vec<Option<Vec<Arc<Route>>>> = vec![all.then(Vec::new); hosts.len()];
        for group in changes.iter().flat_map(|(old, new)| [old, new]).flatten().filter(|_| !all) {
            group.hosts.iter().for_each(|place| new[place] = Some(Vec::new()));
        }
        if new.iter().any(Option::is_some) {
            self.fill(groups, &mut new, hosts);
        }
        self.lists.resize_with(hosts.len(), || Arc::from([]));
        for (list, new) in self.lists.iter_mut().zip(new) {
            if let Some(new) = new.filter(|new| **list != **new) {
                *list = new.into();
            }
        }
        &self.lists
    }

    fn fill(&self, groups: &Groups, lists: &mut [Option<Vec<Arc<Route>>>], hosts: &[HostEntry<'_>]) {
        let mut own = self.own.iter().peekable();
        let everywhere = |route: &Arc<Route>, lists: &mut [Option<Vec<Arc<Route>>>]| {
            lists.iter_mut().flatten().for_each(|list| list.push(Arc::clone(route)));
        };
        for group in groups.in_order() {
            while let Some((_, route)) = own.next_if(|(rank, _)| rank > group.rank()) {
                everywhere(route, lists);
            }
            for place in group.hosts.iter() {
                if let Some(list) = &mut lists[place] {
                    list.push(group.routes.on(&hosts[place].pattern));
                }
            }
        }
        own.for_each(|(_, route)| everywhere(route, lists));
    }

    /// Tells which clusters the routes name that stand in a list `served` somewhere.
    pub(crate) fn name(
        &mut self,
        served: Vec<bool>,
        groups: &Groups,
        changes: &[Change],
        all: bool,
        clusters: &mut Clusters,
    ) {
        let is_served = |group: &super::group::Ranked| group.hosts.iter().any(|place| served[place]);
        if all || served != self.served {
            clusters.unname_all();
            groups
                .in_order()
                .filter(|group| is_served(group))
                .for_each(|group| clusters.name(&group.clusters));
        } else {
            let old = changes.iter().filter_map(|(old, _)| old.as_deref());
            old.filter(|group| is_served(group)).for_each(|group| clusters.unname(&group.clusters));
            let new = changes.iter().filter_map(|(_, new)| new.as_deref());
            new.filter(|group| is_served(group)).for_each(|group| clusters.name(&group.clusters));
        }
        self.served = served;
    }
}

fn no_host(rule: &Rule, findings: &mut Findings) {
    let (field, message, fix) = match &rule.matching.host {
        Some(host) => (
            "spec.hostname",
            format!(
                "no Host takes it: none has a name that fits '{}' (and a mappingSelector that fits its labels)",
                host.text
            ),
            "create a Host for this name, or change the name or the labels",
        ),
        None => (
            "spec.hostname",
            "no Host takes it: it has no hostname, and no Host selects it by its labels".to_owned(),
            "write hostname: \"*\" for every Host, or the name of one",
        ),
    };
    findings.warn(&rule.object, "no-host", field, message, fix);
}

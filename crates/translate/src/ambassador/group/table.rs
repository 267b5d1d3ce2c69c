//! All groups, kept up from one translation to the next.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::super::auth_service::Authorisation;
use super::super::hosts::Taken;
use super::super::mapping::{Rank, Reading, Rule};
use super::super::module::Settings;
use super::{Candidate, Group, Identity, Routes};
use crate::findings::{Finding, Findings};
use crate::ledger::Ledger;

/// All groups. Those whose members stay what they are keep their routes, to the very `Arc`.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    known: HashMap<Identity, Known>,
    /// Groups to be made anew.
    touched: Vec<Identity>,
    in_order: BTreeSet<InOrder>,
}

#[derive(Debug, Default)]
struct Known {
    /// In load order.
    candidates: Vec<Arc<Candidate>>,
    found: Vec<Finding>,
    ranked: Option<Arc<Ranked>>,
    is_touched: bool,
}

/// A group that has a route.
#[derive(Debug)]
pub(crate) struct Ranked {
    /// The member that ranks highest.
    highest: Arc<Rule>,
    /// The candidate that was loaded first. Its Hosts are those of the group.
    first: Arc<Reading>,
    pub(crate) hosts: Taken,
    pub(crate) routes: Routes,
    /// The clusters that the route names.
    pub(crate) clusters: Vec<Arc<str>>,
}

/// What became of a group: what it was before, and what it is now.
pub(crate) type Change = (Option<Arc<Ranked>>, Option<Arc<Ranked>>);

impl Groups {
    /// Adds a rule to those that take the same requests.
    pub(crate) fn add(&mut self, candidate: &Arc<Candidate>) {
        let identity = Identity(Arc::clone(candidate));
        let known = self.known.entry(identity.clone()).or_default();
        let list = &mut known.candidates;
        let at = list.partition_point(|other| other.reading.order < candidate.reading.order);
        list.insert(at, Arc::clone(candidate));
        if !std::mem::replace(&mut known.is_touched, true) {
            self.touched.push(identity);
        }
    }

    /// Takes a rule away that was added.
    pub(crate) fn remove(&mut self, candidate: &Arc<Candidate>) {
        let identity = Identity(Arc::clone(candidate));
        if let Some(known) = self.known.get_mut(&identity) {
            known.candidates.retain(|other| !Arc::ptr_eq(other, candidate));
            if !std::mem::replace(&mut known.is_touched, true) {
                self.touched.push(identity);
            }
        }
    }

    /// Makes what was touched anew. Of groups that come out as they were nothing is said.
    pub(crate) fn settle(
        &mut self,
        settings: &Settings<'_>,
        authorisation: &Authorisation,
        ledger: &mut Ledger,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for identity in std::mem::take(&mut self.touched) {
            let Some(before) = self.known.remove(&identity) else { continue };
            let mut findings = Findings::default();
            let ranked = Ranked::of(&before.candidates, settings, authorisation, &mut findings).map(Arc::new);
            let found = findings.into_found();
            ledger.replace(&before.found, &found);
            let same = match (&before.ranked, &ranked) {
                (None, None) => true,
                (Some(before), Some(ranked)) => before.is_like(ranked),
                _ => false,
            };
            let ranked = if same {
                before.ranked
            } else {
                changes.push((before.ranked, ranked.clone()));
                ranked
            };
            // Named after a candidate that is there, so that those that are gone are not kept for their name.
            if let Some(first) = before.candidates.first() {
                let identity = Identity(Arc::clone(first));
                self.known.insert(
                    identity,
                    Known { candidates: before.candidates, found, ranked, is_touched: false },
                );
            }
        }
        // All that is old first: a group may rank where another one did before.
        for old in changes.iter().filter_map(|(old, _)| old.as_ref()) {
            self.in_order.remove(&InOrder(Arc::clone(old)));
        }
        self.in_order.extend(changes.iter().filter_map(|(_, new)| new.clone()).map(InOrder));
        changes
    }

    /// Those that have a route, in the order in which they are tried.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Ranked> {
        self.in_order.iter().rev().map(|one| &*one.0)
    }
}

impl Ranked {
    fn of(
        candidates: &[Arc<Candidate>],
        settings: &Settings<'_>,
        authorisation: &Authorisation,
        findings: &mut Findings,
    ) -> Option<Self> {
        let first = candidates.first()?;
        let group = Group::of(candidates.iter().map(|candidate| &candidate.rule), findings)?;
        let highest = group.members.iter().max_by_key(|rule| &rule.rank)?;
        let routes = Routes::of(&group, settings, authorisation, findings)?;
        Some(Self {
            highest: Arc::clone(highest),
            first: Arc::clone(&first.reading),
            hosts: first.hosts.clone(),
            clusters: routes.clusters(),
            routes,
        })
    }

    /// What it ranks by.
    pub(crate) fn rank(&self) -> &Rank {
        &self.highest.rank
    }

    /// Would it stand at the same places with the same routes?
    fn is_like(&self, other: &Self) -> bool {
        InOrder::compare(self, other).is_eq() && self.hosts == other.hosts && self.routes == other.routes
    }
}

/// Greater ranks are tried first; of two equal ones the one that was loaded later, as in Emissary.
#[derive(Clone, Debug)]
struct InOrder(Arc<Ranked>);

impl InOrder {
    fn compare(a: &Ranked, b: &Ranked) -> Ordering {
        a.rank().cmp(b.rank()).then_with(|| a.first.order.cmp(&b.first.order))
    }
}

impl Ord for InOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        Self::compare(&self.0, &other.0)
    }
}

impl PartialOrd for InOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for InOrder {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for InOrder {}

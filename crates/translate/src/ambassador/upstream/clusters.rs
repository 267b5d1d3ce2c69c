//! The clusters that somebody wants, with their endpoints as they are now.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use plenipo_model::{Cluster, Dns, Endpoints, Source};
use plenipo_resources::Object;

use super::super::mapping::Reading;
use super::{Finds, Plan};
use crate::directory::{Directory, Lookup};
use crate::findings::{Finding, Findings};
use crate::ledger::Ledger;
use crate::options::Options;

/// All clusters that Mappings want, kept up from one translation to the next.
///
/// A cluster is made as the first in load order of those that want it says, and what is wrong with its endpoints is said of
/// that one.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    known: HashMap<Arc<str>, Known>,
    /// Clusters to be made anew.
    touched: Vec<Arc<str>>,
    /// Those that a route names which is served somewhere.
    served: BTreeMap<Arc<str>, Arc<Cluster>>,
}

#[derive(Debug, Default)]
struct Known {
    /// In load order.
    wanted_by: Vec<Arc<Reading>>,
    made: Option<(Arc<Cluster>, Vec<Finding>)>,
    /// How often a route that is served names it.
    named: usize,
    is_touched: bool,
}

impl Clusters {
    /// Somebody wants a cluster, or nothing.
    pub(crate) fn want(&mut self, reading: &Arc<Reading>) {
        let Some(plan) = reading.plan() else { return };
        let known = self.known.entry(Arc::clone(plan.name())).or_default();
        let at = known.wanted_by.partition_point(|other| other.order < reading.order);
        known.wanted_by.insert(at, Arc::clone(reading));
        if at == 0 && !std::mem::replace(&mut known.is_touched, true) {
            self.touched.push(Arc::clone(plan.name()));
        }
    }

    /// Somebody who wanted something does no longer.
    pub(crate) fn unwant(&mut self, reading: &Arc<Reading>) {
        let Some(plan) = reading.plan() else { return };
        let Some(known) = self.known.get_mut(plan.name()) else { return };
        let at = known.wanted_by.partition_point(|other| other.order < reading.order);
        if known.wanted_by.get(at).is_some_and(|other| Arc::ptr_eq(other, reading)) {
            known.wanted_by.remove(at);
        }
        if at == 0 && !std::mem::replace(&mut known.is_touched, true) {
            self.touched.push(Arc::clone(plan.name()));
        }
    }

    /// A route that is served names these clusters.
    pub(crate) fn name(&mut self, names: &[Arc<str>]) {
        for name in names {
            let Some(known) = self.known.get_mut(name) else { continue };
            known.named += 1;
            if let (1, Some((cluster, _))) = (known.named, &known.made) {
                self.served.insert(Arc::clone(&cluster.name), Arc::clone(cluster));
            }
        }
    }

    /// A route that named these clusters is no longer served.
    pub(crate) fn unname(&mut self, names: &[Arc<str>]) {
        for name in names {
            let Some(known) = self.known.get_mut(name) else { continue };
            known.named = known.named.saturating_sub(1);
            if known.named == 0 {
                self.served.remove(name);
            }
        }
    }

    /// No route names any.
    pub(crate) fn unname_all(&mut self) {
        self.known.values_mut().for_each(|known| known.named = 0);
        self.served.clear();
    }

    /// Makes what is not as it should be: what was touched, and what has its endpoints in one of `places`; with `all`,
    /// everything.
    pub(crate) fn settle(
        &mut self,
        directory: &Directory<'_>,
        places: &HashSet<String>,
        options: &Options,
        all: bool,
        ledger: &mut Ledger,
    ) {
        if all {
            self.touched.extend(self.known.keys().cloned());
        } else if !places.is_empty() {
            let concerned = |known: &Known| {
                let plan = known.wanted_by.first().and_then(|reading| reading.plan());
                let place = plan.and_then(|plan| plan.address.in_kubernetes(&options.namespace));
                place.is_some_and(|(name, namespace)| places.contains(&Directory::place(namespace, name)))
            };
            let moved = self.known.iter().filter(|(_, known)| concerned(known));
            self.touched.extend(moved.map(|(name, _)| Arc::clone(name)));
        }
        for name in std::mem::take(&mut self.touched) {
            self.settle_one(&name, directory, options, ledger);
        }
    }

    fn settle_one(
        &mut self,
        name: &Arc<str>,
        directory: &Directory<'_>,
        options: &Options,
        ledger: &mut Ledger,
    ) {
        let Some(known) = self.known.get_mut(name) else { return };
        known.is_touched = false;
        let (before, found_before) = known.made.take().unzip();
        let found_before = found_before.unwrap_or_default();
        let first = known.wanted_by.first().and_then(|first| Some((first, first.plan()?)));
        let Some((first, plan)) = first else {
            ledger.take_back(&found_before);
            self.known.remove(name);
            self.served.remove(name);
            return;
        };
        let mut findings = Findings::default();
        let cluster = plan.cluster(&first.object, directory, options, &mut findings);
        let found = findings.into_found();
        ledger.replace(&found_before, &found);
        let cluster = before.filter(|before| **before == cluster).unwrap_or_else(|| Arc::new(cluster));
        if known.named > 0 {
            self.served.insert(Arc::clone(&cluster.name), Arc::clone(&cluster));
        }
        known.made = Some((cluster, found));
    }

    /// The cluster of that name, if somebody wants it.
    pub(crate) fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.known.get(name)?.made.as_ref().map(|(cluster, _)| cluster)
    }

    /// Those that a route names which is served somewhere.
    pub(crate) fn served(&self) -> &BTreeMap<Arc<str>, Arc<Cluster>> {
        &self.served
    }
}

impl Plan {
    /// The cluster. A cluster outlives the objects that share it, so it is named after the Service, not after one of them;
    /// but what is wrong with its endpoints is said of `object`.
    pub(crate) fn cluster(
        &self,
        object: &Object,
        directory: &Directory<'_>,
        options: &Options,
        findings: &mut Findings,
    ) -> Cluster {
        let mut cluster = self.cluster.clone();
        let place = self.address.in_kubernetes(&options.namespace);
        if let Some((name, namespace)) = place
            && directory.service(namespace, name).is_some()
        {
            cluster.source = Source::new(["Service ", namespace, "/", name].concat());
        }
        cluster.endpoints = self.endpoints(object, place, directory, options, findings);
        cluster
    }

    fn endpoints(
        &self,
        object: &Object,
        place: Option<(&str, &str)>,
        directory: &Directory<'_>,
        options: &Options,
        findings: &mut Findings,
    ) -> Endpoints {
        let port = self.port;
        if let Some(ip) = self.address.ip {
            return Endpoints::addresses([SocketAddr::new(ip, port)]);
        }
        let lookup = || {
            let (name, namespace) = place?;
            Some(directory.endpoints(namespace, name, port, self.family))
        };
        let by_endpoints = options.force_directory_endpoints || self.finds == Finds::ByEndpoints;
        let found = if by_endpoints { lookup() } else { None };
        if let (true, Some(Lookup::Found(endpoints))) = (options.force_directory_endpoints, &found)
            && !endpoints.is_empty()
        {
            return Endpoints::Static(endpoints.as_slice().into());
        }
        if let Some(resolved) = options.resolved(&self.address.host, place, port) {
            return Endpoints::addresses([resolved]);
        }
        if self.finds == Finds::ByName {
            return Endpoints::Dns(self.dns(place, directory, options));
        }
        match found {
            Some(Lookup::Found(endpoints)) => Endpoints::Static(endpoints.into()),
            Some(Lookup::NoPort) => {
                let message = format!("the Service has no port {port}, requests are answered 503");
                let fix = "name one of its ports";
                findings.error(object, "unknown-service-port", "spec.service", message, fix);
                Endpoints::addresses([])
            }
            Some(Lookup::NoService) | None => {
                let message =
                    format!("there is no Service '{}', requests are answered 503", self.address.host);
                findings.warn(object, "unknown-service", "spec.service", message, "create the Service");
                Endpoints::addresses([])
            }
        }
    }

    fn dns(&self, place: Option<(&str, &str)>, directory: &Directory<'_>, options: &Options) -> Dns {
        // Where no cluster's DNS answers, a Service of type ExternalName is followed here.
        let service = place.and_then(|(name, namespace)| directory.service(namespace, name));
        let external =
            service.and_then(|service| service.external_name.clone()).filter(|name| !name.is_empty());
        let name = external
            .filter(|_| options.force_directory_endpoints)
            .unwrap_or_else(|| self.address.host.clone());
        Dns {
            name,
            port: self.port,
            kind: self.dns,
            family: self.family,
            respect_ttl: self.respect_dns_ttl,
            others: Vec::new(),
        }
    }
}

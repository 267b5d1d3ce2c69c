//! The AWS load balancers that the objects ask for, run in this process by a data plane of their own.
//!
//! Used by `edge` (nothing else runs), `run --edge` and `demo` (the gateway runs beside them). Everything here is on the
//! control thread; [`Balancers::apply`] is called for every change of the objects.

mod material;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context;
use plenipo_aws::Account;
use plenipo_aws::local::{self, Local, LocalOptions};
use plenipo_model::{Certificate, Edge};
use plenipo_proxy::{Proxy, Snapshot};
use plenipo_resources::{Problem, Set, Severity};

use crate::app;
use crate::arguments::{BalancerArguments, ReadingArguments};
use crate::settings::Reading;
use material::Material;

pub(crate) use material::{Files, stand_ins};

/// The port that the gateway's probes are declared on.
pub(crate) const ADMIN: u16 = 8877;

/// What must be known before the first object.
#[derive(Clone, Debug)]
pub(crate) struct BalancerSettings {
    /// Where the gateway is; none = where its listeners bind.
    pub(crate) gateway_address: Option<IpAddr>,
    /// The port of the gateway's probes, as bound; none = not known.
    pub(crate) admin: Option<u16>,
    /// Declared port → bound port.
    pub(crate) ports: BTreeMap<u16, u16>,
    /// Where Services are.
    pub(crate) resolve: BTreeMap<(String, u16), SocketAddr>,
    /// Files with certificates and trust stores.
    pub(crate) files: Files,
    /// Shown for every certificate that no file is given for; none = a self-signed one is made.
    pub(crate) stand_in: Option<Arc<Certificate>>,
    /// Go without web ACLs.
    pub(crate) without_web_acl: bool,
    /// Data threads and draining.
    pub(crate) proxy: plenipo_proxy::Settings,
}

/// The load balancers, running.
pub(crate) struct Balancers {
    settings: BalancerSettings,
    material: Material,
    proxy: Proxy,
    /// What was published last.
    local: Local,
    /// Addresses that could not be bound.
    unbound: Vec<SocketAddr>,
    snapshot: Option<Arc<Snapshot>>,
    known: BTreeSet<Problem>,
}

impl BalancerSettings {
    /// From the arguments of `edge` and `run`.
    pub(crate) fn new(
        arguments: &BalancerArguments,
        reading: &ReadingArguments,
        read: &Reading,
        admin: u16,
        proxy: &plenipo_proxy::Settings,
    ) -> Self {
        Self {
            gateway_address: arguments.gateway_address,
            admin: Some(admin),
            ports: reading.port_map.iter().copied().collect(),
            resolve: read.options.resolve.clone(),
            files: Files { certificates: arguments.acm.clone(), trust_stores: arguments.trust_store.clone() },
            stand_in: None,
            without_web_acl: arguments.without_web_acl,
            proxy: proxy.clone(),
        }
    }
}

impl Balancers {
    /// Starts the data plane, which serves nothing yet.
    ///
    /// # Errors
    /// When a file cannot be read, or no thread can be started.
    pub(crate) fn start(settings: BalancerSettings) -> anyhow::Result<Self> {
        let material = Material::read(&settings.files)?;
        let proxy = Proxy::start(settings.proxy.clone()).context("the data threads cannot be started")?;
        let (local, known) = (Local::default(), BTreeSet::new());
        Ok(Self { settings, material, proxy, local, unbound: Vec::new(), snapshot: None, known })
    }

    /// Makes what the objects ask for what is served. `gateway` is the gateway as it is bound.
    pub(crate) async fn apply(&mut self, set: &Set, gateway: &Edge) -> Vec<SocketAddr> {
        match Material::read(&self.settings.files) {
            Ok(read) => self.material.replace(read),
            Err(error) => tracing::error!("certificates stay as they were: {error:#}"),
        }
        let account = Account { certificates: self.material.discoverable(), ..Account::default() };
        let found = plenipo_aws::stacks(set, &account);
        let wanted = local::wanted_certificates(&found.stacks, set, gateway);
        let options = LocalOptions {
            gateway,
            gateway_address: self.settings.gateway_address,
            gateway_ports: self.settings.admin.iter().map(|bound| (ADMIN, *bound)).collect(),
            resolve: self.settings.resolve.clone(),
            ports: self.settings.ports.clone(),
            lowest_port: lowest_port(),
            certificates: self.material.certificates(&wanted, self.settings.stand_in.as_ref()),
            trust_stores: self.material.trust_stores.clone(),
            without_web_acl: self.settings.without_web_acl,
        };
        let local = local::edge(&found.stacks, set, &options);
        self.log(found.problems.iter().chain(&local.problems));
        // An address that could not be bound is tried again whenever there is an occasion.
        if local.edge != self.local.edge || !self.unbound.is_empty() {
            self.unbound = self.publish(&local.edge).await;
        }
        self.local = local;
        self.unbound.clone()
    }

    async fn publish(&mut self, edge: &Edge) -> Vec<SocketAddr> {
        let snapshot = Snapshot::build(Arc::new(edge.clone()), self.snapshot.as_ref());
        for (source, why) in snapshot.problems() {
            tracing::error!(%source, "{why}");
        }
        let unbound = self.proxy.publish(Arc::clone(&snapshot)).await;
        self.snapshot = Some(snapshot);
        for (address, error) in &unbound {
            tracing::error!("load balancer: {}", app::bind_failure(*address, error));
        }
        tracing::info!(
            listeners = edge.listeners.len(),
            clusters = edge.clusters.len(),
            "load balancers serving"
        );
        unbound.into_iter().map(|(address, _)| address).collect()
    }

    /// Problems that were not there before.
    fn log<'p>(&mut self, problems: impl Iterator<Item = &'p Problem>) {
        let now: BTreeSet<Problem> = problems.cloned().collect();
        for problem in now.difference(&self.known) {
            match problem.severity {
                Severity::Error => tracing::error!("{problem}"),
                Severity::Warning => tracing::warn!("{problem}"),
                Severity::Note => tracing::debug!("{problem}"),
            }
        }
        self.known = now;
    }

    /// What runs where, and how it differs from AWS.
    pub(crate) fn report(&self) -> String {
        report::text(&self.local, &self.material, &self.unbound)
    }

    /// What is served.
    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Finishes what runs.
    pub(crate) async fn drain(&mut self) {
        self.proxy.drain().await;
    }

    /// Ends the data plane.
    pub(crate) fn stop(self) {
        self.proxy.stop();
    }
}

/// The lowest port that this process may bind.
fn lowest_port() -> u16 {
    if rustix::process::geteuid().is_root() {
        return 1;
    }
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok();
    setting.and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

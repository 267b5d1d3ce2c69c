//! Clusters, compiled: TLS towards them and the endpoints as they are now.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use plenipo_model::{Cluster, Dns, Endpoint, Endpoints};
use tokio::sync::Notify;

use super::tls;
use crate::upstream::breakers::SharedCounts;
use crate::upstream::hashing::HashTables;

/// A cluster, compiled.
pub struct Upstream {
    /// As the model says.
    pub model: Arc<Cluster>,
    /// TLS towards it; a cluster whose TLS cannot be set up is never reached in clear text.
    pub(crate) tls: Result<Option<Arc<tls::OriginatedTls>>, String>,
    /// What lives on when only endpoints change.
    pub(crate) live: Arc<Live>,
}

/// The part of a cluster that changes while it serves: shared by the snapshots it is part of.
pub struct Live {
    /// Names the cluster to the pools of the data threads; a cluster that changed has another one.
    pub(crate) id: u64,
    endpoints: ArcSwapOption<EndpointSet>,
    resolved: Notify,
    /// What the data threads count together.
    pub(crate) counts: SharedCounts,
}

/// The endpoints of a cluster at one moment.
pub struct EndpointSet {
    /// In the order of their addresses.
    pub endpoints: Vec<Arc<EndpointState>>,
    /// Ring and Maglev tables, made when first asked for.
    pub(crate) tables: HashTables,
}

/// One endpoint and what is known of its health. It is the same one in every set that has its address.
#[derive(Debug)]
pub struct EndpointState {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share.
    pub weight: u32,
    healthy: AtomicBool,
}

static IDS: AtomicU64 = AtomicU64::new(1);

impl Upstream {
    /// Compiles a cluster, taking over what it can from the one of the same name before.
    pub(crate) fn build(model: &Arc<Cluster>, before: Option<&Arc<Self>>) -> Arc<Self> {
        if let Some(before) = before {
            if before.model == *model {
                return Arc::clone(before);
            }
            if before.model.differs_only_in_addresses(model) {
                before.live.set_static(model);
                return Arc::new(Self {
                    model: Arc::clone(model),
                    tls: before.tls.clone(),
                    live: Arc::clone(&before.live),
                });
            }
        }
        let tls = match &model.tls {
            None => Ok(None),
            Some(client) => {
                tls::originate(client, model.protocol).map(Some).map_err(|error| error.to_string())
            }
        };
        let live = Arc::new(Live {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            endpoints: ArcSwapOption::empty(),
            resolved: Notify::new(),
            counts: SharedCounts::default(),
        });
        live.set_static(model);
        Arc::new(Self { model: Arc::clone(model), tls, live })
    }

    /// Why it cannot be used.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.tls.as_ref().err().map(String::as_str)
    }

    /// The endpoints now; none while a name has never been resolved.
    pub fn endpoints(&self) -> Option<Arc<EndpointSet>> {
        self.live.endpoints.load_full()
    }

    /// The name to resolve.
    pub fn dns(&self) -> Option<&Dns> {
        match &self.model.endpoints {
            Endpoints::Dns(dns) => Some(dns),
            Endpoints::Static(_) => None,
        }
    }
}

impl Live {
    fn set_static(&self, model: &Cluster) {
        if let Endpoints::Static(endpoints) = &model.endpoints {
            self.set(endpoints);
        }
    }

    /// Replaces the endpoints; those that stay keep their health.
    pub(crate) fn set(&self, endpoints: &[Endpoint]) {
        let before = self.endpoints.load();
        let known: HashMap<SocketAddr, &Arc<EndpointState>> = before
            .iter()
            .flat_map(|set| &set.endpoints)
            .map(|endpoint| (endpoint.address, endpoint))
            .collect();
        let mut states: Vec<_> = endpoints
            .iter()
            .map(|endpoint| match known.get(&endpoint.address) {
                Some(state) if state.weight == endpoint.weight => Arc::clone(state),
                _ => Arc::new(EndpointState {
                    address: endpoint.address,
                    weight: endpoint.weight.max(1),
                    healthy: AtomicBool::new(true),
                }),
            })
            .collect();
        states.sort_by_key(|state| state.address);
        states.dedup_by_key(|state| state.address);
        self.endpoints
            .store(Some(Arc::new(EndpointSet { endpoints: states, tables: HashTables::default() })));
        self.resolved.notify_waiters();
    }

    /// The endpoints, as soon as there is an answer (which may be that there are none).
    pub(crate) async fn resolved(&self) -> Arc<EndpointSet> {
        loop {
            let notified = self.resolved.notified();
            if let Some(endpoints) = self.endpoints.load_full() {
                return endpoints;
            }
            notified.await;
        }
    }
}

impl EndpointState {
    /// Do its health checks pass?
    pub fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// What its health checks found.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn new(address: SocketAddr, weight: u32) -> Arc<Self> {
        Arc::new(Self { address, weight, healthy: AtomicBool::new(true) })
    }
}

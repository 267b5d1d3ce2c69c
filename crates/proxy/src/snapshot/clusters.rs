//! Clusters, compiled: TLS towards them and the endpoints as they are now.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use plenipo_model::{Cluster, Dns, Endpoint, Endpoints, FailOpen};
use tokio::sync::Notify;

use super::tls;
use crate::upstream::breakers::SharedPlaces;
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
    /// The places under its limits, for all data threads.
    pub(crate) places: SharedPlaces,
    fail_open: FailOpen,
    slow_start: Option<Duration>,
}

/// The endpoints of a cluster at one moment.
pub struct EndpointSet {
    /// In the order of their addresses.
    pub endpoints: Vec<Arc<EndpointState>>,
    /// Ring and Maglev tables, made when first asked for.
    pub(crate) tables: HashTables,
    /// When unhealthy ones are used, too.
    pub(crate) fail_open: FailOpen,
    /// Time in which one that is new comes to its full share.
    pub(crate) slow_start: Option<Duration>,
}

/// One endpoint and what is known of its health. It is the same one in every set that has its address.
#[derive(Debug)]
pub struct EndpointState {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share.
    pub weight: u32,
    fate: Arc<Fate>,
}

/// What becomes of an endpoint, whatever its weight.
#[derive(Debug)]
struct Fate {
    healthy: AtomicBool,
    gone: AtomicBool,
    changed: Notify,
    /// When it joined others or became healthy, in milliseconds after [`BEGINNING`]; 0 = it was there at first.
    joined: AtomicU64,
}

/// What [`Fate::joined`] counts from.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// [`EndpointState::warmth`] of an endpoint that has its full share.
pub(crate) const WARM: u64 = 1000;

impl Fate {
    /// Healthy until something else is found.
    fn begin(joined: u64) -> Arc<Self> {
        Arc::new(Self {
            healthy: AtomicBool::new(true),
            gone: AtomicBool::new(false),
            changed: Notify::new(),
            joined: AtomicU64::new(joined),
        })
    }
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
            places: SharedPlaces::default(),
            fail_open: model.fail_open,
            slow_start: model.slow_start,
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

    /// Ends when what is under way at an endpoint shall be cut: it left the cluster, and its time to drain is over.
    pub(crate) async fn drained(&self, address: SocketAddr) {
        let Some(drain) = self.model.drain else { return std::future::pending().await };
        let endpoints = self.endpoints();
        let there = endpoints.as_ref().and_then(|set| set.endpoints.iter().find(|e| e.address == address));
        if let Some(endpoint) = there.cloned() {
            drop(endpoints);
            endpoint.leaves().await;
        }
        tokio::time::sleep(drain).await;
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
        let joined = if known.is_empty() { 0 } else { since_beginning() };
        let mut states: Vec<_> = endpoints
            .iter()
            .map(|endpoint| match known.get(&endpoint.address) {
                Some(state) if state.weight == endpoint.weight => Arc::clone(state),
                state => Arc::new(EndpointState {
                    address: endpoint.address,
                    weight: endpoint.weight.max(1),
                    fate: state.map_or_else(|| Fate::begin(joined), |state| Arc::clone(&state.fate)),
                }),
            })
            .collect();
        states.sort_by_key(|state| state.address);
        states.dedup_by_key(|state| state.address);
        for (address, state) in known {
            if states.binary_search_by_key(&address, |state| state.address).is_err() {
                state.fate.gone.store(true, Ordering::Relaxed);
                state.fate.changed.notify_waiters();
            }
        }
        let (fail_open, slow_start) = (self.fail_open, self.slow_start);
        let set = EndpointSet { endpoints: states, tables: HashTables::default(), fail_open, slow_start };
        self.endpoints.store(Some(Arc::new(set)));
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
        self.fate.healthy.load(Ordering::Relaxed)
    }

    /// What its health checks found.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        if self.fate.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            if healthy {
                self.fate.joined.store(since_beginning(), Ordering::Relaxed);
            }
            self.fate.changed.notify_waiters();
        }
    }

    /// How much of its share it gets, of [`WARM`]: linearly more until `slow_start` is over.
    pub(crate) fn warmth(&self, slow_start: Duration) -> u64 {
        let joined = self.fate.joined.load(Ordering::Relaxed);
        let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX).max(1);
        let there = since_beginning().saturating_sub(joined);
        if joined == 0 || there >= whole { WARM } else { (there.saturating_mul(WARM) / whole).max(1) }
    }

    /// Ends when the endpoint, healthy now or later, becomes unhealthy.
    pub(crate) async fn sickens(&self) {
        let mut was_healthy = self.healthy();
        loop {
            let mut changed = pin!(self.fate.changed.notified());
            changed.as_mut().enable();
            match (was_healthy, self.healthy()) {
                (true, false) => return,
                (_, now) => was_healthy = now,
            }
            changed.await;
        }
    }

    /// Ends when the endpoint is no longer one of its cluster's.
    pub(crate) async fn leaves(&self) {
        loop {
            let mut changed = pin!(self.fate.changed.notified());
            changed.as_mut().enable();
            if self.fate.gone.load(Ordering::Relaxed) {
                return;
            }
            changed.await;
        }
    }

    #[cfg(test)]
    pub(crate) fn new(address: SocketAddr, weight: u32) -> Arc<Self> {
        Arc::new(Self { address, weight, fate: Fate::begin(0) })
    }
}

fn since_beginning() -> u64 {
    u64::try_from(BEGINNING.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}

//! Clusters, compiled: TLS towards them and the endpoints as they are now.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::Version;
use plenipo_model::{Cluster, Dns, Endpoint, Endpoints, TlsClient, UpstreamProtocol};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::tls;
use crate::upstream::breakers::SharedPlaces;
use crate::upstream::budget::Budget;
use crate::upstream::hashing::HashTables;
use crate::upstream::outlier::{Heard, Outliers, Record};

pub(crate) use selection::{Panic, Selection};

mod selection;

/// TLS towards a cluster: none, or why it cannot be.
type Originated = Result<Option<Arc<tls::OriginatedTls>>, String>;

/// A cluster, compiled.
pub struct Upstream {
    /// As the model says.
    pub model: Arc<Cluster>,
    /// TLS towards it; a cluster whose TLS cannot be set up is never reached in clear text.
    pub(crate) tls: Originated,
    /// The same for HTTP/2, where the client's protocol decides.
    tls_http2: Option<Originated>,
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
    /// What finds the endpoints that answer badly, where that is wanted.
    pub(crate) outliers: Option<Outliers>,
    /// Counts retries against requests, where that is wanted.
    pub(crate) budget: Option<Arc<Budget>>,
    selection: Selection,
}

/// The endpoints of a cluster at one moment.
pub struct EndpointSet {
    /// In the order of their addresses.
    pub endpoints: Vec<Arc<EndpointState>>,
    /// Ring and Maglev tables, made when first asked for.
    pub(crate) tables: HashTables,
    pub(crate) selection: Selection,
    /// The endpoints of each priority, the first one first; empty when all have the same.
    pub(crate) tiers: Vec<Self>,
}

/// One endpoint and what is known of its health. It is the same one in every set that has its address.
#[derive(Debug)]
pub struct EndpointState {
    /// Where it is.
    pub address: SocketAddr,
    /// Its share.
    pub weight: u32,
    /// 0 comes first.
    pub priority: u32,
    fate: Arc<Fate>,
}

/// What becomes of an endpoint, whatever its weight.
#[derive(Debug)]
struct Fate {
    /// Why it is not to be used: [`FAILS_CHECKS`] and [`EJECTED`], 0 = healthy.
    ills: AtomicU8,
    gone: AtomicBool,
    changed: Notify,
    /// When it joined others or became healthy, in milliseconds after [`BEGINNING`]; 0 = it was there at first.
    joined: AtomicU64,
    /// What outlier detection knows, where there is any.
    record: Option<Record>,
}

/// Its health checks fail.
const FAILS_CHECKS: u8 = 1;
/// Outlier detection put it out.
const EJECTED: u8 = 2;

/// What [`Fate::joined`] counts from: by the real clock, as it is one for all, and a clock that a test has paused is not.
static BEGINNING: LazyLock<Instant> = LazyLock::new(|| Instant::from_std(std::time::Instant::now()));

/// [`EndpointState::warmth`] of an endpoint that has its full share.
pub(crate) const WARM: u64 = 1000;

impl Fate {
    /// Healthy until something else is found.
    fn begin(joined: u64, watched: bool) -> Arc<Self> {
        Arc::new(Self {
            record: watched.then(Record::default),
            ills: AtomicU8::new(0),
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
                    tls_http2: before.tls_http2.clone(),
                    live: Arc::clone(&before.live),
                });
            }
        }
        let (tls, tls_http2) = originated(model, before);
        let live = Arc::new(Live {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            endpoints: ArcSwapOption::empty(),
            resolved: Notify::new(),
            places: SharedPlaces::default(),
            outliers: Outliers::of(model),
            budget: model.retry_budget.map(Budget::new),
            selection: Selection::of(model),
        });
        live.set_static(model);
        Arc::new(Self { model: Arc::clone(model), tls, tls_http2, live })
    }

    /// Is this endpoint one that is spoken to in clear text, whatever is spoken to the others?
    pub(crate) fn in_clear_text(&self, address: SocketAddr) -> bool {
        match &self.model.endpoints {
            Endpoints::Static(list) if self.model.tls.is_some() => {
                list.iter().any(|endpoint| endpoint.clear_text && endpoint.address == address)
            }
            _ => false,
        }
    }

    /// What a request is sent in that came over this version.
    pub(crate) fn protocol(&self, client: Version) -> UpstreamProtocol {
        match (self.model.as_client, client) {
            (false, _) => self.model.protocol,
            (true, Version::HTTP_2) => UpstreamProtocol::Http2,
            (true, _) => UpstreamProtocol::Http1,
        }
    }

    /// TLS for a protocol.
    pub(crate) fn tls_for(&self, protocol: UpstreamProtocol) -> &Originated {
        let http2 = self.tls_http2.as_ref().filter(|_| protocol == UpstreamProtocol::Http2);
        http2.unwrap_or(&self.tls)
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
                Some(state) if (state.weight, state.priority) == (endpoint.weight, endpoint.priority) => {
                    Arc::clone(state)
                }
                state => Arc::new(EndpointState {
                    address: endpoint.address,
                    weight: endpoint.weight.max(1),
                    priority: endpoint.priority,
                    fate: state.map_or_else(
                        || Fate::begin(joined, self.outliers.is_some()),
                        |state| Arc::clone(&state.fate),
                    ),
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
        let set = EndpointSet::new(states, self.selection);
        self.endpoints.store(Some(Arc::new(set)));
        self.resolved.notify_waiters();
    }

    /// Tells outlier detection, if there is any, what was heard of an endpoint.
    pub(crate) fn heard(&self, address: SocketAddr, heard: Heard) {
        let Some(outliers) = &self.outliers else { return };
        let set = self.endpoints.load();
        let Some(set) = set.as_deref() else { return };
        if let Ok(at) = set.endpoints.binary_search_by_key(&address, |state| state.address) {
            outliers.note(set, &set.endpoints[at], heard);
        }
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

impl EndpointSet {
    /// Endpoints in the order of their addresses.
    pub(crate) fn new(endpoints: Vec<Arc<EndpointState>>, selection: Selection) -> Self {
        let mut by_priority: BTreeMap<u32, Vec<_>> = BTreeMap::new();
        if endpoints.iter().any(|endpoint| endpoint.priority != endpoints[0].priority) {
            for endpoint in &endpoints {
                by_priority.entry(endpoint.priority).or_default().push(Arc::clone(endpoint));
            }
        }
        let tiers = by_priority.into_values().map(|tier| Self::new(tier, selection)).collect();
        Self { endpoints, tables: HashTables::default(), selection, tiers }
    }
}

impl EndpointState {
    /// Do its health checks pass, and has outlier detection nothing against it?
    pub fn healthy(&self) -> bool {
        self.fate.ills.load(Ordering::Relaxed) == 0
    }

    /// What its health checks found.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.set_ill(FAILS_CHECKS, !healthy);
    }

    /// Has outlier detection put it out?
    pub fn is_ejected(&self) -> bool {
        self.fate.ills.load(Ordering::Relaxed) & EJECTED != 0
    }

    /// What outlier detection decided.
    pub(crate) fn set_ejected(&self, ejected: bool) {
        self.set_ill(EJECTED, ejected);
    }

    fn set_ill(&self, ill: u8, is: bool) {
        let ills = &self.fate.ills;
        let before =
            if is { ills.fetch_or(ill, Ordering::Relaxed) } else { ills.fetch_and(!ill, Ordering::Relaxed) };
        let now = if is { before | ill } else { before & !ill };
        if (before == 0) != (now == 0) {
            if now == 0 {
                self.fate.joined.store(since_beginning(), Ordering::Relaxed);
            }
            self.fate.changed.notify_waiters();
        }
    }

    /// What outlier detection knows of it.
    pub(crate) fn record(&self) -> Option<&Record> {
        self.fate.record.as_ref()
    }

    /// How much of its share it gets, of [`WARM`]: linearly more until `slow_start` is over.
    pub(crate) fn warmth(&self, slow_start: Duration) -> u64 {
        let joined = self.fate.joined.load(Ordering::Relaxed);
        if joined == 0 {
            return WARM;
        }
        let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX).max(1);
        let there = since_beginning().saturating_sub(joined);
        if there >= whole { WARM } else { (there.saturating_mul(WARM) / whole).max(1) }
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
        Self::of_priority(address, weight, 0)
    }

    #[cfg(test)]
    pub(crate) fn of_priority(address: SocketAddr, weight: u32, priority: u32) -> Arc<Self> {
        Arc::new(Self { address, weight, priority, fate: Fate::begin(0, false) })
    }
}

/// TLS towards a cluster, and that for HTTP/2. Where nothing of it changed it is the one before, with its sessions.
fn originated(model: &Cluster, before: Option<&Arc<Upstream>>) -> (Originated, Option<Originated>) {
    let rules = |model: &Cluster| (model.tls.clone(), model.protocol, model.as_client);
    if let Some(before) =
        before.filter(|before| before.problem().is_none() && rules(&before.model) == rules(model))
    {
        return (before.tls.clone(), before.tls_http2.clone());
    }
    let originate = |client: Option<&TlsClient>, protocol| match client {
        None => Ok(None),
        Some(client) => tls::originate(client, protocol).map(Some).map_err(|error| error.to_string()),
    };
    let tls_http2 = model.as_client.then(|| {
        let client = model.tls.as_deref().map(TlsClient::for_http2);
        originate(client.as_ref(), UpstreamProtocol::Http2)
    });
    (originate(model.tls.as_deref(), model.protocol), tls_http2)
}

fn since_beginning() -> u64 {
    u64::try_from(BEGINNING.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;

//! What goes on beside the traffic: names are resolved again and again, endpoints are asked for their health.
//!
//! One thread of its own does this for the whole process, and writes what it finds where the data threads read it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use plenipo_model::{Dns, DnsFamily, DnsKind, Endpoint};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{health, outlier};
use crate::authentication::{KeySet, Places};
use crate::snapshot::clusters::Upstream;
use crate::snapshot::{Snapshot, Upstreams};

/// Between two questions for the same name, unless its time to live is respected.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Bounds on a time to live that is respected.
const SHORTEST_TTL: Duration = Duration::from_secs(1);
const LONGEST_TTL: Duration = Duration::from_secs(3600);
/// After a question without an answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Questions under way at a time: each takes a socket, and a large configuration has many names.
const QUESTIONS: usize = 64;

/// Looks after the clusters of the newest snapshot until the channel ends.
pub(crate) async fn run(mut snapshots: mpsc::UnboundedReceiver<Arc<Snapshot>>) {
    let resolvers = Rc::new(Resolvers::new());
    let mut keys = Fetches::default();
    let mut tasks: HashMap<u64, (Arc<Upstream>, Vec<JoinHandle<()>>)> = HashMap::new();
    let mut last = Upstreams::default();
    while let Some(snapshot) = snapshots.recv().await {
        keys.follow(&snapshot, &resolvers);
        if last.are(snapshot.clusters()) {
            continue;
        }
        last = snapshot.clusters().clone();
        let mut before = std::mem::take(&mut tasks);
        for upstream in snapshot.upstreams() {
            let id = upstream.live.id;
            let kept =
                before.remove(&id).unwrap_or_else(|| (Arc::clone(upstream), begin(upstream, &resolvers)));
            tasks.insert(id, kept);
        }
        for (_, (_, gone)) in before {
            gone.iter().for_each(JoinHandle::abort);
        }
    }
}

/// The key sets that are fetched, each by a task of its own.
#[derive(Default)]
struct Fetches {
    /// The newest snapshot, for all tasks.
    snapshot: Option<Rc<RefCell<Arc<Snapshot>>>>,
    tasks: Vec<(Arc<KeySet>, JoinHandle<()>)>,
}

impl Fetches {
    fn follow(&mut self, snapshot: &Arc<Snapshot>, resolvers: &Rc<Resolvers>) {
        let current = self.snapshot.get_or_insert_with(|| Rc::new(RefCell::new(Arc::clone(snapshot))));
        current.replace(Arc::clone(snapshot));
        let mut before = std::mem::take(&mut self.tasks);
        for set in snapshot.key_sets().remote() {
            let kept = before.iter().position(|(other, _)| Arc::ptr_eq(other, set));
            let kept = kept.map(|at| before.swap_remove(at)).unwrap_or_else(|| {
                let places = Places { snapshot: Rc::clone(current), resolvers: Rc::clone(resolvers) };
                (Arc::clone(set), tokio::task::spawn_local(Arc::clone(set).keep(places)))
            });
            self.tasks.push(kept);
        }
        before.iter().for_each(|(_, task)| task.abort());
    }
}

fn begin(upstream: &Arc<Upstream>, resolvers: &Rc<Resolvers>) -> Vec<JoinHandle<()>> {
    let mut tasks = Vec::new();
    if upstream.dns().is_some() {
        tasks.push(tokio::task::spawn_local(resolve(Arc::clone(upstream), Rc::clone(resolvers))));
    }
    if !upstream.model.health_checks.is_empty() {
        tasks.push(tokio::task::spawn_local(health::watch(Arc::clone(upstream))));
    }
    if upstream.live.outliers.is_some() {
        tasks.push(tokio::task::spawn_local(outlier::watch(Arc::clone(upstream))));
    }
    tasks
}

/// Keeps the endpoints of a cluster what its names resolve to.
async fn resolve(upstream: Arc<Upstream>, resolvers: Rc<Resolvers>) {
    let Some(dns) = upstream.dns() else { return };
    let others = dns.others.iter().map(|(name, port)| Dns { name: name.clone(), port: *port, ..dns.clone() });
    let names: Vec<Dns> = std::iter::once(dns.clone()).chain(others).collect();
    let mut known: Vec<Known> = names.iter().map(|_| Known::default()).collect();
    let mut used = None;
    loop {
        let mut pause = ASK_EVERY;
        if dns.respect_ttl {
            pause = LONGEST_TTL;
        }
        for (at, name) in names.iter().enumerate() {
            pause = pause.min(ask_for(name, &mut known[at], &upstream, &resolvers).await);
            let all = names.iter().zip(&known);
            let endpoints: Vec<Endpoint> =
                all.flat_map(|(name, known)| endpoints(name, known.addresses.as_deref())).collect();
            // Those that answer slowly are not waited for.
            if used.as_ref() != Some(&endpoints) {
                upstream.live.set(&endpoints);
                used = Some(endpoints);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    /// None before it resolved for the first time.
    addresses: Option<Vec<IpAddr>>,
    /// The last question had no answer, and that has been said.
    silent: bool,
}

/// Asks for a name, and says when to ask again. What was found before keeps serving; a name that never resolved has no
/// endpoints.
async fn ask_for(dns: &Dns, known: &mut Known, upstream: &Upstream, resolvers: &Resolvers) -> Duration {
    match resolvers.ask(dns).await {
        Ok((addresses, ttl)) => {
            if known.addresses.as_ref() != Some(&addresses) {
                tracing::debug!(cluster = %upstream.model.name, name = dns.name, ?addresses, "resolved");
                known.addresses = Some(addresses);
            }
            known.silent = false;
            if dns.respect_ttl { ttl.clamp(SHORTEST_TTL, LONGEST_TTL) } else { ASK_EVERY }
        }
        Err(error) => {
            if !std::mem::replace(&mut known.silent, true) {
                tracing::warn!(cluster = %upstream.model.name, name = dns.name, %error, "a name cannot be resolved");
            }
            if known.addresses.is_some() { ASK_EVERY } else { ASK_AGAIN }
        }
    }
}

fn endpoints(dns: &Dns, known: Option<&[IpAddr]>) -> Vec<Endpoint> {
    let known = known.unwrap_or_default();
    let used = match dns.kind {
        DnsKind::Strict => known,
        DnsKind::Logical => known.get(..1).unwrap_or_default(),
    };
    used.iter().map(|address| Endpoint::at(SocketAddr::new(*address, dns.port))).collect()
}

/// One resolver for each family of addresses, over the system's name servers; none when the system's settings cannot be
/// read.
pub(crate) struct Resolvers {
    v4: Result<TokioResolver, NetError>,
    v6: Result<TokioResolver, NetError>,
    either: Result<TokioResolver, NetError>,
    questions: Semaphore,
}

impl Resolvers {
    fn new() -> Self {
        let resolver = |strategy| {
            let mut builder = TokioResolver::builder_tokio()?;
            builder.options_mut().ip_strategy = strategy;
            // Each question goes out: the pause between questions is ours to choose.
            builder.options_mut().cache_size = 0;
            builder.build()
        };
        Self {
            v4: resolver(LookupIpStrategy::Ipv4Only),
            v6: resolver(LookupIpStrategy::Ipv6Only),
            either: resolver(LookupIpStrategy::Ipv6thenIpv4),
            questions: Semaphore::new(QUESTIONS),
        }
    }

    pub(crate) async fn ask(&self, dns: &Dns) -> Result<(Vec<IpAddr>, Duration), NetError> {
        let resolver = match dns.family {
            DnsFamily::V4 => &self.v4,
            DnsFamily::V6 => &self.v6,
            DnsFamily::PreferV6 => &self.either,
        };
        let resolver = resolver.as_ref().map_err(Clone::clone)?;
        // Never closed while there are questions.
        let _turn = self.questions.acquire().await;
        let answer = resolver.lookup_ip(dns.name.as_str()).await?;
        let ttl = answer.valid_until().saturating_duration_since(Instant::now().into_std());
        let mut addresses: Vec<IpAddr> = answer.iter().collect();
        if dns.kind == DnsKind::Strict {
            addresses.sort_unstable();
        }
        Ok((addresses, ttl))
    }
}

//! What goes on beside the traffic: names are resolved again and again, endpoints are asked for their health.
//!
//! One thread of its own does this for the whole process, and writes what it finds where the data threads read it.

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
    let mut tasks: HashMap<u64, (Arc<Upstream>, Vec<JoinHandle<()>>)> = HashMap::new();
    let mut last = Upstreams::default();
    while let Some(snapshot) = snapshots.recv().await {
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

/// Keeps the endpoints of a cluster what its name resolves to.
async fn resolve(upstream: Arc<Upstream>, resolvers: Rc<Resolvers>) {
    let Some(dns) = upstream.dns() else { return };
    let mut known: Option<Vec<IpAddr>> = None;
    loop {
        let pause = match resolvers.ask(dns).await {
            Ok((addresses, ttl)) => {
                if known.as_ref() != Some(&addresses) {
                    tracing::debug!(cluster = %upstream.model.name, name = dns.name, ?addresses, "resolved");
                    let used = match dns.kind {
                        DnsKind::Strict => addresses.as_slice(),
                        DnsKind::Logical => addresses.get(..1).unwrap_or_default(),
                    };
                    let endpoint = |address: &IpAddr| Endpoint::at(SocketAddr::new(*address, dns.port));
                    upstream.live.set(&used.iter().map(endpoint).collect::<Vec<_>>());
                    known = Some(addresses);
                }
                if dns.respect_ttl { ttl.clamp(SHORTEST_TTL, LONGEST_TTL) } else { ASK_EVERY }
            }
            Err(error) => {
                // What was found before keeps serving; a name that never resolved has no endpoints.
                tracing::warn!(cluster = %upstream.model.name, name = dns.name, %error, "a name cannot be resolved");
                if known.is_none() {
                    upstream.live.set(&[]);
                }
                ASK_AGAIN.max(if known.is_some() { ASK_EVERY } else { ASK_AGAIN })
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// One resolver for each family of addresses, over the system's name servers; none when the system's settings cannot be
/// read.
struct Resolvers {
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

    async fn ask(&self, dns: &Dns) -> Result<(Vec<IpAddr>, Duration), NetError> {
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

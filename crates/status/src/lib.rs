//! What became of objects, written back to the cluster.
//!
//! *In:* an [`Outcome`] whenever there is a new one: the objects, the verdict on each, what could not be carried out. *Out:*
//! conditions in `status` of the gateway's own kinds, addresses in that of Ingresses, and Kubernetes Events for what is
//! refused. Called by the wiring of `run --kubernetes`.
//!
//! One replica writes: the one that holds a Lease. It writes what the cluster does not say already, the newest of each object,
//! no more often than its budget allows. It never touches what is not the gateway's: objects of other instances, other
//! controllers' conditions, addresses of Ingresses of other classes. Nothing here is needed to serve: when the apiserver is
//! away, nothing is written, and that is all.

mod address;
mod api;
mod backlog;
mod budget;
mod condition;
mod content;
mod event;
mod judgement;
mod kinds;
mod lease;
mod numbers;
mod outcome;
mod reason;
mod record;
mod review;
mod session;
mod shape;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use address::Publication;
pub use outcome::{Fault, FaultKind, Outcome};

use lease::Claim;
use numbers::Numbers;

/// So long giving the lease back may take.
const RELEASE: Duration = Duration::from_secs(3);

/// Who writes, where, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which objects are ours (`AMBASSADOR_ID`); the Lease is called `plenipo-<that>`.
    pub ambassador_id: String,
    /// Our own namespace: the Lease is there.
    pub namespace: String,
    /// What this replica is called: the name of its pod.
    pub identity: String,
    /// Where the gateway is, for Ingresses.
    pub publication: Publication,
    /// Writes per second. Default 20.
    pub writes_per_second: u32,
    /// Writes at once after a while without. Default 50.
    pub write_burst: u32,
}

impl Options {
    /// With the default budget, and nothing published.
    pub fn new(
        ambassador_id: impl Into<String>,
        namespace: impl Into<String>,
        identity: impl Into<String>,
    ) -> Self {
        Self {
            ambassador_id: ambassador_id.into(),
            namespace: namespace.into(),
            identity: identity.into(),
            publication: Publication::default(),
            writes_per_second: 20,
            write_burst: 50,
        }
    }

    /// `plenipo-<ambassador id>`; of an id that cannot be part of a name, and of a long one, the hash instead. (The chart's
    /// rights are for the same name.)
    fn lease(&self) -> String {
        let id = &self.ambassador_id;
        let fits = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        if !id.is_empty() && id.len() <= 48 && id.chars().all(fits) && !id.ends_with('-') {
            return format!("plenipo-{id}");
        }
        let hash = Sha256::digest(id.as_bytes());
        let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("plenipo-{hex}")
    }
}

/// Writes status until it is stopped (or dropped).
#[derive(Debug)]
pub struct Handle {
    leading: watch::Receiver<bool>,
    numbers: Arc<Numbers>,
    stop: Option<oneshot::Sender<()>>,
    lease: JoinHandle<()>,
    session: JoinHandle<()>,
}

/// What there is to know about the writing, for metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gauge {
    leading: watch::Receiver<bool>,
    numbers: Arc<Numbers>,
}

/// Begins to write, on the current runtime, once there is an outcome.
pub fn keep(client: Client, options: Options, outcomes: watch::Receiver<Option<Arc<Outcome>>>) -> Handle {
    let (leads, leading) = watch::channel(false);
    let (stop, stopped) = oneshot::channel();
    let numbers = Arc::new(Numbers::default());
    let claim = Claim {
        namespace: options.namespace.clone(),
        name: options.lease(),
        identity: options.identity.clone(),
    };
    let lease = tokio::spawn(stand(client.clone(), claim, leads, stopped, outcomes.clone()));
    let session = session::run(client, Arc::new(options), outcomes, leading.clone(), Arc::clone(&numbers));
    Handle { leading, numbers, stop: Some(stop), lease, session: tokio::spawn(session) }
}

/// Who has nothing to say does not stand for election.
async fn stand(
    client: Client,
    claim: Claim,
    leads: watch::Sender<bool>,
    mut stopped: oneshot::Receiver<()>,
    mut outcomes: watch::Receiver<Option<Arc<Outcome>>>,
) {
    tokio::select! {
        _ = &mut stopped => return,
        first = outcomes.wait_for(Option::is_some) => {
            if first.is_err() {
                return;
            }
        }
    }
    lease::keep(client, claim, leads, stopped).await;
}

impl Handle {
    /// What there is to know for metrics.
    pub fn gauge(&self) -> Gauge {
        Gauge { leading: self.leading.clone(), numbers: Arc::clone(&self.numbers) }
    }

    /// Stops writing and gives the lease back, so that another replica need not wait for it.
    pub async fn stop(mut self) {
        self.session.abort();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if timeout(RELEASE, &mut self.lease).await.is_err() {
            tracing::debug!("the lease is not given back; it runs out");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.session.abort();
        self.lease.abort();
    }
}

impl Gauge {
    /// Is it this replica that writes?
    pub fn leads(&self) -> bool {
        *self.leading.borrow()
    }

    /// Writes since the start, by result: `written`, `conflict`, `gone`, `deferred`, `refused`.
    pub fn writes(&self) -> Vec<(&'static str, u64)> {
        self.numbers.writes()
    }

    /// Objects that wait to be written.
    pub fn waiting(&self) -> u64 {
        self.numbers.waiting()
    }

    /// Events told, and left untold because there were too many.
    pub fn events(&self) -> (u64, u64) {
        self.numbers.events()
    }
}

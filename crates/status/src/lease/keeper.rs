//! The Lease in the cluster.

use http::{Method, StatusCode};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::{oneshot, watch};
use tokio::time::{Duration, Instant, sleep_until};

use super::{DURATION, Election, RETRY, Record, Step};
use crate::api::{Answer, Payload, Silence, ask};

/// What is to be held, and by whom.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// The Lease's namespace.
    pub(crate) namespace: String,
    /// The Lease's name.
    pub(crate) name: String,
    /// Ours.
    pub(crate) identity: String,
}

/// Keeps asking for the lease until `stop`, then gives it back. `leading` says whether it is ours.
pub(crate) async fn keep(
    client: Client,
    claim: Claim,
    leading: watch::Sender<bool>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut keeper =
        Keeper { election: Election::new(claim.identity.clone()), client, claim, last: None, silent: false };
    loop {
        let next = Instant::now() + RETRY;
        tokio::select! {
            biased;
            _ = &mut stop => break,
            () = run_out(keeper.election.leads_until()) => keeper.election.give_up(),
            () = keeper.attempt() => {}
        }
        announce(&leading, keeper.election.leads_until().is_some());
        tokio::select! {
            biased;
            _ = &mut stop => break,
            () = run_out(keeper.election.leads_until()) => keeper.election.give_up(),
            () = sleep_until(next) => {}
        }
        announce(&leading, keeper.election.leads_until().is_some());
    }
    let led = *leading.borrow();
    announce(&leading, false);
    if led {
        keeper.release().await;
    }
}

async fn run_out(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn announce(leading: &watch::Sender<bool>, leads: bool) {
    let changed = leading.send_if_modified(|led| std::mem::replace(led, leads) != leads);
    match (changed, leads) {
        (true, true) => tracing::info!("this replica writes status: it holds the lease"),
        (true, false) => tracing::info!("this replica does not write status any more"),
        (false, _) => {}
    }
}

struct Keeper {
    client: Client,
    claim: Claim,
    election: Election,
    /// The Lease as the apiserver had it last, while it is ours.
    last: Option<Lease>,
    /// Was it already said that the apiserver does not answer as it should?
    silent: bool,
}

impl Keeper {
    async fn attempt(&mut self) {
        match self.tried().await {
            Ok(()) => self.silent = false,
            Err(why) => {
                self.last = None;
                if !std::mem::replace(&mut self.silent, true) {
                    tracing::warn!(lease = self.claim.name, %why, "the lease cannot be had");
                }
            }
        }
    }

    async fn tried(&mut self) -> Result<(), Refusal> {
        let found = match self.last.take() {
            Some(ours) => Some(ours),
            None => self.read().await?,
        };
        let asked = Instant::now();
        let step = self.election.step(asked, found.as_ref().map(Record::of));
        let (method, lease) = match (step, found) {
            (Step::Wait, _) => return Ok(()),
            (Step::Create, _) | (_, None) => (Method::POST, self.lease(None, 0)),
            (Step::Take(transitions), Some(found)) => (Method::PUT, self.lease(Some(found), transitions)),
            (Step::Renew, Some(found)) => (Method::PUT, renewed(found)),
        };
        let answer = self.send(method, &lease).await?;
        // Somebody else was faster, or has deleted it: it may be another's now.
        if matches!(answer.status, StatusCode::CONFLICT | StatusCode::NOT_FOUND) {
            self.election.give_up();
            return Ok(());
        }
        let lease: Lease = accepted(answer)?;
        self.election.granted(asked);
        self.last = Some(lease);
        Ok(())
    }

    async fn read(&self) -> Result<Option<Lease>, Refusal> {
        let answer = ask(&self.client, Method::GET, &self.path(), Payload::Nothing).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        accepted(answer).map(Some)
    }

    async fn send(&self, method: Method, lease: &Lease) -> Result<Answer, Refusal> {
        let path = if method == Method::POST { self.collection() } else { self.path() };
        let body = serde_json::to_value(lease)?;
        Ok(ask(&self.client, method, &path, Payload::Object(&body)).await?)
    }

    /// Gives it back, so that another replica need not wait for it to run out.
    async fn release(&mut self) {
        let found = match self.last.take() {
            Some(ours) => Ok(Some(ours)),
            None => self.read().await,
        };
        let Ok(Some(mut lease)) = found else { return };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&*self.claim.identity) {
            return;
        }
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime::from(Timestamp::now()));
        if let Err(why) = self.send(Method::PUT, &lease).await {
            tracing::debug!(%why, "the lease is not given back; it runs out");
        }
    }

    /// Ours from now on.
    fn lease(&self, before: Option<Lease>, transitions: i32) -> Lease {
        let name = Some(self.claim.name.clone());
        let metadata = before.map_or_else(
            || ObjectMeta { name, namespace: Some(self.claim.namespace.clone()), ..Default::default() },
            |lease| lease.metadata,
        );
        let now = MicroTime::from(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(self.claim.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..Default::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    fn collection(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.claim.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.claim.name)
    }
}

fn renewed(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_default();
    spec.renew_time = Some(MicroTime::from(Timestamp::now()));
    spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
    lease
}

impl Record {
    fn of(lease: &Lease) -> Self {
        let Some(spec) = &lease.spec else { return Self::default() };
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            duration: seconds.map_or(DURATION, Duration::from_secs),
            renewed: spec.renew_time.as_ref().map(|time| time.0.to_string()).unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }
}

/// Why the lease is not ours.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Silence(#[from] Silence),
    #[error("{0}: {1}")]
    Refused(StatusCode, String),
    #[error("the answer is no Lease: {0}")]
    Unreadable(#[from] serde_json::Error),
}

fn accepted(answer: Answer) -> Result<Lease, Refusal> {
    if !answer.status.is_success() {
        return Err(Refusal::Refused(answer.status, answer.message().to_owned()));
    }
    Ok(serde_json::from_value::<Lease>(answer.body)?)
}

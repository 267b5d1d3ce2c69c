//! A cluster as a [`Set`]: every kind that the gateway acts on, listed once and followed from then on.
//!
//! The set is the one that a directory with the same objects gives. It is not given out before every list is complete, and
//! from then on whatever happens to the apiserver takes nothing away: what was read last holds until something newer is
//! known.

mod api;
mod discovery;
mod follower;
mod glimpses;
mod kinds;
mod plan;
mod shape;
mod standing;
mod store;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use plenipo_resources::{ObjectId, Set, SourceState};
use tokio::sync::watch as channel;
use tokio::time::timeout;

use follower::Follower;

/// So long one complete reading may take.
const READING: Duration = Duration::from_secs(60);

/// What of a cluster is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// Objects of these namespaces; empty = of all.
    pub namespaces: Vec<String>,
    /// The namespaces that the gateway (and an Istio gateway in its place) is in: where some names of Secrets are looked up.
    pub gateways: Vec<String>,
    /// Only objects with these labels (`AMBASSADOR_LABEL_SELECTOR`), of all kinds but Namespaces and what describes pods.
    pub label_selector: Option<String>,
    /// Only objects with these fields (`AMBASSADOR_FIELD_SELECTOR`), of the same kinds.
    pub field_selector: Option<String>,
    /// Secrets and ConfigMaps that are needed although no object refers to them.
    pub needed: Vec<ObjectId>,
    /// Everything that checks look at, not only what is served: Deployments whole, pods and nodes always.
    pub whole: bool,
    /// How often the cluster is asked what it serves. Default 10 s.
    pub discovery: Duration,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            gateways: Vec::new(),
            label_selector: None,
            field_selector: None,
            needed: Vec::new(),
            whole: false,
            discovery: Duration::from_secs(10),
        }
    }
}

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig; none = the cluster that this process runs in, else `$KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; none = the current one.
    pub context: Option<String>,
}

/// A cluster that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The kubeconfig, or what a pod has instead of one, is not there or makes no sense.
    #[error("{0}")]
    Access(String),
    /// The cluster does not answer, or not with what was asked for.
    #[error("the cluster cannot be read: {0}")]
    Unreadable(String),
}

/// A client for a cluster. Nothing is asked yet. Tokens and certificates that are in files are read again as they change.
///
/// # Errors
/// When it cannot be known which cluster, or as whom.
pub async fn connect(access: &Access) -> Result<Client, ClusterError> {
    let wrong = |error: &dyn std::error::Error| ClusterError::Access(api::reason(error));
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    let is_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let mut config = match &access.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
            Config::from_custom_kubeconfig(file, &options).await.map_err(|error| wrong(&error))?
        }
        None if is_pod && access.context.is_none() => Config::incluster().map_err(|error| wrong(&error))?,
        None => Config::from_kubeconfig(&options).await.map_err(|error| wrong(&error))?,
    };
    // Whoever asks knows best when to ask again.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    Client::try_from(config).map_err(|error| wrong(&error))
}

/// Reads a cluster and follows its changes, on the runtime it is called on, until nobody listens any more. There is no set
/// before every list is complete; the state says what is missing.
pub fn follow(
    client: Client,
    options: ClusterOptions,
) -> (channel::Receiver<Option<Arc<Set>>>, channel::Receiver<Arc<SourceState>>) {
    let (sets, set) = channel::channel(None);
    let (states, state) = channel::channel(Arc::new(SourceState::cluster()));
    tokio::spawn(Follower::new(client, options, sets, states).run());
    (set, state)
}

/// Reads a cluster once. Kinds that we may not read are problems of the set.
///
/// # Errors
/// When the cluster cannot be reached, or does not give everything within a minute.
pub async fn read(client: Client, options: ClusterOptions) -> Result<Set, ClusterError> {
    let (mut sets, mut states) = follow(client, options);
    let complete = async {
        tokio::select! {
            set = sets.wait_for(Option::is_some) => {
                let set = set.ok().and_then(|set| set.as_deref().cloned());
                set.ok_or_else(|| ClusterError::Unreadable("it is no longer read".to_owned()))
            }
            state = states.wait_for(|state| state.error.is_some()) => {
                let error = state.ok().and_then(|state| state.error.clone()).unwrap_or_default();
                Err(ClusterError::Unreadable(error))
            }
        }
    };
    match timeout(READING, complete).await {
        Ok(set) => set,
        Err(_) => {
            let state = states.borrow().clone();
            let unread = state.kinds.iter().filter(|(_, kind)| !kind.is_good());
            let unread = unread.map(|(name, kind)| match &kind.error {
                Some(error) => format!("{name} ({error})"),
                None => name.clone(),
            });
            let unread = unread.collect::<Vec<_>>().join(", ");
            Err(ClusterError::Unreadable(format!("not everything came within a minute: {unread}")))
        }
    }
}

#[cfg(test)]
mod tests;

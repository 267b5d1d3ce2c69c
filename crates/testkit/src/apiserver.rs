//! An API server as far as clients that list and watch see one, in this process: it starts at once, says what the test wants,
//! and fails as it is told to. What only a real one can show (admission, conversion, rights) is for [`crate::Cluster`].

mod answers;
mod store;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use store::Store;

/// A fake API server on 127.0.0.1 with a free port, gone when dropped.
#[derive(Debug)]
pub struct Apiserver {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    /// Counts changes, so that watches know when to look.
    changed: watch::Sender<u64>,
    /// Counts interruptions: every connection ends when it changes.
    cut: watch::Sender<u64>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Apiserver {
    /// Starts one that has nothing, and serves the kinds of Kubernetes itself.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::default()),
            changed: watch::channel(0).0,
            cut: watch::channel(0).0,
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig for it.
    pub fn kubeconfig(&self) -> String {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url()}}],
            "users": [{"name": "fake", "user": {}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        })
        .to_string()
    }

    /// Serves a version of a group of kinds, although there is no object of it.
    pub fn serve(&self, api_version: &str, kinds: &[&str]) {
        kinds.iter().for_each(|kind| self.shared.store().serve(api_version, kind));
    }

    /// Serves a kind no longer.
    pub fn unserve(&self, kind: &str) {
        self.shared.store().unserve(kind);
        self.cut();
    }

    /// Creates or replaces an object; its kind is served from then on.
    pub fn put(&self, object: Value) {
        self.shared.store().put(object);
        self.shared.changed.send_modify(|count| *count += 1);
    }

    /// Deletes an object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        self.shared.store().delete(kind, namespace, name);
        self.shared.changed.send_modify(|count| *count += 1);
    }

    /// Answers everything about a kind (by its plural) with this code, until it is allowed again. 403 is for all but what is
    /// asked for by name.
    pub fn refuse(&self, plural: &str, code: u16, message: &str) {
        self.shared.store().refused.insert(plural.to_owned(), (code, message.to_owned()));
    }

    /// Refuses it no longer.
    pub fn allow(&self, plural: &str) {
        self.shared.store().refused.remove(plural);
    }

    /// Cannot convert objects to this version.
    pub fn cannot_convert_to(&self, api_version: &str) {
        self.shared.store().unconvertible.insert(api_version.to_owned());
    }

    /// Forgets what changed: whoever goes on from before now is told 410 Gone.
    pub fn compact(&self) {
        self.shared.store().compact();
    }

    /// Ends every connection in the middle of whatever it is doing.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// The paths and queries that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.shared.store().asked.clone()
    }
}

impl Drop for Apiserver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // They go when this does.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let mut cut = shared.cut.subscribe();
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answers::answer(&shared, &request)) }
            });
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                _ = cut.changed() => {}
            }
        });
    }
}

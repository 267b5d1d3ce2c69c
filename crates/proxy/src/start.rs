//! The data threads, started, told what to serve, and ended.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use plenipo_model::{ChainTls, Edge, Transport};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use crate::listen;
use crate::metrics::{EndpointHealth, Measurements};
use crate::snapshot::Snapshot;
use crate::upstream::upkeep;
use crate::worker::{self, Order};

/// A data thread that does not answer for so long does not turn.
const PATIENCE: Duration = Duration::from_secs(2);

/// What must be known before the first snapshot.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Data threads.
    pub workers: usize,
    /// After the word to drain, new connections are still taken for so long, so that whoever sends them learns that we are
    /// going. Default 5 s.
    pub min_drain: Duration,
    /// Requests still under way after so long are cut. Default 10 min.
    pub max_drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        Self { workers, min_drain: Duration::from_secs(5), max_drain: Duration::from_secs(600) }
    }
}

/// The running data plane.
pub struct Proxy {
    handle: Handle,
    settings: Settings,
    bound: HashSet<(Transport, SocketAddr)>,
    threads: Vec<JoinHandle<()>>,
}

/// Asks the running data plane. Cheap to clone; outlives it (and then answers that nothing is ready).
#[derive(Clone)]
pub struct Handle {
    workers: Vec<mpsc::UnboundedSender<Order>>,
    upkeep: mpsc::UnboundedSender<Arc<Snapshot>>,
    shared: Arc<Shared>,
}

struct Shared {
    snapshot: Mutex<Arc<Snapshot>>,
    serving: AtomicBool,
    draining: AtomicBool,
}

impl Proxy {
    /// Starts the data threads. They serve nothing until something is published.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let empty = Snapshot::build(Arc::new(Edge::default()), None);
        let mut threads = Vec::new();
        let mut workers = Vec::new();
        for number in 0..settings.workers.max(1) {
            let (orders, inbox) = mpsc::unbounded_channel();
            let empty = Arc::clone(&empty);
            threads.push(spawn(&format!("data-{number}"), move || worker::run(inbox, empty))?);
            workers.push(orders);
        }
        let (upkeep, snapshots) = mpsc::unbounded_channel();
        threads.push(spawn("upkeep", move || upkeep::run(snapshots))?);
        let shared = Shared {
            snapshot: Mutex::new(empty),
            serving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        };
        let handle = Handle { workers, upkeep, shared: Arc::new(shared) };
        Ok(Self { handle, settings, bound: HashSet::new(), threads })
    }

    /// Serves this from now on: the only place where a configuration takes effect. New sockets are bound first; the
    /// listeners that could not be bound are returned, everything else serves.
    pub async fn publish(&mut self, snapshot: Arc<Snapshot>) -> Vec<(SocketAddr, io::Error)> {
        let mut failed = Vec::new();
        let mut sockets: Vec<Vec<_>> = self.handle.workers.iter().map(|_| Vec::new()).collect();
        for (transport, bind) in snapshot.bound() {
            if self.bound.contains(&(transport, bind)) {
                continue;
            }
            match listen::bind(transport, bind, self.handle.workers.len()) {
                Ok(bound) => {
                    self.bound.insert((transport, bind));
                    sockets.iter_mut().zip(bound).for_each(|(list, socket)| list.push(socket));
                }
                Err(error) => failed.push((bind, error)),
            }
        }
        self.bound.retain(|bound| snapshot.binds(*bound));
        // A data thread that is gone has dropped its inbox; the others serve.
        let _ = self.handle.upkeep.send(Arc::clone(&snapshot));
        let mut answers = Vec::new();
        for (worker, sockets) in self.handle.workers.iter().zip(sockets) {
            let (done, answer) = oneshot::channel();
            let _ = worker.send(Order::Publish { snapshot: Arc::clone(&snapshot), sockets, done });
            answers.push(answer);
        }
        for answer in answers {
            let _ = answer.await;
        }
        let shared = &self.handle.shared;
        shared.serving.store(!self.bound.is_empty(), Ordering::Relaxed);
        *shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        failed
    }

    /// For those who ask.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Not ready from now on, and otherwise as before: [`Self::drain`] will follow.
    pub fn retire(&self) {
        self.handle.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Goes gracefully: not ready from now on; new connections are still taken for `min_drain` while responses ask
    /// clients to go elsewhere; then no more are taken, and what is under way has until `max_drain`.
    pub async fn drain(&mut self) {
        self.retire();
        for worker in &self.handle.workers {
            let _ = worker.send(Order::Lame);
        }
        tokio::time::sleep(self.settings.min_drain).await;
        let mut answers = Vec::new();
        for worker in &self.handle.workers {
            let (done, answer) = oneshot::channel();
            let _ = worker.send(Order::Drain(done));
            answers.push(answer);
        }
        let all = async {
            for answer in answers {
                let _ = answer.await;
            }
        };
        let left = self.settings.max_drain.saturating_sub(self.settings.min_drain);
        if tokio::time::timeout(left, all).await.is_err() {
            tracing::warn!("connections still open after the time to drain are cut");
        }
    }

    /// Ends now. What is still under way is cut.
    pub fn stop(self) {
        let Self { handle, threads, .. } = self;
        handle.snapshot().flush_logs();
        drop(handle);
        // The threads end with their inboxes; a handle kept elsewhere would keep them, so they are not waited for.
        drop(threads);
    }
}

fn spawn<F: Future<Output = ()> + 'static>(
    name: &str,
    body: impl FnOnce() -> F + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    // What belongs to a thread is made on it.
    let (told, outcome) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Whoever waits for the word does not go before it comes.
        match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = told.send(Ok(()));
                runtime.block_on(body());
            }
            Err(error) => {
                let _ = told.send(Err(error));
            }
        }
    })?;
    outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended at once")))?;
    Ok(thread)
}

impl Handle {
    /// The snapshot published last.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serving, and not draining. Every data thread is asked, since they are who serves.
    pub async fn ready(&self) -> bool {
        let willing =
            self.shared.serving.load(Ordering::Relaxed) && !self.shared.draining.load(Ordering::Relaxed);
        willing && self.turning().await
    }

    /// Do all data threads turn?
    pub async fn turning(&self) -> bool {
        let mut answers = Vec::new();
        for worker in &self.workers {
            let (sender, answer) = oneshot::channel();
            if worker.send(Order::Ping(sender)).is_err() {
                return false;
            }
            answers.push(answer);
        }
        let all = async {
            for answer in answers {
                answer.await?;
            }
            Ok::<_, oneshot::error::RecvError>(())
        };
        matches!(tokio::time::timeout(PATIENCE, all).await, Ok(Ok(())))
    }

    /// Has the end begun?
    pub fn draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Access logs are opened anew (after a log rotation).
    pub fn reopen_logs(&self) {
        self.snapshot().reopen_logs();
    }

    /// All numbers, added up over the data threads.
    pub async fn measure(&self) -> Measurements {
        let mut answers = Vec::new();
        for worker in &self.workers {
            let (sender, answer) = oneshot::channel();
            if worker.send(Order::Measure(sender)).is_ok() {
                answers.push(answer);
            }
        }
        let snapshot = self.snapshot();
        let mut numbers = Measurements {
            revision: snapshot.revision(),
            log_lines_dropped: snapshot.log_lines_dropped(),
            ..Measurements::default()
        };
        for answer in answers {
            if let Ok(Ok(more)) = tokio::time::timeout(PATIENCE, answer).await {
                numbers.merge(more);
            }
        }
        describe(&snapshot, &mut numbers);
        numbers
    }
}

/// What is known without the data threads.
fn describe(snapshot: &Snapshot, numbers: &mut Measurements) {
    for upstream in snapshot.upstreams() {
        let name = Arc::clone(&upstream.model.name);
        let endpoints = upstream.endpoints().map(|set| {
            let health = |state: &Arc<crate::snapshot::clusters::EndpointState>| EndpointHealth {
                address: state.address,
                healthy: state.healthy(),
                ejected: state.is_ejected(),
                priority: state.priority,
            };
            set.endpoints.iter().map(health).collect()
        });
        numbers.endpoints.insert(Arc::clone(&name), endpoints);
        numbers.stats_names.insert(Arc::clone(&name), Arc::clone(&upstream.model.stats_name));
        let outliers = upstream.live.outliers.as_ref();
        let outliers = outliers.map(|outliers| outliers.numbers(upstream.endpoints().as_deref()));
        numbers.clusters.entry(name).or_default().outliers = outliers;
    }
    for (url, fetched, failed) in snapshot.key_sets().fetches() {
        let sums = numbers.key_fetches.entry(url.to_owned()).or_default();
        (sums.0, sums.1) = (sums.0 + fetched, sums.1 + failed);
    }
    let mut seen: HashMap<_, ()> = HashMap::new();
    for listener in &snapshot.edge().listeners {
        numbers.listeners.entry(listener.stats_prefix.as_str().into()).or_default();
        for chain in &listener.chains {
            let ChainTls::Terminate(server) = &chain.tls else { continue };
            for certificate in &server.certificates {
                if seen.insert(certificate.fingerprint(), ()).is_none() {
                    let facts =
                        (server.source.clone(), certificate.names().to_vec(), certificate.not_after());
                    numbers.certificates.push(facts);
                }
            }
        }
    }
}

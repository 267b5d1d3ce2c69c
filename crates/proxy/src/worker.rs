//! A data thread: its own runtime, sockets, connection pools and counters. Nothing on the request path is shared with
//! another thread but the snapshot.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::Transport;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::LogLines;
use crate::alarm::Alarms;
use crate::listen::{self, Bound, LocalListener};
use crate::metrics::{ListenerMeter, Measurements, RequestMeter};
use crate::pipe::Pipe;
use crate::random::Random;
use crate::snapshot::clusters::Upstream;
use crate::snapshot::{Log, Snapshot};
use crate::turns::Turns;
use crate::upstream::pool::LocalCluster;

/// Connections left idle are looked for this often.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What a data thread is told.
pub(crate) enum Order {
    /// Serve this from now on. The sockets are for listeners that it did not have before.
    Publish { snapshot: Arc<Snapshot>, sockets: Vec<Bound>, done: oneshot::Sender<()> },
    /// Tell your numbers.
    Measure(oneshot::Sender<Measurements>),
    /// Are you turning?
    Ping(oneshot::Sender<()>),
    /// Ask every client to go elsewhere, but keep serving.
    Lame,
    /// Take no new connections, end the idle ones, finish what is under way; then answer.
    Drain(oneshot::Sender<()>),
}

/// A data thread's state.
pub(crate) struct Worker {
    snapshot: RefCell<LocalSnapshot>,
    clusters: RefCell<FxHashMap<u64, Rc<LocalCluster>>>,
    listeners: RefCell<HashMap<(Transport, SocketAddr), LocalListener>>,
    meters: RefCell<FxHashMap<Arc<str>, Rc<ListenerMeter>>>,
    pub(crate) requests: RequestMeter,
    logs: RefCell<FxHashMap<usize, LogLines>>,
    /// Responses ask clients to go elsewhere.
    lame: Cell<bool>,
    /// Connections end as soon as nothing is under way on them.
    pub(crate) draining: CancellationToken,
    /// Every connection.
    pub(crate) tasks: TaskTracker,
    pub(crate) random: Random,
    /// Limits of exchanges.
    pub(crate) alarms: Alarms,
    /// For what takes long.
    pub(crate) turns: Turns,
}

/// The snapshot behind a count of this thread's own: cloning it per request touches no shared memory.
#[allow(clippy::redundant_allocation, reason = "see above")]
pub(crate) type LocalSnapshot = Rc<Arc<Snapshot>>;

/// Runs futures of hyper's HTTP/2 on this thread.
#[derive(Clone, Copy)]
pub(crate) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor
where
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// The body of a data thread: serves until the orders end.
pub(crate) async fn run(mut orders: mpsc::UnboundedReceiver<Order>, empty: Arc<Snapshot>) {
    let worker = Rc::new(Worker::new(empty));
    let turning = Rc::clone(&worker);
    tokio::task::spawn_local(async move { turning.turns.run().await });
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => worker.obey(order),
                None => return,
            },
            _ = tidy.tick() => worker.tidy(),
        }
    }
}

impl Worker {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot: RefCell::new(Rc::new(snapshot)),
            clusters: RefCell::default(),
            listeners: RefCell::default(),
            meters: RefCell::default(),
            requests: RequestMeter::default(),
            logs: RefCell::default(),
            lame: Cell::new(false),
            draining: CancellationToken::new(),
            tasks: TaskTracker::new(),
            random: Random::new(),
            alarms: Alarms::default(),
            turns: Turns::new(),
        }
    }

    fn obey(self: &Rc<Self>, order: Order) {
        match order {
            Order::Publish { snapshot, sockets, done } => {
                self.publish(&snapshot, sockets);
                // Whoever ordered it may have gone; then nobody needs the answer.
                let _ = done.send(());
            }
            Order::Measure(answer) => {
                let _ = answer.send(self.measure());
            }
            Order::Ping(answer) => {
                let _ = answer.send(());
            }
            Order::Lame => self.lame.set(true),
            Order::Drain(done) => {
                self.lame.set(true);
                let worker = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    let listeners: Vec<_> = worker.listeners.borrow_mut().drain().map(|(_, l)| l).collect();
                    for listener in listeners {
                        listener.close().await;
                    }
                    worker.draining.cancel();
                    worker.tasks.close();
                    worker.tasks.wait().await;
                    let _ = done.send(());
                });
            }
        }
    }

    fn publish(self: &Rc<Self>, snapshot: &Arc<Snapshot>, sockets: Vec<Bound>) {
        self.refresh_clusters(snapshot);
        *self.snapshot.borrow_mut() = Rc::new(Arc::clone(snapshot));
        let mut listeners = self.listeners.borrow_mut();
        for bound in sockets {
            let bind = (bound.transport, bound.bind);
            match listen::start(self, bound) {
                Ok(listener) => {
                    listeners.insert(bind, listener);
                }
                Err(error) => tracing::error!(bind = %bind.1, %error, "a listening socket cannot be used"),
            }
        }
        let removed: Vec<_> = listeners.keys().filter(|bind| !snapshot.binds(**bind)).copied().collect();
        for bind in removed {
            if let Some(listener) = listeners.remove(&bind) {
                tokio::task::spawn_local(listener.close());
            }
        }
    }

    /// Clusters that live on get their newest form; pools of those that are gone are dropped with their last request.
    fn refresh_clusters(&self, snapshot: &Snapshot) {
        self.clusters.borrow_mut().retain(|id, cluster| {
            let mut upstream = cluster.upstream.borrow_mut();
            let newest = snapshot.upstream(&upstream.model.name).filter(|newest| newest.live.id == *id);
            if let Some(newest) = newest {
                *upstream = Arc::clone(newest);
            }
            newest.is_some()
        });
        self.logs.borrow_mut().clear();
    }

    /// The snapshot that serves now.
    pub(crate) fn snapshot(&self) -> LocalSnapshot {
        Rc::clone(&self.snapshot.borrow())
    }

    /// This thread's side of a cluster.
    pub(crate) fn cluster(&self, upstream: &Arc<Upstream>) -> Rc<LocalCluster> {
        let mut clusters = self.clusters.borrow_mut();
        let anew = || LocalCluster::new(upstream, (self.random.next() >> 32) as u32);
        Rc::clone(clusters.entry(upstream.live.id).or_insert_with(anew))
    }

    /// This thread's numbers for the listeners of a stats prefix.
    pub(crate) fn meter(&self, stats_prefix: &Arc<str>) -> Rc<ListenerMeter> {
        if let Some(meter) = self.meters.borrow().get(stats_prefix) {
            return Rc::clone(meter);
        }
        Rc::clone(self.meters.borrow_mut().entry(Arc::clone(stats_prefix)).or_default())
    }

    /// Should responses ask the client to go elsewhere?
    pub(crate) fn is_lame(&self) -> bool {
        self.lame.get()
    }

    /// Writes a line to an access log.
    pub(crate) fn log(&self, log: &Log, write: impl FnOnce(&mut Vec<u8>)) {
        let mut logs = self.logs.borrow_mut();
        logs.entry(log.writer.key()).or_insert_with(|| log.writer.lines()).push(write);
    }

    fn tidy(&self) {
        self.clusters.borrow().values().for_each(|cluster| cluster.tidy());
        self.logs.borrow_mut().retain(|_, lines| !lines.is_closed());
        Pipe::close_kept();
    }

    fn measure(&self) -> Measurements {
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks() as u64;
        let mut numbers = Measurements { requests: self.requests.read(), tasks, ..Measurements::default() };
        for (name, meter) in self.meters.borrow().iter() {
            numbers.listeners.insert(Arc::clone(name), meter.read());
        }
        for cluster in self.clusters.borrow().values() {
            let name = Arc::clone(&cluster.upstream.borrow().model.name);
            numbers.clusters.insert(name, cluster.meter.read());
        }
        numbers
    }
}

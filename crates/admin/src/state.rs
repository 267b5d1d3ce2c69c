//! What the answers are made from.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use plenipo_model::{Edge, Source};
use plenipo_proxy::Handle;
use plenipo_resources::{Report, Set, SourceState};
use tokio::sync::watch;

use crate::access::Token;

/// What was published last, and what came of it.
#[derive(Debug)]
pub struct Published {
    /// Counts publications, from 1.
    pub revision: u64,
    /// What is served.
    pub edge: Arc<Edge>,
    /// What became of every object. It may be newer than the edge: a change that alters nothing served still has one.
    pub report: Report,
    /// The objects, as they were read.
    pub set: Set,
    /// Parts of the edge that could not be compiled.
    pub broken: Vec<(Source, String)>,
    /// Addresses that could not be bound, and why.
    pub unbound: Vec<(SocketAddr, String)>,
    /// When the edge was published.
    pub at: SystemTime,
    /// Time that the translation took.
    pub translated_in: Duration,
    /// Time that compiling and publishing took.
    pub built_in: Duration,
}

/// Who this gateway says it is, in metrics and diagnostics.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Version of the program.
    pub version: &'static str,
    /// `AMBASSADOR_ID`.
    pub ambassador_id: String,
    /// `AMBASSADOR_NAMESPACE`.
    pub namespace: String,
    /// Whether only that namespace is read.
    pub single_namespace: bool,
    /// Name of the machine or pod.
    pub hostname: String,
}

/// The log level, to read and to change.
#[derive(Clone)]
pub struct LogLevel {
    read: Arc<dyn Fn() -> String + Send + Sync>,
    write: Arc<Change>,
}

/// Takes a filter, or says what is wrong with it.
type Change = dyn Fn(&str) -> Result<(), String> + Send + Sync;

impl LogLevel {
    /// From a way to read the filter and one to replace it (which says what is wrong with a filter it refuses).
    pub fn new(
        read: impl Fn() -> String + Send + Sync + 'static,
        write: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { read: Arc::new(read), write: Arc::new(write) }
    }

    pub(crate) fn current(&self) -> String {
        (self.read)()
    }

    pub(crate) fn change(&self, filter: &str) -> Result<(), String> {
        (self.write)(filter)
    }
}

/// What was written back to the cluster, and what waits to be.
#[derive(Clone, Debug, Default)]
pub struct StatusNumbers {
    /// Is it this replica that writes?
    pub leads: bool,
    /// Writes since the start, by result.
    pub writes: Vec<(&'static str, u64)>,
    /// Objects that wait to be written.
    pub waiting: u64,
    /// Events told, and left untold because there were too many.
    pub events: (u64, u64),
}

/// Whoever writes status, to be asked for numbers.
#[derive(Clone)]
pub struct StatusWriter(Arc<dyn Fn() -> StatusNumbers + Send + Sync>);

impl StatusWriter {
    /// From a way to read the numbers.
    pub fn new(read: impl Fn() -> StatusNumbers + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn numbers(&self) -> StatusNumbers {
        (self.0)()
    }
}

impl fmt::Debug for StatusWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.numbers().fmt(f)
    }
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogLevel({})", self.current())
    }
}

/// Everything the answers are made from.
#[derive(Clone)]
pub struct State {
    /// Who we are.
    pub identity: Identity,
    /// What was published last; none before the first time.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// How well the source of objects knows what there is.
    pub source: watch::Receiver<Arc<SourceState>>,
    /// Whoever writes status; none where nobody does.
    pub status: Option<StatusWriter>,
    /// The data plane.
    pub proxy: Handle,
    /// The log level.
    pub log_level: LogLevel,
    /// Opens the dumps to other machines; none = only this machine sees them.
    pub token: Option<Token>,
    /// When the process started, on both clocks.
    pub started: (Instant, SystemTime),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn current(&self) -> Option<Arc<Published>> {
        self.published.borrow().clone()
    }
}

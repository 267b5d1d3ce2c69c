//! What was measured, as kept in `benches/results.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::Effort;
use crate::peer::{Peer, root};
use crate::scenario::Scenario;

/// All scenarios measured so far, by name. A run replaces those that it measured.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// By scenario name.
    pub(crate) scenarios: BTreeMap<String, Entry>,
}

/// One scenario.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When, in seconds since 1970.
    pub(crate) time: u64,
    /// Processor and kernel.
    pub(crate) machine: String,
    /// Versions of the proxies.
    pub(crate) versions: BTreeMap<String, String>,
    /// Seconds of load per proxy and round.
    pub(crate) seconds: u64,
    /// The numbers.
    pub(crate) measured: Measured,
}

/// The numbers of one scenario.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Measured {
    /// Load in rounds.
    Load(LoadSamples),
    /// Memory of idle connections.
    Idle(Vec<IdleSample>),
    /// Routes.
    Routes(Vec<RoutesSample>),
    /// Load through the gateway alone, and through a load balancer before it.
    Edge(LoadSamples),
    /// A gateway of a cluster.
    Cluster(ClusterSample),
}

/// By proxy, one per round; the same index is the same round.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoadSamples {
    /// By proxy.
    pub(crate) samples: BTreeMap<String, Vec<Sample>>,
}

/// One turn of one proxy.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// User and system time of the proxy per request.
    pub(crate) microseconds: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Median latency in microseconds, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) p50: Option<u64>,
    /// 99th percentile of latency in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) p99: Option<u64>,
}

/// Memory of one proxy.
#[derive(Serialize, Deserialize)]
pub(crate) struct IdleSample {
    /// Proxy.
    pub(crate) peer: String,
    /// Whether the connections are TLS.
    pub(crate) tls: bool,
    /// Proportional set size before, in KiB.
    pub(crate) base: u64,
    /// KiB per idle connection.
    pub(crate) each: f64,
}

/// One proxy with so many routes.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoutesSample {
    /// Proxy.
    pub(crate) peer: String,
    /// Routes.
    pub(crate) routes: usize,
    /// User and system time per request, one per round.
    pub(crate) microseconds: Vec<f64>,
    /// Milliseconds from start to the first answer by the last route.
    pub(crate) start: f64,
    /// Milliseconds from a change to its first answer; one per change.
    pub(crate) change: Vec<f64>,
    /// Proportional set size in KiB, before the changes.
    pub(crate) memory: u64,
}

/// The gateway of a large cluster.
#[derive(Serialize, Deserialize)]
pub(crate) struct ClusterSample {
    /// Milliseconds from start to the first answer by the last Mapping; one per start.
    pub(crate) start: Vec<f64>,
    /// Proportional set size in KiB right then; one per start.
    pub(crate) memory: Vec<u64>,
    /// Milliseconds from the written EndpointSlice to the first answer of its new endpoint; one per change.
    pub(crate) change: Vec<f64>,
    /// Requests answered during the changes. None was lost: one would have ended the measurement.
    pub(crate) answered: usize,
    /// Proportional set size in KiB after the changes.
    pub(crate) changed: u64,
    /// CPU seconds a minute while nothing happens.
    pub(crate) idle: f64,
    /// The same of the whole machine at that time: much of it, and others disturbed the measurement.
    pub(crate) others: f64,
}

impl Results {
    /// Reads the file; nothing measured where there is none.
    ///
    /// # Errors
    /// When the file is not ours.
    pub(crate) fn load() -> Result<Self> {
        match fs::read_to_string(file()) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("{}", file().display())),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn save(&self) -> Result<()> {
        Ok(fs::write(file(), serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Puts what was measured in the place of what was there.
    pub(crate) fn insert(&mut self, scenario: Scenario, measured: Measured, effort: &Effort) {
        let versions =
            effort.peers.iter().filter_map(|peer: &Peer| Some((peer.to_string(), peer.version().ok()?)));
        let entry = Entry {
            time: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map(|since| since.as_secs())
                .unwrap_or_default(),
            machine: machine(),
            versions: versions.collect(),
            seconds: effort.seconds,
            measured,
        };
        self.scenarios.insert(scenario.name(), entry);
    }
}

fn file() -> PathBuf {
    root().join("benches/results.json")
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} × {}, Linux {}", model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

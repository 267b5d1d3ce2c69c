//! What was measured, as kept in `benches/results.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::Effort;
use crate::peer::{Peer, root};
use crate::scenario::Scenario;
use crate::summary::Summary;

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
    /// Which state of the sources, as git names it; with a `+` when they were not as committed.
    #[serde(default)]
    pub(crate) build: String,
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
    /// Instructions per request.
    Instructions(Counted),
    /// Instructions per look-up.
    Lookup(Vec<LookupSample>),
    /// Workers.
    Threads(Threads),
    /// A light client and heavy ones.
    Fairness(Fairness),
}

/// By proxy, one per round; the same index is the same round.
#[derive(Serialize, Deserialize)]
pub(crate) struct LoadSamples {
    /// By proxy.
    pub(crate) samples: BTreeMap<String, Vec<Sample>>,
    /// Why a proxy has fewer of them, or none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, String>,
}

impl LoadSamples {
    /// Our CPU time per request by that of another, round by round; none when there is no round of both.
    pub(crate) fn ratio(&self, other: Peer) -> Option<Summary> {
        self.ratio_of(other, |sample| Some(sample.microseconds))
    }

    /// Something else of ours by that of another.
    pub(crate) fn ratio_of(&self, other: Peer, pick: fn(&Sample) -> Option<f64>) -> Option<Summary> {
        let of = |peer: Peer| self.samples.get(&peer.to_string()).into_iter().flatten().filter_map(pick);
        Summary::of(of(Peer::Plenipo).zip(of(other)).map(|(ours, theirs)| ours / theirs))
    }
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

/// Instructions per request.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// One for each row and proxy.
    pub(crate) samples: Vec<InstructionsSample>,
    /// Why a proxy has not all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, String>,
}

/// What one request costs one proxy.
#[derive(Serialize, Deserialize)]
pub(crate) struct InstructionsSample {
    /// Scenario.
    pub(crate) row: String,
    /// Proxy.
    pub(crate) peer: String,
    /// In user space.
    pub(crate) instructions: f64,
}

/// What one look-up costs.
#[derive(Serialize, Deserialize)]
pub(crate) struct LookupSample {
    /// How the routes are spread over hosts.
    pub(crate) layout: Layout,
    /// Routes.
    pub(crate) routes: usize,
    /// From the host's name to the route.
    pub(crate) instructions: f64,
}

/// How routes are spread over hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// Ten on each.
    TenAHost,
    /// All on one.
    OneHost,
    /// A host with a wildcard for each.
    Wildcards,
}

/// Rates with different numbers of workers.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Threads {
    /// One for each proxy, work and number.
    pub(crate) samples: Vec<ThreadsSample>,
    /// Why a proxy has not all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, String>,
}

/// What workers are kept busy with.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Requests in clear text, of which load and upstream have their share.
    #[default]
    Requests,
    /// New TLS connections by a key that makes nearly all of the work the proxy's.
    Handshakes,
}

/// One proxy with so many workers.
#[derive(Serialize, Deserialize)]
pub(crate) struct ThreadsSample {
    /// With what.
    #[serde(default)]
    pub(crate) work: Work,
    /// Proxy.
    pub(crate) peer: String,
    /// Workers.
    pub(crate) workers: usize,
    /// One per round.
    pub(crate) turns: Vec<Turn>,
}

/// One turn of it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Requests for each second of CPU time that the proxy used.
    pub(crate) per_cpu_second: f64,
    /// Share of the busiest worker in the CPU time of all workers.
    pub(crate) busiest: f64,
}

/// What a light client notices of heavy ones.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Fairness {
    /// One for each proxy and phase.
    pub(crate) samples: Vec<FairnessSample>,
    /// Why a proxy has not all of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) failed: BTreeMap<String, String>,
}

/// One proxy in one phase.
#[derive(Serialize, Deserialize)]
pub(crate) struct FairnessSample {
    /// Proxy.
    pub(crate) peer: String,
    /// What else there is.
    pub(crate) beside: Beside,
    /// One per round.
    pub(crate) latencies: Vec<Latency>,
}

/// What there is beside a light client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Beside {
    /// It is alone.
    Nothing,
    /// HTTP/2 streams that are busy all the time.
    Streams,
    /// New TLS connections.
    Handshakes,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half are no longer.
    pub(crate) p50: u64,
    /// 99 of 100 are no longer.
    pub(crate) p99: u64,
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
            build: build(),
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

/// What is measured was built from these sources, a moment ago.
fn build() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root()).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=8", "HEAD"]) else { return String::new() };
    let changed = git(&["status", "--porcelain", "--", "crates", "Cargo.lock", "Cargo.toml"]);
    if changed.is_none_or(|changed| changed.is_empty()) { commit } else { commit + "+" }
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} × {}, Linux {}", model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

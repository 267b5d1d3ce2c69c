//! What many routes cost: per request, at start, at a change, in memory.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::Effort;
use crate::accounting::{cpu_time, memory};
use crate::load::wrk;
use crate::peer::{Peer, Running, start_upstream, status};
use crate::results::RoutesSample;
use crate::rounds::survive;
use crate::setup::{Back, Front, Ground, Setup};

const SIZES: [usize; 5] = [1, 100, 1_000, 10_000, 100_000];

/// Rounds at most: the numbers of routes are compared, and each makes everybody start anew.
const ROUNDS: usize = 2;

/// Changes whose time is taken.
const CHANGES: usize = 5;

/// Measures each size with each proxy; requests go by the last route of the last host. One that does not start or fails is
/// measured no further with that size.
///
/// # Errors
/// When ours does not start or fails requests.
pub(crate) fn measure(effort: &Effort, rounds: usize) -> Result<Vec<RoutesSample>> {
    let mut samples = Vec::new();
    for routes in SIZES {
        let ground = Ground::prepare()?;
        // They are said to be out; the table has no line of them.
        let mut failed = BTreeMap::new();
        let mut running = Vec::new();
        for peer in &effort.peers {
            let started = Started::new(*peer, routes, &ground).with_context(|| format!("{routes} routes"));
            running.extend(survive(*peer, started, &mut failed)?);
        }
        for _ in 0..rounds.min(ROUNDS) {
            running.reverse();
            running = each(running, &mut failed, |started| started.load(effort.seconds))?;
        }
        for started in each(running, &mut failed, Started::change)? {
            let sample = started.sample;
            println!(
                "  {:8} {:6} routes: {:.1?} us, start {:.0} ms, change {:.1?} ms, {} KiB",
                sample.peer, sample.routes, sample.microseconds, sample.start, sample.change, sample.memory
            );
            samples.push(sample);
        }
    }
    Ok(samples)
}

/// Those that got through it.
fn each(
    running: Vec<Started>,
    failed: &mut BTreeMap<String, String>,
    step: impl Fn(&mut Started) -> Result<()>,
) -> Result<Vec<Started>> {
    let mut left = Vec::new();
    for mut started in running {
        let done = step(&mut started);
        if survive(started.peer, done, failed)?.is_some() {
            left.push(started);
        }
    }
    Ok(left)
}

struct Started {
    peer: Peer,
    setup: Setup,
    proxy: Running,
    _upstream: plenipo_testkit::Process,
    host: String,
    path: String,
    sample: RoutesSample,
}

impl Started {
    fn new(peer: Peer, routes: usize, ground: &Ground) -> Result<Self> {
        let setup = ground.setup(peer, Front::Http, Back::Clear, routes)?;
        let upstream = start_upstream(&setup)?;
        let (host, prefixes) = setup.hosts().last().context("no routes")?;
        let path = prefixes.last().cloned().context("no prefixes")?;
        let mut proxy = peer.start(&setup)?;
        proxy.wait_for(&|| status(&setup, &host, &path) == 200)?;
        let start = proxy.since_launch().as_secs_f64() * 1e3;
        let sample = RoutesSample {
            peer: peer.to_string(),
            routes,
            microseconds: vec![],
            start,
            change: vec![],
            memory: 0,
        };
        Ok(Self { peer, setup, proxy, _upstream: upstream, host, path, sample })
    }

    fn load(&mut self, seconds: u64) -> Result<()> {
        let url = format!("http://{}{}", self.setup.address(), self.path);
        let header = format!("Host: {}", self.host);
        let run = |seconds: u64| {
            let duration = format!("{seconds}s");
            wrk(
                self.setup.load_cores(),
                &["--connections", "64", "--duration", &duration, "--header", &header, &url],
            )
        };
        run(1)?;
        let before = cpu_time(self.proxy.id())?;
        let outcome = run(seconds)?;
        anyhow::ensure!(outcome.failed == 0, "{} requests failed", outcome.failed);
        let used = cpu_time(self.proxy.id())? - before;
        self.sample.microseconds.push(used.as_secs_f64() * 1e6 / outcome.completed as f64);
        self.sample.memory = memory(self.proxy.id())?;
        Ok(())
    }

    /// Each change adds another route to the last host, in the place of the one added before.
    fn change(&mut self) -> Result<()> {
        for number in 0..CHANGES {
            // nginx takes no second change while it is about the first, and nobody's operators change that fast.
            thread::sleep(Duration::from_millis(500));
            let prefix = format!("/added-{number}/");
            self.proxy.prepare_route(&self.setup, &self.host, &prefix)?;
            let start = Instant::now();
            self.proxy.change(&self.setup, &self.host)?;
            let (setup, host) = (&self.setup, &self.host);
            self.proxy.wait_for(&|| status(setup, host, &prefix) == 200)?;
            self.sample.change.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }
}

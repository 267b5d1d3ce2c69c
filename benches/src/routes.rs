//! What many routes cost: per request, at start, at a change, in memory.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::Effort;
use crate::accounting::{cpu_time, memory};
use crate::load::wrk;
use crate::peer::{Peer, Running, start_upstream, status};
use crate::results::RoutesSample;
use crate::setup::{Back, Front, Ground, Setup};

const SIZES: [usize; 4] = [1, 100, 1_000, 10_000];

/// Changes whose time is taken.
const CHANGES: usize = 5;

/// Measures each size with each proxy; requests go by the last route of the last host.
///
/// # Errors
/// When a proxy does not start or fails requests.
pub(crate) fn measure(effort: &Effort) -> Result<Vec<RoutesSample>> {
    let mut samples = Vec::new();
    for routes in SIZES {
        let ground = Ground::prepare()?;
        let mut running = Vec::new();
        for peer in &effort.peers {
            running.push(
                Started::new(*peer, routes, &ground).with_context(|| format!("{peer}, {routes} routes"))?,
            );
        }
        for _ in 0..effort.rounds {
            running.reverse();
            for started in &mut running {
                started.load(effort.seconds).with_context(|| started.sample.peer.clone())?;
            }
        }
        for mut started in running {
            started.change().with_context(|| format!("{}, a change", started.sample.peer))?;
            let sample = started.sample;
            println!(
                "  {:8} {:6} routes: {:?} us, start {:.0} ms, change {:?} ms, {} KiB",
                sample.peer, sample.routes, sample.microseconds, sample.start, sample.change, sample.memory
            );
            samples.push(sample);
        }
    }
    Ok(samples)
}

struct Started {
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
        let start = Instant::now();
        let mut proxy = peer.start(&setup)?;
        proxy.wait_for(&|| status(&setup, &host, &path) == 200)?;
        let start = start.elapsed().as_secs_f64() * 1e3;
        let sample = RoutesSample {
            peer: peer.to_string(),
            routes,
            microseconds: vec![],
            start,
            change: vec![],
            memory: 0,
        };
        Ok(Self { setup, proxy, _upstream: upstream, host, path, sample })
    }

    fn load(&mut self, seconds: u64) -> Result<()> {
        let url = format!("http://{}{}", self.setup.address(), self.path);
        let header = format!("Host: {}", self.host);
        let run = |seconds: u64| {
            let duration = format!("{seconds}s");
            wrk(&["--connections", "64", "--duration", &duration, "--header", &header, &url])
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
            let start = Instant::now();
            self.proxy.add_route(&self.setup, &self.host, &prefix)?;
            let (setup, host) = (&self.setup, &self.host);
            self.proxy.wait_for(&|| status(setup, host, &prefix) == 200)?;
            self.sample.change.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }
}

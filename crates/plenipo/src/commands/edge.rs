//! `plenipo edge DIR`: the load balancers alone, in front of a gateway that runs elsewhere.

use std::io::{self, Write, stdout};

use anyhow::Context;
use plenipo_resources::{Report, Set};
use plenipo_translate::LastGood;

use crate::arguments::EdgeArguments;
use crate::balancers::{BalancerSettings, Balancers};
use crate::environment::Environment;
use crate::exit::{Ending, Exit};
use crate::settings::Reading;
use crate::signals::{Request, Signals};
use crate::{app, balancers, logging, reading};

/// Serves until a signal ends it.
pub(crate) fn run(arguments: &EdgeArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let read = Reading::new(&arguments.reading, environment)?;
    let mut proxy = plenipo_proxy::Settings { min_drain: std::time::Duration::ZERO, ..Default::default() };
    if let Some(workers) = arguments.workers {
        proxy.workers = workers.into();
    }
    let settings =
        BalancerSettings::new(&arguments.balancers, &arguments.reading, &read, balancers::ADMIN, &proxy);
    logging::start(arguments.log_format, &arguments.log)?;
    app::runtime()?.block_on(serve(arguments, read, settings))
}

async fn serve(arguments: &EdgeArguments, read: Reading, settings: BalancerSettings) -> anyhow::Result<Exit> {
    app::raise_descriptor_limit();
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let (mut sets, following) = plenipo_source::follow(&arguments.directory)
        .map_err(|error| Ending::unreadable(error.to_string()))?;
    let mut gateway = Gateway { read, last_good: LastGood::default(), report: None };
    let mut balancers = Balancers::start(settings)?;
    let first = sets.borrow_and_update().clone();
    let unbound = gateway.apply(&first, &mut balancers).await;
    let listeners = balancers.local().edge.listeners.len();
    if listeners > 0 && unbound == listeners {
        anyhow::bail!("no listener of a load balancer could be bound");
    }
    tell(&balancers)?;
    loop {
        tokio::select! {
            changed = sets.changed() => {
                changed.context("the directory is no longer followed")?;
                let set = sets.borrow_and_update().clone();
                let before = balancers.local().balancers.clone();
                gateway.apply(&set, &mut balancers).await;
                if balancers.local().balancers != before {
                    tell(&balancers)?;
                }
            }
            request = signals.next() => match request {
                Request::Reload => {
                    following.rescan();
                    let set = sets.borrow().clone();
                    gateway.apply(&set, &mut balancers).await;
                }
                Request::Stop => {
                    tokio::select! {
                        () = balancers.drain() => {}
                        () = signals.stop() => {}
                    }
                    balancers.stop();
                    return Ok(Exit::Success);
                }
            },
        }
    }
}

/// The gateway, as the same directory says that it runs.
struct Gateway {
    read: Reading,
    last_good: LastGood,
    /// Of the objects as they were last.
    report: Option<Report>,
}

impl Gateway {
    /// Gives how many listeners could not be bound.
    async fn apply(&mut self, set: &Set, balancers: &mut Balancers) -> usize {
        self.read.options.files = reading::files(plenipo_translate::referenced_files(set));
        let (mut edge, report) = self.last_good.apply(set, &self.read.options);
        app::log_new_problems(&report, self.report.as_ref());
        self.report = Some(report);
        edge.map_ports(&self.read.ports);
        balancers.apply(set, &edge).await.len()
    }
}

fn tell(balancers: &Balancers) -> io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{}", balancers.report())?;
    out.flush()
}

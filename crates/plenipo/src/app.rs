//! The wiring: the source says what there is, the translation what it means, the proxy serves it, the admin page tells.
//!
//! Everything here runs on the control thread. [`Control::apply`] is the only place that publishes.

mod sets;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use plenipo_admin::{LogLevel, Published, Server, State};
use plenipo_model::{Edge, Source};
use plenipo_proxy::{Proxy, Snapshot};
use plenipo_resources::{Problem, Report, Set, Severity};
use plenipo_translate::{LastGood, ReferencedFiles};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::balancers::Balancers;
use crate::exit::Exit;
use crate::reading;
use crate::settings::{Reading, Settings};
use crate::signals::{Request, Signals};
use sets::Sets;

/// So long the first configuration waits for the identity in the mesh.
const FIRST_IDENTITY: Duration = Duration::from_secs(10);

/// The runtime of the control thread.
///
/// # Errors
/// When the kernel gives no event queue.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

/// Serves until a signal ends it. `ready` runs once, after the first configuration was published.
///
/// # Errors
/// When the directory cannot be read, no thread can be started, or not one listener can be bound at the start.
pub(crate) async fn serve(
    settings: Settings,
    admin: Server,
    log_level: LogLevel,
    ready: impl FnOnce(&Edge, Option<&Balancers>) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    raise_descriptor_limit();
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let mut sets = Sets::open(&settings.place).await?;
    let proxy = Proxy::start(settings.proxy.clone()).context("the data threads cannot be started")?;
    let (published, watched) = watch::channel(None);
    let status = sets.client.clone().zip(settings.status).map(|(client, options)| {
        status::keep(client, options, settings.reading.options.clone(), watched.clone())
    });
    let state = State {
        identity: settings.identity.clone(),
        published: watched,
        source: sets.state.clone(),
        status: status.as_ref().map(status::numbers),
        proxy: proxy.handle(),
        log_level,
        token: settings.token.clone(),
        started: (Instant::now(), SystemTime::now()),
    };
    tokio::spawn(admin.serve(state));
    let balancers = settings.balancers.map(Balancers::start).transpose()?;
    let mut identity = settings.reading.mesh.clone().map(plenipo_mesh::keep);
    let mut control = Control::new(settings.reading, proxy, balancers, published);
    if let Some(identity) = &mut identity {
        // With it the first configuration is whole; without it everything that needs none is served all the same.
        let _ = timeout(FIRST_IDENTITY, identity.wait_for(Option::is_some)).await;
        control.reading.options.istio.identity = identity.borrow_and_update().clone();
    }

    let mut set = tokio::select! {
        first = sets.first() => first?,
        () = signals.stop() => {
            // Nobody has been served, so there is nobody to wait for.
            control.proxy.stop();
            return Ok(Exit::Success);
        }
    };
    control.apply(&set).await;
    control.check_start()?;
    ready(&control.edge, control.balancers.as_ref())?;
    loop {
        tokio::select! {
            next = sets.next() => {
                set = next?;
                control.apply(&set).await;
            }
            () = changed(&mut identity) => {
                control.reading.options.istio.identity = identity.as_ref().and_then(|it| it.borrow().clone());
                control.apply(&set).await;
            }
            request = signals.next() => match request {
                Request::Reload => {
                    tracing::info!("SIGHUP: reading everything again");
                    control.proxy.handle().reopen_logs();
                    sets.rescan();
                    // Files that objects name (certificates on a volume) change without the set changing.
                    control.apply(&set).await;
                }
                Request::Stop => return Ok(stop(control, signals, status).await),
            },
        }
    }
}

/// Finishes what runs; another replica writes status in the meantime.
async fn stop(control: Control, signals: Signals, status: Option<plenipo_status::Handle>) -> Exit {
    let release = async {
        if let Some(status) = status {
            status.stop().await;
        }
    };
    tokio::join!(control.stop(signals), release).0
}

/// Returns when there is another identity; never where none is kept.
async fn changed(identity: &mut Option<watch::Receiver<plenipo_mesh::Identity>>) {
    if let Some(receiver) = identity
        && receiver.changed().await.is_ok()
    {
        receiver.mark_unchanged();
        return;
    }
    std::future::pending::<()>().await;
}

/// Every connection is a descriptor, and the usual soft limit of 1024 is for programs that use `select`.
pub(crate) fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// What must be remembered from one change to the next.
struct Control {
    reading: Reading,
    files: ReferencedFiles,
    last_good: LastGood,
    proxy: Proxy,
    /// What was published last; empty before the first time.
    edge: Arc<Edge>,
    snapshot: Option<Arc<Snapshot>>,
    /// The one before. What it alone holds is freed by this thread when the next one serves, and not by a data thread that
    /// happens to be the last to let it go.
    retired: Option<Arc<Snapshot>>,
    /// In front of the gateway, in this process.
    balancers: Option<Balancers>,
    published: watch::Sender<Option<Arc<Published>>>,
}

impl Control {
    fn new(
        reading: Reading,
        proxy: Proxy,
        balancers: Option<Balancers>,
        published: watch::Sender<Option<Arc<Published>>>,
    ) -> Self {
        Self {
            reading,
            files: ReferencedFiles::default(),
            last_good: LastGood::default(),
            proxy,
            edge: Arc::default(),
            snapshot: None,
            retired: None,
            balancers,
            published,
        }
    }

    /// Makes the set what is served.
    async fn apply(&mut self, set: &Set) {
        let begin = Instant::now();
        self.reading.options.files = reading::files(self.files.of(set));
        let (mut edge, report) = self.last_good.apply(set, &self.reading.options);
        edge.map_ports(&self.reading.ports);
        if self.balancers.is_some() {
            edge.trust_loopback();
        }
        let translated_in = begin.elapsed();
        let before = self.published.borrow().clone();
        log_new_problems(&report, before.as_deref().map(|before| &before.report));

        // An address that could not be bound is tried again whenever there is an occasion.
        let unchanged = before.as_ref().filter(|before| edge == *self.edge && before.unbound.is_empty());
        let next = match unchanged {
            Some(before) => Published {
                revision: before.revision,
                edge: Arc::clone(&before.edge),
                report,
                set: set.clone(),
                broken: before.broken.clone(),
                unbound: before.unbound.clone(),
                at: before.at,
                translated_in,
                built_in: before.built_in,
            },
            None => {
                let revision = before.as_ref().map_or(0, |before| before.revision) + 1;
                let (broken, unbound, built_in) = self.publish(edge).await;
                let edge = Arc::clone(&self.edge);
                let at = SystemTime::now();
                let set = set.clone();
                Published { revision, edge, report, set, broken, unbound, at, translated_in, built_in }
            }
        };
        log_published(&next, unchanged.is_some());
        self.published.send_replace(Some(Arc::new(next)));
        if let Some(balancers) = &mut self.balancers {
            balancers.apply(set, &self.edge).await;
        }
    }

    async fn publish(&mut self, edge: Edge) -> (Vec<(Source, String)>, Vec<(SocketAddr, String)>, Duration) {
        let begin = Instant::now();
        self.edge = Arc::new(edge);
        let snapshot = Snapshot::build(Arc::clone(&self.edge), self.snapshot.as_ref());
        let broken = snapshot.problems().to_vec();
        // Before there is anything to serve nothing is published, and the process is not ready.
        let unbound = if self.edge.listeners.is_empty() && self.snapshot.is_none() {
            Vec::new()
        } else {
            self.proxy.publish(Arc::clone(&snapshot)).await
        };
        self.retired = self.snapshot.replace(snapshot);
        for (source, why) in &broken {
            tracing::error!(%source, "{why}");
        }
        let unbound: Vec<_> =
            unbound.iter().map(|(address, error)| (*address, bind_failure(*address, error))).collect();
        for (_, why) in &unbound {
            tracing::error!("{why}");
        }
        (broken, unbound, begin.elapsed())
    }

    /// A start without a single bound listener is a failed start.
    fn check_start(&self) -> anyhow::Result<()> {
        let published = self.published.borrow();
        let Some(published) = published.as_deref() else { return Ok(()) };
        if let Some((_, why)) = published.unbound.first()
            && published.unbound.len() == published.edge.listeners.len()
        {
            anyhow::bail!("{why}");
        }
        Ok(())
    }

    /// Finishes what runs; a second signal does not wait for it.
    async fn stop(mut self, mut signals: Signals) -> Exit {
        tracing::info!("draining; a second signal stops at once");
        let Self { proxy, balancers, .. } = &mut self;
        proxy.retire();
        let drained = async {
            // From the outside in: what the load balancers still carry goes through the gateway.
            if let Some(balancers) = balancers {
                balancers.drain().await;
            }
            proxy.drain().await;
        };
        tokio::select! {
            () = drained => tracing::info!("drained"),
            () = signals.stop() => tracing::warn!("stopped before everything was finished"),
        }
        if let Some(balancers) = self.balancers {
            balancers.stop();
        }
        self.proxy.stop();
        Exit::Success
    }
}

/// Why an address could not be bound, and what to do.
pub(crate) fn bind_failure(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address} cannot be bound: another process has it"),
        io::ErrorKind::PermissionDenied if port < 1024 => format!(
            "{address} cannot be bound: ports below 1024 need the capability CAP_NET_BIND_SERVICE \
             (--port-map {port}={} binds another)",
            port.saturating_add(8000)
        ),
        _ => format!("{address} cannot be bound: {error}"),
    }
}

/// What is wrong and was not before, by its severity.
pub(crate) fn log_new_problems(report: &Report, before: Option<&Report>) {
    for problem in new_problems(report, before) {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
            Severity::Note => tracing::debug!("{problem}"),
        }
    }
}

/// Problems that the report before did not have, worst first. Verdicts that the two share are not looked into: ten thousand
/// objects may well have a problem each.
fn new_problems<'r>(report: &'r Report, before: Option<&Report>) -> Vec<&'r Problem> {
    let nothing = Report::default();
    let before = before.unwrap_or(&nothing);
    let mut new: Vec<&Problem> =
        report.general.iter().filter(|problem| !before.general.contains(problem)).collect();
    if !Arc::ptr_eq(&report.verdicts, &before.verdicts) {
        let mut known = before.verdicts.iter().peekable();
        for (object, verdict) in report.verdicts.iter() {
            while known.next_if(|(other, _)| *other < object).is_some() {}
            let known = known.next_if(|(other, _)| *other == object).map(|(_, verdict)| verdict);
            if known.is_some_and(|known| Arc::ptr_eq(known, verdict)) {
                continue;
            }
            let is_known = |problem: &Problem| known.is_some_and(|known| known.problems.contains(problem));
            new.extend(verdict.problems.iter().filter(|problem| !is_known(problem)));
        }
    }
    new.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    new
}

fn log_published(published: &Published, unchanged: bool) {
    let took = published.translated_in + published.built_in;
    if unchanged {
        tracing::debug!(
            objects = published.set.objects().len(),
            "read again; nothing changes what is served"
        );
        return;
    }
    if published.edge.listeners.is_empty() {
        tracing::warn!(
            objects = published.set.objects().len(),
            "nothing to serve: no Listener was accepted; not ready"
        );
        return;
    }
    tracing::info!(
        revision = published.revision,
        objects = published.set.objects().len(),
        listeners = published.edge.listeners.len(),
        clusters = published.edge.clusters.len(),
        milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "serving"
    );
    for listener in &published.edge.listeners {
        let bound = !published.unbound.iter().any(|(address, _)| *address == listener.bind);
        tracing::info!(name = listener.name, address = %listener.bind, bound, "listener");
    }
}

#[cfg(test)]
mod tests;

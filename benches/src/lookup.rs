//! Instructions that finding the route of a request takes, with so many routes.
//!
//! Counted by callgrind in a process of our own, which makes a snapshot of so many routes and looks each of a few up, again and
//! again. Only the function that does so is counted.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use http::Method;
use plenipo_model::{
    Accepts, Action, Chain, ChainTls, Cluster, Edge, Endpoints, Forward, HostPattern, HttpServer, Listener,
    PathMatch, ProxyProtocol, Route, Serve, Source, Target, Transport, VirtualHost,
};
use plenipo_proxy::Snapshot;
use plenipo_proxy::fields::Fields;
use plenipo_proxy::snapshot::CompiledHttp;
use plenipo_proxy::snapshot::routes::{Asked, Picked};

use crate::counted::totals_in;
use crate::results::{Layout, LookupSample};

const SIZES: [usize; 4] = [1, 100, 10_000, 100_000];

/// Look-ups of one run.
const LOOKUPS: u32 = 1_000;

/// What the process that is counted shall do.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long, value_enum)]
    layout: Layout,
    #[arg(long)]
    routes: usize,
    #[arg(long)]
    count: u32,
}

/// Counts for each size, with each way of spreading routes over hosts.
///
/// # Errors
/// When callgrind cannot be run.
pub(crate) fn measure() -> Result<Vec<LookupSample>> {
    let mut samples = Vec::new();
    for layout in Layout::value_variants() {
        for routes in SIZES {
            let instructions = total(*layout, routes)? as f64 / f64::from(LOOKUPS);
            println!("  {routes:6} routes, {layout:?}: {instructions:.0} instructions");
            samples.push(LookupSample { layout: *layout, routes, instructions });
        }
    }
    Ok(samples)
}

fn total(layout: Layout, routes: usize) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("callgrind.%p");
    let layout = layout.to_possible_value().context("it has a name")?;
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", &format!("--callgrind-out-file={}", file.display())])
        .args(["--collect-atstart=no", "--toggle-collect=*lookup::found*"])
        .arg(std::env::current_exe()?)
        .args(["find", "--layout", layout.get_name()])
        .args(["--routes", &routes.to_string(), "--count", &LOOKUPS.to_string()])
        .stdout(Stdio::null())
        .status()
        .context("cannot start valgrind")?;
    ensure!(status.success(), "valgrind: {status}");
    totals_in(folder.path())
}

/// Makes the snapshot and looks routes up in it: what is counted.
///
/// # Errors
/// When a route is not found.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { layout, routes, count } = *options;
    let bind = SocketAddr::from(([127, 0, 0, 1], 80));
    let snapshot = Snapshot::build(edge(layout, routes, bind), None);
    let server = snapshot.listener(bind).and_then(|listener| listener.http(false, None));
    let server = server.context("no HTTP behind the listener")?;
    // The first, the last and some in between, made before anything is looked up.
    let asked = (0..10).map(|at| routes.saturating_sub(1) * at / 9).map(|route| {
        let name = host(layout, route).replace('*', "some");
        (name, path(route) + "and/more")
    });
    let asked = asked.collect::<Vec<_>>();
    let (method, headers) = (Method::GET, Fields::new());
    for (name, path) in asked.iter().cycle().take(count as usize) {
        let asked = Asked {
            host: name,
            port: None,
            path,
            query: None,
            method: &method,
            authority: name,
            scheme: Some("http"),
            headers: &headers,
            peer: None,
            claims: None,
            draw: 0,
        };
        ensure!(black_box(found(server, &asked)).is_some(), "no route for {name}{path}");
    }
    Ok(())
}

/// What is counted, by its name.
#[inline(never)]
fn found<'s>(server: &'s CompiledHttp, asked: &Asked<'_>) -> Option<Picked<'s>> {
    server.hosts.find_authority(asked.host, asked.port)?.routes.pick(asked)
}

fn host(layout: Layout, route: usize) -> String {
    match layout {
        Layout::TenAHost => format!("host-{}.bench.test", route / 10),
        Layout::OneHost => "host.bench.test".to_owned(),
        Layout::Wildcards => format!("*.host-{route}.bench.test"),
    }
}

fn path(route: usize) -> String {
    format!("/svc-{route}/")
}

fn edge(layout: Layout, routes: usize, bind: SocketAddr) -> Arc<Edge> {
    let source = || Source::new("bench");
    let mut hosts = Vec::<(String, Vec<Arc<Route>>)>::new();
    for at in 0..routes {
        let name = host(layout, at);
        let action = Action::Forward(Box::new(Forward::to(Target::all(source(), "upstream".into()))));
        let route = Arc::new(Route::new(&at.to_string(), source(), PathMatch::Prefix(path(at)), action));
        match hosts.last_mut().filter(|(last, _)| *last == name) {
            Some((_, list)) => list.push(route),
            None => hosts.push((name, vec![route])),
        }
    }
    let hosts = hosts.into_iter().map(|(name, list)| {
        let pattern = HostPattern::parse(&name).expect("names of this bench are patterns");
        VirtualHost::new(source(), pattern, Arc::<[Arc<Route>]>::from(list))
    });
    let server = HttpServer::new(source(), hosts.collect());
    let chain = Chain {
        source: source(),
        accepts: Accepts::ClearText,
        tls: ChainTls::Untouched,
        serve: Serve::Http(Arc::new(server)),
    };
    let listener = Listener {
        name: "bench".to_owned(),
        source: source(),
        bind,
        transport: Transport::Tcp,
        declared_port: 80,
        proxy_protocol: ProxyProtocol::Off,
        inner_proxy_from: Vec::new(),
        stats_prefix: "bench".to_owned(),
        max_connections: None,
        chains: vec![chain],
    };
    let cluster = Arc::new(Cluster::new("upstream", source(), Endpoints::addresses([])));
    let clusters = BTreeMap::from([(Arc::clone(&cluster.name), cluster)]);
    Arc::new(Edge { listeners: vec![listener], clusters })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::{Layout, Options, run};

    #[test]
    fn every_route_is_found_in_every_layout() {
        for layout in Layout::value_variants() {
            for routes in [1, 9, 200] {
                let options = Options { layout: *layout, routes, count: 20 };
                assert!(run(&options).is_ok(), "{layout:?}, {routes} routes");
            }
        }
    }
}

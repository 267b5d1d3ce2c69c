//! A real API server with 10,000 Mappings: start to serving, memory, a change of endpoints, and nothing at all.
//!
//! The gateway has core 0, like every proxy here; API server, etcd, upstreams and clients share core 1. Clients ask all the
//! time while endpoints change, and every one of their requests must be answered 200.

mod objects;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use http::Request;
use plenipo_testkit::{Cluster, Http, HttpConnection, Process, Upstream, free_port};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::objects::{Api, HOSTS, MAPPINGS, hostname, populate, prefix};
use crate::accounting::{cpu_time, machine_time, memory};
use crate::peer::Peer;
use crate::results::ClusterSample;
use crate::setup::Place;

/// Changes of endpoints whose time is taken, and the pause before each.
const CHANGES: usize = 200;
const PAUSE: Duration = Duration::from_millis(100);
/// Clients besides the one that looks for the change.
const CLIENTS: usize = 2;
/// How long CPU time is counted while nothing happens, after so long to come to rest.
const IDLE: Duration = Duration::from_secs(20);
const REST: Duration = Duration::from_secs(5);
/// Longer than anything takes that works.
const LIMIT: Duration = Duration::from_secs(300);

/// Starts as often as there are rounds; what else there is to measure, the last of them does.
///
/// # Errors
/// When the control plane is missing, the gateway does not serve, or a request is lost.
pub(crate) fn measure(rounds: usize) -> Result<ClusterSample> {
    // What we start inherits it: the control plane too.
    let pin = ["--all-tasks", "--cpu-list", "--pid", "1", &std::process::id().to_string()];
    let pinned = Command::new("taskset").args(pin).stdout(Stdio::null()).status()?;
    ensure!(pinned.success(), "taskset: {pinned}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(starts(rounds))
}

async fn starts(rounds: usize) -> Result<ClusterSample> {
    let cluster = Cluster::start().await;
    let pod = |name| Upstream::http(name).bind((Cluster::pod_address(), 0).into()).start();
    let pods = [pod("one").await, pod("other").await];
    populate(&cluster, pods[0].address()).await?;
    // Each start but the first is of a replica in a cluster where every object has its status.
    let mut gateway = Gateway::start(&cluster, &["--status-rate", "1000", "--status-burst", "1000"]).await?;
    let began = Instant::now();
    while !gateway.has_written_all().await? {
        ensure!(began.elapsed() < LIMIT, "status is not written: {}", gateway.process.output());
        sleep(PAUSE).await;
    }
    println!("  status of {} objects written within {:.0?}", MAPPINGS + HOSTS, began.elapsed());
    let (mut start, mut memories) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        gateway.stop().await?;
        gateway = Gateway::start(&cluster, &[]).await?;
        start.push(gateway.took.as_secs_f64() * 1e3);
        memories.push(memory(gateway.process.id())?);
    }
    let (change, answered) = change(&gateway, Api::connect(&cluster).await?, &pods).await?;
    let changed = memory(gateway.process.id())?;
    sleep(REST).await;
    let (ours, all) = (cpu_time(gateway.process.id())?, machine_time()?);
    sleep(IDLE).await;
    let a_minute = |used: Duration| used.as_secs_f64() * 60.0 / IDLE.as_secs_f64();
    let (idle, others) = (a_minute(cpu_time(gateway.process.id())? - ours), a_minute(machine_time()? - all));
    Ok(ClusterSample { start, memory: memories, change, answered, changed, idle, others })
}

/// Moves the Service of the last Mapping from one upstream to the other and back, and gives the milliseconds from the API
/// server's answer to the first answer of the other, and how many requests were answered meanwhile.
async fn change(gateway: &Gateway, mut api: Api, pods: &[Upstream; 2]) -> Result<(Vec<f64>, usize)> {
    let stop = Arc::new(AtomicBool::new(false));
    let traffic: [JoinHandle<Result<usize>>; CLIENTS] = std::array::from_fn(|_| {
        let (mut client, stop) = (Client::new(gateway.address), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                client.ask().await?;
                answered += 1;
                sleep(Duration::from_millis(2)).await;
            }
            Ok(answered)
        })
    });
    let mut client = Client::new(gateway.address);
    let (mut times, mut answered) = (Vec::new(), 0);
    for number in 1..=CHANGES {
        sleep(PAUSE).await;
        let pod = &pods[number % 2];
        api.move_last(pod.address()).await?;
        let written = Instant::now();
        loop {
            answered += 1;
            if client.ask().await? == pod.name() {
                break;
            }
            ensure!(written.elapsed() < LIMIT, "the new endpoint is not used");
            sleep(Duration::from_millis(1)).await;
        }
        times.push(written.elapsed().as_secs_f64() * 1e3);
    }
    stop.store(true, Ordering::Relaxed);
    for client in traffic {
        answered += client.await??;
    }
    Ok((times, answered))
}

/// A replica that serves.
struct Gateway {
    process: Process,
    address: SocketAddr,
    admin: SocketAddr,
    /// From its start to the first answer by the last Mapping.
    took: Duration,
}

impl Gateway {
    async fn start(cluster: &Cluster, arguments: &[&str]) -> Result<Self> {
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (address, admin) = (local(), local());
        let (port_map, admin_address) = (format!("8080={}", address.port()), admin.to_string());
        let kubeconfig = cluster.kubeconfig().display().to_string();
        let usual = ["run", "--kubernetes", "--kubeconfig", &kubeconfig, "--workers", "1", "--log", "error"];
        let places = ["--bind", "127.0.0.1", "--admin", &admin_address, "--port-map", &port_map];
        let all = [&usual[..], &places, &["--min-drain", "0s"], arguments].concat();
        let began = Instant::now();
        let mut process = Peer::Plenipo
            .launch(&all.into_iter().map(String::from).collect::<Vec<_>>(), &Place::default())?;
        let mut client = Client::new(address);
        while let Err(error) = client.ask().await {
            let ended = process.ended()?.is_some() || began.elapsed() > LIMIT;
            ensure!(!ended, "{error:#}: {}", process.output());
            client.connection = None;
            sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { process, address, admin, took: began.elapsed() })
    }

    async fn has_written_all(&self) -> Result<bool> {
        let metrics = Http::one(self.admin).get("/metrics").await?.text();
        let number = |name: &str| -> Option<usize> {
            metrics.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
        };
        let written = number("plenipo_status_writes_total{result=\"written\"}").unwrap_or_default();
        Ok(written >= MAPPINGS + HOSTS && number("plenipo_status_waiting") == Some(0))
    }

    /// In order, so that the next one need not wait for the Lease.
    async fn stop(mut self) -> Result<()> {
        self.process.signal("TERM")?;
        self.process.wait().await.map(drop)
    }
}

/// A client that keeps its connection and asks for the last Mapping.
struct Client {
    gateway: SocketAddr,
    connection: Option<HttpConnection>,
}

impl Client {
    fn new(gateway: SocketAddr) -> Self {
        Self { gateway, connection: None }
    }

    /// Who answered.
    async fn ask(&mut self) -> Result<String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Http::one(self.gateway).connect().await?,
        };
        let last = Request::get(prefix(MAPPINGS - 1)).header("host", hostname(HOSTS - 1));
        let answer = connection.send(last.body(String::new())?).await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        self.connection = (answer.header("connection") != "close").then_some(connection);
        Ok(answer.echoed()?.backend)
    }
}

//! Changes and the end, under load: nothing is lost.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Request;
use plenipo_testkit::{Http, Upstream, eventually};

use crate::gateway::{CLEAR_TEXT, Gateway, mapping};

/// Mappings in the directory, one file each.
const MAPPINGS: usize = 10_000;
/// One of them changes this often, for so long.
const CHANGE_EVERY: Duration = Duration::from_millis(100);
const CHANGE_FOR: Duration = Duration::from_secs(60);

/// Clients that send one request after the other until told to stop.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    pub(crate) answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Traffic {
    /// So many clients, each of which keeps its connection as long as the gateway does.
    /// With `until_told` a kept connection is used until the gateway asks for its end, even after the word to stop.
    pub(crate) fn start(address: SocketAddr, path: &'static str, clients: usize, until_told: bool) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = (0..clients)
            .map(|_| {
                tokio::spawn(client(address, path, Arc::clone(&stop), Arc::clone(&answered), until_told))
            })
            .collect();
        Self { stop, answered, clients }
    }

    /// How many requests were answered; an error if a single one was not.
    pub(crate) async fn end(self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await??;
        }
        Ok(self.answered.load(Ordering::Relaxed))
    }
}

/// On a connection that was made every request must be answered; a client that is told to stop makes no new one, as when
/// the load balancer has looked away. (Connections still being made when a port closes are reset by the kernel, whoever
/// listens: that is what the time to drain is for.)
async fn client(
    address: SocketAddr,
    path: &'static str,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    until_told: bool,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let mut connection = Http::one(address).connect().await?;
        loop {
            let request = Request::get(path).body(String::new())?;
            let count = answered.load(Ordering::Relaxed);
            let response =
                connection.send(request).await.with_context(|| format!("after {count} requests"))?;
            ensure!(response.status == 200, "{} for {path}", response.status);
            answered.fetch_add(1, Ordering::Relaxed);
            if response.header("connection") == "close" {
                break;
            }
            if stop.load(Ordering::Relaxed) && !until_told {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    Ok(())
}

fn write_mapping(directory: &Path, number: usize, prefix: &str) -> Result<()> {
    let yaml = mapping(&format!("m-{number}"), prefix, "quote");
    let file = directory.join(format!("m-{number}.yaml"));
    let new = directory.join(".new");
    fs::write(&new, yaml)?;
    Ok(fs::rename(new, file)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_mappings_change_and_no_request_is_lost() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let resolve = format!("quote.default:80={}", upstream.address());
    let gateway = Gateway::start(CLEAR_TEXT, &[8080], &["--resolve", &resolve]).await?;
    let directory = gateway.directory.path();
    for number in 0..MAPPINGS {
        write_mapping(directory, number, &format!("/m-{number}/"))?;
    }
    let address = gateway.address(8080);
    let get =
        async |path: String| Http::one(address).get(&path).await.map(|answer| answer.status.as_u16()).ok();
    let last = format!("/m-{}/", MAPPINGS - 1);
    eventually("all Mappings", || async { get(last.clone()).await == Some(200) }).await;

    let traffic = Traffic::start(address, "/m-7/", 4, false);
    let mut times = Vec::new();
    let begun = Instant::now();
    let mut number = 100;
    while begun.elapsed() < CHANGE_FOR {
        let next = tokio::time::Instant::now() + CHANGE_EVERY;
        let path = format!("/changed-{number}/");
        write_mapping(directory, number, &path)?;
        let changed = Instant::now();
        eventually("the change", || async { get(path.clone()).await == Some(200) }).await;
        times.push(changed.elapsed());
        number += 1;
        tokio::time::sleep_until(next).await;
    }
    let answered = traffic.end().await?;
    times.sort_unstable();
    let at = |tenths: usize| times[(times.len() * tenths / 10).min(times.len() - 1)];
    println!(
        "{} changes among {MAPPINGS}: live after {:?} (median), {:?} (nine of ten), {:?} (all); {answered} requests, none lost",
        times.len(),
        at(5),
        at(9),
        at(10)
    );
    assert!(answered > 1000 && times.len() > 20, "{answered} requests, {} changes", times.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_loses_no_request() -> Result<()> {
    let upstream = Upstream::http("quote").start().await;
    let resolve = format!("quote.default:80={}", upstream.address());
    let yaml = format!("{CLEAR_TEXT}{}", mapping("quote", "/", "quote"));
    let mut gateway = Gateway::start(&yaml, &[8080], &["--resolve", &resolve, "--min-drain", "2s"]).await?;
    let traffic = Traffic::start(gateway.address(8080), "/", 16, true);
    eventually("traffic", || async { traffic.answered.load(Ordering::Relaxed) > 200 }).await;
    gateway.process.signal("TERM")?;
    // A second later the load balancer has looked away; the port is open for one more.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(traffic.end().await? > 200);
    assert!(gateway.process.wait().await?.success());
    Ok(())
}

//! Everything at once for a long time: nothing grows, nothing is left, and nothing fails that was not made to.
//!
//! `cargo xtask soak` runs this for ten minutes; among the other tests it takes some seconds.

mod clients;
mod figures;
mod site;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use plenipo_testkit::eventually;

use clients::Clients;
use figures::{Figures, MIB, median};
use site::Site;

/// Seconds to run, when not as long as a test may take.
const SECONDS: &str = "PLENIPO_SOAK_SECONDS";
/// As long as a test may take.
const SHORT: Duration = Duration::from_secs(6);
/// Memory of shorter runs is not judged: caches and pools are still being filled.
const JUDGED: Duration = Duration::from_secs(120);

/// What a run has shown.
struct Samples {
    /// Bytes of memory, after so long.
    memory: Vec<(Duration, u64)>,
    /// The most connections of clients at one time.
    most_connections: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_traffic_leaves_nothing_behind() -> Result<()> {
    let length = match std::env::var(SECONDS) {
        Ok(seconds) => Duration::from_secs(seconds.parse().context(SECONDS)?),
        Err(_) => SHORT,
    };
    let site = Site::start().await?;
    site.warm().await?;
    let before = at_rest(&site, None).await;
    let clients = Clients::start(&site);
    let samples = watch(&site, length).await?;
    let (told, reloads) = (clients.end().await, site.reloads());
    let after = at_rest(&site, Some(&before)).await;
    println!("{told}");
    println!("{reloads} reloads, at most {} connections of clients at one time", samples.most_connections);
    println!("before: {before}\nafter:  {after}");
    let flat = judge(&samples.memory, length)?;
    told.check()?;
    site.check(&after)?;
    ensure!(flat || length < JUDGED, "memory grows");
    Ok(())
}

/// Changes the configuration every second and looks at the gateway, for so long.
async fn watch(site: &Site, length: Duration) -> Result<Samples> {
    let begun = Instant::now();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut samples = Samples { memory: Vec::new(), most_connections: 0 };
    while begun.elapsed() < length {
        second.tick().await;
        site.change()?;
        let figures = site.figures().await?;
        samples.memory.push((begun.elapsed(), figures.memory));
        samples.most_connections = samples.most_connections.max(figures.connections);
    }
    Ok(samples)
}

/// The figures once nothing is under way, and as many tasks and files are there as `before`.
async fn at_rest(site: &Site, before: Option<&Figures>) -> Figures {
    eventually("nothing is left", async || {
        let figures = site.figures().await.map_err(|error| format!("{error:#}"))?;
        let as_before = |now: u64, then: fn(&Figures) -> u64| before.is_none_or(|before| now <= then(before));
        let is_at_rest = figures.is_idle()
            && as_before(figures.tasks, |before| before.tasks)
            && as_before(figures.files, |before| before.files);
        if is_at_rest { Ok(figures) } else { Err(figures.to_string()) }
    })
    .await
}

/// Is memory flat? What comes first, a third, is for caches, pools and the allocator to find their size. Of what comes then, the
/// median of the last third may be above that of the first by 2 % and 1 MiB.
fn judge(memory: &[(Duration, u64)], length: Duration) -> Result<bool> {
    let between = |from: u32, to: u32| {
        let part = length / 9;
        median(memory.iter().filter(|(at, _)| (part * from..part * to).contains(at)).map(|(_, bytes)| *bytes))
    };
    let (start, early, late) = (between(0, 1), between(3, 5), between(7, 9));
    let (early, late) = (early.context("no samples")?, late.context("no samples")?);
    println!(
        "memory: {:.1} MiB at first, {:.1} MiB behind the first third, {:.1} MiB in the end",
        start.unwrap_or_default() as f64 / MIB,
        early as f64 / MIB,
        late as f64 / MIB
    );
    Ok(late as f64 <= early as f64 * 1.02 + MIB)
}

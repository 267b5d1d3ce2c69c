//! Many objects at once.

use std::time::Instant;

use anyhow::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use plenipo_testkit::Cluster;

use super::site::{mapping, pod};
use super::{Replica, Site};
use crate::load::Traffic;

const MAPPINGS: usize = 5_000;

/// Written as fast as the API server takes them, as when a chart is applied, while a client uses what was there before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_mappings() -> Result<()> {
    let cluster = Cluster::start().await;
    let site = Site::alone(&cluster).await?;
    let replica = Replica::start(&site).await?;
    let one = pod("one").await;
    site.serve("quote", &one).await?;
    let begun = site.put(mapping("quote", "/quote/", "quote")).await?;
    replica.answers(begun, "a", "/quote/", "200 one").await;
    let traffic = Traffic::start(replica.address(8080), "/quote/", 2, false);

    let begun = Instant::now();
    let put = |number: usize| {
        let site = &site;
        async move { site.put(mapping(&format!("m-{number}"), &format!("/m-{number}/"), "quote")).await.map(drop) }
    };
    stream::iter((0..MAPPINGS).map(put)).buffer_unordered(32).try_collect::<()>().await?;
    let written = begun.elapsed();
    let last = Instant::now();
    for number in [0, MAPPINGS / 2, MAPPINGS - 1] {
        replica.answers(last, "a", &format!("/m-{number}/"), "200 one").await;
    }
    println!("{MAPPINGS} Mappings: written within {written:?}, served {:?} later", last.elapsed());

    // And now one of them.
    let begun = site.put(mapping("m-7", "/changed/", "quote")).await?;
    let took = replica.answers(begun, "a", "/changed/", "200 one").await;
    println!("one of them changed: served after {took:?}");
    println!("{} requests meanwhile, none lost", traffic.end().await?);
    Ok(())
}

//! A control plane to try things on: prints where it is, and runs until it is interrupted.
//!
//! `cargo run -p plenipo-testkit --example cluster`; with `controllers` as argument, kube-controller-manager runs too.

use plenipo_testkit::cluster::{Cluster, ClusterOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let controllers = std::env::args().nth(1).is_some_and(|argument| argument == "controllers");
    let cluster = Cluster::start_with(ClusterOptions { controllers, ..ClusterOptions::default() }).await;
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    tokio::signal::ctrl_c().await?;
    Ok(())
}

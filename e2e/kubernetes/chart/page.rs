//! The shell lines of `docs/kubernetes.md`, run in their order.

use std::env;
use std::fs;

use anyhow::Result;
use plenipo_testkit::Cluster;
use tokio::process::Command;

use crate::gateway::root;

#[tokio::test]
async fn the_shell_lines_of_the_page_work() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/kubernetes.md"))?;
    let blocks: Vec<&str> =
        page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n")).collect();
    assert!(blocks.len() >= 8, "{blocks:?}");
    let cluster = Cluster::start().await;
    let home = tempfile::tempdir()?;
    let programs = root().join("target/kapi");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path)))?;
    for block in blocks {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", block]).current_dir(root());
        bash.env("PATH", &path).env("HOME", home.path()).env("KUBECONFIG", cluster.kubeconfig());
        let ran = bash.output().await?;
        assert!(ran.status.success(), "{block}\n{}", String::from_utf8_lossy(&ran.stderr));
    }
    Ok(())
}

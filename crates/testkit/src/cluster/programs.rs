//! The programs of the control plane, as `cargo xtask kapi` builds them, and running those that end.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Where this program is.
///
/// # Panics
/// When it was not built; the message says how to.
pub(super) fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kapi").join(name);
    assert!(path.is_file(), "target/kapi/{name} is missing: `cargo xtask kapi` builds it");
    path
}

/// Runs a command to its end with this input, and gives what it printed.
///
/// # Errors
/// When it fails; the message is what it said on its standard error.
pub(super) async fn output(command: &mut Command, input: &str) -> Result<String> {
    let name = format!("{:?}", command.as_std());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let mut stdin = child.stdin.take().context("a piped standard input")?;
    let write = async move {
        // A command that ends without reading all of its input says itself why.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let (ended, ()) = tokio::join!(child.wait_with_output(), write);
    let ended = ended?;
    if !ended.status.success() {
        bail!("{name}: {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

//! Everything that needs no test to run: formatting, clippy, dependencies, the arrows between crates, documentation.

use std::collections::HashSet;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::step::{self, Steps, cargo};

/// Libraries that a crate of ours must not have behind it, however far: what `deny.toml` cannot say, since it names the
/// direct parents of a library only.
const WALLS: &[(&str, &[&str])] = &[
    ("plenipo-model", &["tokio", "hyper", "kube", "plenipo-resources"]),
    ("plenipo-resources", &["tokio", "hyper", "kube", "plenipo-model"]),
    ("plenipo-translate", &["tokio", "hyper", "kube"]),
    ("plenipo-source", &["hyper", "plenipo-model"]),
    ("plenipo-proxy", &["kube", "serde_json", "plenipo-resources"]),
    ("plenipo-admin", &["plenipo-translate", "plenipo-source"]),
    // Test equipment is in no product.
    ("plenipo", &["plenipo-testkit", "openssl", "ring"]),
];

/// All lints, as steps.
pub(crate) fn run(steps: &mut Steps) {
    steps.run("formatting", &mut cargo(&["fmt", "--all", "--check"]));
    steps.run("formatting of fuzz", &mut cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]));
    steps.check("dependencies", dependencies);
    steps.check("arrows", walls);
    steps.run("clippy", &mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    steps.run("documentation", doc.env("RUSTDOCFLAGS", "-D warnings"));
}

fn dependencies() -> Result<()> {
    // A wrapper that is not met is an arrow that is allowed and not used: no news.
    let known = ["check", "--allow", "unused-wrapper", "bans", "licenses", "sources"];
    step::run(&mut deny(&known))?;
    advisories()
}

/// The advisory database is a git repository, so whether it can be had depends on the network. Without any copy of it the
/// check cannot be made; that is said, and no reason to refuse a change.
fn advisories() -> Result<()> {
    for fetch in [&[][..], &["--offline"]] {
        let output = deny(fetch).args(["check", "advisories"]).output().context("cannot start cargo-deny")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            println!(
                "advisories ok{}",
                if fetch.is_empty() { "" } else { " (by an older copy of the database)" }
            );
            return Ok(());
        }
        let unavailable = ["failed to fetch advisory database", "failed to get 'FETCH_HEAD' metadata"];
        if !unavailable.iter().any(|message| said.contains(message)) {
            bail!("{said}");
        }
    }
    println!(
        "advisories NOT CHECKED: the RustSec database cannot be fetched from here, and there is no copy of it"
    );
    Ok(())
}

fn deny(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo-deny");
    command.args(["--log-level", "error", "--workspace"]).args(arguments);
    command
}

fn walls() -> Result<()> {
    for (package, forbidden) in WALLS {
        let mut tree = cargo(&[
            "tree",
            "--package",
            package,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ]);
        // Tokens are JSON; who reads them shows none of it to those who ask. The cluster's client speaks HTTP.
        match *package {
            "plenipo-proxy" => drop(tree.args(["--prune", "plenipo-jwt"])),
            "plenipo-source" => drop(tree.args(["--prune", "kube"])),
            _ => {}
        }
        let output = tree.output()?;
        ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8_lossy(&output.stdout).into_owned();
        let behind = tree.lines().filter_map(|line| line.split(' ').next()).collect::<HashSet<_>>();
        for name in *forbidden {
            ensure!(!behind.contains(name), "{package} must not depend on {name}");
        }
    }
    println!("arrows ok");
    Ok(())
}

//! Fuzzing with cargo-fuzz, and the replay of what earlier runs found.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::step::{self, Steps, cargo};
use crate::tools;

const WORKSPACE: &str = "fuzz";

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Target; all in turn when none is named.
    target: Option<String>,
    /// For how long each.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

/// Fuzzes; a finding is left in fuzz/artifacts, and belongs into fuzz/corpus once it is mended.
///
/// # Errors
/// When a target fails or there is none of this name.
pub(crate) fn run(options: &Options) -> Result<()> {
    tools::ensure(tools::FUZZ)?;
    let mut steps = Steps::default();
    let targets = targets()?;
    let chosen = |name: &&String| options.target.as_ref().is_none_or(|wanted| wanted == *name);
    ensure!(targets.iter().any(|name| chosen(&name)), "no such target; there are: {}", targets.join(", "));
    for target in targets.iter().filter(chosen) {
        // New inputs go into the first folder: the committed ones stay few.
        let corpora =
            ["fuzz/target/corpus", "fuzz/corpus"].map(|folder| step::root().join(folder).join(target));
        std::fs::create_dir_all(&corpora[0])?;
        // No sanitizer: the project forbids unsafe code, and without one the pinned stable compiler will do.
        let mut fuzz = cargo(&["fuzz", "run", "--sanitizer", "none", target]);
        fuzz.args(corpora).arg("--").arg(format!("-max_total_time={}", options.seconds)).arg("-timeout=10");
        steps.run(target, &mut fuzz);
    }
    steps.finish()
}

/// Runs every input of the corpora through its target once, by the ordinary tests of the fuzz workspace.
pub(crate) fn replay(steps: &mut Steps) {
    // One target directory: what the main workspace has built is used again.
    let manifest = format!("{WORKSPACE}/Cargo.toml");
    steps.run("fuzz corpora", &mut cargo(&["test", "--manifest-path", &manifest, "--target-dir", "target"]));
}

fn targets() -> Result<Vec<String>> {
    let folder = Path::new(WORKSPACE).join("fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

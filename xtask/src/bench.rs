//! Builds what the benchmark measures and what it measures with, and runs it.

use std::process::Command;

use anyhow::Result;

use crate::kapi::KAPI;
use crate::step::{self, cargo};
use crate::tools;

/// What to measure; handed on to the benchmark as it is.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Scenarios by name, and the benchmark's options (`--help` lists both); all scenarios when none is named.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// Builds and runs.
///
/// # Errors
/// When something is missing, does not build, or a measurement fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    tools::ensure(tools::BENCHES)?;
    KAPI.ensure()?;
    // One after the other: in one build the load generator's features would be those of the gateway too.
    for package in ["plenipo", "plenipo-benches"] {
        step::run(&mut cargo(&["build", "--profile", "bench-peer", "--package", package]))?;
    }
    let program = step::root().join("target/bench-peer/side-by-side");
    step::run(Command::new(program).args(&options.arguments))
}

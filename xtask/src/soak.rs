//! The long run of mixed traffic: the end-to-end test of that name, for longer than a test may take.

use anyhow::Result;

use crate::step::{self, cargo};

/// For how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Minutes of traffic.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
}

/// Runs, and prints what was done and what was left.
///
/// # Errors
/// When memory grows, something is left, or something fails that was not made to.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut test = cargo(&["test", "--package", "plenipo", "--test", "e2e", "soak::", "--", "--nocapture"]);
    step::run(test.env("PLENIPO_SOAK_SECONDS", (options.minutes * 60).to_string()))
}

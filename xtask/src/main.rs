//! Developer commands, the one place for them: CI calls the same.
//!
//! `cargo xtask test` is everything that must pass before a change lands; the others are parts of it or are too slow or
//! too noisy to be part of it (load, fuzzing).

mod bench;
mod fuzz;
mod go;
mod kapi;
mod lint;
mod soak;
mod step;
mod tools;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::go::{H2SPEC, INTEROP};
use crate::kapi::KAPI;
use crate::step::{Steps, cargo};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Plenipo")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must pass: lints, documentation, all tests, fuzz corpora.
    Test,
    /// Formatting, clippy, dependencies and the arrows between crates, rustdoc.
    Lint,
    /// The tests that drive the real binary with real clients.
    E2e,
    /// Builds the control plane that tests use (tools/kapi), unless it is there.
    Kapi,
    /// Builds the judge of HTTP/2 that tests use (tools/h2spec), unless it is there.
    H2spec,
    /// Builds gRPC's interoperability client and server (tools/interop), unless they are there.
    Interop,
    /// Load against Envoy, HAProxy and nginx, side by side; writes docs/performance.md.
    Bench(bench::Options),
    /// Mixed traffic for minutes: memory stays flat, nothing is left, nothing fails that was not made to.
    Soak(soak::Options),
    /// Fuzzes one target, or each in turn.
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    // Not `fn main() -> Result`: with RUST_BACKTRACE set that would bury the reason under where it was noticed.
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    std::env::set_current_dir(step::root())?;
    match command {
        Command::Test => test(),
        Command::Lint => {
            let mut steps = Steps::default();
            lint::run(&mut steps);
            steps.finish()
        }
        Command::E2e => {
            tools::ensure(tools::TESTS)?;
            KAPI.ensure()?;
            H2SPEC.ensure()?;
            INTEROP.ensure()?;
            let mut steps = Steps::default();
            steps.run("e2e", &mut cargo(&["test", "--package", "plenipo", "--test", "*"]));
            steps.finish()
        }
        Command::Kapi => KAPI.ensure(),
        Command::H2spec => H2SPEC.ensure(),
        Command::Interop => INTEROP.ensure(),
        Command::Bench(options) => bench::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
    }
}

/// A step that fails does not stop the ones behind it: one run shows all there is to mend.
fn test() -> Result<()> {
    tools::ensure(tools::TESTS)?;
    KAPI.ensure()?;
    H2SPEC.ensure()?;
    INTEROP.ensure()?;
    let mut steps = Steps::default();
    lint::run(&mut steps);
    steps.run("tests", &mut cargo(&["test", "--workspace", "--no-fail-fast"]));
    fuzz::replay(&mut steps);
    steps.finish()
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Arguments, Command};

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_of_the_benchmark_are_handed_on() {
        let line = ["xtask", "bench", "--dry", "a", "--rounds", "2"];
        let Command::Bench(options) = Arguments::parse_from(line).command else {
            panic!("not the benchmark")
        };
        assert_eq!(options.arguments, ["--dry", "a", "--rounds", "2"]);
    }
}

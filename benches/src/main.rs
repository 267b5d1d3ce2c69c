//! Load against Envoy, HAProxy, nginx and Plenipo, side by side.
//!
//! *In:* the programs, made by `cargo xtask bench` or installed from Debian and PyPI. *Out:* `benches/results.json` and the
//! tables of `docs/performance.md`. The proxy under test has core 0 and one worker; load and upstream share core 1.
//! Proxies take turns within each round and the order is reversed every other round, so that a busy machine slows all of
//! them alike; what is compared is the ratio within a round.

mod accounting;
mod cluster;
mod counted;
mod fairness;
mod generator;
mod idle;
mod load;
mod lookup;
mod material;
mod peer;
mod plot;
mod report;
mod responder;
mod results;
mod rounds;
mod routes;
mod scenario;
mod setup;
mod summary;
mod targets;
mod threads;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::peer::Peer;
use crate::scenario::Scenario;

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Scenarios; all when none is named.
    #[arg(value_enum)]
    scenarios: Vec<Scenario>,
    #[command(flatten)]
    effort: Effort,
    /// What this program runs beside itself.
    #[command(subcommand)]
    part: Option<Part>,
}

/// How thoroughly to measure.
#[derive(clap::Args, Clone, Debug)]
struct Effort {
    /// Rounds; four for the first scenarios and three for the others when not given.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of load per proxy and round.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Proxies to compare.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Peer::ALL)]
    peers: Vec<Peer>,
    /// Prints the results and leaves benches/results.json and docs/performance.md as they are.
    #[arg(long)]
    dry: bool,
}

impl Effort {
    /// Rounds of a scenario that has so many when nobody says otherwise.
    fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(usual).max(1)
    }
}

#[derive(Subcommand)]
enum Part {
    /// Answers every request with the same bytes.
    #[command(hide = true)]
    Respond(responder::Options),
    /// Makes the load that wrk and h2load cannot make.
    #[command(hide = true)]
    Load(generator::Options),
    /// Writes tables and plot of what was measured before.
    Page,
    /// Looks routes up, to be counted.
    #[command(hide = true)]
    Find(lookup::Options),
}

fn main() -> ExitCode {
    // Not `fn main() -> Result`: with RUST_BACKTRACE set that would bury the reason under where it was noticed.
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    match arguments.part {
        Some(Part::Respond(options)) => responder::run(&options),
        Some(Part::Load(options)) => generator::run(options),
        Some(Part::Page) => report::write(&results::Results::load()?),
        Some(Part::Find(options)) => lookup::run(&options),
        None => compare(&arguments.scenarios, &arguments.effort),
    }
}

fn compare(chosen: &[Scenario], effort: &Effort) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores >= 2, "two cores are needed: one for the proxy, one for load and upstream");
    let chosen = if chosen.is_empty() { Scenario::all() } else { chosen.to_vec() };
    let effort = Effort { peers: peer::installed(&effort.peers)?, ..effort.clone() };
    let mut results = results::Results::load()?;
    let (begin, mut failed) = (Instant::now(), Vec::new());
    for (done, scenario) in chosen.iter().enumerate() {
        let (name, of, passed) = (scenario.name(), chosen.len(), begin.elapsed().as_secs());
        println!("\n[{}/{of}, {}:{:02}] {name}: {}", done + 1, passed / 60, passed % 60, scenario.title());
        let measured = match scenario.measure(&effort) {
            Ok(measured) => measured,
            // What was measured before stays; the others are measured all the same.
            Err(error) => {
                eprintln!("  {name} failed: {error:#}");
                failed.push(name);
                continue;
            }
        };
        println!("{}", report::one(*scenario, &measured, &results));
        results.insert(*scenario, measured, &effort);
        // After each, so that a long run that is broken off has not been for nothing.
        if !effort.dry {
            results.save()?;
            report::write(&results)?;
        }
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::Arguments;
    use crate::scenario::Scenario;

    #[test]
    fn every_scenario_can_be_named() {
        Arguments::command().debug_assert();
        for scenario in Scenario::all() {
            let parsed = Arguments::try_parse_from(["side-by-side", &scenario.name(), "--dry"]);
            assert!(parsed.is_ok_and(|arguments| arguments.scenarios == [scenario]), "{}", scenario.name());
        }
    }
}

//! Plenipo: a Kubernetes edge gateway in one binary.
//!
//! Arguments become a command, the command becomes an exit code. Everything else is in the library crates.

mod app;
mod arguments;
mod balancers;
mod commands;
mod environment;
mod exit;
mod logging;
mod reading;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use environment::Environment;
use exit::Exit;

/// A request makes a few dozen small allocations; the C library's allocator spends six times the instructions on them
/// (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            let wrong = message.use_stderr();
            // A closed pipe is no reason to complain: whoever closed it has read enough.
            let _ = message.print();
            return if wrong { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    let environment = Environment::of_process();
    let result = match arguments.command {
        Command::Run(run) => commands::run::run(&run, &environment),
        Command::Check(check) => commands::check::run(&check, &environment),
        Command::Audit(audit) => commands::audit::run(&audit, &environment),
        Command::Explain(explain) => commands::explain::run(&explain, &environment),
        Command::Edge(edge) => commands::edge::run(&edge, &environment),
        Command::Routes(routes) => commands::routes::run(&routes, &environment),
        Command::Migrate(migrate) => commands::migrate::run(&migrate, &environment),
        Command::Demo(demo) => commands::demo::run(&demo),
        Command::Crds(crds) => commands::crds::run(&crds),
        Command::Schema { kind } => commands::crds::schema(&kind),
        Command::Version => commands::version::run(),
        Command::Completions { shell } => commands::completions::run(shell),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => exit::complain(&error),
    }
}

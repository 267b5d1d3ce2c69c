//! Running programs one after the other and summing up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::tools;

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace").to_owned()
}

/// The cargo that runs us, with these arguments. Tests find the programs that we found.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).env("PATH", tools::search_path());
    command
}

/// Runs a program and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("\n$ {shown}");
    let status = command.status().with_context(|| format!("cannot start `{shown}`: is it installed?"))?;
    ensure!(status.success(), "`{shown}`: {status}");
    Ok(())
}

/// What ran and how it ended.
#[derive(Default)]
pub(crate) struct Steps(Vec<(String, Duration, Result<()>)>);

impl Steps {
    /// Runs a program as a step of this name.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) {
        self.check(name, || run(command));
    }

    /// Runs a check as a step of this name.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        let start = Instant::now();
        let result = check();
        if let Err(error) = &result {
            eprintln!("{name}: {error:#}");
        }
        self.0.push((name.to_owned(), start.elapsed(), result));
    }

    /// Prints the summary.
    ///
    /// # Errors
    /// When a step failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!();
        let mut failed = Vec::new();
        for (name, took, result) in self.0 {
            let verdict = if result.is_ok() { "ok" } else { "FAILED" };
            println!("{verdict:>6}  {name} ({:.0} s)", took.as_secs_f64());
            if result.is_err() {
                failed.push(name);
            }
        }
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

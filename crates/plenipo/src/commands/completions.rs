//! `plenipo completions SHELL`.

use std::io::{Write, stdout};

use clap::CommandFactory;

use crate::arguments::Arguments;
use crate::exit::Exit;

/// Prints the completion script of a shell.
pub(crate) fn run(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    // Into memory first: the generator panics when its writer fails, which a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "plenipo", &mut script);
    stdout().write_all(&script)?;
    Ok(Exit::Success)
}

//! `plenipo version`.

use std::io::{Write, stdout};

use crate::exit::Exit;

/// Prints the version.
pub(crate) fn run() -> anyhow::Result<Exit> {
    writeln!(stdout(), "plenipo {}", env!("CARGO_PKG_VERSION"))?;
    Ok(Exit::Success)
}

//! `plenipo audit DIR`: every way from a client to a backend, hop by hop.

use std::io::{self, Write, stdout};

use plenipo_aws::Account;

use crate::arguments::{AuditArguments, AuditFormat};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::reading;

/// Prints the ways of the directory; with `--require`, says on standard error what does not meet it.
pub(crate) fn run(arguments: &AuditArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let read = reading::once(&arguments.input, &arguments.reading, environment)?;
    let stacks = plenipo_aws::stacks(&read.set, &Account::default()).stacks;
    let audit = plenipo_aws::audit::audit(&read.set, &stacks, &read.edge);
    let mut out = io::BufWriter::new(stdout().lock());
    match arguments.output {
        AuditFormat::Text => out.write_all(audit.to_text().as_bytes())?,
        AuditFormat::Html => {
            let title = format!("Ways through {}", arguments.input.name());
            out.write_all(audit.to_page(&title).as_bytes())?;
        }
        AuditFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &audit).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    let Some(requirement) = arguments.require else { return Ok(Exit::Success) };
    let failures = audit.failures(requirement.into());
    for failure in &failures {
        writeln!(io::stderr(), "{failure}")?;
    }
    Ok(if failures.is_empty() { Exit::Success } else { Exit::Failure })
}

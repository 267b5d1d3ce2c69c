//! `plenipo migrate`: what changes when Plenipo takes over from Emissary. It reads, and writes nothing.

use std::fs;
use std::io::{self, Write, stdout};
use std::path::Path;

use plenipo_admin::{RouteRow, route_table};
use plenipo_aws::check::to_yaml;
use plenipo_migrate::{Migration, Row, as_emissary};

use serde_json::Value;

use crate::arguments::{MigrateArguments, MigrateCommand, TableFormat};
use crate::environment::Environment;
use crate::exit::{Ending, Exit};
use crate::reading;

/// Compares what Emissary makes of the objects with what Plenipo makes of them.
pub(crate) fn run(arguments: &MigrateArguments, environment: &Environment) -> anyhow::Result<Exit> {
    if let Some(MigrateCommand::Values { file }) = &arguments.of {
        return values(file);
    }
    let read = reading::once(&arguments.input, &arguments.reading, environment)?;
    let emissary = as_emissary(&read.set, &read.report);
    let before = read.another(emissary.set);
    let [before, after] =
        [&before.edge, &read.edge].map(|edge| route_table(edge).into_iter().map(row).collect());
    let migration = Migration::new(&read.set, &read.report, emissary.differences, before, after);
    let mut out = io::BufWriter::new(stdout().lock());
    match arguments.output {
        TableFormat::Text => migration.write(&mut out)?,
        TableFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &migration.document()).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(if migration.loses() { Exit::Failure } else { Exit::Success })
}

/// Prints the values for Plenipo's chart; what is not taken over goes to standard error.
fn values(file: &Path) -> anyhow::Result<Exit> {
    let unreadable = |why: String| Ending::unreadable(format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))?;
    let documents = plenipo_resources::documents(&text);
    let written = documents.first().map_or(Ok(Value::Null), |document| document.value());
    let values = plenipo_migrate::values(&written.map_err(|error| unreadable(error.to_string()))?);
    let yaml = to_yaml(std::slice::from_ref(&values.values)).map_err(anyhow::Error::msg)?;
    write!(stdout(), "{yaml}")?;
    let mut err = io::stderr().lock();
    for told in values.told {
        writeln!(err, "{} {}", told.key, told.what)?;
    }
    Ok(Exit::Success)
}

fn row(row: RouteRow) -> Row {
    Row {
        refused: row.action.starts_with("refused ") || row.protocol == "tls-broken",
        probe: row.source.to_string() == "gateway",
        listener: row.listener,
        protocol: row.protocol,
        host: row.host,
        insecure: row.insecure,
        order: row.order,
        path: row.path,
        also: row.also,
        action: row.action,
        source: row.source.to_string(),
    }
}

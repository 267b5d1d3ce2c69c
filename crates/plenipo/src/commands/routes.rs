//! `plenipo routes DIR`: the route table in match order.

use std::io::{self, Write, stdout};

use plenipo_admin::{RouteRow, route_table};

use crate::arguments::{RoutesArguments, TableFormat};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::reading;

/// Prints the table of what the directory serves.
pub(crate) fn run(arguments: &RoutesArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let read = reading::once(&arguments.input, &arguments.reading, environment)?;
    let rows = route_table(&read.edge);
    let mut out = io::BufWriter::new(stdout().lock());
    match arguments.output {
        TableFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &rows).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        TableFormat::Text => text(&mut out, &rows)?,
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// A heading per listener, protocol and host; below it the routes with aligned columns.
fn text(out: &mut impl Write, rows: &[RouteRow]) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "no routes");
    }
    let same_host = |a: &RouteRow, b: &RouteRow| {
        a.listener == b.listener && a.protocol == b.protocol && a.host == b.host && a.order < b.order
    };
    for (index, host) in rows.chunk_by(same_host).enumerate() {
        let Some(first) = host.first() else { continue };
        if index > 0 {
            writeln!(out)?;
        }
        let insecure = first.insecure.map(|action| format!("  (insecure: {action})")).unwrap_or_default();
        writeln!(out, "{}  {}  {}{insecure}", first.listener, first.protocol, first.host)?;
        let lines: Vec<[String; 4]> = host
            .iter()
            .map(|row| [row.path.clone(), row.also.join(" "), row.action.clone(), row.source.to_string()])
            .collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let [path, also, action] = [width(0), width(1), width(2)];
        for (row, line) in host.iter().zip(&lines) {
            let [a, b, c, d] = line;
            writeln!(out, "  {:>3}  {a:<path$}  {b:<also$}  {c:<action$}  {d}", row.order)?;
        }
    }
    Ok(())
}

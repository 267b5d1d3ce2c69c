//! The controller's own tables, row by row: `PLENIPO_LBC_GOLDEN=DIR` reads them from that folder, otherwise the rows of
//! this project in the same form (`rows.json`) are read.

mod fixture;
mod groups;
mod listeners;
mod rules;
mod subnets;
mod targets;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What a row says.
pub(super) enum Outcome {
    Equal,
    Differs(String),
    /// It is about something that is not modelled (finalizers, admission, lists of API calls).
    Apart,
}

impl Outcome {
    pub(super) fn of(wanted: &Value, got: &Value) -> Self {
        match wanted == got {
            true => Self::Equal,
            false => Self::Differs(format!("wanted {wanted}, got {got}")),
        }
    }

    /// Errors by their exact text; a wanted `true` is any error.
    pub(super) fn result(row: &Value, wanted: &Value, got: Result<Value, String>) -> Self {
        match (fixture::wanted_error(row), got) {
            (None, Ok(got)) => Self::of(wanted, &got),
            (None, Err(error)) => Self::Differs(format!("error: {error}")),
            (Some(_), Ok(got)) => Self::Differs(format!("no error, but {got}")),
            (Some(text), Err(error)) if error.contains(&text) => Self::Equal,
            (Some(text), Err(error)) => Self::Differs(format!("wanted error {text}, got {error}")),
        }
    }
}

/// A table and how its rows are run.
pub(super) type Table = (&'static str, fn(&Value) -> Outcome);

#[test]
fn tables() {
    let folder = std::env::var_os("PLENIPO_LBC_GOLDEN").map(PathBuf::from);
    let own: Value = serde_json::from_str(include_str!("tables/rows.json")).unwrap();
    let mut report = String::new();
    let mut differing = String::new();
    let (mut rows_seen, mut tables_seen) = (0, 0);
    let all = [rules::TABLES, groups::TABLES, listeners::TABLES, targets::TABLES, subnets::TABLES];
    for (name, run) in all.concat() {
        let rows = match &folder {
            Some(folder) => read(&folder.join("table").join(name)),
            None => own[name].as_array().cloned().unwrap_or_default(),
        };
        let (mut equal, mut apart) = (0, 0);
        for row in &rows {
            match run(row) {
                Outcome::Equal => equal += 1,
                Outcome::Apart => apart += 1,
                Outcome::Differs(how) => writeln!(differing, "{name} {}: {how}", row["name"]).unwrap(),
            }
        }
        rows_seen += rows.len();
        tables_seen += usize::from(!rows.is_empty());
        writeln!(report, "{equal} of {} equal, {apart} apart: {name}", rows.len()).unwrap();
    }
    if folder.is_some() {
        // Past the test harness, which keeps what a test prints to itself as long as it passes.
        std::io::stdout().write_all(report.as_bytes()).unwrap();
    }
    assert!(tables_seen >= 20 && rows_seen >= tables_seen, "{rows_seen} rows of {tables_seen} tables");
    assert!(differing.is_empty(), "{differing}");
}

fn read(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: &PathBuf| {
        let value: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        value["case"].clone()
    };
    files.iter().map(read).collect()
}

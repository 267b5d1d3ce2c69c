//! Load balancers compared, resource by resource, with what they should be.
//!
//! Without further ado: the cases in `testdata`, each a folder with `in.yaml` and `stack.json` (`UPDATE_GOLDEN=1` writes
//! the latter anew; read the difference before it is kept).
//!
//! `PLENIPO_LBC_GOLDEN=DIR`: the stacks and tables of the AWS Load Balancer Controller's own unit tests, as extracted into
//! that folder.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod case;
mod own;
mod rows;
mod stacks;
mod tables;

use std::io::Write;
use std::path::PathBuf;

#[test]
fn golden() {
    match std::env::var_os("PLENIPO_LBC_GOLDEN") {
        None => own::run(),
        Some(folder) => {
            let folder = PathBuf::from(folder);
            let stacks = stacks::run(&folder);
            let tables = tables::run(&folder);
            say(&stacks.to_string());
            tables.iter().for_each(|table| say(&table.to_string()));
            let wrong = tables.iter().filter(|table| !table.differing.is_empty()).count();
            assert!(stacks.differing.is_empty() && wrong == 0, "{wrong} tables differ");
        }
    }
}

/// Past the test harness, which keeps what a test prints to itself as long as it passes.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// How many cases of a kind are equal, and which are not.
struct Tally {
    what: String,
    cases: usize,
    differing: Vec<String>,
}

impl Tally {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cases: 0, differing: Vec::new() }
    }

    /// `difference`: none = equal.
    fn count(&mut self, name: &str, difference: Option<String>) {
        self.cases += 1;
        self.differing.extend(difference.map(|difference| format!("{name}: {difference}")));
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} {} equal", self.cases - self.differing.len(), self.cases, self.what)?;
        self.differing.iter().try_for_each(|one| write!(f, "\n  {one}"))
    }
}

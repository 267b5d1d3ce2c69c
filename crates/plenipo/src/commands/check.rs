//! `plenipo check DIR`: what is wrong, in words, JSON or SARIF.

mod sarif;

use std::io::{self, Write, stdout};

use plenipo_resources::{Problem, Severity};
use serde_json::{Value, json};

use crate::arguments::{CheckArguments, ReportFormat, Suppression};
use crate::environment::Environment;
use crate::exit::Exit;
use crate::reading;

/// Prints the problems of the directory.
pub(crate) fn run(arguments: &CheckArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let read = reading::once(&arguments.directory, &arguments.reading, environment)?;
    let compiling = read.compile_problems();
    let problems: Vec<&Problem> = read
        .report
        .problems()
        .into_iter()
        .chain(&compiling)
        .filter(|problem| !arguments.suppress.iter().any(|suppression| suppression.covers(problem)))
        .collect();
    let objects = read.set.objects().len();
    let threshold = Severity::from(arguments.fail_on);
    let mut out = io::BufWriter::new(stdout().lock());
    match arguments.output {
        ReportFormat::Text => text(&mut out, &problems, objects)?,
        ReportFormat::Json => json(&mut out, &json_document(&problems, objects))?,
        ReportFormat::Sarif => json(&mut out, &sarif::document(&problems))?,
    }
    out.flush()?;
    let failed = problems.iter().any(|problem| problem.severity >= threshold);
    Ok(if failed { Exit::Failure } else { Exit::Success })
}

impl Suppression {
    fn covers(&self, problem: &Problem) -> bool {
        let object = || problem.object.as_ref().map(ToString::to_string);
        self.code == problem.code.0
            && self.object.as_ref().is_none_or(|wanted| Some(wanted) == object().as_ref())
    }
}

fn text(out: &mut impl Write, problems: &[&Problem], objects: usize) -> io::Result<()> {
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let [errors, warnings, notes] = [Severity::Error, Severity::Warning, Severity::Note].map(count);
    writeln!(
        out,
        "{}, {}, {} in {}",
        counted(errors, "error"),
        counted(warnings, "warning"),
        counted(notes, "note"),
        counted(objects, "object")
    )
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn json_document(problems: &[&Problem], objects: usize) -> Value {
    json!({ "version": 1, "objects": objects, "problems": problems })
}

fn json(out: &mut impl Write, document: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use plenipo_resources::{Code, ObjectId};

    use super::*;

    fn problem(code: &'static str, name: &str) -> Problem {
        Problem {
            severity: Severity::Error,
            code: Code(code),
            object: Some(ObjectId::new("Mapping", "default", name)),
            origin: None,
            field: "spec.prefix".to_owned(),
            message: "it is wrong".to_owned(),
            fix: String::new(),
        }
    }

    #[test]
    fn suppression_is_by_code_and_object() {
        let everywhere = Suppression { code: "a".into(), object: None };
        let once = Suppression { code: "a".into(), object: Some("Mapping default/x".into()) };
        assert!(everywhere.covers(&problem("a", "y")) && !everywhere.covers(&problem("b", "y")));
        assert!(once.covers(&problem("a", "x")) && !once.covers(&problem("a", "y")));
    }

    #[test]
    fn the_last_line_counts() {
        let mut out = Vec::new();
        text(&mut out, &[&problem("a", "x")], 2).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            "error[a] Mapping default/x spec.prefix: it is wrong\n1 error, 0 warnings, 0 notes in 2 objects\n"
        );
    }
}

//! `plenipo check DIR`: what is wrong, in words, JSON or SARIF.

mod documents;
mod expiry;
mod mended;
mod sarif;

use std::fs;
use std::io::{self, Write, stdout};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use plenipo_aws::check::{self, Finding, Known};
use plenipo_model::Edge;
use plenipo_resources::{Problem, Set, Severity};
use serde_json::{Value, json};

use crate::arguments::{CheckArguments, ReportFormat, Suppression};
use crate::environment::Environment;
use crate::exit::{Ending, Exit};
use crate::reading;

/// A problem; with what mends it, when a check of the load balancers found it.
struct Item {
    problem: Problem,
    finding: Option<Finding>,
}

/// Prints the problems of the directory.
pub(crate) fn run(arguments: &CheckArguments, environment: &Environment) -> anyhow::Result<Exit> {
    let read = reading::once(&arguments.input, &arguments.reading, environment)?;
    let known = arguments.known.as_deref().map(known).transpose()?.unwrap_or_default();
    let written = arguments.input.directory.as_deref().map(documents::read).transpose()?.unwrap_or_default();
    if arguments.fix {
        return mended::print(&written, &known, arguments, environment);
    }
    let (refused, found) = balancers(&read.set, &read.edge, &known);
    let found: Vec<Finding> = found.into_iter().filter(|finding| !written.ignores(finding)).collect();
    let told = |problem: &Problem| found.iter().any(|finding| says_the_same(finding, problem));
    let mut own: Vec<Problem> = read.report.problems().into_iter().cloned().collect();
    own.retain(|problem| !told(problem));
    let plain = own.into_iter().chain(read.compile_problems()).chain(refused);
    let plain = plain.chain(expiry::problems(&read.edge, now()));
    let mut items: Vec<Item> = plain
        .map(|problem| Item { problem, finding: None })
        .chain(found.into_iter().map(|finding| Item { problem: finding.problem(), finding: Some(finding) }))
        .filter(|item| !arguments.suppress.iter().any(|suppression| suppression.covers(&item.problem)))
        .collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.problem.severity));
    let objects = read.set.objects().len();
    let threshold = Severity::from(arguments.fail_on);
    let mut out = io::BufWriter::new(stdout().lock());
    match arguments.output {
        ReportFormat::Text => text(&mut out, &items, objects)?,
        ReportFormat::Json => json(&mut out, &json_document(&items, objects))?,
        ReportFormat::Sarif => {
            let problems: Vec<&Problem> = items.iter().map(|item| &item.problem).collect();
            json(&mut out, &sarif::document(&problems))?;
        }
    }
    out.flush()?;
    let failed = items.iter().any(|item| item.problem.severity >= threshold);
    Ok(if failed { Exit::Failure } else { Exit::Success })
}

/// What is wrong with the load balancers in front: what they refuse to be, and what does not go together.
fn balancers(set: &Set, edge: &Edge, known: &Known) -> (Vec<Problem>, Vec<Finding>) {
    let set = check::with_usual_class(set);
    let plenipo_aws::Stacks { stacks, mut problems } = plenipo_aws::stacks(&set, &known.account(&set));
    let found = check::check(&set, &stacks, edge, known);
    // Where a rule tells why an object is refused, and how it is mended, the refusal says nothing new.
    problems.retain(|problem| {
        let told = |finding: &Finding| {
            finding.rule.severity == Severity::Error && Some(&finding.object) == problem.object.as_ref()
        };
        !found.iter().any(told)
    });
    (problems, found)
}

/// Rules that tell what the translation tells, too, and how it is mended besides.
const ALSO_TRANSLATED: &[(&str, &str)] = &[("AWS-58", "unknown-tls-context")];

fn says_the_same(finding: &Finding, problem: &Problem) -> bool {
    let own = finding.problem();
    ALSO_TRANSLATED.contains(&(own.code.0, problem.code.0)) && own.object == problem.object
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn known(path: &Path) -> anyhow::Result<Known> {
    let text = fs::read_to_string(path)
        .map_err(|error| Ending::unreadable(format!("{}: {error}", path.display())))?;
    let documents = plenipo_resources::documents(&text);
    let Some(first) = documents.first() else { return Ok(Known::default()) };
    let read = || anyhow::Ok(serde_json::from_value(first.value()?)?);
    read().with_context(|| path.display().to_string())
}

impl Suppression {
    fn covers(&self, problem: &Problem) -> bool {
        let object = || problem.object.as_ref().map(ToString::to_string);
        self.code == problem.code.0
            && self.object.as_ref().is_none_or(|wanted| Some(wanted) == object().as_ref())
    }
}

fn text(out: &mut impl Write, items: &[Item], objects: usize) -> io::Result<()> {
    for item in items {
        writeln!(out, "{}", item.problem)?;
    }
    let count = |severity| items.iter().filter(|item| item.problem.severity == severity).count();
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

fn json_document(items: &[Item], objects: usize) -> Value {
    let problems = items.iter().map(|item| {
        let mut problem = json!(item.problem);
        if let Some(finding) = &item.finding {
            problem["page"] = json!(finding.rule.page);
            problem["patch"] = json!(finding.patch);
        }
        problem
    });
    json!({ "version": 1, "objects": objects, "problems": problems.collect::<Vec<_>>() })
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
        text(&mut out, &[Item { problem: problem("a", "x"), finding: None }], 2).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            "error[a] Mapping default/x spec.prefix: it is wrong\n1 error, 0 warnings, 0 notes in 2 objects\n"
        );
    }
}

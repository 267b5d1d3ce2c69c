//! `plenipo check --fix`: the documents with every patch that can be written.

use std::io::{self, Write, stderr, stdout};
use std::iter;
use std::sync::Arc;

use plenipo_aws::check::{Finding, Known, Patch, apply, to_yaml};
use plenipo_resources::{Origin, Set, SetBuilder, decode};
use serde_json::Value;

use super::documents::Written;
use crate::arguments::CheckArguments;
use crate::environment::Environment;
use crate::exit::Exit;
use crate::reading;
use crate::settings::Reading;

/// One patch can be in the way of another that is about the same field: what is left is found again.
const PASSES: usize = 8;

pub(super) fn print(
    written: &Written,
    known: &Known,
    arguments: &CheckArguments,
    environment: &Environment,
) -> anyhow::Result<Exit> {
    let mut values: Vec<Value> =
        written.documents.iter().map(|document| document.value.clone().unwrap_or_default()).collect();
    let mut left = Vec::new();
    for _ in 0..PASSES {
        left = found(&values, written, known, arguments, environment)?;
        let patches: Vec<&Patch> = left.iter().filter_map(|finding| finding.patch.as_ref()).collect();
        let mended = apply(values.clone(), &patches).documents;
        if mended == values {
            break;
        }
        values = mended;
    }
    let mut out = io::BufWriter::new(stdout().lock());
    for (place, value) in values.iter().enumerate() {
        let before = written.documents.get(place);
        match before.filter(|document| document.value.as_ref().is_none_or(|before| before == value)) {
            Some(untouched) => {
                let text = untouched.text.trim_end();
                let marker = if text.starts_with("---") { "" } else { "---\n" };
                writeln!(out, "{marker}{text}")?;
            }
            None => {
                write!(out, "{}", to_yaml(std::slice::from_ref(value)).map_err(anyhow::Error::msg)?)?;
            }
        }
    }
    out.flush()?;
    let mut err = stderr().lock();
    for finding in left {
        writeln!(err, "{}", finding.problem())?;
    }
    Ok(Exit::Success)
}

fn found(
    values: &[Value],
    written: &Written,
    known: &Known,
    arguments: &CheckArguments,
    environment: &Environment,
) -> anyhow::Result<Vec<Finding>> {
    let set = set(values, written);
    let Reading { mut options, .. } = Reading::new(&arguments.reading, environment)?;
    options.files = reading::files(plenipo_translate::referenced_files(&set));
    let (edge, _) = plenipo_translate::translate(&set, &options);
    let (_, mut found) = super::balancers(&set, &edge, known);
    found.retain(|finding| {
        let problem = finding.problem();
        !written.ignores(finding)
            && !arguments.suppress.iter().any(|suppression| suppression.covers(&problem))
    });
    Ok(found)
}

/// The objects; those that a patch added stand in no file yet.
fn set(values: &[Value], written: &Written) -> Set {
    let origins = written.documents.iter().map(|document| document.origin.clone());
    let mut builder = SetBuilder::default();
    for (value, origin) in values.iter().zip(origins.chain(iter::repeat(Origin::Cluster))) {
        for object in decode(value.clone(), origin).objects {
            builder.add(Arc::new(object));
        }
    }
    builder.build()
}

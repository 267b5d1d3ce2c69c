//! Problems as SARIF 2.1.0, which code-scanning pages read.

use std::collections::BTreeSet;

use plenipo_aws::check::RULES;
use plenipo_resources::{Origin, Problem, Severity};
use serde_json::{Value, json};

/// The document: one run, one rule per code, one result per problem.
pub(super) fn document(problems: &[&Problem]) -> Value {
    let codes: BTreeSet<&str> = problems.iter().map(|problem| problem.code.0).collect();
    let rules: Vec<Value> = codes.into_iter().map(rule).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "plenipo",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": problems.iter().map(|problem| result(problem)).collect::<Vec<_>>(),
        }],
    })
}

fn rule(code: &str) -> Value {
    match RULES.iter().find(|rule| rule.id == code) {
        Some(rule) => json!({ "id": code, "shortDescription": { "text": rule.title }, "helpUri": rule.page }),
        None => json!({ "id": code }),
    }
}

fn result(problem: &Problem) -> Value {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let fix = if problem.fix.is_empty() { String::new() } else { format!(" Fix: {}.", problem.fix) };
    let mut location = serde_json::Map::new();
    if let Some(Origin::File { path, line }) = &problem.origin {
        location.insert(
            "physicalLocation".into(),
            json!({ "artifactLocation": { "uri": uri(path) }, "region": { "startLine": line } }),
        );
    }
    if let Some(object) = &problem.object {
        let name =
            if problem.field.is_empty() { object.to_string() } else { format!("{object} {}", problem.field) };
        location.insert("logicalLocations".into(), json!([{ "fullyQualifiedName": name }]));
    }
    let locations: Vec<Value> = if location.is_empty() { vec![] } else { vec![Value::Object(location)] };
    json!({
        "ruleId": problem.code,
        "level": level,
        "message": { "text": format!("{}.{fix}", problem.message) },
        "locations": locations,
    })
}

/// A path as a URI reference (RFC 3986 §3.3): everything that is not allowed in a path is percent-encoded.
fn uri(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use plenipo_resources::{Code, ObjectId};

    use super::*;

    #[test]
    fn a_problem_is_a_result_with_its_place() {
        let problem = Problem {
            severity: Severity::Warning,
            code: Code("inert-field"),
            object: Some(ObjectId::new("Mapping", "default", "quote")),
            origin: Some(Origin::File { path: "a dir/b.yaml".into(), line: 7 }),
            field: "spec.x".to_owned(),
            message: "nothing reads it".to_owned(),
            fix: "take it out".to_owned(),
        };
        let document = document(&[&problem, &problem]);
        let run = &document["runs"][0];
        assert_eq!(run["tool"]["driver"]["rules"], json!([{ "id": "inert-field" }]));
        let result = &run["results"][0];
        assert_eq!(result["level"], "warning");
        assert_eq!(result["message"]["text"], "nothing reads it. Fix: take it out.");
        let place = &result["locations"][0];
        assert_eq!(place["physicalLocation"]["artifactLocation"]["uri"], "a%20dir/b.yaml");
        assert_eq!(place["physicalLocation"]["region"]["startLine"], 7);
        assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], "Mapping default/quote spec.x");
    }
}

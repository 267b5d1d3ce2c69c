use plenipo_resources::{Code, ObjectId};

use super::*;

fn problem(object: Option<&str>, severity: Severity, message: &str) -> Problem {
    Problem {
        severity,
        code: Code("test"),
        object: object.map(|name| ObjectId::new("Mapping", "default", name)),
        origin: None,
        field: String::new(),
        message: message.to_owned(),
        fix: String::new(),
    }
}

fn report(problems: &[Problem]) -> Report {
    let mut report = Report::default();
    problems.iter().for_each(|problem| report.add(problem.clone()));
    report
}

#[test]
fn only_what_is_new_is_told_worst_first() {
    let old = problem(Some("b"), Severity::Warning, "old");
    let gone = problem(Some("a"), Severity::Error, "gone");
    let before = report(&[old.clone(), gone]);
    let new = [
        problem(Some("c"), Severity::Error, "new object"),
        problem(None, Severity::Warning, "no object"),
        problem(Some("b"), Severity::Note, "new of an old object"),
    ];
    let mut after = before.clone();
    after.verdict(&ObjectId::new("Mapping", "default", "a")).problems.clear();
    new.iter().for_each(|problem| after.add(problem.clone()));
    assert_eq!(new_problems(&after, Some(&before)), new.iter().collect::<Vec<_>>());
    assert_eq!(new_problems(&before.clone(), Some(&before)), [&old; 0]);
    assert_eq!(new_problems(&before, None).len(), 2);
}

//! What `check` finds in Istio's objects: every folder `testdata/istio/check-*` holds a deployment that is wrong
//! (`in.yaml`, whose first line names the finding) and the same one corrected.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod fixture;

use std::fs;
use std::path::{Path, PathBuf};

use plenipo_translate::translate;

/// The codes of everything that is found.
fn codes(path: &Path) -> Vec<&'static str> {
    let text = fs::read_to_string(path).unwrap();
    let (_, report) = translate(&fixture::set(&text), &fixture::options(&text));
    report.problems().into_iter().map(|problem| problem.code.0).collect()
}

#[test]
fn the_wrong_deployment_is_found_and_the_corrected_one_is_not() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/istio");
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_check = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("check-");
    let mut cases: Vec<PathBuf> = all.filter(is_check).collect();
    cases.sort();
    assert!(cases.len() > 20, "only {} cases", cases.len());
    let mut failures = Vec::new();
    for case in cases {
        let text = fs::read_to_string(case.join("in.yaml")).unwrap();
        let wanted = text.lines().next().unwrap().strip_prefix("# finds: ").unwrap().to_owned();
        let wrong = codes(&case.join("in.yaml"));
        if !wrong.contains(&wanted.as_str()) {
            failures.push(format!("{}: {wanted} is not among {wrong:?}", case.display()));
        }
        let corrected = codes(&case.join("corrected.yaml"));
        if !corrected.is_empty() {
            failures.push(format!("{}: corrected there is still {corrected:?}", case.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

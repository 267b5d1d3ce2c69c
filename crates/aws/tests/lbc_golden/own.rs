//! The project's own cases.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plenipo_aws::stack::Controller;
use plenipo_aws::{Account, lbc_json};
use plenipo_resources::{Origin, Set, SetBuilder, documents};
use serde_json::{Value, json};

use crate::case::difference;

pub(crate) fn run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 15, "only {} cases", cases.len());
    let differing: Vec<String> = cases.iter().filter_map(|case| differs(case)).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

fn differs(case: &Path) -> Option<String> {
    let text = fs::read_to_string(case.join("in.yaml")).unwrap();
    let got = written(&read(&text));
    let path = case.join("stack.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{got:#}\n")).unwrap();
    }
    let wanted: Value = serde_json::from_slice(&fs::read(&path).unwrap_or_default()).unwrap_or_default();
    difference(&wanted, &got).map(|difference| format!("{}: {difference}", case.display()))
}

/// What a set asks for: the controller's stacks as it prints them, those of the cloud provider as they are modelled.
fn written(set: &Set) -> Value {
    let asked = plenipo_aws::stacks(set, &Account::default());
    let stack = |stack: &plenipo_aws::Stack| match stack.controller {
        Controller::LoadBalancerController => lbc_json::stack(stack),
        Controller::CloudProvider => serde_json::to_value(stack).unwrap(),
    };
    let problems: Vec<String> = asked.problems.iter().map(ToString::to_string).collect();
    json!({"stacks": asked.stacks.iter().map(stack).collect::<Vec<_>>(), "problems": problems})
}

fn read(text: &str) -> Set {
    let mut set = SetBuilder::default();
    for document in documents(text) {
        let decoded = plenipo_resources::decode(document.value().unwrap(), Origin::Cluster);
        assert!(decoded.problems.is_empty(), "{:?}", decoded.problems);
        decoded.objects.into_iter().for_each(|object| set.add(Arc::new(object)));
    }
    set.build()
}

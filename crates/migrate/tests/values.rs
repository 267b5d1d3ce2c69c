//! Values of Emissary's chart: `testdata/migrate/values/emissary.yaml` gives `plenipo.json` and what is told beside.
//! `UPDATE_GOLDEN=1 cargo test -p plenipo-migrate` writes it anew; read the difference.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::fs;
use std::path::{Path, PathBuf};

use plenipo_migrate::values;
use plenipo_resources::documents;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn yaml(path: &str) -> Value {
    documents(&fs::read_to_string(root().join(path)).unwrap())[0].value().unwrap()
}

#[test]
fn as_it_was() {
    let values = values(&yaml("testdata/migrate/values/emissary.yaml"));
    let told: Vec<String> = values.told.iter().map(|told| format!("{} {}", told.key, told.what)).collect();
    let document = json!({ "values": values.values, "told": told });
    let now = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    let golden = root().join("testdata/migrate/values/plenipo.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &now).unwrap();
    }
    assert_eq!(fs::read_to_string(&golden).unwrap(), now);
}

/// Everything that comes out is a value of the chart.
#[test]
fn the_chart_has_them() {
    let chart = yaml("charts/plenipo/values.yaml");
    let values = values(&yaml("testdata/migrate/values/emissary.yaml")).values;
    known("", &values, &chart);
}

fn known(at: &str, given: &Value, chart: &Value) {
    let (Value::Object(given), Value::Object(chart)) = (given, chart) else { return };
    // Free-form maps are empty in the chart.
    for (name, value) in given.iter().filter(|_| !chart.is_empty()) {
        // What belongs to a probe or to the pod is Kubernetes' to know.
        let free = ["podSecurityContext", "securityContext", "resources", "spec"]
            .iter()
            .any(|end| at.ends_with(end));
        assert!(free || chart.contains_key(name), "the chart has no {at}.{name}");
        if let Some(inner) = chart.get(name) {
            known(&format!("{at}.{name}"), value, inner);
        }
    }
}

#[test]
fn of_a_chart_that_has_emissary_as_a_part() {
    let values = values(&json!({ "emissary-ingress": { "replicaCount": 5 }, "other": 1 }));
    assert_eq!(values.values, json!({ "replicaCount": 5 }));
    assert!(values.told.is_empty());
}

#[test]
fn what_makes_no_sense_is_told() {
    let values = values(
        &json!({ "env": { "AMBASSADOR_DRAIN_TIME": "soon" }, "envRaw": "a: b", "replicaCount": null }),
    );
    assert_eq!(values.values, json!({}));
    assert_eq!(values.told.len(), 2);
    for odd in [json!(null), json!(1), json!([]), json!({ "env": [], "listeners": 1, "service": "x" })] {
        let _ = plenipo_migrate::values(&odd);
    }
}

//! What is written beside the templates agrees with them: schema, tables, alerts, plain manifests.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use plenipo_testkit::Cluster;
use serde_json::Value;

use super::{chart, rendered};
use crate::gateway::{output, root};

/// One value of `values.yaml`, as it is written there.
struct Entry {
    path: String,
    default: String,
    about: String,
}

/// The values, in order. Of a list only the list itself, and nothing of what free maps (`listeners.http.spec`) have in them
/// is left out: all of it can be typed.
fn entries(text: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut about = String::new();
    let mut list_at = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(comment) = line.trim().strip_prefix("# -- ") {
            about = comment.to_owned();
            continue;
        }
        if line.trim().is_empty() || line.trim().starts_with('#') {
            continue;
        }
        above.retain(|(other, _)| *other < indent);
        let in_list = list_at.is_some_and(|at| indent >= at);
        if line.trim().starts_with("- ") || in_list {
            if let Some(list) = found.last_mut().filter(|_| !in_list) {
                list.default = "(see values.yaml)".to_owned();
            }
            list_at = list_at.filter(|_| in_list).or(Some(indent));
            continue;
        }
        list_at = None;
        let Some((key, value)) = line.trim().split_once(':') else { continue };
        let mut path: Vec<&str> = above.iter().map(|(_, key)| &**key).collect();
        path.push(key);
        let (path, default) = (path.join("."), value.trim().to_owned());
        found.push(Entry { path, default, about: std::mem::take(&mut about) });
        above.push((indent, key.to_owned()));
    }
    found
}

fn values() -> Result<Vec<Entry>> {
    Ok(entries(&fs::read_to_string(root().join("charts/plenipo/values.yaml"))?))
}

#[test]
fn the_schema_knows_every_value_and_no_other() -> Result<()> {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(root().join("charts/plenipo/values.schema.json"))?)?;
    assert_eq!(schema["additionalProperties"], false);
    let mut known = BTreeSet::new();
    properties(&schema, "", &mut known);
    let written: BTreeSet<String> = values()?.into_iter().map(|entry| entry.path).collect();
    let unknown: Vec<_> =
        written.iter().filter(|path| !known.contains(*path) && !is_free(&schema, path)).collect();
    assert!(unknown.is_empty(), "not in the schema: {unknown:?}");
    let missing: Vec<_> = known.difference(&written).collect();
    assert!(missing.is_empty(), "not in values.yaml: {missing:?}");
    Ok(())
}

fn properties(schema: &Value, prefix: &str, known: &mut BTreeSet<String>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        known.insert(format!("{prefix}{name}"));
        properties(inner, &format!("{prefix}{name}."), known);
    }
}

/// Is this within a map that may have anything in it?
fn is_free(schema: &Value, path: &str) -> bool {
    let mut at = schema;
    for key in path.split('.') {
        match at["properties"].get(key) {
            Some(inner) => at = inner,
            None => return at["type"] == "object" && at.get("properties").is_none(),
        }
    }
    false
}

#[test]
fn the_charts_readme_has_every_value() -> Result<()> {
    let mut table = String::from("| value | default | |\n|---|---|---|\n");
    for entry in values()?.iter().filter(|entry| !entry.default.is_empty()) {
        let about = entry.about.replace('|', "\\|");
        table += &format!("| `{}` | `{}` | {about} |\n", entry.path, entry.default);
    }
    let path = root().join("charts/plenipo/README.md");
    let page = fs::read_to_string(&path)?;
    let (begin, end) = ("<!-- values -->\n", "<!-- end of values -->\n");
    let (head, rest) = page.split_once(begin).context("where the table begins")?;
    let (_, tail) = rest.split_once(end).context("where the table ends")?;
    agrees(&path, &page, format!("{head}{begin}{table}{end}{tail}"))
}

/// `deploy/plenipo.yaml` is what helm renders without any value, with its namespace.
#[tokio::test]
async fn the_plain_manifests_are_those_of_the_chart() -> Result<()> {
    let cluster = Cluster::shared().await;
    let arguments = ["template", "plenipo", &chart(), "--namespace", "plenipo"];
    let objects = cluster.helm(&arguments).await;
    let helm =
        ["app.kubernetes.io/managed-by: Helm", "helm.sh/chart:", "helm.sh/resource-policy:", "# Source:"];
    let lines = objects.lines().filter(|line| !helm.iter().any(|word| line.trim().starts_with(word)));
    let mut manifests = String::from(
        "# Made of charts/plenipo with its defaults. kubectl apply --server-side --filename deploy/plenipo.yaml\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata:\n  name: plenipo\n",
    );
    // An annotations key that has lost all of them is a null, which is nothing to an API server.
    let mut lines = lines.peekable();
    while let Some(line) = lines.next() {
        let is_empty =
            line.trim() == "annotations:" && lines.peek().is_none_or(|next| indent(next) <= indent(line));
        if !is_empty {
            manifests += line;
            manifests.push('\n');
        }
    }
    let path = root().join("deploy/plenipo.yaml");
    agrees(&path, &fs::read_to_string(&path).unwrap_or_default(), manifests.clone())?;
    cluster.kubectl(&["create", "namespace", "plenipo"], "").await;
    cluster
        .kubectl(
            &["apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", "-"],
            &manifests,
        )
        .await;
    Ok(())
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn agrees(path: &std::path::Path, found: &str, wanted: String) -> Result<()> {
    if std::env::var_os("UPDATE_MANIFESTS").is_some() {
        return Ok(fs::write(path, wanted)?);
    }
    assert!(
        found == wanted,
        "{} is not what the chart says: run UPDATE_MANIFESTS=1 cargo test -p plenipo --test e2e chart",
        path.display()
    );
    Ok(())
}

#[tokio::test]
async fn alerts_and_the_dashboard_ask_for_metrics_that_there_are() -> Result<()> {
    let cluster = Cluster::shared().await;
    let alerts = rendered(cluster, "edge", "metrics.prometheusRule.enabled=true,crds.install=false").await;
    let page = fs::read_to_string(root().join("docs/metrics.md"))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = ["plenipo_", "http_server_", "http_client_", "envoy_", "process_"];
    let dashboard = fs::read_to_string(root().join("charts/plenipo/files/dashboard.json"))?;
    let expressions = alerts.lines().filter(|line| line.contains("{namespace=\"edge\""));
    let expressions = expressions.chain(dashboard.lines().filter(|line| line.contains("\"expr\":")));
    let mut asked = 0;
    for name in expressions.flat_map(|line| line.split(|c| !is_part(c))) {
        if !begins.iter().any(|begin| name.starts_with(begin)) || name == "envoy_cluster_name" {
            continue;
        }
        let family = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let family = family.unwrap_or(name);
        assert!(page.contains(&format!("`{family}`")), "no such metric: {name}");
        asked += 1;
    }
    assert!(asked >= 20, "{asked} metrics in {alerts}");
    Ok(())
}

/// What each monitor looks for, the chart's own Service and pods have.
#[tokio::test]
async fn monitors_find_the_admin_port() {
    let cluster = Cluster::shared().await;
    let set = "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,crds.install=false";
    let objects = rendered(cluster, "edge", set).await;
    let document = |kind: &str| {
        let wanted = format!("\nkind: {kind}\n");
        let all: Vec<&str> = objects.split("\n---").filter(|one| one.contains(&wanted)).collect();
        all.into_iter().find(|one| kind != "Service" || one.contains("edge-plenipo-admin")).expect("rendered")
    };
    for word in ["service: ambassador-admin", "ambassador-admin", "app.kubernetes.io/instance: edge"] {
        assert!(document("ServiceMonitor").contains(word) && document("Service").contains(word), "{word}");
    }
    assert!(document("PodMonitor").contains("port: admin") && document("Deployment").contains("name: admin"));
}

#[test]
fn the_charts_version_is_the_programs() -> Result<()> {
    let printed = output(&["version"]);
    let version = String::from_utf8(printed.stdout)?;
    let about = fs::read_to_string(root().join("charts/plenipo/Chart.yaml"))?;
    let stated = about.lines().find_map(|line| line.strip_prefix("appVersion: ")).context("an appVersion")?;
    assert!(version.contains(stated), "the chart runs {stated}; this is {version}");
    Ok(())
}

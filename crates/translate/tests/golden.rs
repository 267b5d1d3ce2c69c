//! Every rule of a dialect, as a folder: `in.yaml` gives `edge.yaml` and `report.yaml`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p plenipo-translate` writes them anew; read the difference before it is kept. What has
//! its default is left out of `edge.yaml`, so that only what the input asked for is there to read.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod fixture;

use std::fs;
use std::path::{Path, PathBuf};

use plenipo_model::{Action, Cluster, Endpoints, HttpServer, PathMatch, Respond, Route, Source};
use serde_json::{Map, Value, json};

#[test]
fn emissary() {
    same("emissary", 60);
}

#[test]
fn ingress() {
    same("ingress", 20);
}

#[test]
fn istio() {
    same("istio", 30);
}

/// All cases of a dialect are as they were; there are at least so many.
fn same(dialect: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(dialect);
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= least, "only {} cases", cases.len());
    let differing: Vec<String> = cases.iter().filter_map(|case| differs(case, dialect)).collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// What differs in a case, if anything.
fn differs(case: &Path, dialect: &str) -> Option<String> {
    let text = fs::read_to_string(case.join("in.yaml")).unwrap();
    let (edge, report) = plenipo_translate::translate(&fixture::set(&text), &fixture::options(&text));
    let edge = yaml(&without_defaults(serde_json::to_value(&edge).unwrap(), dialect));
    let report = yaml(&short_report(&serde_json::to_value(&report).unwrap()));
    let mut found = String::new();
    for (name, now) in [("edge.yaml", edge), ("report.yaml", report)] {
        let path = case.join(name);
        let before = fs::read_to_string(&path).unwrap_or_default();
        if before == now {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &now).unwrap();
        } else {
            found.push_str(&format!("--- {}\n{}", path.display(), difference(&before, &now)));
        }
    }
    (!found.is_empty()).then_some(found)
}

fn difference(before: &str, now: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), now.lines().collect());
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}\n"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

/// YAML text in which nothing changes from run to run.
fn yaml(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).unwrap();
    let text =
        regex::Regex::new("sha256:[0-9a-f]{16}").unwrap().replace_all(&text, "sha256:(some)").into_owned();
    regex::Regex::new("not_after: [0-9]+").unwrap().replace_all(&text, "not_after: (some)").into_owned()
}

/// Leaves out what the model's constructors would have made, or every object of the dialect gives, and lists that are empty.
fn without_defaults(mut edge: Value, dialect: &str) -> Value {
    let source = || Source::new("");
    let mut server = HttpServer::new(source(), Vec::new());
    server.server_name = Some("envoy".to_owned());
    let mut server = serde_json::to_value(server).unwrap();
    let answer = Respond { status: http::StatusCode::OK, content_type: None, body: "".into() };
    let route = Route::new("", source(), PathMatch::Prefix(String::new()), Action::Respond(answer));
    let route = serde_json::to_value(route).unwrap();
    let mut cluster = serde_json::to_value(Cluster::new("", source(), Endpoints::addresses([]))).unwrap();
    let mut forward =
        json!({"retry": null, "hash": null, "upgrades": [], "priority": "default", "total": 100});
    let mut target = json!({"weight": 100, "timeout": "3s", "idle_timeout": "300s", "host": "keep"});
    if dialect == "istio" {
        of_istio(&mut server, &mut cluster, &mut forward, &mut target);
    }
    let defaults = [server, route.clone(), route["matches"].clone(), cluster, forward, target];
    prune(&mut edge, &defaults);
    edge
}

/// What every object of Istio's dialect gives that does not say otherwise.
fn of_istio(server: &mut Value, cluster: &mut Value, forward: &mut Value, target: &mut Value) {
    let shown = json!({"subject": true, "cert": true, "chain": false, "dns": true, "uri": true});
    server["client_cert"] = json!({"sanitize-set": shown});
    (server["server_name"], server["keep_request_id"]) = (json!("istio-envoy"), json!(true));
    let unlimited = json!({
        "connections": u32::MAX, "pending": u32::MAX, "requests": u32::MAX, "retries": u32::MAX
    });
    cluster["limits"] = json!({"default": unlimited, "high": unlimited});
    (cluster["balance"], cluster["connect_timeout"]) = (json!("least-request"), json!("10s"));
    cluster["relay_idle_timeout"] = json!("3600s");
    let on = ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"];
    forward["retry"] = json!({"on": on, "retries": 2, "per_try_timeout": "none", "statuses": []});
    forward["upgrades"] = json!(["websocket"]);
    *target = json!({
        "weight": 100, "timeout": "none", "idle_timeout": "none", "host": "keep", "rewrite": "keep",
        "grpc_timeout": true,
    });
}

/// A map that has all keys of one of the default maps loses what is equal in both.
fn prune(value: &mut Value, defaults: &[Value]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, defaults)),
        Value::Object(map) => {
            let fitting = defaults
                .iter()
                .filter_map(Value::as_object)
                .find(|d| d.keys().all(|key| map.contains_key(key)));
            if let Some(default) = fitting {
                map.retain(|key, value| KEPT.contains(&key.as_str()) || default.get(key) != Some(value));
            }
            if is_default_log(map) {
                map.remove("access_log");
            }
            if is_told(map) {
                map.remove("request_headers");
            }
            let own = |route: &Value| route["source"] == "gateway";
            if let Some(Value::Array(routes)) = map.get_mut("routes") {
                routes.retain(|route| !own(route));
            }
            map.values_mut().for_each(|value| prune(value, defaults));
        }
        _ => {}
    }
}

const KEPT: [&str; 3] = ["name", "source", "hosts"];

fn is_default_log(map: &Map<String, Value>) -> bool {
    let text = map.get("access_log").and_then(|log| log["format"]["text"].as_str());
    text.is_some_and(|text| text.starts_with("ACCESS [%START_TIME%]"))
}

/// What Services behind an Ingress are always told of the client, and nothing besides.
fn is_told(map: &Map<String, Value>) -> bool {
    let edits = map.get("request_headers");
    let lists =
        |key: &str| edits.and_then(|edits| edits[key].as_array()).map(Vec::as_slice).unwrap_or_default();
    let (added, removed) = (lists("add"), lists("remove"));
    let names: Vec<&str> = added.iter().filter_map(|edit| edit["name"].as_str()).collect();
    let told = ["x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-scheme", "x-scheme"];
    let own = |name: &str| {
        name.replace('_', "-").starts_with("ssl-client-")
            || ["x-envoy-external-address", "x_real_ip"].contains(&name)
    };
    names == told && removed.iter().all(|name| name.as_str().is_some_and(own))
}

/// Objects with problems or that are not accepted; the others only by number.
fn short_report(report: &Value) -> Value {
    let mut shown = Map::new();
    let mut accepted = 0;
    for (object, verdict) in report["verdicts"].as_object().unwrap() {
        let problems = verdict["problems"].as_array().unwrap();
        if verdict["state"] == "accepted" && problems.is_empty() {
            accepted += 1;
            continue;
        }
        let lines: Vec<String> = problems.iter().map(problem_line).collect();
        shown.insert(object.clone(), json!({"state": verdict["state"], "problems": lines}));
    }
    let general: Vec<String> = report["general"].as_array().unwrap().iter().map(problem_line).collect();
    json!({"accepted_without_a_word": accepted, "others": shown, "general": general})
}

fn problem_line(problem: &Value) -> String {
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    format!("{}[{}] {}: {} — {}", text("severity"), text("code"), text("field"), text("message"), text("fix"))
}

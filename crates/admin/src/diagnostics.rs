//! `/ambassador/v0/diag/?json=true`: the part of Emissary's diagnostics that scripts read.

use std::time::SystemTime;

use plenipo_resources::{Problem, Severity};
use serde_json::{Map, Value, json};

use crate::health::Health;
use crate::routes::{RouteRow, route_table};
use crate::state::State;

/// The whole document, or with a filter one of its keys: the value alone under its own name, as Emissary answers.
pub(crate) fn document(state: &State, health: &Health, filter: Option<&str>) -> Value {
    let mut all = Map::new();
    all.insert("system".into(), system(state));
    all.insert("envoy_status".into(), status(state, health));
    all.insert("loginfo".into(), json!({ "all": state.log_level.current() }));
    let (errors, notices) = messages(state);
    all.insert("errors".into(), errors);
    all.insert("notices".into(), notices);
    let rows = state.current().map(|published| route_table(&published.edge)).unwrap_or_default();
    all.insert("route_info".into(), rows.iter().map(route_info).collect());
    match filter {
        None | Some("webui") => Value::Object(all),
        Some(key) => all.remove(key).unwrap_or_else(|| json!({})),
    }
}

fn system(state: &State) -> Value {
    let identity = &state.identity;
    json!({
        "version": identity.version,
        "hostname": identity.hostname,
        "ambassador_id": identity.ambassador_id,
        "ambassador_namespace": identity.namespace,
        "single_namespace": identity.single_namespace,
        "boot_time": unix_seconds(state.started.1),
        "hr_uptime": format!("{} seconds", state.started.0.elapsed().as_secs()),
        "latest_snapshot": state.current().map(|published| published.revision),
    })
}

fn status(state: &State, health: &Health) -> Value {
    let since_update = state.current().and_then(|published| published.at.elapsed().ok());
    json!({
        "alive": health.alive,
        "ready": health.ready,
        "uptime": format!("{} seconds", state.started.0.elapsed().as_secs()),
        "since_update": since_update.map(|time| format!("{} seconds ago", time.as_secs())),
    })
}

/// `[[key, message], …]`: errors, and everything milder as notices.
fn messages(state: &State) -> (Value, Value) {
    let Some(published) = state.current() else { return (json!([]), json!([])) };
    let problems = published.report.problems();
    let (errors, notices): (Vec<&Problem>, Vec<&Problem>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Error);
    let entry = |problem: &&Problem| {
        let key = problem.object.as_ref().map_or_else(
            || "-global-".to_owned(),
            |object| format!("{}.{}.1", object.name, object.namespace),
        );
        json!([key, format!("{}: {}", problem.code, problem.message)])
    };
    let mut errors: Vec<Value> = errors.iter().map(entry).collect();
    errors.extend(published.broken.iter().map(|(source, why)| json!([source.as_str(), why])));
    errors.extend(published.unbound.iter().map(|(address, why)| json!([address.to_string(), why])));
    (Value::Array(errors), notices.iter().map(entry).collect())
}

fn route_info(row: &RouteRow) -> Value {
    let scheme = if row.protocol.starts_with("http") { row.protocol } else { "tcp" };
    let pattern = row.path.split_once(' ').map_or("", |(_, pattern)| pattern);
    json!({
        "key": format!("{scheme}://{}{pattern}", row.host),
        "prefix": pattern,
        "host": row.host,
        "headers": row.also,
        "clusters": [{ "service": row.action }],
        "_source": row.source,
    })
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

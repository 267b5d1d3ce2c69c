//! What `kubectl get` prints: Emissary's columns, what became of the object, and its age. What is rarely asked for, or
//! long, is printed with `-o wide`.

use serde_json::{Value, json};

/// Columns of a kind.
pub(super) fn of(kind: &str) -> Vec<Value> {
    let spec = |name: &str, field: &str| column(name, "string", &format!(".spec.{field}"));
    let status = |name: &str, field: &str| column(name, "string", &format!(".status.{field}"));
    let mut columns = match kind {
        "Host" => vec![
            spec("Hostname", "hostname"),
            status("State", "state"),
            wide(status("Phase Completed", "phaseCompleted")),
            wide(status("Phase Pending", "phasePending")),
        ],
        "Listener" => vec![
            spec("Port", "port"),
            spec("Protocol", "protocol"),
            spec("Stack", "protocolStack"),
            wide(spec("StatsPrefix", "statsPrefix")),
            spec("Security", "securityModel"),
            spec("L7Depth", "l7Depth"),
        ],
        "Mapping" => vec![
            spec("Hostname", "hostname"),
            wide(spec("Source Host", "host")),
            spec("Source Prefix", "prefix"),
            spec("Dest Service", "service"),
            wide(column("Weight", "integer", ".spec.weight")),
            status("State", "state"),
            wide(status("Reason", "reason")),
        ],
        "TCPMapping" => {
            vec![
                column("Port", "integer", ".spec.port"),
                spec("Host", "host"),
                spec("Dest Service", "service"),
            ]
        }
        "TLSContext" => vec![spec("Hosts", "hosts"), spec("Secret", "secret")],
        "AuthService" => vec![spec("Service", "auth_service")],
        _ => Vec::new(),
    };
    if matches!(
        kind,
        "Host" | "Listener" | "Mapping" | "TCPMapping" | "TLSContext" | "AuthService" | "Module"
    ) {
        columns.extend(["Accepted", "Programmed"].map(condition));
        columns.push(wide(condition("ResolvedRefs")));
    }
    columns.push(column("Age", "date", ".metadata.creationTimestamp"));
    columns
}

fn column(name: &str, what: &str, path: &str) -> Value {
    json!({"name": name, "type": what, "jsonPath": path})
}

fn condition(name: &str) -> Value {
    column(name, "string", &format!(".status.conditions[?(@.type==\"{name}\")].status"))
}

fn wide(mut column: Value) -> Value {
    column["priority"] = 1.into();
    column
}

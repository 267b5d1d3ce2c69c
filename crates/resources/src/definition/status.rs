//! `status`: what became of an object.

use serde_json::{Map, Value, json};

/// Conditions for every kind, and what Emissary's definitions have besides.
pub(super) fn schema(kind: &str) -> Value {
    let mut properties = match kind {
        "Host" => host(),
        "Mapping" => mapping(),
        _ => Map::new(),
    };
    properties.insert("conditions".to_owned(), conditions());
    json!({
        "description": "What became of the object; the gateway writes it.",
        "type": "object",
        "properties": properties,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// A map by type, so that every writer has its own entries and nobody loses another's.
fn conditions() -> Value {
    json!({
        "description": "Accepted: it is valid. ResolvedRefs: what it refers to is there. Programmed: it is served.",
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "maxItems": 32,
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "description": "When status changed last.", "type": "string", "format": "date-time",
                },
                "message": {"description": "The same for people.", "type": "string", "maxLength": 32768},
                "observedGeneration": {
                    "description": "The metadata.generation it is about.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "reason": {
                    "description": "Why, in one word of a fixed list.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "status": {
                    "description": "Whether it holds.", "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "type": {
                    "description": "What it says.", "type": "string", "maxLength": 316,
                    "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
            },
        },
    })
}

fn mapping() -> Map<String, Value> {
    texts(&[("state", "Running or Inactive."), ("reason", "Why it is inactive.")])
}

fn host() -> Map<String, Value> {
    texts(&[
        ("state", "Initial, Pending, Ready or Error."),
        ("phaseCompleted", "Of ordering a certificate, which the gateway does not do."),
        ("phasePending", "Of ordering a certificate, which the gateway does not do."),
        ("errorReason", "With state Error: why."),
        ("errorTimestamp", "With state Error: since when."),
        ("errorBackoff", "With state Error: until it is tried again."),
        ("tlsCertificateSource", "Unknown, None, Other or ACME."),
    ])
}

fn texts(fields: &[(&str, &str)]) -> Map<String, Value> {
    let field =
        |(name, says): &(&str, &str)| ((*name).to_owned(), json!({"type": "string", "description": says}));
    fields.iter().map(field).collect()
}

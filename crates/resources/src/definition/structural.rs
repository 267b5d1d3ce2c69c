//! A JSON Schema of one of our types, as a cluster wants it (structural, nothing pruned) and as an editor does.

use serde_json::{Map, Value, json};

const KEEP: &str = "x-kubernetes-preserve-unknown-fields";

/// A structural schema: every place has one type or leaves everything open, and fields that are not known are kept.
pub(super) fn for_cluster(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return json!({KEEP: true}) };
    let mut made = Map::new();
    describe(fields, &mut made);
    match types(fields).as_slice() {
        ["integer", "string"] => {
            made.insert("x-kubernetes-int-or-string".to_owned(), true.into());
        }
        [one] => {
            made.insert("type".to_owned(), (*one).into());
            nested(fields, &mut made, for_cluster);
            limits(fields, &mut made);
            if *one == "object" && !made.contains_key("additionalProperties") {
                made.insert(KEEP.to_owned(), true.into());
            }
        }
        _ => {
            made.insert(KEEP.to_owned(), true.into());
            // The apiserver takes out what is null and may not be.
            if fields
                .get("type")
                .and_then(Value::as_array)
                .is_some_and(|types| types.contains(&json!("null")))
            {
                made.insert("nullable".to_owned(), true.into());
            }
        }
    }
    made.into()
}

/// The same without what only a cluster understands; several types stay several.
pub(super) fn for_editors(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut made = Map::new();
    describe(fields, &mut made);
    match types(fields).as_slice() {
        [] => {}
        [one] => drop(made.insert("type".to_owned(), (*one).into())),
        several => drop(made.insert("type".to_owned(), json!(several))),
    }
    nested(fields, &mut made, for_editors);
    limits(fields, &mut made);
    made.retain(|name, _| !name.starts_with("x-"));
    made.into()
}

/// The types a place may have. That a field of ours may be absent is no type of it.
fn types(fields: &Map<String, Value>) -> Vec<&str> {
    match fields.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => Vec::new(),
    }
}

fn nested(fields: &Map<String, Value>, made: &mut Map<String, Value>, each: fn(&Value) -> Value) {
    if let Some(Value::Object(properties)) = fields.get("properties") {
        let properties: Map<String, Value> =
            properties.iter().map(|(name, schema)| (name.clone(), each(schema))).collect();
        made.insert("properties".to_owned(), properties.into());
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema @ Value::Object(_)) = fields.get(inner) {
            made.insert(inner.to_owned(), each(schema));
        }
    }
}

/// What values may be.
fn limits(fields: &Map<String, Value>, made: &mut Map<String, Value>) {
    for name in [
        "enum",
        "format",
        "maximum",
        "minimum",
        "minLength",
        "pattern",
        "required",
        "x-kubernetes-validations",
    ] {
        if let Some(limit) = fields.get(name) {
            made.insert(name.to_owned(), limit.clone());
        }
    }
    // For an absent field the type's schema has null among the values.
    if let Some(Value::Array(values)) = made.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// The comment on a field, its lines as one.
fn describe(fields: &Map<String, Value>, made: &mut Map<String, Value>) {
    if let Some(text) = fields.get("description").and_then(Value::as_str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        made.insert("description".to_owned(), words.join(" ").into());
    }
}

//! A JSON value as a type, or in plain words why not.

use serde::Deserialize;
use serde_ignored::Path;
use serde_json::Value;

/// What is wrong with a value, before it is known which object it belongs to.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) field: String,
    pub(super) message: String,
    pub(super) fix: &'static str,
}

impl Fault {
    pub(super) fn new(code: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { code, field: field.into(), message, fix: "" }
    }

    pub(super) fn fix(mut self, fix: &'static str) -> Self {
        self.fix = fix;
        self
    }
}

/// Reads a value that stands at `at` (`spec`).
pub(super) fn typed<'a, T: Deserialize<'a>>(value: &'a Value, at: &str) -> Result<T, Fault> {
    // Following the path costs, and nearly every object is sound: it is followed when there is something to tell.
    T::deserialize(value).or_else(|_| {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let field = match path.as_str() {
                "." => at.to_owned(),
                inner if inner.starts_with('[') => format!("{at}{inner}"),
                inner => format!("{at}.{inner}"),
            };
            Fault::new("wrong-type", field, plain(&error.inner().to_string()))
                .fix("correct the value; until then the last good version serves, if there was one")
        })
    })
}

/// As [`typed`], and names the fields within its fields that are not understood.
pub(super) fn typed_noting<'a, T: Deserialize<'a>>(
    value: &'a Value,
    at: &str,
    unknown: &mut Vec<String>,
) -> Result<T, Fault> {
    let mut ignored = Vec::new();
    match serde_ignored::deserialize(value, |path| ignored.push(place(at, &path))) {
        Ok(read) => {
            unknown.append(&mut ignored);
            Ok(read)
        }
        Err(_) => typed(value, at),
    }
}

/// `spec.cors.orgins`, `spec.health_checks[0].time`.
fn place(at: &str, path: &Path<'_>) -> String {
    match path {
        Path::Root => at.to_owned(),
        Path::Seq { parent, index } => format!("{}[{index}]", place(at, parent)),
        Path::Map { parent, key } => format!("{}.{key}", place(at, parent)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            place(at, parent)
        }
    }
}

/// `invalid type: string "x", expected i64` → `found string "x" where a whole number is expected`.
fn plain(message: &str) -> String {
    let found = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let Some((found, expected)) = found.and_then(|rest| rest.rsplit_once(", expected ")) else {
        return message.to_owned();
    };
    let expected = match expected {
        "i64" | "u64" | "i32" | "u32" | "u16" => "a whole number",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a map",
        other => other,
    };
    let found = match found {
        "map" => "a map",
        "sequence" => "a list",
        "unit value" | "null" => "nothing",
        other => other,
    };
    format!("found {found} where {expected} is expected")
}

/// `a list`, `the number 5`.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(value) if value.len() > 40 => "a text".to_owned(),
        Value::String(value) => format!("the text \"{value}\""),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// A scalar as text: people forget the quotes of `"1.0"` and `"true"`.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Takes out the fields without a value: to Kubernetes they are absent.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

//! How the values of annotations are read.
//!
//! The AWS Load Balancer Controller and the cloud provider share the prefix of Services and differ in the grammar of
//! values; [`Annotations`] is the former's, [`cloud_provider`] the latter's.

pub mod cloud_provider;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Prefix of annotations on Services.
pub const SERVICE: &str = "service.beta.kubernetes.io";

/// Prefix of annotations on Ingresses, and on the Services behind them.
pub const INGRESS: &str = "alb.ingress.kubernetes.io";

/// A value that does not follow the grammar of its annotation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("failed to parse {kind} annotation, {key}: {raw}")]
pub struct AnnotationError {
    /// `bool`, `int32`, `int64`, `stringMap` or `json`.
    pub kind: &'static str,
    /// The whole key, with its prefix.
    pub key: String,
    /// The value as it stands there.
    pub raw: String,
}

/// The annotations of one object under one prefix, in the grammar of the AWS Load Balancer Controller.
///
/// Every reader answers none where the annotation is absent.
#[derive(Clone, Copy, Debug)]
pub struct Annotations<'a> {
    prefix: &'a str,
    values: &'a BTreeMap<String, String>,
}

impl<'a> Annotations<'a> {
    /// Under any prefix.
    pub fn new(prefix: &'a str, values: &'a BTreeMap<String, String>) -> Self {
        Self { prefix, values }
    }

    /// Of a Service that asks for a load balancer.
    pub fn service(values: &'a BTreeMap<String, String>) -> Self {
        Self::new(SERVICE, values)
    }

    /// Of an Ingress, or of a Service behind one.
    pub fn ingress(values: &'a BTreeMap<String, String>) -> Self {
        Self::new(INGRESS, values)
    }

    /// The whole key of a suffix.
    pub fn key(&self, suffix: &str) -> String {
        format!("{}/{suffix}", self.prefix)
    }

    /// Path of the annotation in its object, for problems.
    pub fn field(&self, suffix: &str) -> String {
        format!("metadata.annotations[{}]", self.key(suffix))
    }

    /// The value as it is, letter by letter.
    pub fn text(&self, suffix: &str) -> Option<&'a str> {
        self.values.get(&self.key(suffix)).map(String::as_str)
    }

    /// A boolean, in the spellings of Go's `strconv.ParseBool`.
    ///
    /// # Errors
    /// When it is spelled otherwise (`yes`, `True `).
    pub fn flag(&self, suffix: &str) -> Result<Option<bool>, AnnotationError> {
        let read = |raw| boolean(raw).ok_or_else(|| self.error("bool", suffix, raw));
        self.text(suffix).map(read).transpose()
    }

    /// A decimal number of 32 bits.
    ///
    /// # Errors
    /// When it is no number, or too large.
    pub fn int32(&self, suffix: &str) -> Result<Option<i32>, AnnotationError> {
        let read = |raw: &str| raw.parse().map_err(|_| self.error("int32", suffix, raw));
        self.text(suffix).map(read).transpose()
    }

    /// A decimal number of 64 bits.
    ///
    /// # Errors
    /// When it is no number, or too large.
    pub fn int64(&self, suffix: &str) -> Result<Option<i64>, AnnotationError> {
        let read = |raw: &str| raw.parse().map_err(|_| self.error("int64", suffix, raw));
        self.text(suffix).map(read).transpose()
    }

    /// Values with commas between them: blanks around them go, and so do empty ones.
    pub fn list(&self, suffix: &str) -> Option<Vec<String>> {
        self.text(suffix).map(list)
    }

    /// `key=value` pairs with commas between them. A backslash takes the next character as it is.
    ///
    /// # Errors
    /// When a pair has no `=` or no key.
    pub fn map(&self, suffix: &str) -> Result<Option<BTreeMap<String, String>>, AnnotationError> {
        let read = |raw| pairs(raw).ok_or_else(|| self.error("stringMap", suffix, raw));
        self.text(suffix).map(read).transpose()
    }

    /// JSON. Go's decoder matches the names of fields in any case (`Type` is `type`), so the types to read into have
    /// their fields in the usual spelling, and keys are brought to it by `fields`: every name that occurs anywhere in
    /// the type. Unknown keys are left as they are.
    ///
    /// # Errors
    /// When it is not JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(
        &self,
        suffix: &str,
        fields: &[&str],
    ) -> Result<Option<T>, AnnotationError> {
        let read = |raw: &str| {
            let value = serde_json::from_str(raw).map(|value| spelled(value, fields));
            value.and_then(serde_json::from_value).map_err(|_| self.error("json", suffix, raw))
        };
        self.text(suffix).map(read).transpose()
    }

    /// The suffixes that begin so, with their values, in the order of the alphabet.
    pub fn starting_with(&self, start: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let start = self.key(start);
        let cut = self.prefix.len() + 1;
        self.values
            .range(start.clone()..)
            .take_while(move |(key, _)| key.starts_with(&start))
            .map(move |(key, value)| (&key[cut..], value.as_str()))
    }

    fn error(&self, kind: &'static str, suffix: &str, raw: &str) -> AnnotationError {
        AnnotationError { kind, key: self.key(suffix), raw: raw.to_owned() }
    }
}

/// The spellings of Go's `strconv.ParseBool`.
pub fn boolean(raw: &str) -> Option<bool> {
    match raw {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Values with commas between them, without blanks around them and without empty ones.
pub fn list(raw: &str) -> Vec<String> {
    raw.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `key=value` pairs: a backslash takes the next byte as it is, so that a value may hold a comma; none when a pair has no
/// `=` or no key. A comma at the very end belongs to the last value, as in the controller.
fn pairs(raw: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut pair = String::new();
    let mut rest = raw.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => pair.push(rest.next().unwrap_or('\\')),
            ',' if !rest.as_str().trim().is_empty() => {
                let (key, value) = split(&pair)?;
                found.insert(key, value);
                pair.clear();
            }
            other => pair.push(other),
        }
    }
    if !pair.is_empty() {
        let (key, value) = split(&pair)?;
        found.insert(key, value);
    }
    Some(found)
}

fn split(pair: &str) -> Option<(String, String)> {
    let (key, value) = pair.split_once('=')?;
    let key = key.trim();
    (!key.is_empty()).then(|| (key.to_owned(), value.trim().to_owned()))
}

/// Brings the keys of all objects to the spelling of one of `fields`, where they differ in case only.
fn spelled(value: Value, fields: &[&str]) -> Value {
    match value {
        Value::Object(entries) => {
            let known = |key: String| {
                let field = fields.iter().find(|field| field.eq_ignore_ascii_case(&key));
                field.map_or(key, |field| (*field).to_owned())
            };
            entries.into_iter().map(|(key, value)| (known(key), spelled(value, fields))).collect()
        }
        Value::Array(items) => items.into_iter().map(|item| spelled(item, fields)).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests;

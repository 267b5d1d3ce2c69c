//! What a verified token says.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Claims whose text is a list separated by spaces (RFC 8693 §4.2, and Istio's habit).
const SPACED: [&str; 2] = ["scope", "permission"];

/// The claims of a verified token.
#[derive(Clone, PartialEq, Debug)]
pub struct Claims {
    claims: Map<String, Value>,
    /// As it stood in the token.
    payload: String,
    /// `issuer/subject`, when it has both.
    principal: Option<String>,
}

impl Claims {
    pub(crate) fn new(mut claims: Map<String, Value>, payload: &str, spaced: &[String]) -> Self {
        let names = SPACED.iter().copied().chain(spaced.iter().map(String::as_str));
        for name in names {
            if let Some(Value::String(text)) = claims.get(name) {
                let parts = text.split(' ').filter(|part| !part.is_empty()).map(Value::from).collect();
                claims.insert(name.to_owned(), Value::Array(parts));
            }
        }
        let text = |name| claims.get(name).and_then(Value::as_str).filter(|text: &&str| !text.is_empty());
        let principal = text("iss").zip(text("sub")).map(|(issuer, subject)| format!("{issuer}/{subject}"));
        Self { claims, payload: payload.to_owned(), principal }
    }

    /// `issuer/subject`.
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// The payload as it stood in the token: base64url without padding.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// Does a claim, found by the names on the way to it, have a text that passes this test? A list has all texts in it;
    /// numbers, truth values and objects are no texts.
    pub fn any(&self, path: &[String], test: impl Fn(&str) -> bool) -> bool {
        match self.find(path) {
            Some(Value::String(text)) => test(text),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(test),
            _ => false,
        }
    }

    /// A claim for a header field: a text, number or truth value as it is, a list or an object as JSON in base64url.
    /// None when there is no such claim, or it is null.
    pub fn text(&self, path: &[String]) -> Option<Cow<'_, str>> {
        match self.find(path)? {
            Value::Null => None,
            Value::String(text) => Some(Cow::Borrowed(text)),
            plain @ (Value::Bool(_) | Value::Number(_)) => Some(plain.to_string().into()),
            nested => Some(URL_SAFE_NO_PAD.encode(nested.to_string()).into()),
        }
    }

    fn find(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.claims.get(first)?, |value, name| value.get(name.as_str()))
    }
}

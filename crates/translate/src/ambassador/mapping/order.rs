//! The order of routes: Emissary's, to the letter, since it decides who gets a request.

use plenipo_model::ValueMatch;
use plenipo_resources::ambassador::Mapping;

use super::matching::Matching;

/// What a Mapping ranks by. The greater rank is tried first.
///
/// Precedence, then the length of the prefix text (exact, prefix and regex alike), then the length of everything asked
/// of headers (host and method among them), then of query parameters, then the texts themselves.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Rank {
    precedence: i64,
    prefix_length: usize,
    headers_length: usize,
    query_length: usize,
    prefix: String,
    method: String,
    texts: Vec<String>,
}

impl Rank {
    pub(crate) fn of(spec: &Mapping, matching: &Matching) -> Self {
        let prefix = spec.prefix.clone().unwrap_or_default();
        let mut headers = Tally::default();
        for header in &matching.headers {
            headers.add(header.name.as_str(), &header.value);
        }
        if let Some(host) = &matching.host {
            headers.add_text(":authority", &host.text, host.is_regex());
        }
        if let Some(method) = &matching.method {
            headers.add(":method", method);
        }
        let mut query = Tally::default();
        for parameter in &matching.query {
            query.add(&parameter.name, &parameter.value);
        }
        let method = matching.method.as_ref().map_or("GET", |method| text(method)).to_owned();
        let mut texts = headers.texts;
        texts.extend(query.texts);
        Self {
            precedence: spec.precedence.unwrap_or(0),
            prefix_length: prefix.chars().count(),
            headers_length: headers.length,
            query_length: query.length,
            prefix,
            method,
            texts,
        }
    }

    /// What two Mappings for the same requests have in common.
    pub(crate) fn identity(&self) -> (i64, String, String, Vec<String>) {
        (self.precedence, self.prefix.clone(), self.method.clone(), self.texts.clone())
    }

    /// The rank of a route of the gateway's own for every host.
    pub(crate) fn own(prefix: &str) -> Self {
        let mut headers = Tally::default();
        headers.add_text(":authority", "*", false);
        Self {
            precedence: 0,
            prefix_length: prefix.chars().count(),
            headers_length: headers.length,
            query_length: 0,
            prefix: prefix.to_owned(),
            method: "GET".to_owned(),
            texts: headers.texts,
        }
    }
}

/// Lengths and texts of matchers: name, value (`*` when only the name counts) and one more for a regex.
#[derive(Default)]
struct Tally {
    length: usize,
    texts: Vec<String>,
}

impl Tally {
    fn add(&mut self, name: &str, value: &ValueMatch) {
        self.add_text(name, text(value), matches!(value, ValueMatch::Regex(_)));
    }

    fn add_text(&mut self, name: &str, value: &str, regex: bool) {
        self.length += name.len() + value.chars().count() + usize::from(regex);
        self.texts.push(format!("{name}-{value}"));
    }
}

fn text(value: &ValueMatch) -> &str {
    match value {
        ValueMatch::Exact(text) => text,
        ValueMatch::Regex(pattern) => pattern.as_str(),
        ValueMatch::Present | ValueMatch::Host(_) => "*",
    }
}

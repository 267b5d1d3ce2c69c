//! The order of routes: Emissary's, to the letter, since it decides who gets a request.

use std::borrow::Cow;

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
    method: Cow<'static, str>,
    texts: Vec<String>,
}

/// What two Mappings for the same requests have in common.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Requests<'r> {
    precedence: i64,
    prefix: &'r str,
    method: &'r str,
    texts: &'r [String],
}

impl Rank {
    pub(crate) fn of(spec: &Mapping, matching: &Matching) -> Self {
        let mut tally = Tally::default();
        for header in &matching.headers {
            tally.add(header.name.as_str(), &header.value);
        }
        if let Some(host) = &matching.host {
            tally.add_text(":authority", &host.text, host.is_regex());
        }
        let mut method = Cow::Borrowed("GET");
        if let Some(matched) = &matching.method {
            tally.add(":method", matched);
            method = Cow::Owned(text(matched).to_owned());
        }
        let headers_length = tally.length;
        for parameter in &matching.query {
            tally.add(&parameter.name, &parameter.value);
        }
        let prefix = spec.prefix.as_deref().unwrap_or_default();
        Self {
            precedence: spec.precedence.unwrap_or(0),
            prefix_length: prefix.chars().count(),
            headers_length,
            query_length: tally.length - headers_length,
            prefix: prefix.to_owned(),
            method,
            texts: tally.texts,
        }
    }

    pub(crate) fn requests(&self) -> Requests<'_> {
        Requests {
            precedence: self.precedence,
            prefix: &self.prefix,
            method: &self.method,
            texts: &self.texts,
        }
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
            method: Cow::Borrowed("GET"),
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
        self.texts.push([name, "-", value].concat());
    }
}

fn text(value: &ValueMatch) -> &str {
    match value {
        ValueMatch::Exact(text) | ValueMatch::Prefix(text) => text,
        ValueMatch::Regex(pattern) => pattern.as_str(),
        ValueMatch::Present | ValueMatch::Host(_) => "*",
    }
}

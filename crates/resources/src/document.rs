//! YAML text into JSON values, one document at a time.

use serde_json::Value;
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{DuplicateKeyPolicy, Options, budget, options};

/// One document of a YAML (or JSON) text, not yet parsed. Equal text is equal content, so it can be the key of a cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Document<'a> {
    /// Where its content begins, 1-based: the first line that is neither empty, nor a comment, nor the `---`.
    pub line: u32,
    /// Its text, from the `---` (if it has one) to the next.
    pub text: &'a str,
    /// Where `text` begins, 1-based.
    first_line: u32,
}

/// Text that is not YAML, and where it stops being it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct SyntaxError {
    /// 1-based, within the whole text.
    pub line: u32,
    /// 1-based.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

/// Splits a text at its document markers; documents with nothing but comments are left out.
///
/// A `---` in the first column ends a document wherever it stands, in block scalars and quotes too (YAML 1.2 §9.1.2), so
/// that a broken document cannot swallow the next one.
pub fn documents(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let (mut at, mut start, mut first_line) = (0, 0, 1);
    let mut content = None;
    let mut number = 0;
    for line in text.split_inclusive('\n') {
        number += 1;
        let next = at + line.len();
        match marker(line) {
            Some(Marker::Begin { has_content }) => {
                found.extend(content.map(|line| Document { line, text: &text[start..at], first_line }));
                (start, first_line) = (at, number);
                content = has_content.then_some(number);
            }
            Some(Marker::End) => {
                found.extend(content.map(|line| Document { line, text: &text[start..at], first_line }));
                (start, first_line) = (next, number + 1);
                content = None;
            }
            None if content.is_none() && is_content(line) => content = Some(number),
            None => {}
        }
        at = next;
    }
    found.extend(content.map(|line| Document { line, text: &text[start..], first_line }));
    found
}

impl Document<'_> {
    /// Parses it, as `kubectl` would: `yes` and `on` are booleans, `0755` is octal, a key given twice is an error.
    ///
    /// # Errors
    /// When it is not YAML, or expands to more than a configuration can reasonably be.
    pub fn value(&self) -> Result<Value, SyntaxError> {
        serde_saphyr::from_str_with_options(self.text, yaml_options()).map_err(|error| {
            let error = error.without_snippet();
            let place = error.location();
            let line = place.map_or(1, |place| place.line());
            SyntaxError {
                line: self.first_line.saturating_add(small(line).saturating_sub(1)),
                column: small(place.map_or(1, |place| place.column())),
                message: without_place(&error.to_string()).to_owned(),
            }
        })
    }
}

enum Marker {
    Begin { has_content: bool },
    End,
}

fn marker(line: &str) -> Option<Marker> {
    let begin = line.starts_with("---");
    if !begin && !line.starts_with("...") {
        return None;
    }
    let rest = &line[3..];
    if !(rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
        return None;
    }
    Some(if begin { Marker::Begin { has_content: is_content(rest) } } else { Marker::End })
}

/// Directives (`%YAML 1.2`) say nothing about the content.
fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with(['#', '%'])
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The parser's messages end in ` at line 3, column 4`, counted from the start of the document: misleading in a file.
fn without_place(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

/// The limits of the parser, raised on purpose: one document can be the `List` of everything in a cluster (10,000
/// Mappings are some 500,000 nodes). Aliases stay tight: nobody writes configuration that needs many, bombs do.
fn yaml_options() -> Options {
    options! {
        budget: budget! {
            max_events: 40_000_000,
            max_nodes: 20_000_000,
            max_total_scalar_bytes: 1 << 30,
            max_total_comment_bytes: 1 << 30,
            max_documents: 1,
        },
        alias_limits: alias_limits(),
        duplicate_keys: DuplicateKeyPolicy::Error,
        legacy_octal_numbers: true,
        emit_comments: false,
        with_snippet: false,
    }
}

fn alias_limits() -> AliasLimits {
    let mut limits = AliasLimits::default();
    limits.max_total_replayed_events = 100_000;
    limits
}

#[cfg(test)]
mod tests;

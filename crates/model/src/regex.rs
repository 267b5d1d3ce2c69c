//! A regular expression, compiled once and equal by its text.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A compiled expression that must match the **whole** input (as RE2 full match, which every dialect we read means).
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    anchored: regex::Regex,
    unanchored: regex::Regex,
}

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a valid expression, or one with look-around or back-references, which run in unbounded time.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// Its compiled form would exceed [`Pattern::MAX_COMPILED_BYTES`].
    #[error("the expression is too large when compiled (limit {} KiB)", Pattern::MAX_COMPILED_BYTES / 1024)]
    TooLarge,
}

impl Pattern {
    /// Bound on one compiled expression, so that a hostile object cannot take the memory of the process.
    pub const MAX_COMPILED_BYTES: usize = 1 << 20;

    /// Compiles `text`.
    ///
    /// # Errors
    /// When the text is not an expression or is too large; the message names the place.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let compile = |pattern: &str| {
            regex::RegexBuilder::new(pattern).size_limit(Self::MAX_COMPILED_BYTES).build().map_err(|error| {
                match error {
                    regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                    other => PatternError::Syntax(
                        other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
                    ),
                }
            })
        };
        // The bare form first: its error message speaks of the user's text, not of our anchors.
        let unanchored = compile(text)?;
        let anchored = compile(&format!("^(?:{text})$"))?;
        Ok(Self { text: text.into(), anchored, unanchored })
    }

    /// Does the whole of `input` match?
    pub fn matches(&self, input: &str) -> bool {
        self.anchored.is_match(input)
    }

    /// Replaces every match anywhere in `input`; `\1` … `\9` in `substitution` stand for groups (RE2 syntax) and
    /// `\\` for a backslash.
    pub fn replace_all(&self, input: &str, substitution: &str) -> String {
        let expand = |captures: &regex::Captures<'_>| {
            let mut out = String::with_capacity(substitution.len());
            let mut chars = substitution.chars();
            while let Some(c) = chars.next() {
                match (c, c == '\\') {
                    (_, true) => match chars.next() {
                        Some(digit @ '0'..='9') => {
                            let group = digit as usize - '0' as usize;
                            out.push_str(captures.get(group).map_or("", |found| found.as_str()));
                        }
                        Some(other) => out.push(other),
                        None => out.push('\\'),
                    },
                    (plain, false) => out.push(plain),
                }
            }
            out
        };
        self.unanchored.replace_all(input, expand).into_owned()
    }

    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_input_must_match() {
        let pattern = Pattern::new("/api/v[0-9]+|/x").expect("valid");
        assert!(pattern.matches("/api/v12"));
        assert!(pattern.matches("/x"));
        assert!(!pattern.matches("/api/v12/more"));
        assert!(!pattern.matches("/xy"));
    }

    #[test]
    fn groups_are_written_as_re2_does() {
        let pattern = Pattern::new("/foo/([0-9]*)/list").expect("valid");
        assert_eq!(pattern.replace_all("/foo/1234/list", "/bar/\\1"), "/bar/1234");
        assert_eq!(pattern.replace_all("/foo/1/list/foo/2/list", "<\\1\\\\>"), "<1\\><2\\>");
    }

    #[test]
    fn bad_and_huge_expressions_are_refused() {
        assert!(matches!(Pattern::new("(a"), Err(PatternError::Syntax(_))));
        assert!(matches!(Pattern::new("(?=a)"), Err(PatternError::Syntax(_))));
        assert_eq!(Pattern::new("((a{100}){100}){100}"), Err(PatternError::TooLarge));
    }
}

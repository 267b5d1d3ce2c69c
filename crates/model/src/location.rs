//! Where a redirect points, written with `#{…}` for parts of the request's own URL.

use std::fmt;

use serde::{Serialize, Serializer};

/// A URL with `#{protocol}`, `#{host}`, `#{port}`, `#{path}` (without its leading slash) and `#{query}` (without the
/// `?`) in it: the redirect action of an Application Load Balancer. Equal when the text is.
#[derive(Clone, PartialEq, Eq)]
pub struct LocationTemplate {
    text: String,
    parts: Vec<LocationPart>,
}

/// One piece of a [`LocationTemplate`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LocationPart {
    /// Copied as it is.
    Literal(String),
    /// The request's scheme.
    Protocol,
    /// Its host, without a port.
    Host,
    /// The port that it came to (the declared one).
    Port,
    /// Its path, without the leading slash.
    Path,
    /// Its query, without the `?`.
    Query,
}

/// A word in `#{…}` that stands for nothing, or a `#{` without its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'#{{{0}' is none of #{{protocol}}, #{{host}}, #{{port}}, #{{path}}, #{{query}}")]
pub struct LocationError(String);

impl LocationTemplate {
    /// Parses `text`, a whole URL such as `https://#{host}:443/#{path}?#{query}`. When the query comes out empty, the
    /// `?` at the end is left out.
    ///
    /// # Errors
    /// On a `#{…}` that stands for nothing.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("#{") {
            let (word, next) = after.split_once('}').ok_or_else(|| LocationError(after.to_owned()))?;
            let part = match word {
                "protocol" => LocationPart::Protocol,
                "host" => LocationPart::Host,
                "port" => LocationPart::Port,
                "path" => LocationPart::Path,
                "query" => LocationPart::Query,
                other => return Err(LocationError(format!("{other}}}"))),
            };
            if !literal.is_empty() {
                parts.push(LocationPart::Literal(literal.to_owned()));
            }
            parts.push(part);
            rest = next;
        }
        if !rest.is_empty() {
            parts.push(LocationPart::Literal(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pieces in order.
    pub fn parts(&self) -> &[LocationPart] {
        &self.parts
    }
}

impl fmt::Debug for LocationTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for LocationTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_literals() {
        use LocationPart::{Host, Literal, Path, Protocol, Query};
        let template = LocationTemplate::parse("#{protocol}://#{host}:443/#{path}?#{query}").expect("valid");
        let literal = |text: &str| Literal(text.to_owned());
        assert_eq!(
            template.parts(),
            [Protocol, literal("://"), Host, literal(":443/"), Path, literal("?"), Query]
        );
    }

    #[test]
    fn other_words_are_refused() {
        for text in ["https://#{hots}/", "https://#{host", "#{}"] {
            assert!(LocationTemplate::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            LocationTemplate::parse("#{hots}").map_err(|error| error.to_string()),
            Err("'#{hots}' is none of #{protocol}, #{host}, #{port}, #{path}, #{query}".to_owned())
        );
    }
}

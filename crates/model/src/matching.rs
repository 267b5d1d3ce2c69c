//! Which requests a route takes.

use http::{HeaderName, Method};
use ipnet::IpNet;
use serde::Serialize;

use crate::HostPattern;
use crate::policy::as_text;
use crate::regex::Pattern;

/// What a request must be like. Every part must accept it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RouteMatch {
    /// Its path, without the query, after normalisation.
    pub path: PathMatch,
    /// Its `Host`, in addition to the virtual host's own pattern; none = any.
    pub host: Option<ValueMatch>,
    /// Its method; none = any.
    pub method: Option<ValueMatch>,
    /// Its `Host` as it was written, letter case and port included; none = any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<ValueMatch>,
    /// Its scheme, as it is believed: `http` or `https`; none = any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<ValueMatch>,
    /// Its headers.
    pub headers: Vec<HeaderMatch>,
    /// Its query parameters.
    pub query: Vec<QueryMatch>,
    /// Expressions over whole parameters as they stand in the query, `name=value`; for each, some parameter must match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Pattern>,
    /// The networks that its peer (by TCP, or by what its PROXY header says) is in one of; empty = any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<IpNet>,
    /// What its verified token says; a request without one says nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimMatch>,
    /// Part of the requests it takes; the rest goes on to the next route. None = all.
    pub fraction: Option<Fraction>,
}

/// Out of 1,000,000.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Fraction(pub u32);

/// How a path is matched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathMatch {
    /// The whole path.
    Exact(String),
    /// The beginning of the path, wherever it ends: `/foo` takes `/foobar`.
    Prefix(String),
    /// The beginning of the path up to a `/` or the end: `/foo` takes `/foo` and `/foo/bar`, not `/foobar`.
    Segments(String),
    /// As [`PathMatch::Exact`], letters in any case.
    ExactIgnoreCase(String),
    /// As [`PathMatch::Prefix`], letters in any case.
    PrefixIgnoreCase(String),
    /// The whole path.
    Regex(Pattern),
}

/// How a value is matched.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueMatch {
    /// Equal, byte for byte.
    Exact(String),
    /// It begins so.
    Prefix(String),
    /// The whole value matches.
    Regex(Pattern),
    /// There is a value.
    Present,
    /// A host pattern (for hosts only; the host is compared in lower case).
    Host(HostPattern),
}

/// One header that a request must have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeaderMatch {
    /// Its name.
    #[serde(serialize_with = "as_text")]
    pub name: HeaderName,
    /// Its value: of several lines, the values joined by `,` (RFC 9110 §5.3).
    pub value: ValueMatch,
    /// Accept the request when this does *not* match.
    pub invert: bool,
    /// A header that is not there counts as one with an empty value.
    #[serde(skip_serializing_if = "is_false")]
    pub missing_is_empty: bool,
}

/// One query parameter that a request must have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct QueryMatch {
    /// Its name, as it stands in the query (not decoded).
    pub name: String,
    /// Its value, as it stands in the query; the first, when the name stands there twice.
    pub value: ValueMatch,
}

/// What a verified token must say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClaimMatch {
    /// Names from the outside in: `["realm", "roles"]` is `roles` within `realm`.
    pub path: Vec<String>,
    /// Its text; of a list, any of its texts.
    pub value: ValueMatch,
    /// Accept the request when this does *not* match.
    pub invert: bool,
}

impl RouteMatch {
    /// Every request for this path.
    pub fn new(path: PathMatch) -> Self {
        Self {
            path,
            host: None,
            method: None,
            authority: None,
            scheme: None,
            headers: Vec::new(),
            query: Vec::new(),
            parameters: Vec::new(),
            peers: Vec::new(),
            claims: Vec::new(),
            fraction: None,
        }
    }
}

impl HeaderMatch {
    /// The header is there, and its value is like this.
    pub fn new(name: HeaderName, value: ValueMatch) -> Self {
        Self { name, value, invert: false, missing_is_empty: false }
    }
}

impl Fraction {
    /// All requests.
    pub const ALL: Self = Self(1_000_000);

    /// Part of a hundred; what is more than that is all.
    pub const fn percent(percent: u32) -> Self {
        if percent >= 100 { Self::ALL } else { Self(percent * 10_000) }
    }

    /// Is this draw, evenly out of all numbers, one of them?
    pub const fn draws(self, draw: u32) -> bool {
        draw % 1_000_000 < self.0
    }
}

impl ValueMatch {
    /// Does this value match?
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => text == value,
            Self::Prefix(text) => value.starts_with(text.as_str()),
            Self::Regex(pattern) => pattern.matches(value),
            Self::Present => true,
            Self::Host(pattern) => pattern.matches(value),
        }
    }

    /// A match for one method, when the text is one.
    ///
    /// # Errors
    /// When the text cannot be a method (RFC 9110 §9.1: a token).
    pub fn method(text: &str) -> Result<Self, http::method::InvalidMethod> {
        Method::from_bytes(text.as_bytes()).map(|method| Self::Exact(method.to_string()))
    }
}

impl PathMatch {
    /// The text as written.
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text)
            | Self::Prefix(text)
            | Self::Segments(text)
            | Self::ExactIgnoreCase(text)
            | Self::PrefixIgnoreCase(text) => text,
            Self::Regex(pattern) => pattern.as_str(),
        }
    }

    /// Does this path match?
    pub fn matches(&self, path: &str) -> bool {
        let prefix_ignoring_case =
            |text: &str| path.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
        match self {
            Self::Exact(text) => path == text,
            Self::Prefix(text) => path.starts_with(text.as_str()),
            Self::Segments(text) => {
                let text = text.strip_suffix('/').unwrap_or(text);
                path.strip_prefix(text).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::ExactIgnoreCase(text) => path.eq_ignore_ascii_case(text),
            Self::PrefixIgnoreCase(text) => prefix_ignoring_case(text),
            Self::Regex(pattern) => pattern.matches(path),
        }
    }

    /// Does every path that `other` matches match this, too? Told of plain text only: where it is in doubt, no.
    pub fn covers(&self, other: &Self) -> bool {
        let segments = |text: &str, other: &Self| match other {
            Self::Exact(path) => Self::Segments(text.to_owned()).matches(path),
            Self::Segments(path) => {
                let path = path.strip_suffix('/').unwrap_or(path);
                Self::Segments(text.to_owned()).matches(path)
            }
            Self::Prefix(path) => path.starts_with(&format!("{}/", text.strip_suffix('/').unwrap_or(text))),
            _ => false,
        };
        match (self, other) {
            (one, other) if one == other => true,
            (Self::Segments(text), other) => segments(text, other),
            (Self::Prefix(text), Self::Exact(path) | Self::Prefix(path)) => path.starts_with(text.as_str()),
            (Self::Prefix(text), Self::Segments(path)) => {
                path.strip_suffix('/').unwrap_or(path).starts_with(text.as_str())
            }
            _ => false,
        }
    }

    /// Length of the part of `path` that [`crate::PathRewrite::Matched`] replaces. The path must match.
    pub fn matched_len(&self, path: &str) -> usize {
        match self {
            Self::Prefix(text) | Self::PrefixIgnoreCase(text) => text.len(),
            Self::Segments(text) => text.strip_suffix('/').unwrap_or(text).len(),
            Self::Exact(_) | Self::ExactIgnoreCase(_) | Self::Regex(_) => path.len(),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_covers_matches_all_that_the_other_matches() {
        let texts = ["/", "/a", "/a/", "/ab", "/a/b", "/a/b/"];
        let matches = texts.map(|text| {
            [
                PathMatch::Exact(text.to_owned()),
                PathMatch::Prefix(text.to_owned()),
                PathMatch::Segments(text.to_owned()),
            ]
        });
        let matches = matches.as_flattened();
        let paths = ["/", "/a", "/a/", "/ab", "/ab/c", "/a/b", "/a/b/", "/a/bc", "/a/b/c", "/b", "//"];
        for (wide, narrow) in matches.iter().flat_map(|wide| matches.iter().map(move |narrow| (wide, narrow)))
        {
            let all = paths.iter().all(|path| !narrow.matches(path) || wide.matches(path));
            assert!(all || !wide.covers(narrow), "{wide:?} does not cover {narrow:?}");
        }
        let segments = |text: &str| PathMatch::Segments(text.to_owned());
        let prefix = |text: &str| PathMatch::Prefix(text.to_owned());
        assert!(prefix("/a").covers(&segments("/a")) && prefix("/a").covers(&segments("/a/b")));
        assert!(segments("/a").covers(&prefix("/a/")) && !segments("/a").covers(&prefix("/a")));
        assert!(!prefix("/a/").covers(&segments("/a/")));
    }
}

//! Host names and the patterns over them, with the one order that is their precedence.

use std::cmp::{Ordering, Reverse};
use std::fmt;

use serde::{Serialize, Serializer};

/// A pattern over host names. All text is lower case (RFC 9110 §4.2.3: host names compare without case).
///
/// Its `Ord` is the precedence: what sorts first wins. Exact, then the longest suffix wildcard (of two for one suffix the
/// one that stands for one label), then the longest prefix wildcard, then any.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum HostPattern {
    /// `foo.example.com`, or with a port: `foo.example.com:8080`.
    Exact(String),
    /// `*.example.com` or `*example.com`: held as the text after the star. Dots may be crossed.
    Suffix(String),
    /// `*.example.com`, held as the text after the star, where the star stands for exactly one label, as in certificates
    /// and in an Ingress: for `a.example.com`, not for `a.b.example.com`. Never made by [`HostPattern::parse`].
    OneLabel(String),
    /// `foo.*`: held as the text before the star.
    Prefix(String),
    /// `*`.
    Any,
}

/// Why a text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostPatternError {
    /// Nothing there.
    #[error("a host pattern cannot be empty")]
    Empty,
    /// A star that is neither the first nor the last character, or more than one.
    #[error("'{0}': a wildcard may only be the first or the last character, once")]
    Star(String),
    /// A character that no host name or port has.
    #[error("'{0}' holds {1:?}, which cannot be part of a host name")]
    Character(String, char),
}

impl HostPattern {
    /// Reads `*`, `*.suffix`, `*suffix`, `prefix.*`, `prefix*` or an exact name (with or without a port).
    ///
    /// # Errors
    /// When the text could never match a host.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        let lower = text.trim().to_ascii_lowercase();
        let bad = lower.chars().find(|c| !(c.is_ascii_alphanumeric() || "-._:*[]~".contains(*c)));
        if let Some(c) = bad {
            return Err(HostPatternError::Character(text.to_owned(), c));
        }
        match lower.as_bytes() {
            [] => Err(HostPatternError::Empty),
            b"*" => Ok(Self::Any),
            [b'*', rest @ ..] if !rest.contains(&b'*') => Ok(Self::Suffix(lower[1..].to_owned())),
            [rest @ .., b'*'] if !rest.contains(&b'*') => {
                Ok(Self::Prefix(lower[..lower.len() - 1].to_owned()))
            }
            bytes if bytes.contains(&b'*') => Err(HostPatternError::Star(text.to_owned())),
            _ => Ok(Self::Exact(lower)),
        }
    }

    /// Reads an exact name, or `*.suffix` with a star that stands for one label.
    ///
    /// # Errors
    /// As [`HostPattern::parse`], and for every other place of a star.
    pub fn parse_one_label(text: &str) -> Result<Self, HostPatternError> {
        match Self::parse(text)? {
            Self::Suffix(suffix) if suffix.len() > 1 && suffix.starts_with('.') => Ok(Self::OneLabel(suffix)),
            Self::Exact(name) => Ok(Self::Exact(name)),
            _ => Err(HostPatternError::Star(text.to_owned())),
        }
    }

    /// Does this pattern accept `host`? The host must already be lower case.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::OneLabel(suffix) => host
                .strip_suffix(suffix.as_str())
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            Self::Prefix(prefix) => host.len() > prefix.len() && host.starts_with(prefix.as_str()),
            Self::Any => true,
        }
    }

    /// Can one host satisfy both patterns? (How Mappings find their Hosts: two globs belong together when they can
    /// name the same host.)
    pub fn overlaps(&self, other: &Self) -> bool {
        use HostPattern::{Any, Exact, OneLabel, Prefix, Suffix};
        match (self, other) {
            (Any, _) | (_, Any) | (Prefix(_), Suffix(_)) | (Suffix(_), Prefix(_)) => true,
            (Exact(a), Exact(b)) | (OneLabel(a), OneLabel(b)) => a == b,
            (Exact(name), pattern) | (pattern, Exact(name)) => pattern.matches(name),
            (OneLabel(one), Suffix(any)) | (Suffix(any), OneLabel(one)) => {
                one.ends_with(any.as_str())
                    || any.strip_suffix(one.as_str()).is_some_and(|label| !label.contains('.'))
            }
            // What of the prefix goes beyond the one label has to be the beginning of the suffix.
            (OneLabel(suffix), Prefix(prefix)) | (Prefix(prefix), OneLabel(suffix)) => {
                prefix.find('.').is_none_or(|dot| dot > 0 && suffix.starts_with(&prefix[dot..]))
            }
            (Suffix(a), Suffix(b)) => a.ends_with(b.as_str()) || b.ends_with(a.as_str()),
            (Prefix(a), Prefix(b)) => a.starts_with(b.as_str()) || b.starts_with(a.as_str()),
        }
    }

    /// The pattern without a `:port` at its end; what a client would send as TLS server name.
    #[must_use]
    pub fn without_port(&self) -> Self {
        let strip = |text: &str| match text.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                name.to_owned()
            }
            _ => text.to_owned(),
        };
        match self {
            Self::Exact(name) => Self::Exact(strip(name)),
            Self::Suffix(suffix) => Self::Suffix(strip(suffix)),
            Self::OneLabel(suffix) => Self::OneLabel(strip(suffix)),
            other => other.clone(),
        }
    }

    fn rank(&self) -> (u8, Reverse<usize>, &str, bool) {
        match self {
            Self::Exact(name) => (0, Reverse(0), name, false),
            Self::OneLabel(suffix) => (1, Reverse(suffix.len()), suffix, false),
            Self::Suffix(suffix) => (1, Reverse(suffix.len()), suffix, true),
            Self::Prefix(prefix) => (2, Reverse(prefix.len()), prefix, false),
            Self::Any => (3, Reverse(0), "", false),
        }
    }
}

impl Ord for HostPattern {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            // Nearly all are, and there are thousands of them to be kept in order.
            (Self::Exact(a), Self::Exact(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for HostPattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::OneLabel(suffix) => write!(f, "*{suffix} (one label)"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).expect("a valid pattern")
    }

    #[test]
    fn order_is_precedence() {
        let mut patterns: Vec<_> =
            ["*", "a.*", "*.com", "b.example.com", "ab.*", "*.example.com"].map(pattern).into();
        patterns.sort();
        let shown: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["b.example.com", "*.example.com", "*.com", "ab.*", "a.*", "*"]);
    }

    #[test]
    fn matching() {
        assert!(pattern("*.example.com").matches("a.b.example.com"));
        assert!(!pattern("*.example.com").matches("example.com"));
        assert!(!pattern("*.example.com").matches(".example.com"), "the star stands for something");
        assert!(pattern("*example.com").matches("myexample.com"));
        assert!(pattern("foo.*").matches("foo.bar"));
        assert!(pattern("FOO.example.com").matches("foo.example.com"));
    }

    #[test]
    fn overlap_is_symmetric() {
        let all = ["*", "a.*", "*.com", "a.com", "b.com", "*.a.com", "x.a.com", "a.b.*"].map(pattern);
        for a in &all {
            for b in &all {
                assert_eq!(a.overlaps(b), b.overlaps(a), "{a} {b}");
            }
        }
        assert!(pattern("*.a.com").overlaps(&pattern("*.com")));
        assert!(pattern("a.*").overlaps(&pattern("*.com")));
        assert!(!pattern("*.a.com").overlaps(&pattern("b.com")));
    }

    #[test]
    fn a_star_for_one_label() {
        let one = |text| HostPattern::parse_one_label(text).expect("a valid pattern");
        let star = one("*.Example.com");
        assert!(star.matches("a.example.com"));
        for other in ["a.b.example.com", "example.com", ".example.com", "aexample.com"] {
            assert!(!star.matches(other), "{other}");
        }
        assert!(one("a.example.com") < star && star < pattern("*.example.com"));
        assert!(pattern("*.b.example.com") < star, "the longer one is the closer one");
        assert_eq!(HostPattern::parse_one_label("*").is_err(), HostPattern::parse_one_label("a.*").is_err());
        for (other, expected) in [
            ("*.com", true),
            ("*a.example.com", true),
            ("*.a.example.com", false),
            ("a.*", true),
            ("a.exam*", true),
            ("a.b.*", false),
            ("x*", true),
            ("a.example.com", true),
            ("a.b.example.com", false),
        ] {
            assert_eq!(star.overlaps(&pattern(other)), expected, "{other}");
            assert_eq!(pattern(other).overlaps(&star), expected, "{other}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(HostPattern::parse(""), Err(HostPatternError::Empty));
        assert!(matches!(HostPattern::parse("a*b"), Err(HostPatternError::Star(_))));
        assert!(matches!(HostPattern::parse("*.*"), Err(HostPatternError::Star(_))));
        assert!(matches!(HostPattern::parse("a b"), Err(HostPatternError::Character(_, ' '))));
    }

    #[test]
    fn server_names_have_no_port() {
        assert_eq!(pattern("foo.com:8443").without_port(), pattern("foo.com"));
        assert_eq!(pattern("*.foo.com:8443").without_port(), pattern("*.foo.com"));
        assert_eq!(pattern("foo.com").without_port(), pattern("foo.com"));
    }
}

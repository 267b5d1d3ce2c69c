//! Which requests a path of an Ingress takes, and in which order paths are tried.

use std::cmp::{Ordering, Reverse};

use plenipo_model::{PathMatch, Pattern};
use plenipo_resources::networking::IngressPath;

use super::class::Flavour;
use crate::findings::Flaw;

/// A path of an Ingress. Its order is the order in which the paths of a host are tried: whole paths first, then the
/// longer before the shorter, and of two texts alike the stricter before the laxer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Path {
    kind: Kind,
    /// As it is compared: without the slash at the end of a [`Kind::Segments`].
    text: String,
}

/// How a path is compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    /// The whole path.
    Exact,
    /// Up to a slash or the end.
    Segments,
    /// The beginning, wherever it ends.
    Prefix,
    /// The beginning matches an expression, letters in any case.
    Regex,
}

const FIX: &str = "write a path that begins with a slash, without //, /./, /../ or %2F";

impl Path {
    /// What is left when no path of a host takes a request.
    pub(super) fn all() -> Self {
        Self { kind: Kind::Segments, text: String::new() }
    }

    /// What an Ingress of this flavour means. With `regex`, paths that are not exact are expressions, where they look like
    /// some.
    ///
    /// # Errors
    /// When no request could be meant.
    pub(super) fn read(
        written: &IngressPath,
        flavour: Flavour,
        regex: bool,
        field: &str,
    ) -> Result<Self, Flaw> {
        let text = written.path.as_deref().unwrap_or_default();
        let kind = written.path_type.as_deref().unwrap_or("ImplementationSpecific");
        let bad = |message: String| Err(Flaw::new("bad-path", format!("{field}.path"), message, FIX));
        let may_be_other = kind == "ImplementationSpecific" && (text.is_empty() || flavour == Flavour::Istio);
        if !may_be_other && !text.starts_with('/') {
            return bad(format!("'{text}' does not begin with a slash"));
        }
        let path = match (kind, flavour) {
            ("Exact", _) => Self { kind: Kind::Exact, text: text.to_owned() },
            ("Prefix", Flavour::Plenipo | Flavour::Nginx) if regex && is_expression(text) => {
                return Self::expression(text, field);
            }
            ("Prefix", Flavour::Emissary) => Self { kind: Kind::Prefix, text: text.to_owned() },
            ("Prefix", _) => {
                Self { kind: Kind::Segments, text: text.strip_suffix('/').unwrap_or(text).to_owned() }
            }
            ("ImplementationSpecific", Flavour::Istio) => return Ok(Self::of_istio(text)),
            ("ImplementationSpecific", Flavour::Plenipo | Flavour::Nginx) if regex && is_expression(text) => {
                return Self::expression(text, field);
            }
            ("ImplementationSpecific", _) if text.is_empty() || text == "/" => Self::all(),
            ("ImplementationSpecific", _) => Self { kind: Kind::Prefix, text: text.to_owned() },
            (other, _) => {
                let message = format!("'{other}' is not a pathType");
                let fix = "write Exact, Prefix or ImplementationSpecific";
                return Err(Flaw::new("bad-path-type", format!("{field}.pathType"), message, fix));
            }
        };
        if kind != "ImplementationSpecific" && !is_normal(text) {
            return bad(format!(
                "no request has the path '{text}': paths are normalised before they are compared"
            ));
        }
        Ok(path)
    }

    /// What Istio has always made of paths without a type: nothing, `*`, `/*` and `.*` take everything, a star at the end
    /// takes all that begins so, and the rest is exact.
    fn of_istio(text: &str) -> Self {
        let (kind, text) = match text {
            "" | "*" | "/*" | ".*" => (Kind::Segments, ""),
            _ => match text.strip_suffix(".*").or_else(|| text.strip_suffix('*')) {
                Some(prefix) => (Kind::Prefix, prefix),
                None => (Kind::Exact, text),
            },
        };
        Self { kind, text: text.to_owned() }
    }

    fn expression(text: &str, field: &str) -> Result<Self, Flaw> {
        let path = Self { kind: Kind::Regex, text: text.to_owned() };
        match Pattern::new(&path.pattern_text()) {
            Ok(_) => Ok(path),
            Err(error) => {
                let fix = "use RE2 syntax, without look-around and back-references";
                let message = error.to_string().replace(": error:", ":");
                Err(Flaw::new("bad-regex", format!("{field}.path"), message, fix))
            }
        }
    }

    fn pattern_text(&self) -> String {
        match self.kind {
            Kind::Regex => format!("(?i)(?:{}).*", self.text.trim_start_matches('^')),
            _ => ".*".to_owned(),
        }
    }

    /// An expression over the whole of every path that this one takes, with the groups that its author wrote.
    pub(super) fn pattern(&self) -> Option<Pattern> {
        Pattern::new(&format!("^{}$", self.pattern_text())).ok()
    }

    /// What the model compares.
    pub(super) fn matches(&self) -> Option<PathMatch> {
        Some(match self.kind {
            Kind::Exact => PathMatch::Exact(self.text.clone()),
            Kind::Segments => PathMatch::Segments(self.text().to_owned()),
            Kind::Prefix => PathMatch::Prefix(self.text.clone()),
            Kind::Regex => PathMatch::Regex(Pattern::new(&self.pattern_text()).ok()?),
        })
    }

    /// As its author wrote it, or nearly.
    pub(super) fn text(&self) -> &str {
        if self.text.is_empty() { "/" } else { &self.text }
    }

    /// A text of its own for every path.
    pub(super) fn name(&self) -> String {
        match self.kind {
            Kind::Segments => self.text().to_owned(),
            Kind::Exact => format!("={}", self.text),
            Kind::Prefix => format!("{}*", self.text),
            Kind::Regex => format!("~{}", self.text),
        }
    }

    /// Is this the path of ACME's HTTP-01 challenges (RFC 8555 §8.3), which are asked for in clear text by nobody who could
    /// say who they are?
    pub(super) fn is_challenge(&self) -> bool {
        // An expression with alternatives may take anything.
        is_challenge(&self.text) && !(self.kind == Kind::Regex && self.text.contains('|'))
    }

    fn rank(&self) -> (bool, Reverse<usize>, Kind, &str) {
        (self.kind != Kind::Exact, Reverse(self.text.len()), self.kind, &self.text)
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Is this text the path of challenges, or of one?
pub(super) fn is_challenge(text: &str) -> bool {
    const CHALLENGES: &str = "/.well-known/acme-challenge";
    text.strip_prefix(CHALLENGES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Can a request have this path, or one that begins so?
fn is_normal(text: &str) -> bool {
    let mut segments = text.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        if (segment.is_empty() && !is_last) || segment == "." || segment == ".." {
            return false;
        }
    }
    !text.to_ascii_lowercase().contains("%2f")
}

/// Would anybody write this and mean the text itself?
fn is_expression(text: &str) -> bool {
    text.contains(['(', ')', '[', ']', '*', '+', '?', '|', '^', '$', '\\', '{'])
}

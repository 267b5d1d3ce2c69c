//! What is wrong with something a user wrote, in words that help.

use std::fmt;

use serde::Serialize;

use crate::object::{ObjectId, Origin};

/// A stable name for a kind of problem, in kebab-case: `unknown-tls-context`. It is what people suppress, search for and
/// link to, so it never changes its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How much a problem hurts. The order is the order of severity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; everything works as written.
    Note,
    /// Works, but not as its author probably thinks.
    Warning,
    /// The object, or the part of it that is named, does not work.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that is wrong: which object, which field, why, and what to do.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Problem {
    /// How much it hurts.
    pub severity: Severity,
    /// Its stable name.
    pub code: Code,
    /// The object; none when a file could not be read as objects at all.
    pub object: Option<ObjectId>,
    /// Where the object was read from.
    pub origin: Option<Origin>,
    /// Path of the field, `spec.prefix`; empty when it is the object as a whole.
    pub field: String,
    /// What is wrong, a sentence without a full stop.
    pub message: String,
    /// What to do about it, a sentence without a full stop; may be empty.
    pub fix: String,
}

impl fmt::Display for Problem {
    /// `error[bad-regex] Mapping default/quote spec.prefix: … — fix: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.severity, self.code)?;
        if let Some(object) = &self.object {
            write!(f, " {object}")?;
        }
        if !self.field.is_empty() {
            write!(f, " {}", self.field)?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.fix.is_empty() {
            write!(f, " — fix: {}", self.fix)?;
        }
        Ok(())
    }
}

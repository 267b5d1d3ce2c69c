//! One thing that will not be as it was.

use std::fmt;

use plenipo_resources::ObjectId;
use serde::Serialize;

/// What it means for the requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Emissary serves it, or guards it, and Plenipo does not.
    Lost,
    /// Something that neither serves nor guards requests (logs, traces, compression) is not carried out.
    Missing,
    /// Emissary takes no change at all while this is there.
    Frozen,
    /// Served by both, in another way.
    Changed,
    /// Served by Plenipo alone.
    Gained,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Missing => "missing",
            Self::Frozen => "frozen",
            Self::Changed => "changed",
            Self::Gained => "gained",
        })
    }
}

/// How it is known what Emissary does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Evidence {
    /// Envoy answered so, with the configuration that Emissary's compiler (4.1, commit 3ebe0f4) made.
    Seen,
    /// The configuration that Emissary's compiler made says so.
    Compiled,
    /// Emissary's source says so.
    Read,
    /// It is about what Plenipo does; Emissary has no such thing.
    Ours,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seen => "seen",
            Self::Compiled => "compiled",
            Self::Read => "read",
            Self::Ours => "ours",
        })
    }
}

/// A way in which Plenipo differs on purpose, or falls short.
#[derive(PartialEq, Eq, Debug)]
pub struct Rule {
    /// Its stable name.
    pub code: &'static str,
    /// What it means for the requests.
    pub effect: Effect,
    /// How Emissary's part is known.
    pub evidence: Evidence,
    /// What Emissary does.
    pub emissary: &'static str,
    /// What Plenipo does.
    pub plenipo: &'static str,
    /// What is to be done about it; empty when nothing need be.
    pub todo: &'static str,
}

/// A [`Rule`] that an object comes under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Which.
    pub rule: &'static Rule,
    /// The object; none when it is the configuration as a whole.
    pub object: Option<ObjectId>,
    /// Path of the field, `spec.weight`; empty when it is the object as a whole.
    pub field: String,
    /// What it comes to here, where the rule alone does not tell.
    pub about: String,
}

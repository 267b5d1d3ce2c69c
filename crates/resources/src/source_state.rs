//! How well a source knows what there is, for people and metrics.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

/// How well a source knows what there is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SourceState {
    /// What it reads: `directory conf`, `cluster`.
    pub name: String,
    /// Has everything been read at least once? From then on something serves, whatever becomes of the source.
    pub complete: bool,
    /// What keeps it from knowing which kinds there are; none = nothing does.
    pub error: Option<String>,
    /// Kinds that are followed one by one; empty for a directory.
    pub kinds: BTreeMap<String, KindState>,
}

/// How well one kind is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KindState {
    /// Whether its changes are noticed.
    pub standing: Standing,
    /// Since when that is so. In JSON: seconds since 1970.
    #[serde(serialize_with = "seconds")]
    pub since: SystemTime,
    /// What went wrong last, unless it is synced. Never holds anything secret.
    pub error: Option<String>,
}

/// Whether changes of a kind are noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is being read for the first time.
    Starting,
    /// They are.
    Synced,
    /// They are not at this moment; what was read last holds.
    Lost,
    /// They are not, and need not be: we were told to do without.
    LeftOut,
}

fn seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

impl SourceState {
    /// Of a directory, which is read whole before anything else happens.
    pub fn directory(path: &str) -> Self {
        Self { name: format!("directory {path}"), complete: true, error: None, kinds: BTreeMap::new() }
    }

    /// Of a cluster that nothing has been heard of yet.
    pub fn cluster() -> Self {
        Self { name: "cluster".to_owned(), complete: false, error: None, kinds: BTreeMap::new() }
    }

    /// Is everything that is read followed at this moment?
    pub fn is_synced(&self) -> bool {
        self.complete && self.error.is_none() && self.kinds.values().all(KindState::is_good)
    }
}

impl KindState {
    /// Is it as it should be?
    pub fn is_good(&self) -> bool {
        matches!(self.standing, Standing::Synced | Standing::LeftOut)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Starting => "being read",
            Self::Synced => "synced",
            Self::Lost => "not synced",
            Self::LeftOut => "left out",
        })
    }
}

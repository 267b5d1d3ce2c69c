//! What the commands that look once look at.

use std::path::PathBuf;

use clap::Args;

use super::ClusterArguments;

/// A directory, or a cluster in its place.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct InputArguments {
    /// Directory of YAML files
    #[arg(value_name = "DIR", required_unless_present = "kubernetes", conflicts_with = "kubernetes")]
    pub(crate) directory: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

impl InputArguments {
    /// What people call it.
    pub(crate) fn name(&self) -> String {
        self.directory.as_ref().map_or_else(|| "the cluster".to_owned(), |path| path.display().to_string())
    }
}

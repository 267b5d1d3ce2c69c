//! A cluster in place of a directory.

use std::path::PathBuf;

use clap::Args;

/// Which cluster is read, and what of it.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct ClusterArguments {
    /// Read a cluster: the one this process runs in, else the kubeconfig's
    #[arg(long, help_heading = "Cluster")]
    pub(crate) kubernetes: bool,
    /// Another kubeconfig than $KUBECONFIG and ~/.kube/config
    #[arg(long, value_name = "FILE", requires = "kubernetes", help_heading = "Cluster")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Another context of it than the current one
    #[arg(long, value_name = "NAME", requires = "kubernetes", help_heading = "Cluster")]
    pub(crate) context: Option<String>,
    /// Read only objects of this namespace; may be given several times [default: all, or ours with --single-namespace]
    #[arg(long, value_name = "NAMESPACE", requires = "kubernetes", help_heading = "Cluster")]
    pub(crate) watch_namespace: Vec<String>,
    /// Read only objects with these labels [default: $AMBASSADOR_LABEL_SELECTOR]
    #[arg(long, value_name = "SELECTOR", requires = "kubernetes", help_heading = "Cluster")]
    pub(crate) label_selector: Option<String>,
    /// Read only objects with these fields [default: $AMBASSADOR_FIELD_SELECTOR]
    #[arg(long, value_name = "SELECTOR", requires = "kubernetes", help_heading = "Cluster")]
    pub(crate) field_selector: Option<String>,
}

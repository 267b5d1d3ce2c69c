//! One file per command.

pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod crds;
pub(crate) mod demo;
pub(crate) mod edge;
pub(crate) mod explain;
pub(crate) mod migrate;
pub(crate) mod routes;
pub(crate) mod run;
pub(crate) mod version;

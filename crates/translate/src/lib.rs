//! Objects become an edge and a report.
//!
//! *In:* a [`Set`] of objects and the [`Options`] that must be known before any object is read. *Out:* an [`Edge`] that
//! says what shall be served and a [`Report`] with a verdict for every object. Called by the control thread for every
//! change, by `check` and by `explain`.
//!
//! It is one pure function: no file, no clock, no environment, no panic. The order in which objects were read does not
//! matter. A bad object loses only itself, and nothing asked to be protected is ever served with less protection.

mod ambassador;
mod changes;
mod ciphers;
mod directory;
mod duration;
mod files;
mod findings;
mod ingress;
mod istio;
mod last_good;
mod ledger;
mod memory;
mod merge;
mod options;
mod ports;
mod secrets;

use std::collections::BTreeSet;

use plenipo_model::Edge;
use plenipo_resources::{Report, Set};

pub use files::ReferencedFiles;
pub use ingress::addresses as ingress_addresses;
pub use last_good::LastGood;
pub use options::{IngressOptions, IstioOptions, Locality, Options};

use memory::{Memory, Translation};

/// What the objects of `set` ask for, and what was found wrong with them.
///
/// Total: whatever the objects hold, there is an edge, if an empty one. Equal sets give equal results.
#[must_use]
pub fn translate(set: &Set, options: &Options) -> (Edge, Report) {
    let Translation { edge, report, .. } = Memory::default().translate(set, options);
    (edge, report)
}

/// The files that objects of `set` name (`cert_chain_file`, `text_format_source`, …), for the caller to read into
/// [`Options::files`].
#[must_use]
pub fn referenced_files(set: &Set) -> BTreeSet<String> {
    ReferencedFiles::default().of(set)
}

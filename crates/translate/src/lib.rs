//! Objects become an edge and a report.
//!
//! *In:* a [`Set`] of objects and the [`Options`] that must be known before any object is read. *Out:* an [`Edge`] that
//! says what shall be served and a [`Report`] with a verdict for every object. Called by the control thread for every
//! change, by `check` and by `explain`.
//!
//! It is one pure function: no file, no clock, no environment, no panic. The order in which objects were read does not
//! matter. A bad object loses only itself, and nothing asked to be protected is ever served with less protection.

mod ambassador;
mod findings;
mod last_good;
mod options;

use std::collections::BTreeSet;

use plenipo_model::Edge;
use plenipo_resources::{Report, Set};

pub use last_good::LastGood;
pub use options::Options;

use ambassador::Patterns;
use findings::Findings;

/// What the objects of `set` ask for, and what was found wrong with them.
///
/// Total: whatever the objects hold, there is an edge, if an empty one. Equal sets give equal results.
#[must_use]
pub fn translate(set: &Set, options: &Options) -> (Edge, Report) {
    let mut findings = Findings::new(set);
    let edge = ambassador::translate(set, options, &mut Patterns::default(), &mut findings);
    (edge, findings.into_report())
}

/// The files that objects of `set` name (`cert_chain_file`, `text_format_source`, …), for the caller to read into
/// [`Options::files`].
#[must_use]
pub fn referenced_files(set: &Set) -> BTreeSet<String> {
    ambassador::referenced_files(set)
}

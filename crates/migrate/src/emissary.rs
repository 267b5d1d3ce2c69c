//! Emissary's reading of a set, as another set.
//!
//! Where Emissary makes something else of an object than Plenipo does, the object is written as Plenipo would have to read
//! it to do the same, or left out where Emissary makes nothing of it. Translating both sets gives the routes of before and
//! after, made by the same code, so that what differs between them differs for a reason that is told.

mod canary;
mod clusters;
mod hosts;
mod listeners;
mod mappings;
mod module;
mod others;
mod refused;
mod services;
mod tcp;
mod variables;

use plenipo_resources::{Report, Set};

use crate::difference::Difference;
use crate::draft::Draft;

/// What Emissary makes of a set.
#[derive(Debug)]
pub struct Emissary {
    /// The objects as Emissary takes them. Only for the routes: who a guard lets in is not all in it.
    pub set: Set,
    /// Where that is not what Plenipo does; the gravest first, then by object.
    pub differences: Vec<Difference>,
}

/// What Emissary makes of `set`, whose translation gave `report`.
#[must_use]
pub fn as_emissary(set: &Set, report: &Report) -> Emissary {
    let mut draft = Draft::new(set, report);
    others::read(&mut draft);
    refused::read(&mut draft);
    listeners::read(&mut draft);
    hosts::read(&mut draft);
    module::read(&mut draft);
    mappings::read(&mut draft);
    canary::read(&mut draft);
    clusters::read(&mut draft);
    tcp::read(&mut draft);
    services::read(&mut draft);
    variables::read(&mut draft);
    let (set, differences) = draft.finish();
    Emissary { set, differences }
}

//! What one translation leaves for the next.

use std::collections::BTreeSet;

use plenipo_model::Edge;
use plenipo_resources::{Object, ObjectId, Report, Set};

use crate::changes::Changes;
use crate::directory::{Directory, Slices};
use crate::findings::{Finding, Findings};
use crate::ledger::Ledger;
use crate::options::Options;
use crate::secrets::KeyMaterial;
use crate::{ambassador, ingress, istio, merge};

/// What one translation leaves for the next, so that a change costs what it touches. A translation from nothing is one with
/// an empty memory: there is no other way to translate.
///
/// The getambassador.io dialect keeps what it can of itself; the others are translated as a whole when something changes
/// that they read. Every dialect gives an edge of its own, and [`merge::join`] makes one of them.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    set: Set,
    options: Option<Options>,
    slices: Slices,
    material: KeyMaterial,
    ambassador: ambassador::Memory,
    /// What was found in what the ambassador dialect translates every time.
    found: Vec<Finding>,
    /// As [`DIALECTS`].
    wholes: [Whole; DIALECTS.len()],
    /// What was found when the edges were put together.
    merged: Vec<Finding>,
    ledger: Ledger,
}

/// What a translation says.
#[derive(Debug)]
pub(crate) struct Translation {
    pub(crate) edge: Edge,
    pub(crate) report: Report,
    /// The objects that the report refuses.
    pub(crate) refused: BTreeSet<ObjectId>,
}

/// What a dialect reads, and where it writes.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) set: &'a Set,
    pub(crate) options: &'a Options,
    pub(crate) directory: Directory<'a>,
    /// For [`crate::secrets::Secrets`], which is to give it back.
    pub(crate) material: &'a mut KeyMaterial,
    pub(crate) findings: &'a mut Findings,
}

/// A dialect that is translated as a whole.
pub(crate) struct Dialect {
    /// Does what it says depend on this object?
    pub(crate) concerns: fn(&Object) -> bool,
    /// What its objects ask for.
    pub(crate) translate: fn(Reader<'_>) -> Edge,
}

/// In the order in which they give way: where two ask for the same, the earlier has it, and getambassador.io before all.
const DIALECTS: [Dialect; 2] = [istio::DIALECT, ingress::DIALECT];

/// What a dialect came to the last time.
#[derive(Debug, Default)]
struct Whole {
    edge: Edge,
    found: Vec<Finding>,
}

impl Memory {
    /// What the objects of `set` ask for.
    pub(crate) fn translate(&mut self, set: &Set, options: &Options) -> Translation {
        let changes = Changes::between(&self.set, set);
        self.material.follow(&changes);
        let places = self.slices.follow(&changes);
        let directory = Directory::new(set, &self.slices, &options.istio.locality.zone);
        // Objects that cannot be read are no objects, and may have been what protects something.
        let another = self.options.as_ref() != Some(options) || self.set.problems() != set.problems();
        if another {
            self.options = Some(options.clone());
        }
        let mut findings = Findings::new(set);
        let material = &mut self.material;
        let reader = Reader { set, options, directory, material, findings: &mut findings };
        let edge = self.ambassador.translate(&changes, &places, reader, &mut self.ledger);
        let found = findings.into_found();
        self.ledger.replace(&self.found, &found);
        self.found = found;
        for (whole, dialect) in self.wholes.iter_mut().zip(&DIALECTS) {
            if !another && !changes.all().any(|object| (dialect.concerns)(object)) {
                continue;
            }
            let mut findings = Findings::default();
            let material = &mut self.material;
            let reader = Reader { set, options, directory, material, findings: &mut findings };
            whole.edge = (dialect.translate)(reader);
            let found = findings.into_found();
            self.ledger.replace(&whole.found, &found);
            whole.found = found;
        }
        self.set = set.clone();
        let mut findings = Findings::default();
        let edge = merge::join(edge, self.wholes.iter().map(|whole| &whole.edge), set, &mut findings);
        let merged = findings.into_found();
        self.ledger.replace(&self.merged, &merged);
        self.merged = merged;
        let (report, refused) = self.ledger.close();
        Translation { edge, report, refused }
    }
}

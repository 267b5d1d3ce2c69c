//! Everything that is told.

use std::io::{self, Write};

use plenipo_resources::{ObjectId, Problem, Report, Set, State};
use serde_json::{Value, json};

use crate::difference::{Difference, Effect};
use crate::objects::{Count, count};
use crate::routes::{Place, Routes, Row};
use crate::surroundings::{Advice, surroundings};
use crate::text;

/// What changes when Plenipo takes over.
#[derive(Debug)]
pub struct Migration {
    /// The objects by kind and version.
    pub objects: Vec<Count>,
    /// Both route tables.
    pub routes: Routes,
    /// What differs, the gravest first.
    pub differences: Vec<Difference>,
    /// What is refused by both, with the first reason.
    pub neither: Vec<(ObjectId, Problem)>,
    /// What stands around the gateway.
    pub around: Vec<Advice>,
}

impl Migration {
    /// Of a set, the report of its translation, what [`as_emissary`](crate::as_emissary) said, and the route tables of
    /// both.
    #[must_use]
    pub fn new(
        set: &Set,
        report: &Report,
        differences: Vec<Difference>,
        before: Vec<Row>,
        after: Vec<Row>,
    ) -> Self {
        let known = |id: &ObjectId| differences.iter().any(|one| one.object.as_ref() == Some(id));
        let refused = report.verdicts.iter();
        let refused = refused.filter(|(id, verdict)| verdict.state == State::Refused && !known(id));
        let neither =
            refused.filter_map(|(id, verdict)| Some((id.clone(), verdict.problems.first()?.clone())));
        Self {
            objects: count(set),
            routes: Routes::compare(before, after),
            neither: neither.collect(),
            around: surroundings(set),
            differences,
        }
    }

    /// Is something not served that Emissary serves, or not guarded that it guards?
    #[must_use]
    pub fn loses(&self) -> bool {
        self.routes.count(Place::Before) > 0 || self.count(Effect::Lost) > 0
    }

    /// How many differences have that effect.
    #[must_use]
    pub fn count(&self, effect: Effect) -> usize {
        self.differences.iter().filter(|difference| difference.rule.effect == effect).count()
    }

    /// Prints everything, for people.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        text::write(out, self)
    }

    /// Everything, for scripts.
    #[must_use]
    pub fn document(&self) -> Value {
        let difference = |one: &Difference| {
            json!({
                "code": one.rule.code,
                "effect": one.rule.effect,
                "object": one.object,
                "field": one.field,
                "emissary": one.rule.emissary,
                "evidence": one.rule.evidence,
                "plenipo": one.rule.plenipo,
                "here": one.about,
                "todo": one.rule.todo,
            })
        };
        json!({
            "version": 1,
            "objects": self.objects,
            "routes": self.routes,
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "servedByNeither": self.neither.iter().map(|(_, problem)| json!(problem)).collect::<Vec<_>>(),
            "around": self.around,
            "loses": self.loses(),
        })
    }
}

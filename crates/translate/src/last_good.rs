//! What was good before serves on while its new version is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plenipo_model::Edge;
use plenipo_resources::{Object, ObjectId, Report, Set, SetBuilder, Severity, State, Verdict};

use crate::ambassador::{self, Patterns};
use crate::findings::Findings;
use crate::options::Options;

/// Objects that serve in an earlier version.
type Kept = BTreeMap<ObjectId, Arc<Object>>;

/// Remembers the last accepted version of every object, from one translation to the next.
#[derive(Debug, Default)]
pub struct LastGood {
    /// In the order of their ids.
    accepted: Vec<Arc<Object>>,
    patterns: Patterns,
}

impl LastGood {
    /// Translates `set`; where it holds objects that are refused (or that could not be read) and that were accepted
    /// before, the versions accepted before serve. The report speaks of the objects as they are now, and says of those
    /// that an earlier version serves.
    ///
    /// What is no longer in the set is forgotten: a deleted object serves nothing.
    pub fn apply(&mut self, set: &Set, options: &Options) -> (Edge, Report) {
        let (edge, mut report) = self.translate(set, options);
        self.remember(set, &report);
        // Secrets first: what names a broken one is mostly good itself, and then its newest version serves.
        let mut kept = self.replacements(&report, |id| &*id.kind == "Secret");
        let mut served = None;
        if !kept.is_empty() {
            served = Some(self.translate(&with(set, &kept), options));
        }
        let judged = served.as_ref().map_or(&report, |(_, report)| report);
        let others = self.replacements(judged, |id| !kept.contains_key(id));
        if !others.is_empty() {
            kept.extend(others);
            served = Some(self.translate(&with(set, &kept), options));
        }
        let Some((edge, judged)) = served else { return (edge, report) };
        for (id, verdict) in report.verdicts.iter_mut().filter(|(_, verdict)| verdict.state == State::Refused)
        {
            let serves = judged.verdicts.get(id).is_none_or(|now| now.state != State::Refused);
            match (serves, kept.contains_key(id)) {
                (true, true) => say(verdict, "the version accepted before keeps serving"),
                (true, false) => {
                    say(verdict, "it serves with the version accepted before of what it refers to");
                }
                (false, _) => {}
            }
        }
        (edge, report)
    }

    fn translate(&mut self, set: &Set, options: &Options) -> (Edge, Report) {
        let mut findings = Findings::new(set);
        let edge = ambassador::translate(set, options, &mut self.patterns, &mut findings);
        (edge, findings.into_report())
    }

    /// The version accepted last.
    fn version(&self, id: &ObjectId) -> Option<&Arc<Object>> {
        let at = self.accepted.binary_search_by(|object| object.id.cmp(id)).ok()?;
        self.accepted.get(at)
    }

    /// Versions accepted before of what is refused now.
    fn replacements(&self, report: &Report, of: impl Fn(&ObjectId) -> bool) -> Kept {
        let refused =
            report.verdicts.iter().filter(|(id, verdict)| verdict.state == State::Refused && of(id));
        refused.filter_map(|(id, _)| Some((id.clone(), Arc::clone(self.version(id)?)))).collect()
    }

    /// Every object as it is now, but those refused (and those that could not be read) as they were.
    fn remember(&mut self, set: &Set, report: &Report) {
        let refused = report.verdicts.iter().filter(|(_, verdict)| verdict.state == State::Refused);
        let refused: BTreeSet<&ObjectId> = refused.map(|(id, _)| id).collect();
        let mut accepted: Vec<Arc<Object>> =
            set.objects().iter().filter(|object| !refused.contains(&object.id)).map(Arc::clone).collect();
        let kept = refused.iter().filter_map(|id| self.version(id).map(Arc::clone)).collect::<Vec<_>>();
        if !kept.is_empty() {
            accepted.extend(kept);
            accepted.sort_by(|a, b| a.id.cmp(&b.id));
        }
        self.accepted = accepted;
    }
}

/// The set with some objects in the versions kept, those included that could not be read.
fn with(set: &Set, kept: &Kept) -> Set {
    let mut builder = SetBuilder::default();
    for object in set.objects() {
        builder.add(Arc::clone(kept.get(&object.id).unwrap_or(object)));
    }
    for (id, object) in kept {
        if set.get(&id.kind, &id.namespace, &id.name).is_none() {
            builder.add(Arc::clone(object));
        }
    }
    for problem in set.problems() {
        builder.problem(problem.clone());
    }
    builder.build()
}

fn say(verdict: &mut Verdict, words: &str) {
    for problem in verdict.problems.iter_mut().filter(|problem| problem.severity == Severity::Error) {
        problem.message = format!("{}; {words}", problem.message);
    }
}

//! What was good before serves on while its new version is not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plenipo_model::Edge;
use plenipo_resources::{Code, Earlier, Object, ObjectId, Report, Set, Severity, Verdict, View};

use crate::changes::Changes;
use crate::memory::{Memory, Translation};
use crate::options::Options;

/// Objects that serve in an earlier version.
type Kept = BTreeMap<ObjectId, Arc<Object>>;

/// Remembers the last accepted version of every object, from one translation to the next, and whatever else makes the next
/// one cheap. What it gives does not depend on what it remembers for that: it is what a translation from nothing would give
/// that has the same accepted versions.
#[derive(Debug, Default)]
pub struct LastGood {
    memory: Memory,
    /// The set translated last.
    set: Set,
    /// Of its objects that were refused (and of those that could not be read): the version accepted before, if any.
    refused: BTreeMap<ObjectId, Option<Arc<Object>>>,
}

impl LastGood {
    /// Translates `set`; where it holds objects that are refused (or that could not be read) and that were accepted
    /// before, the versions accepted before serve. The report speaks of the objects as they are now, and says of those
    /// that an earlier version serves.
    ///
    /// What is no longer in the set is forgotten: a deleted object serves nothing. But a Secret that something which is still
    /// there goes on asking for serves with what it held: nobody deletes one to take a name off the air, and those who renew
    /// certificates often delete and create.
    pub fn apply(&mut self, set: &Set, options: &Options) -> (Edge, Report) {
        let mut gone = self.gone_secrets(set);
        if gone.is_empty() {
            return self.apply_to(set, options);
        }
        let refused = self.memory.translate(&set.with(gone.values().cloned()), options).refused;
        gone.retain(|id, _| !refused.contains(id));
        let whole = set.with(gone.values().cloned());
        if self.memory.translate(set, options).edge == self.memory.translate(&whole, options).edge {
            return self.apply_to(set, options);
        }
        let (edge, mut report) = self.apply_to(&whole, options);
        for secret in gone.values() {
            let message = "it is gone, and what it held serves on: what names it has nothing else".to_owned();
            let fix = "create it again, or remove what names it";
            report.add(secret.problem(Severity::Warning, Code("secret-gone"), "", message, fix));
        }
        (edge, report)
    }

    /// Secrets that were there the last time (or served as if they were), in the version accepted then.
    fn gone_secrets(&self, set: &Set) -> Kept {
        let mut gone = Kept::new();
        for object in Changes::between(&self.set, set).gone {
            let id = &object.id;
            if !matches!(object.view, View::Secret(_)) || set.get(&id.kind, &id.namespace, &id.name).is_some()
            {
                continue;
            }
            let accepted = self.refused.get(id).cloned().unwrap_or_else(|| Some(Arc::clone(&object)));
            gone.extend(accepted.map(|accepted| (id.clone(), accepted)));
        }
        gone
    }

    fn apply_to(&mut self, set: &Set, options: &Options) -> (Edge, Report) {
        let Translation { mut edge, mut report, refused } = self.memory.translate(set, options);
        self.remember(set, &refused);
        // Secrets first: what names a broken one is mostly good itself, and then its newest version serves.
        let mut kept = self.replacements(&refused, |id| &*id.kind == "Secret");
        let mut judged = None;
        if !kept.is_empty() {
            let served = self.memory.translate(&set.with(kept.values().cloned()), options);
            (edge, judged) = (served.edge, Some(served.refused));
        }
        let others = self.replacements(judged.as_ref().unwrap_or(&refused), |id| !kept.contains_key(id));
        if !others.is_empty() {
            kept.extend(others);
            let served = self.memory.translate(&set.with(kept.values().cloned()), options);
            (edge, judged) = (served.edge, Some(served.refused));
        }
        let Some(judged) = judged else { return (edge, report) };
        for id in refused.difference(&judged) {
            let (earlier, words) = match kept.get(id) {
                Some(version) => {
                    (Earlier::Version(version.meta.generation), "the version accepted before keeps serving")
                }
                None => {
                    (Earlier::References, "it serves with the version accepted before of what it refers to")
                }
            };
            let verdict = report.verdict(id);
            verdict.earlier = Some(earlier);
            say(verdict, words);
        }
        (edge, report)
    }

    /// Versions accepted before of what is refused now.
    fn replacements(&self, refused: &BTreeSet<ObjectId>, of: impl Fn(&ObjectId) -> bool) -> Kept {
        let wanted = refused.iter().filter(|id| of(id));
        wanted.filter_map(|id| Some((id.clone(), Arc::clone(self.refused.get(id)?.as_ref()?)))).collect()
    }

    /// Every object as it is now, but those refused (and those that could not be read) as they were.
    fn remember(&mut self, set: &Set, refused: &BTreeSet<ObjectId>) {
        let version = |id: &ObjectId| match self.refused.get(id) {
            Some(before) => before.clone(),
            None => self.set.get(&id.kind, &id.namespace, &id.name).cloned(),
        };
        self.refused = refused.iter().map(|id| (id.clone(), version(id))).collect();
        self.set = set.clone();
    }
}

fn say(verdict: &mut Verdict, words: &str) {
    for problem in verdict.problems.iter_mut().filter(|problem| problem.severity == Severity::Error) {
        problem.message = format!("{}; {words}", problem.message);
    }
}

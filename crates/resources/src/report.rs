//! A verdict for every object.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::object::ObjectId;
use crate::problem::Problem;

/// What became of the objects of a [`crate::Set`].
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// One for every object of a kind the gateway reads. Reports share what did not change from one to the next.
    pub verdicts: Arc<BTreeMap<ObjectId, Arc<Verdict>>>,
    /// Problems of no object: files that could not be read.
    pub general: Vec<Problem>,
}

/// What became of one object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    /// Used, refused or left aside.
    pub state: State,
    /// What was found, worst first.
    pub problems: Vec<Problem>,
    /// What serves all the same of an object that is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Earlier>,
}

/// What serves of an object that is refused as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Earlier {
    /// The object as it was when it was accepted last, with the generation it had then (0 in files).
    Version(i64),
    /// The object as it is now, with something it refers to as that was.
    References,
}

/// What became of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It works (perhaps with warnings, or without a part that a problem names).
    Accepted,
    /// It does not work as a whole; if an earlier version did, that one serves.
    Refused,
    /// It is not for this gateway (another `ambassador_id`), or nothing refers to it.
    Ignored,
}

impl Report {
    /// The verdict on an object, made [`State::Accepted`] if there is none yet.
    pub fn verdict(&mut self, object: &ObjectId) -> &mut Verdict {
        let accepted = || Arc::new(Verdict { state: State::Accepted, problems: Vec::new(), earlier: None });
        Arc::make_mut(Arc::make_mut(&mut self.verdicts).entry(object.clone()).or_insert_with(accepted))
    }

    /// Adds a problem to its object's verdict, without changing the state.
    pub fn add(&mut self, problem: Problem) {
        match &problem.object {
            Some(object) => {
                let problems = &mut self.verdict(&object.clone()).problems;
                if !problems.contains(&problem) {
                    problems.push(problem);
                    problems.sort_by(|a, b| b.cmp(a));
                }
            }
            None => self.general.push(problem),
        }
    }

    /// Adds a problem that costs its object everything.
    pub fn refuse(&mut self, problem: Problem) {
        if let Some(object) = &problem.object {
            self.verdict(&object.clone()).state = State::Refused;
        }
        self.add(problem);
    }

    /// All problems, worst first, then by object.
    pub fn problems(&self) -> Vec<&Problem> {
        let mut all: Vec<_> =
            self.general.iter().chain(self.verdicts.values().flat_map(|verdict| &verdict.problems)).collect();
        all.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
        all
    }
}

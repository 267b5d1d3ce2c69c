//! What stands against every object, kept up from one translation to the next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use plenipo_resources::{ObjectId, Problem, Report, State, Verdict};

use crate::findings::Finding;

/// Findings, by object. Whoever finds something enters it here, and takes it back when it no longer holds; the verdict on an
/// object depends on what stands at the end and not on the way there.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: HashMap<ObjectId, Account>,
    /// Objects whose verdicts may not be what the report says.
    touched: Vec<ObjectId>,
    refused: BTreeSet<ObjectId>,
    report: Report,
}

#[derive(Debug, Default)]
struct Account {
    accepted: usize,
    ignored: usize,
    refused: usize,
    problems: Vec<Arc<Problem>>,
    is_touched: bool,
}

impl Ledger {
    /// Enters findings.
    pub(crate) fn enter(&mut self, found: &[Finding]) {
        for finding in found {
            match finding {
                Finding::State(id, state) => *self.account(id).count(*state) += 1,
                Finding::Problem(problem) => match &problem.object {
                    Some(id) => self.account(id).problems.push(Arc::clone(problem)),
                    None => self.report.general.push(Problem::clone(problem)),
                },
            }
        }
    }

    /// Takes back findings that were entered.
    pub(crate) fn take_back(&mut self, found: &[Finding]) {
        for finding in found {
            match finding {
                Finding::State(id, state) => *self.account(id).count(*state) -= 1,
                Finding::Problem(problem) => match &problem.object {
                    Some(id) => take(&mut self.account(id).problems, problem),
                    None => take(&mut self.report.general, &**problem),
                },
            }
        }
    }

    /// Enters `new` in place of `old`, which was entered before.
    pub(crate) fn replace(&mut self, old: &[Finding], new: &[Finding]) {
        if old != new {
            self.take_back(old);
            self.enter(new);
        }
    }

    /// What stands now, and the objects that are refused.
    pub(crate) fn close(&mut self) -> (Report, BTreeSet<ObjectId>) {
        for id in std::mem::take(&mut self.touched) {
            self.judge(&id);
        }
        (self.report.clone(), self.refused.clone())
    }

    fn account(&mut self, id: &ObjectId) -> &mut Account {
        let account = self.accounts.entry(id.clone()).or_default();
        if !std::mem::replace(&mut account.is_touched, true) {
            self.touched.push(id.clone());
        }
        account
    }

    fn judge(&mut self, id: &ObjectId) {
        let account = self.accounts.get_mut(id);
        let verdict = account.and_then(|account| {
            account.is_touched = false;
            account.verdict()
        });
        if verdict.is_none() {
            self.accounts.remove(id);
        }
        if verdict.as_ref().is_some_and(|verdict| verdict.state == State::Refused) {
            self.refused.insert(id.clone());
        } else {
            self.refused.remove(id);
        }
        if self.report.verdicts.get(id).map(|known| &**known) == verdict.as_ref() {
            return;
        }
        let verdicts: &mut BTreeMap<_, _> = Arc::make_mut(&mut self.report.verdicts);
        match verdict {
            Some(verdict) => drop(verdicts.insert(id.clone(), Arc::new(verdict))),
            None => drop(verdicts.remove(id)),
        }
    }
}

impl Account {
    fn count(&mut self, state: State) -> &mut usize {
        match state {
            State::Accepted => &mut self.accepted,
            State::Ignored => &mut self.ignored,
            State::Refused => &mut self.refused,
        }
    }

    /// None when nobody said anything. A problem found twice is one.
    fn verdict(&self) -> Option<Verdict> {
        let state = match (self.refused, self.ignored, self.accepted) {
            (0, 0, 0) if self.problems.is_empty() => return None,
            (0, 0, _) => State::Accepted,
            (0, ..) => State::Ignored,
            _ => State::Refused,
        };
        let mut problems: Vec<&Problem> = self.problems.iter().map(|problem| &**problem).collect();
        problems.sort_by(|a, b| b.cmp(a));
        problems.dedup();
        Some(Verdict { state, problems: problems.into_iter().cloned().collect(), earlier: None })
    }
}

/// Takes one out, keeping the order of the others.
fn take<T: PartialEq>(list: &mut Vec<T>, one: &T) {
    if let Some(at) = list.iter().position(|other| other == one) {
        list.remove(at);
    }
}

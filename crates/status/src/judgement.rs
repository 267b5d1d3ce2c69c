//! From a verdict to what a status shall say.
//!
//! Three rules that others depend on: `Accepted` is never `False` for something that is no flaw of the object, nor while an
//! earlier version of it serves (external-dns deletes DNS records, Flagger stops); a condition's `observedGeneration` is the
//! generation of which it is true; `Programmed` is only `True` when the object serves as it is written now.

use std::collections::BTreeMap;

use plenipo_resources::{Earlier, Problem, Severity, State, Verdict};

use crate::condition::Condition;
use crate::outcome::{Fault, FaultKind};
use crate::reason::{Aspect, Reason};

/// What a status shall say of an object.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Judgement {
    /// One for each aspect, in their order.
    pub(crate) conditions: [Condition; 3],
    /// Fields that Emissary's own definitions have (`state`, `reason`, `errorReason`).
    pub(crate) fields: BTreeMap<&'static str, String>,
}

/// What there is to know about an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Its kind.
    pub(crate) kind: &'a str,
    /// Its generation.
    pub(crate) generation: i64,
    /// The verdict on it.
    pub(crate) verdict: &'a Verdict,
    /// What of it could not be carried out.
    pub(crate) faults: &'a [&'a Fault],
    /// Is anything served at all?
    pub(crate) serving: bool,
}

/// What the status of this object shall say; none when it is not ours to say anything of it.
pub(crate) fn judge(facts: Facts<'_>) -> Option<Judgement> {
    if facts.verdict.state == State::Ignored {
        return None;
    }
    let errors = facts.verdict.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let (refs, own): (Vec<&Problem>, Vec<&Problem>) =
        errors.partition(|problem| Reason::of(problem).0 == Aspect::ResolvedRefs);
    let accepted = accepted(facts, &own, !refs.is_empty());
    let resolved = resolved(facts.generation, &refs);
    let programmed = programmed(facts, &accepted, &resolved);
    let fields = fields(facts, [&accepted, &resolved, &programmed]);
    Some(Judgement { conditions: [accepted, resolved, programmed], fields })
}

fn accepted(facts: Facts<'_>, own: &[&Problem], lacks_references: bool) -> Condition {
    let refused = facts.verdict.state == State::Refused;
    let wrong = own.first().map(|worst| Reason::of(worst).1);
    let warnings = || facts.verdict.problems.iter().filter(|problem| problem.severity == Severity::Warning);
    let told = || sentences(own.iter().copied().chain(warnings()));
    let (holds, reason, generation) = match (facts.verdict.earlier, wrong) {
        (Some(Earlier::Version(generation)), _) => (true, Reason::EarlierVersionServes, generation),
        (None, Some(wrong)) if refused => (false, wrong, facts.generation),
        (None, None) if refused && !lacks_references => (false, Reason::Invalid, facts.generation),
        (_, Some(_)) => (true, Reason::PartiallyInvalid, facts.generation),
        (_, None) => (true, Reason::Accepted, facts.generation),
    };
    let message = match facts.verdict.earlier {
        Some(Earlier::Version(_)) => {
            format!("generation {} is refused: {}", facts.generation, sentences(&facts.verdict.problems))
        }
        _ => told(),
    };
    Condition::new(Aspect::Accepted, holds, reason, &message, generation)
}

fn resolved(generation: i64, refs: &[&Problem]) -> Condition {
    let (holds, reason) = match refs.first() {
        Some(worst) => (false, Reason::of(worst).1),
        None => (true, Reason::ResolvedRefs),
    };
    Condition::new(Aspect::ResolvedRefs, holds, reason, &sentences(refs.iter().copied()), generation)
}

fn programmed(facts: Facts<'_>, accepted: &Condition, resolved: &Condition) -> Condition {
    let refused = facts.verdict.state == State::Refused;
    let fault = facts.faults.first();
    let (holds, reason, message) = match facts.verdict.earlier {
        Some(Earlier::Version(earlier)) => {
            let message = format!("generation {earlier} serves");
            (false, Reason::EarlierVersionServes, message)
        }
        None if !accepted.holds => (false, Reason::NotAccepted, String::new()),
        None if refused && !resolved.holds => (false, Reason::RefsNotResolved, String::new()),
        _ if !facts.serving => {
            let message = "the gateway has no listener that it could serve at: no Listener was accepted";
            (false, Reason::NoListener, message.to_owned())
        }
        _ => match fault {
            Some(fault) => (false, fault.kind.reason(), all_faults(facts.faults)),
            None => (true, Reason::Programmed, String::new()),
        },
    };
    Condition::new(Aspect::Programmed, holds, reason, &message, facts.generation)
}

/// What Emissary's own definitions have room for, and its printer columns show.
fn fields(
    facts: Facts<'_>,
    [accepted, resolved, programmed]: [&Condition; 3],
) -> BTreeMap<&'static str, String> {
    let serves = programmed.holds || facts.verdict.earlier.is_some();
    // The first that does not hold says most: the others follow from it. What is refused says so although it is accepted.
    let tells = |condition: &&Condition| !condition.holds || condition.reason == Reason::EarlierVersionServes;
    let why = || {
        let first = [accepted, resolved, programmed].into_iter().find(tells);
        first.map(|condition| match &*condition.message {
            "" => condition.reason.name().to_owned(),
            message => message.to_owned(),
        })
    };
    let (state, why_in) = match facts.kind {
        "Mapping" => (if serves { "Running" } else { "Inactive" }, "reason"),
        "Host" if serves => ("Ready", "errorReason"),
        "Host" if resolved.reason == Reason::RefNotFound && accepted.holds => ("Pending", "errorReason"),
        "Host" => ("Error", "errorReason"),
        _ => return BTreeMap::new(),
    };
    let mut fields = BTreeMap::from([("state", state.to_owned())]);
    fields.extend(why().map(|why| (why_in, why)));
    fields
}

/// `spec.prefix: … — fix: … [bad-prefix]; …`
fn sentences<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> String {
    let mut text = String::new();
    for problem in problems {
        if problem.severity == Severity::Note {
            continue;
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        if !problem.field.is_empty() {
            text.extend([&*problem.field, ": "]);
        }
        text.push_str(&problem.message);
        if !problem.fix.is_empty() {
            text.extend([" — fix: ", &*problem.fix]);
        }
        text.extend([" [", problem.code.0, "]"]);
    }
    text
}

fn all_faults(faults: &[&Fault]) -> String {
    let messages: Vec<&str> = faults.iter().map(|fault| &*fault.message).collect();
    messages.join("; ")
}

impl FaultKind {
    fn reason(self) -> Reason {
        match self {
            Self::NotBound => Reason::AddressNotBound,
            Self::NotCompiled => Reason::NotCompiled,
        }
    }
}

#[cfg(test)]
mod tests;

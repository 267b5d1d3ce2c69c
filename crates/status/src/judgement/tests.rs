use plenipo_resources::{Code, ObjectId, Origin};
use proptest::prelude::*;
use regex::Regex;

use super::*;

fn problem(severity: Severity, code: &'static str) -> Problem {
    Problem {
        severity,
        code: Code(code),
        object: Some(ObjectId::new("Mapping", "shop", "cart")),
        origin: Some(Origin::Cluster),
        field: "spec.x".to_owned(),
        message: format!("{code} it is"),
        fix: "mend it".to_owned(),
    }
}

fn error(code: &'static str) -> Problem {
    problem(Severity::Error, code)
}

fn verdict(state: State, problems: Vec<Problem>, earlier: Option<Earlier>) -> Verdict {
    Verdict { state, problems, earlier }
}

fn judged(kind: &str, verdict: &Verdict, faults: &[&Fault], serving: bool) -> Judgement {
    judge(Facts { kind, generation: 7, verdict, faults, serving }).expect("it is ours")
}

/// `True Accepted@7 | …`, and the fields.
fn line(judgement: &Judgement) -> String {
    let conditions = judgement.conditions.iter().map(|it| {
        format!("{} {}@{}", if it.holds { "True" } else { "False" }, it.reason.name(), it.generation)
    });
    let fields = judgement.fields.iter().map(|(name, value)| format!("{name}={value}"));
    conditions.chain(fields).collect::<Vec<_>>().join(" | ")
}

#[test]
fn what_is_said_of_a_mapping() {
    use State::{Accepted, Refused};
    let cases = [
        (
            verdict(Accepted, vec![], None),
            "True Accepted@7 | True ResolvedRefs@7 | True Programmed@7 | state=Running",
        ),
        (
            verdict(Refused, vec![error("bad-prefix")], None),
            "False Invalid@7 | True ResolvedRefs@7 | False NotAccepted@7 \
             | reason=spec.x: bad-prefix it is — fix: mend it [bad-prefix] | state=Inactive",
        ),
        (
            verdict(Refused, vec![error("unknown-service")], None),
            "True Accepted@7 | False RefNotFound@7 | False RefsNotResolved@7 \
             | reason=spec.x: unknown-service it is — fix: mend it [unknown-service] | state=Inactive",
        ),
        (
            verdict(Refused, vec![error("route-conflict")], Some(Earlier::Version(6))),
            "True EarlierVersionServes@6 | True ResolvedRefs@7 | False EarlierVersionServes@7 \
             | reason=generation 7 is refused: spec.x: route-conflict it is — fix: mend it [route-conflict] | state=Running",
        ),
        (
            verdict(Refused, vec![error("bad-tls-secret")], Some(Earlier::References)),
            "True Accepted@7 | False InvalidRef@7 | True Programmed@7 \
             | reason=spec.x: bad-tls-secret it is — fix: mend it [bad-tls-secret] | state=Running",
        ),
        (
            verdict(Accepted, vec![error("bad-cors")], None),
            "True PartiallyInvalid@7 | True ResolvedRefs@7 | True Programmed@7 | state=Running",
        ),
        (
            verdict(Refused, vec![], None),
            "False Invalid@7 | True ResolvedRefs@7 | False NotAccepted@7 | reason=Invalid | state=Inactive",
        ),
    ];
    for (verdict, expected) in cases {
        assert_eq!(line(&judged("Mapping", &verdict, &[], true)), expected, "{verdict:?}");
    }
}

#[test]
fn a_host_that_waits_for_its_certificate_is_pending() {
    let waits = verdict(State::Refused, vec![error("missing-tls-secret")], None);
    assert!(line(&judged("Host", &waits, &[], true)).ends_with("| state=Pending"));
    let absent = Problem { message: "there is no Secret edge/cert".to_owned(), ..error("bad-tls-secret") };
    assert!(
        line(&judged("Host", &verdict(State::Refused, vec![absent], None), &[], true))
            .ends_with("| state=Pending")
    );
    let wrong = verdict(State::Refused, vec![error("bad-hostname")], None);
    assert!(line(&judged("Host", &wrong, &[], true)).ends_with("| state=Error"));
    let good = verdict(State::Accepted, vec![], None);
    assert!(line(&judged("Host", &good, &[], true)).ends_with("| state=Ready"));
}

#[test]
fn what_the_gateway_cannot_do_is_no_flaw_of_the_object() {
    let fault = Fault {
        source: "Listener edge/http".to_owned(),
        kind: FaultKind::NotBound,
        message: "0.0.0.0:80 cannot be bound".to_owned(),
    };
    let good = verdict(State::Accepted, vec![], None);
    let unbound = judged("Listener", &good, &[&fault], true);
    assert_eq!(line(&unbound), "True Accepted@7 | True ResolvedRefs@7 | False AddressNotBound@7");
    assert_eq!(unbound.conditions[2].message, fault.message);
    let nothing = judged("Listener", &good, &[], false);
    assert_eq!(line(&nothing), "True Accepted@7 | True ResolvedRefs@7 | False NoListener@7");
}

#[test]
fn of_what_is_not_ours_nothing_is_said() {
    let ignored = verdict(State::Ignored, vec![error("bad-prefix")], None);
    let facts = Facts { kind: "Mapping", generation: 1, verdict: &ignored, faults: &[], serving: true };
    assert_eq!(judge(facts), None);
}

#[test]
fn warnings_are_told_and_notes_are_not() {
    let problems = vec![problem(Severity::Warning, "old-tls-version"), problem(Severity::Note, "no-effect")];
    let judgement = judged("Host", &verdict(State::Accepted, problems, None), &[], true);
    let message = &judgement.conditions[0].message;
    assert!(message.contains("old-tls-version") && !message.contains("no-effect"), "{message}");
}

#[test]
fn messages_are_as_long_as_they_may_be() {
    let mut long = error("bad-prefix");
    long.message = "ü".repeat(40_000);
    let judgement = judged("Mapping", &verdict(State::Refused, vec![long], None), &[], true);
    assert!(judgement.conditions[0].message.len() <= 32_768);
}

#[test]
fn every_reason_is_one_the_apiserver_takes() {
    let allowed = Regex::new("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$").expect("it is one");
    for reason in Reason::ALL {
        assert!(allowed.is_match(reason.name()), "{reason:?}");
        assert_eq!(reason.name(), format!("{reason:?}"), "a reason is called what it is");
    }
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    let code = prop::sample::select(vec![
        "bad-prefix",
        "unknown-service",
        "missing-tls-secret",
        "conflict",
        "not-supported",
        "never-heard-of",
    ]);
    let severity = prop::sample::select(vec![Severity::Note, Severity::Warning, Severity::Error]);
    let problems =
        prop::collection::vec((severity, code).prop_map(|(severity, code)| problem(severity, code)), 0..4);
    let earlier = prop::sample::select(vec![None, Some(Earlier::Version(3)), Some(Earlier::References)]);
    let state = prop::sample::select(vec![State::Accepted, State::Refused]);
    (state, problems, earlier).prop_map(|(state, mut problems, earlier)| {
        problems.sort_by(|a, b| b.cmp(a));
        Verdict { state, problems, earlier: earlier.filter(|_| state == State::Refused) }
    })
}

proptest! {
    /// external-dns deletes the records of what is not accepted.
    #[test]
    fn accepted_is_false_only_for_a_flaw_of_what_does_not_serve(
        verdict in verdicts(), serving: bool, faulty: bool,
    ) {
        let fault =
            Fault { source: String::new(), kind: FaultKind::NotCompiled, message: "it is too long".to_owned() };
        let faults: &[&Fault] = if faulty { &[&fault] } else { &[] };
        let [accepted, resolved, programmed] = judged("Host", &verdict, faults, serving).conditions;
        if !accepted.holds {
            prop_assert_eq!(verdict.state, State::Refused);
            prop_assert_eq!(verdict.earlier, None);
        }
        if verdict.earlier.is_some() {
            prop_assert!(accepted.holds);
        }
        if programmed.holds {
            prop_assert!(serving && !faulty && accepted.holds && accepted.generation == programmed.generation);
        }
        prop_assert_eq!(resolved.generation, 7);
        prop_assert_eq!(programmed.generation, 7);
    }
}

use plenipo_resources::{State, Verdict};

use super::*;
use crate::judgement::{Facts, judge};

const NOW: &str = "2026-01-02T03:04:05Z";
const BEFORE: &str = "2025-01-02T03:04:05Z";

fn good() -> Content {
    let verdict = Verdict { state: State::Accepted, problems: Vec::new(), earlier: None };
    let facts = Facts { kind: "Mapping", generation: 2, verdict: &verdict, faults: &[], serving: true };
    Content::Judged(judge(facts).expect("it is ours"))
}

fn shape(conditions: List) -> Shape {
    Shape { conditions, fields: None }
}

/// As if it had been written at `BEFORE`.
fn written_before(content: &Content) -> Value {
    content.status(&Value::Null, &shape(List::Map), BEFORE)
}

#[test]
fn what_is_written_is_what_was_wanted() {
    let status = good().status(&Value::Null, &shape(List::Map), NOW);
    assert!(good().is_in(&status, &shape(List::Map)), "{status}");
    let accepted = json!({
        "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 2,
        "lastTransitionTime": NOW,
    });
    assert_eq!(status["conditions"][0], accepted);
    assert_eq!(status["state"], "Running");
}

#[test]
fn a_condition_keeps_the_time_since_when_it_is_as_it_is() {
    let mut found = written_before(&good());
    found["conditions"][0]["reason"] = "SomethingElse".into();
    found["conditions"][2]["status"] = "False".into();
    let status = good().status(&found, &shape(List::Map), NOW);
    let times: Vec<&Value> = (0..3).map(|at| &status["conditions"][at]["lastTransitionTime"]).collect();
    assert_eq!(times, [BEFORE, BEFORE, NOW]);
}

#[test]
fn anothers_conditions_are_kept_where_the_list_has_one_writer() {
    let mut found = written_before(&good());
    let others = json!({"type": "Certified", "status": "True", "anything": {"they": "like"}});
    found["conditions"].as_array_mut().expect("it is a list").push(others.clone());
    let merged = good().status(&found, &shape(List::Atomic), NOW);
    assert_eq!(merged["conditions"].as_array().map(Vec::len), Some(4));
    assert_eq!(merged["conditions"][3], others);
    // Where everybody has his own, others' are not ours to write.
    let ours = good().status(&found, &shape(List::Map), NOW);
    assert_eq!(ours["conditions"].as_array().map(Vec::len), Some(3));
}

#[test]
fn only_what_the_definition_holds_is_written_and_missed() {
    let fields = Some(["state".to_owned()].into());
    let emissarys = Shape { conditions: List::Absent, fields };
    let status = good().status(&Value::Null, &emissarys, NOW);
    assert_eq!(status, json!({"state": "Running"}));
    assert!(good().is_in(&status, &emissarys));
    assert!(!good().is_in(&json!({"state": "Inactive"}), &emissarys));
}

#[test]
fn a_reason_that_is_no_longer_true_is_missed() {
    let mut found = written_before(&good());
    found["reason"] = "there was something".into();
    assert!(!good().is_in(&found, &shape(List::Map)));
}

#[test]
fn addresses_are_written_as_what_they_are() {
    let addresses = ["198.51.100.7", "2001:db8::7", "lb.example.com"].map(Address::new);
    let content = Content::Addresses(addresses.to_vec());
    let status = content.status(&Value::Null, &Shape::assumed(), NOW);
    let ingress = json!([{"ip": "198.51.100.7"}, {"ip": "2001:db8::7"}, {"hostname": "lb.example.com"}]);
    assert_eq!(status, json!({"loadBalancer": {"ingress": ingress}}));
    assert!(content.is_in(&status, &Shape::assumed()));
    assert!(!content.is_in(&json!({}), &Shape::assumed()));
    assert_eq!(Content::Addresses(Vec::new()).status(&status, &Shape::assumed(), NOW), json!({}));
}

#[test]
fn what_others_wrote_is_not_remembered() {
    let status = json!({
        "state": "Running", "foreign": {"a": 1},
        "conditions": [{"type": "Certified"}, {"type": "Programmed"}],
    });
    assert_eq!(remembered(&status), json!({"state": "Running", "conditions": [{"type": "Programmed"}]}));
}

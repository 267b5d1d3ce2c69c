use std::collections::BTreeMap;

use plenipo_resources::{Origin, Report, Set, SetBuilder, State, decode};
use serde_json::json;

use super::*;

fn object(name: &str) -> Arc<Object> {
    let value = json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"hostname": "*", "prefix": "/", "service": "shop"},
    });
    let mut decoded = decode(value, Origin::Cluster);
    Arc::new(decoded.objects.remove(0))
}

fn outcome(objects: &[&Arc<Object>], unread: &[&str]) -> Outcome {
    let mut builder = SetBuilder::default();
    let mut verdicts = BTreeMap::new();
    let verdict = |state| Arc::new(Verdict { state, problems: Vec::new(), earlier: None });
    for object in objects {
        verdicts.insert(object.id.clone(), verdict(State::Accepted));
        builder.add(Arc::clone(object));
    }
    for name in unread {
        verdicts.insert(ObjectId::new("Mapping", "shop", name), verdict(State::Refused));
    }
    verdicts.insert(ObjectId::new("Secret", "shop", "other"), verdict(State::Accepted));
    let report = Report { verdicts: Arc::new(verdicts), ..Report::default() };
    Outcome { set: builder.build(), report, serving: true, ..Outcome::default() }
}

/// `+a` for what must be looked at, `-b` for what is gone.
fn seen(changes: &[Change<'_>]) -> Vec<String> {
    let one = |change: &Change<'_>| match change {
        Change::Now(entry) => format!("+{}", entry.id.name),
        Change::Gone(id) => format!("-{}", id.name),
    };
    changes.iter().map(one).collect()
}

#[test]
fn what_is_the_same_is_not_looked_at() {
    let (a, b, c, new_b) = (object("a"), object("b"), object("c"), object("b"));
    let mut changed = (*new_b).clone();
    changed.meta.generation = 2;
    let changed = Arc::new(changed);
    let before = outcome(&[&a, &b, &c], &["aa", "z"]);
    assert_eq!(seen(&changes("Mapping", &before, None)), ["+a", "+aa", "+b", "+c", "+z"]);
    let now = outcome(&[&a, &changed], &["aa", "d"]);
    assert_eq!(seen(&changes("Mapping", &now, Some(&before))), ["+b", "-c", "+d", "-z"]);
    assert!(changes("Mapping", &now, Some(&now.clone())).is_empty());
    assert!(changes("Host", &now, None).is_empty());
}

#[test]
fn everything_is_looked_at_when_nothing_is_served_any_more() {
    let a = object("a");
    let before = outcome(&[&a], &[]);
    let now = Outcome { serving: false, ..before.clone() };
    assert_eq!(seen(&changes("Mapping", &now, Some(&before))), ["+a"]);
}

#[test]
fn an_empty_set_is_fine() {
    let nothing = Outcome { set: Set::default(), ..Outcome::default() };
    let a = object("a");
    assert_eq!(seen(&changes("Mapping", &nothing, Some(&outcome(&[&a], &[])))), ["-a"]);
}

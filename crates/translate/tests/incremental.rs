//! What is remembered from one translation to the next makes the next one cheap, and nothing else: whatever the way to a
//! set, what it gives is what it gives from nothing.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod fixture;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use plenipo_model::{Edge, Serve};
use plenipo_resources::{
    Code, Earlier, Object, ObjectId, Origin, Report, Set, SetBuilder, Severity, State, decode, documents,
};
use plenipo_translate::{LastGood, Options, translate};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The golden cases: name and input.
static CASES: LazyLock<Vec<(String, String)>> = LazyLock::new(fixture::cases);

/// Documents for random sequences: two or three versions of every object, so that names, hosts, secrets, contexts and
/// services come, go and change under each other.
static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let text = fixture::with_key_material(include_str!("incremental.yaml"));
    documents(&text).iter().map(|document| document.value().unwrap()).collect()
});

/// The objects that a document holds, and the problems, as a set of its own.
fn read(value: Value) -> Set {
    let mut builder = SetBuilder::default();
    let decoded = decode(value, Origin::Cluster);
    decoded.objects.into_iter().for_each(|object| builder.add(Arc::new(object)));
    decoded.problems.into_iter().for_each(|problem| builder.problem(problem));
    builder.build()
}

/// The rule of last good versions, written down as it is told and not as it is computed: each translation is one from
/// nothing, and only the accepted versions are remembered.
#[derive(Default)]
struct Forgetful {
    accepted: BTreeMap<ObjectId, Arc<Object>>,
}

impl Forgetful {
    /// Secrets that are gone serve on, while it makes a difference.
    fn apply(&mut self, set: &Set, options: &Options) -> (Edge, Report) {
        let is_gone =
            |id: &ObjectId| &*id.kind == "Secret" && set.get(&id.kind, &id.namespace, &id.name).is_none();
        let mut gone = self.accepted.clone();
        gone.retain(|id, _| is_gone(id));
        let judged = translate(&with(set, &gone), options).1;
        gone.retain(|id, _| !is_refused(&judged, id));
        let whole = with(set, &gone);
        if gone.is_empty() || translate(set, options).0 == translate(&whole, options).0 {
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

    fn apply_to(&mut self, set: &Set, options: &Options) -> (Edge, Report) {
        let (mut edge, mut report) = translate(set, options);
        let mut judged = report.clone();
        let mut versions: BTreeMap<ObjectId, Arc<Object>> = BTreeMap::new();
        for only_secrets in [true, false] {
            let wanted = judged.verdicts.keys().filter(|id| is_refused(&judged, id));
            let wanted = wanted.filter(|id| !only_secrets || &*id.kind == "Secret");
            let more: BTreeMap<_, _> = wanted
                .filter(|id| !versions.contains_key(id))
                .filter_map(|id| Some((id.clone(), Arc::clone(self.accepted.get(id)?))))
                .collect();
            if !more.is_empty() {
                versions.extend(more);
                (edge, judged) = translate(&with(set, &versions), options);
            }
        }
        let kept = self.accepted.iter().filter(|(id, _)| is_refused(&report, id));
        let mut accepted: BTreeMap<_, _> =
            kept.map(|(id, object)| (id.clone(), Arc::clone(object))).collect();
        let good = set.objects().iter().filter(|object| !is_refused(&report, &object.id));
        accepted.extend(good.map(|object| (object.id.clone(), Arc::clone(object))));
        self.accepted = accepted;

        let spared = report.verdicts.keys().filter(|id| is_refused(&report, id) && !is_refused(&judged, id));
        for id in spared.cloned().collect::<Vec<_>>() {
            let (earlier, words) = match versions.get(&id) {
                Some(version) => {
                    (Earlier::Version(version.meta.generation), "the version accepted before keeps serving")
                }
                None => {
                    (Earlier::References, "it serves with the version accepted before of what it refers to")
                }
            };
            report.verdict(&id).earlier = Some(earlier);
            for problem in &mut report.verdict(&id).problems {
                if problem.severity == Severity::Error {
                    problem.message = format!("{}; {words}", problem.message);
                }
            }
        }
        (edge, report)
    }
}

fn is_refused(report: &Report, id: &ObjectId) -> bool {
    report.verdicts.get(id).is_some_and(|verdict| verdict.state == State::Refused)
}

fn with(set: &Set, versions: &BTreeMap<ObjectId, Arc<Object>>) -> Set {
    let mut builder = SetBuilder::default();
    let others = set.objects().iter().filter(|object| !versions.contains_key(&object.id));
    others.chain(versions.values()).for_each(|object| builder.add(Arc::clone(object)));
    set.problems().iter().for_each(|problem| builder.problem(problem.clone()));
    builder.build()
}

fn of(sets: impl IntoIterator<Item = Set>) -> Set {
    let mut builder = SetBuilder::default();
    for set in sets {
        set.objects().iter().for_each(|object| builder.add(Arc::clone(object)));
        set.problems().iter().for_each(|problem| builder.problem(problem.clone()));
    }
    builder.build()
}

/// The parts of a set with every second object, and with the others.
fn halves(set: &Set) -> [Set; 2] {
    let half = |which: usize| {
        let mut builder = SetBuilder::default();
        let objects = set.objects().iter().enumerate().filter(|(at, _)| at % 2 == which);
        objects.for_each(|(_, object)| builder.add(Arc::clone(object)));
        set.problems().iter().for_each(|problem| builder.problem(problem.clone()));
        builder.build()
    };
    [half(0), half(1)]
}

#[test]
fn every_case_comes_out_the_same_whatever_was_before() {
    for (name, text) in CASES.iter() {
        let (set, options) = (fixture::set(text), fixture::options(text));
        let [first, second] = halves(&set);
        let mut last_good = LastGood::default();
        let mut forgetful = Forgetful::default();
        for step in [&Set::default(), &first, &second, &set, &first, &set, &Set::default(), &set] {
            let expected = forgetful.apply(step, &options);
            let found = last_good.apply(step, &options);
            assert_eq!(found.1, expected.1, "{name}");
            assert!(found.0 == expected.0, "{name}: {:#?}\n{:#?}", found.0, expected.0);
        }
    }
}

/// An object that cannot be read is no object of the set: what it may have protected is closed all the same, and only as
/// long as it is there.
#[test]
fn what_cannot_be_read_closes_at_once() {
    for (name, text) in CASES.iter() {
        let (set, options) = (fixture::set(text), fixture::options(text));
        let mut builder = SetBuilder::default();
        set.objects().iter().for_each(|object| builder.add(Arc::clone(object)));
        let without = builder.build();
        let mut last_good = LastGood::default();
        for step in [&without, &set, &without] {
            let (edge, report) = last_good.apply(step, &options);
            let expected = translate(step, &options);
            assert_eq!(report, expected.1, "{name}");
            assert!(edge == expected.0, "{name}");
        }
    }
}

#[test]
fn every_case_after_every_other() {
    let mut last_good = LastGood::default();
    for (name, text) in CASES.iter().chain(CASES.iter().rev()) {
        let (set, options) = (fixture::set(text), fixture::options(text));
        // Nothing of the case before may serve on.
        last_good.apply(&Set::default(), &options);
        let (edge, report) = last_good.apply(&set, &options);
        let expected = translate(&set, &options);
        assert_eq!(report, expected.1, "{name}");
        assert!(edge == expected.0, "{name}");
    }
}

/// A change of one of the documents' objects: which version of it is there, if any.
fn step() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..4)
        .prop_map(|indices| indices.iter().map(|index| index.index(DOCUMENTS.len() * 5 / 4)).collect())
}

/// Spoils a document a little, as people do.
fn spoilt(value: &Value, seed: usize) -> Value {
    let mut value = value.clone();
    if let Some(Value::Object(spec)) = value.get_mut("spec") {
        let keys: Vec<String> = spec.keys().cloned().collect();
        if let Some(key) = keys.get(seed % keys.len().max(1)) {
            let with = [json!(-1), json!(""), json!("*"), json!({}), json!(true), Value::Null];
            spec.insert(key.clone(), with[seed / 7 % with.len()].clone());
        }
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_way_leads_to_the_same(
        steps in prop::collection::vec((step(), 0..4usize, any::<u16>()), 1..24), directory in any::<bool>(),
    ) {
        let options = Options { force_directory_endpoints: directory, ..Options::default() };
        let mut there: BTreeMap<String, Set> = BTreeMap::new();
        let (mut last_good, mut forgetful) = (LastGood::default(), Forgetful::default());
        // Something to change: everything in its first version.
        let mut wanted: Vec<(usize, bool, usize)> = (0..DOCUMENTS.len()).map(|at| (at, false, 0)).collect();
        wanted.reverse();
        let mut steps = steps.into_iter();
        loop {
            for (at, spoil, seed) in wanted {
                // Beyond the end of the list: that object goes away.
                let value = &DOCUMENTS[at % DOCUMENTS.len()];
                let metadata = &value["metadata"];
                let key = format!("{} {} {}", value["kind"], metadata["namespace"], metadata["name"]);
                if at >= DOCUMENTS.len() {
                    there.remove(&key);
                } else {
                    let value = if spoil { spoilt(value, seed) } else { value.clone() };
                    there.insert(key, read(value));
                }
            }
            let set = of(there.values().cloned());
            let (expected, found) = (forgetful.apply(&set, &options), last_good.apply(&set, &options));
            prop_assert_eq!(found.1, expected.1);
            prop_assert!(found.0 == expected.0, "{:#?}\n{:#?}", found.0, expected.0);
            let Some((which, how, seed)) = steps.next() else { break };
            wanted = which.into_iter().map(|at| (at, how == 0, usize::from(seed))).collect();
        }
    }
}

/// The routes of an edge's first clear-text chain, and its clusters.
fn parts(edge: &Edge) -> (Vec<Arc<[Arc<plenipo_model::Route>]>>, usize) {
    let chain = edge.listeners[0].chains.last().unwrap();
    let Serve::Http(server) = &chain.serve else { panic!("no HTTP") };
    (server.hosts.iter().map(|host| Arc::clone(&host.routes)).collect(), edge.clusters.len())
}

#[test]
fn what_is_not_concerned_stays_the_very_same() {
    let host = |name: &str| json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": name}, "spec": {"hostname": format!("{name}.example.com"), "requestPolicy": {"insecure": {"action": "Route"}}}});
    let mapping = |name: &str, host: &str, prefix: &str| json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": name}, "spec": {"hostname": format!("{host}.example.com"), "prefix": prefix, "service": "quote", "resolver": "endpoint"}});
    let slice = |address: &str| json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "quote-1", "labels": {"kubernetes.io/service-name": "quote"}}, "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": [address]}]});
    let listener = json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Listener", "metadata": {"name": "http"}, "spec": {"port": 8080, "protocol": "HTTP", "securityModel": "XFP", "hostBinding": {"namespace": {"from": "ALL"}}}});
    let fixed: Vec<Set> =
        [listener, host("a"), host("b"), mapping("one", "a", "/one/"), mapping("other", "b", "/other/")]
            .map(read)
            .to_vec();
    let with = |more: Vec<Value>| of(fixed.iter().cloned().chain(more.into_iter().map(read)));
    let (mut last_good, options) = (LastGood::default(), Options::default());
    let (before, _) = last_good.apply(&with(vec![mapping("two", "a", "/two/"), slice("10.0.0.1")]), &options);
    let (after, _) =
        last_good.apply(&with(vec![mapping("two", "a", "/three/"), slice("10.0.0.1")]), &options);
    let ((before, _), (after, _)) = (parts(&before), parts(&after));
    assert!(!Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[1], &after[1]));
    let shared = before[0].iter().filter(|route| after[0].iter().any(|other| Arc::ptr_eq(route, other)));
    assert_eq!(shared.count(), before[0].len() - 1, "only one route is another");

    // Endpoints come and go without a route being touched.
    let (edge, _) = last_good.apply(&with(vec![mapping("two", "a", "/three/"), slice("10.0.0.2")]), &options);
    let cluster = edge.clusters.values().next().unwrap();
    assert!(format!("{:?}", cluster.endpoints).contains("10.0.0.2"));
    assert!(parts(&edge).0.iter().zip(&after).all(|(a, b)| Arc::ptr_eq(a, b)));
}

/// As a document that was written at another time: other names, hosts, prefixes and services.
fn renamed(value: &Value, round: usize) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let named = ["name", "prefix", "service", "tls", "stats_name", "kubernetes.io/service-name"];
                let other = match value.as_str() {
                    Some(text) if named.contains(&&**key) => json!(format!("{text}-{round:04}")),
                    Some(text) if key == "hostname" => {
                        json!(text.replace("example", &format!("r{round:04}")))
                    }
                    _ => renamed(value, round),
                };
                (key.clone(), other)
            })
            .collect(),
        Value::Array(all) => all.iter().map(|value| renamed(value, round)).collect(),
        other => other.clone(),
    }
}

/// A gateway that has followed changes for long remembers no more than one that has just begun.
#[test]
fn memory_does_not_grow_with_time() {
    let options = Options::default();
    let round = |round: usize| of(DOCUMENTS.iter().map(|value| read(renamed(value, round))));
    let (mut long, mut short) = (LastGood::default(), LastGood::default());
    for number in 0..40 {
        long.apply(&round(number), &options);
        // Everything changes, or goes away first.
        if number % 2 == 0 {
            long.apply(&Set::default(), &options);
        }
    }
    long.apply(&round(40), &options);
    short.apply(&round(40), &options);
    // The order in hash maps does not count, how much is in them does.
    let sizes = [&long, &short].map(|memory| format!("{memory:?}").len());
    assert!(sizes[0].abs_diff(sizes[1]) < sizes[1] / 100, "{sizes:?}");
    long.apply(&Set::default(), &options);
    let mut empty = LastGood::default();
    empty.apply(&Set::default(), &options);
    let sizes = [&long, &empty].map(|memory| format!("{memory:?}").len());
    assert!(sizes[0].abs_diff(sizes[1]) < 64, "{sizes:?}");
}

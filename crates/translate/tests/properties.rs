//! What must hold whatever people write.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod fixture;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use plenipo_model::{Edge, Serve};
use plenipo_resources::{ObjectId, Origin, Report, SetBuilder, State, decode, documents};
use plenipo_translate::{LastGood, Options, referenced_files, translate};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The inputs of all golden cases, of all dialects.
static INPUTS: LazyLock<Vec<String>> =
    LazyLock::new(|| fixture::cases().into_iter().map(|(_, input)| input).collect());

#[derive(Clone, Debug)]
struct Route {
    prefix: String,
    precedence: i64,
    host: Option<String>,
    header: Option<(String, String)>,
    method: Option<String>,
}

fn route() -> impl Strategy<Value = Route> {
    (
        prop::sample::select(vec!["/", "/a/", "/b/", "/aa/", "/ab/", "/long/er/"]),
        prop::sample::select(vec![0, 0, 0, 1, -1]),
        prop::option::of(prop::sample::select(vec!["*", "www.example.com", "*.example.com"])),
        prop::option::of((prop::sample::select(vec!["x-a", "x-bb"]), prop::sample::select(vec!["1", "22"]))),
        prop::option::of(prop::sample::select(vec!["GET", "POST", "PUT"])),
    )
        .prop_map(|(prefix, precedence, host, header, method)| Route {
            prefix: prefix.to_owned(),
            precedence,
            host: host.map(str::to_owned),
            header: header.map(|(name, value)| (name.to_owned(), value.to_owned())),
            method: method.map(str::to_owned),
        })
}

/// One place in Emissary's sort key, which is a list that Python compares item by item.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Item {
    Number(i64),
    Text(String),
}

/// The sort key, written down as the reference has it and not as the translator computes it.
fn key(route: &Route) -> Vec<Item> {
    let mut matchers: Vec<(String, String)> = route.header.clone().into_iter().collect();
    matchers.push((":authority".to_owned(), route.host.clone().unwrap_or_else(|| "*".to_owned())));
    matchers.extend(route.method.clone().map(|method| (":method".to_owned(), method)));
    let length: usize = matchers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut key = vec![
        Item::Number(route.precedence),
        Item::Number(route.prefix.len() as i64),
        Item::Number(length as i64),
        Item::Number(0),
        Item::Text(route.prefix.clone()),
        Item::Text(route.method.clone().unwrap_or_else(|| "GET".to_owned())),
    ];
    key.extend(matchers.iter().map(|(name, value)| Item::Text(format!("{name}-{value}"))));
    key
}

fn mapping(name: &str, route: &Route) -> Value {
    let mut spec = json!({
        "prefix": route.prefix,
        "precedence": route.precedence,
        "service": name,
        "hostname": route.host.clone().unwrap_or_else(|| "*".to_owned()),
    });
    if let Some((name, value)) = &route.header {
        spec["headers"] = json!({ name: value });
    }
    if let Some(method) = &route.method {
        spec["method"] = json!(method);
    }
    json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": name}, "spec": spec})
}

const FRONT: &str = "
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: http}
spec: {port: 8080, protocol: HTTP, securityModel: XFP, hostBinding: {namespace: {from: ALL}}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: any}
spec: {hostname: '*', requestPolicy: {insecure: {action: Route}}}
";

fn with_front(values: impl IntoIterator<Item = Value>) -> plenipo_resources::Set {
    let mut builder = SetBuilder::default();
    for object in fixture::objects(FRONT, &mut builder) {
        builder.add(object);
    }
    for value in values {
        add(value, &mut builder);
    }
    builder.build()
}

fn add(value: Value, builder: &mut SetBuilder) {
    let decoded = decode(value, Origin::Cluster);
    decoded.objects.into_iter().for_each(|object| builder.add(Arc::new(object)));
    decoded.problems.into_iter().for_each(|problem| builder.problem(problem));
}

/// Names of the users' routes of the one host, in order.
fn route_names(edge: &Edge) -> Vec<String> {
    let Serve::Http(server) = &edge.listeners[0].chains[0].serve else { panic!("no HTTP") };
    let routes = server.hosts[0].routes.iter().filter(|route| route.source.as_str() != "gateway");
    routes.map(|route| route.name.to_string()).collect()
}

/// Ways to spoil a value.
#[derive(Clone, Debug)]
enum Damage {
    Remove,
    Replace(Value),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Remove),
        Just(Damage::Replace(Value::Null)),
        Just(Damage::Replace(json!(-1))),
        Just(Damage::Replace(json!(i64::MAX))),
        Just(Damage::Replace(json!(""))),
        Just(Damage::Replace(json!("*"))),
        Just(Damage::Replace(json!("%(\u{0}é[:"))),
        Just(Damage::Replace(json!(true))),
        Just(Damage::Replace(json!([]))),
        Just(Damage::Replace(json!([1, "a", {}]))),
        Just(Damage::Replace(json!({}))),
    ]
}

/// Spoils the `at`-th of all values within `value`.
fn spoil(value: &mut Value, at: &mut usize, damage: &Damage) -> bool {
    let inner: Vec<String> = match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(items) => {
            return items.iter_mut().any(|item| spoil(item, at, damage));
        }
        _ => return false,
    };
    let Value::Object(map) = value else { return false };
    for key in inner {
        if *at == 0 {
            match damage {
                Damage::Remove => drop(map.remove(&key)),
                Damage::Replace(with) => drop(map.insert(key, with.clone())),
            }
            return true;
        }
        *at -= 1;
        if map.get_mut(&key).is_some_and(|inner| spoil(inner, at, damage)) {
            return true;
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_reading_does_not_matter(case in 0..INPUTS.len(), seed in any::<u64>()) {
        let text = &INPUTS[case];
        let options = fixture::options(text);
        let expected = translate(&fixture::set(text), &options);
        let mut builder = SetBuilder::default();
        let mut objects = fixture::objects(text, &mut builder);
        let mut state = seed;
        objects.sort_by_cached_key(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        });
        objects.into_iter().for_each(|object| builder.add(object));
        let found = translate(&builder.build(), &options);
        prop_assert_eq!(expected.1, found.1);
        prop_assert!(expected.0 == found.0, "the edges differ");
    }

    #[test]
    fn spoiled_input_is_reported_and_never_ends_the_program(
        case in 0..INPUTS.len(), document in 0..20usize, at in 0..60usize, damage in damage(),
    ) {
        let text = &INPUTS[case];
        let options = fixture::options(text);
        let mut builder = SetBuilder::default();
        let plain = fixture::with_key_material(text);
        for (index, found) in documents(&plain).iter().enumerate() {
            let mut value = found.value().unwrap();
            if index == document {
                let mut at = at;
                spoil(&mut value, &mut at, &damage);
            }
            add(value, &mut builder);
        }
        let set = builder.build();
        let files = referenced_files(&set);
        prop_assert!(!files.contains(""));
        let (edge, report) = translate(&set, &options);
        // Whatever is served is whole: every cluster that is named is there.
        for name in clusters(&serde_json::to_value(&edge).unwrap()) {
            prop_assert!(edge.clusters.contains_key(name.as_str()), "{}", name);
        }
        // And translating again says the same.
        prop_assert!(translate(&set, &options) == (edge, report), "not the same twice");
    }

    #[test]
    fn routes_are_tried_in_the_order_of_emissary(routes in prop::collection::vec(route(), 1..12)) {
        // Mappings with the same key would be one group; of each key the first is kept.
        let mut distinct: BTreeMap<Vec<Item>, Route> = BTreeMap::new();
        for route in routes {
            distinct.entry(key(&route)).or_insert(route);
        }
        let named: Vec<(String, Route)> =
            distinct.into_values().enumerate().map(|(index, route)| (format!("m{index:02}"), route)).collect();
        let set = with_front(named.iter().map(|(name, route)| mapping(name, route)));
        let (edge, _) = translate(&set, &Options::default());
        let mut expected: Vec<(Vec<Item>, String)> =
            named.iter().map(|(name, route)| (key(route), format!("default/{name}"))).collect();
        expected.sort();
        expected.reverse();
        let expected: Vec<String> = expected.into_iter().map(|(_, name)| name).collect();
        prop_assert_eq!(route_names(&edge), expected);
    }

    #[test]
    fn what_was_good_serves_on(
        case in 0..INPUTS.len(), document in 0..20usize, at in 0..60usize, damage in damage(),
    ) {
        let text = &INPUTS[case];
        let options = fixture::options(text);
        let good = fixture::set(text);
        let mut last_good = LastGood::default();
        last_good.apply(&good, &options);
        let mut builder = SetBuilder::default();
        let plain = fixture::with_key_material(text);
        for (index, found) in documents(&plain).iter().enumerate() {
            let mut value = found.value().unwrap();
            if index == document {
                let mut at = at;
                spoil(&mut value, &mut at, &damage);
            }
            add(value, &mut builder);
        }
        let spoiled = builder.build();
        let (_, report) = last_good.apply(&spoiled, &options);
        // Of no other objects than there are, but for a Secret that serves on though it is gone.
        let is_there = |id: &ObjectId| {
            &*id.kind != "Secret" || spoiled.get(&id.kind, &id.namespace, &id.name).is_some()
        };
        let told = |report: &Report| {
            report.verdicts.keys().filter(|id| is_there(id)).cloned().collect::<Vec<_>>()
        };
        prop_assert_eq!(told(&report), told(&translate(&spoiled, &options).1));
        // Repaired, it is as if nothing had been.
        let expected = translate(&good, &options);
        let refused = expected.1.verdicts.values().any(|verdict| verdict.state == State::Refused);
        if !refused {
            prop_assert!(last_good.apply(&good, &options) == expected, "it is not as it was");
        }
    }
}

/// Every cluster that something in the edge names.
fn clusters(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(clusters).collect(),
        Value::Object(map) => {
            let own = map.get("cluster").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(clusters)).collect()
        }
        _ => Vec::new(),
    }
}

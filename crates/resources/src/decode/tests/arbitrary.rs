//! JSON of all sorts.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Any JSON, with the words that mean something among its keys.
pub(super) fn json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(key(), inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        select(
            &["v1", "getambassador.io/v2", "ambassador/v1", "Mapping", "List", "Service", "Secret", "*"][..]
        )
        .prop_map(Value::from),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,6}",
        select(
            &[
                "apiVersion",
                "kind",
                "metadata",
                "name",
                "namespace",
                "labels",
                "annotations",
                "spec",
                "items",
                "data",
                "stringData",
                "getambassador.io/config",
                "prefix",
                "host",
                "tls",
                "headers",
                "ambassador_id",
            ][..]
        )
        .prop_map(str::to_owned),
    ]
}

/// A sound object in which a few values were exchanged for others.
pub(super) fn mutated() -> impl Strategy<Value = Value> {
    (select(sound()), vec((any::<Index>(), json()), 0..4)).prop_map(|(mut object, changes)| {
        for (at, value) in changes {
            let count = nodes(&object);
            replace(&mut object, &mut at.index(count), &value);
        }
        object
    })
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

fn replace(value: &mut Value, at: &mut usize, with: &Value) -> bool {
    if *at == 0 {
        value.clone_from(with);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| replace(item, at, with)),
        Value::Object(fields) => fields.values_mut().any(|field| replace(field, at, with)),
        _ => false,
    }
}

fn sound() -> Vec<Value> {
    let annotation = "apiVersion: ambassador/v1\nkind: Mapping\nname: a\nprefix: /\nservice: a\n";
    let meta = json!({"name": "x", "namespace": "n", "annotations": {"getambassador.io/config": annotation}});
    [
        json!({"apiVersion": "getambassador.io/v2", "kind": "Mapping", "spec": {
            "ambassador_id": ["a"], "prefix": "/", "host": "a", "host_regex": false, "service": "a", "tls": true,
            "headers": {"a": true, "b": "c"}, "query_parameters": {"a": false}, "add_request_headers": {"a": "b"},
            "remove_request_headers": "a", "weight": 5, "cors": {"origins": "a,b", "methods": ["GET"]},
            "labels": {"ambassador": [{"g": ["remote_address", {"a": {"header": "b"}}]}]},
            "retry_policy": {"retry_on": "5xx"}, "health_checks": [{"health_check": {"http": {"path": "/"}}}],
        }}),
        json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "spec": {
            "hostname": "a", "tls": {"minTLSVersion": "v1.2"}, "tlsSecret": {"name": "a"},
            "mappingSelector": {"matchLabels": {"a": "b"}}, "requestPolicy": {"insecure": {"action": "Route"}},
        }}),
        json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Listener", "spec": {
            "port": 80, "protocolStack": ["HTTP"], "hostBinding": {"selector": {"matchLabels": {}}},
        }}),
        json!({"apiVersion": "getambassador.io/v1", "kind": "TCPMapping", "spec": {"port": 1, "service": "https://a"}}),
        json!({"apiVersion": "getambassador.io/v2", "kind": "TLSContext", "spec": {"hosts": ["a"], "caSecret": "b"}}),
        json!({"apiVersion": "getambassador.io/v2", "kind": "Module", "spec": {"config": {"a": 1}}}),
        json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "aGVsbG8="}, "stringData": {"b": "c"}}),
        json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80, "targetPort": "http"}]}}),
        json!({"apiVersion": "v1", "kind": "Endpoints", "subsets": [{"addresses": [{"ip": "10.0.0.1"}]}]}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "endpoints": [{"addresses": ["a"]}]}),
    ]
    .into_iter()
    .map(|mut object| {
        object["metadata"] = meta.clone();
        object
    })
    .collect()
}

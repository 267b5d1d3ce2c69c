use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::*;

/// What the chart ships is what the program prints.
#[test]
fn the_chart_ships_these_definitions() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/plenipo/files/crds.yaml");
    if std::env::var_os("UPDATE_CRDS").is_some() {
        std::fs::create_dir_all(shipped.parent().unwrap()).unwrap();
        std::fs::write(&shipped, yaml()).unwrap();
    }
    let text = std::fs::read_to_string(&shipped).unwrap_or_default();
    assert!(
        text == yaml(),
        "{} is not what the types say: run UPDATE_CRDS=1 cargo test -p plenipo-resources definition",
        shipped.display()
    );
}

#[test]
fn every_kind_that_is_read_is_defined() {
    let mut read = crate::decode::AMBASSADOR_KINDS.to_vec();
    read.sort_unstable();
    let mut defined: Vec<&str> = kinds().collect();
    defined.sort_unstable();
    assert_eq!(read, defined);
}

#[test]
fn what_holds_for_every_definition() {
    for definition in definitions() {
        let spec = &definition["spec"];
        let names = &spec["names"];
        assert_eq!(definition["metadata"]["name"], format!("{}.{GROUP}", names["plural"].as_str().unwrap()));
        assert_eq!(spec["conversion"], json!({"strategy": "None"}));
        let versions = spec["versions"].as_array().unwrap();
        let stored: Vec<&Value> = versions.iter().filter(|version| version["storage"] == true).collect();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0]["name"], STORED);
        for version in versions {
            assert_eq!(version["served"], true);
            // Nothing is converted, so whatever one version takes every version must take.
            assert_eq!(version["schema"], versions[0]["schema"]);
            assert_eq!(version["subresources"], json!({"status": {}}));
        }
    }
}

/// The rules of structural schemas (Kubernetes' documentation of CustomResourceDefinitions), and ours.
#[test]
fn schemas_are_structural_and_keep_what_is_unknown() {
    for definition in definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(schema["type"], "object");
        structural(&schema["properties"]["spec"], &format!("{kind}.spec"));
        structural(&schema["properties"]["status"], &format!("{kind}.status"));
    }
}

const ALLOWED: [&str; 20] = [
    "additionalProperties",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];

fn structural(schema: &Value, at: &str) {
    let fields: &Map<String, Value> = schema.as_object().unwrap_or_else(|| panic!("{at} is no schema"));
    for key in fields.keys() {
        assert!(ALLOWED.contains(&key.as_str()), "{at}: {key}");
    }
    let open = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    let either = fields.get("x-kubernetes-int-or-string") == Some(&json!(true));
    let Some(kind) = fields.get("type").and_then(Value::as_str) else {
        assert!(open || either, "{at} has no type");
        assert!(!fields.contains_key("properties") && !fields.contains_key("items"), "{at}: of no type");
        return;
    };
    match kind {
        "object" => {
            let map = fields.contains_key("additionalProperties");
            assert!(!(map && fields.contains_key("properties")), "{at}: either a map or fields");
            let condition = at.ends_with("conditions[]");
            assert!(map || open || condition, "{at}: what is unknown in it would be lost");
        }
        "array" => assert!(fields.contains_key("items"), "{at}: items of no type"),
        "string" | "integer" | "boolean" => {}
        other => panic!("{at}: {other}"),
    }
    let none = Map::new();
    let properties = fields.get("properties").map_or(&none, |properties| properties.as_object().unwrap());
    for required in fields.get("required").and_then(Value::as_array).into_iter().flatten() {
        assert!(
            properties.contains_key(required.as_str().unwrap()),
            "{at}: {required} is required and unknown"
        );
    }
    for (name, inner) in properties {
        let at = format!("{at}.{name}");
        let says = inner.get("description").and_then(Value::as_str).unwrap_or_default();
        assert!(says.ends_with(['.', ')', '…']), "{at}: kubectl explain has no sentence to show: {says:?}");
        structural(inner, &at);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = fields.get(key) {
            structural(inner, &format!("{at}{mark}"));
        }
    }
}

/// An object that has everything in it is read without a word about unknown fields: the schema knows no field that the
/// gateway does not.
#[test]
fn every_field_of_a_schema_is_read() {
    for kind in kinds::KINDS.iter().filter(|kind| !matches!(kind.name, "Module")) {
        let spec = example(&structural::for_editors(&kind.spec()));
        let object = json!({
            "apiVersion": format!("{GROUP}/{STORED}"), "kind": kind.name, "metadata": {"name": "all"}, "spec": spec,
        });
        let decoded = crate::decode(object, crate::Origin::Cluster);
        assert!(decoded.problems.is_empty(), "{}: {:?}", kind.name, decoded.problems);
        let unknown: BTreeSet<&String> = decoded.objects[0].unknown_fields.iter().collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", kind.name);
    }
}

/// A value of the first type that a schema allows, with every field.
fn example(schema: &Value) -> Value {
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind.unwrap_or("object") {
        "object" => match (&schema["properties"], &schema["additionalProperties"]) {
            (Value::Object(properties), _) => {
                properties.iter().map(|(name, inner)| (name.clone(), example(inner))).collect()
            }
            (_, inner @ Value::Object(_)) => json!({"a": example(inner)}),
            _ => json!({}),
        },
        "array" => json!([example(&schema["items"])]),
        "integer" => 1.into(),
        "boolean" => true.into(),
        _ => "a".into(),
    }
}

#[test]
fn json_schemas_for_editors() {
    for name in ["Mapping", "mapping", "mappings", "MAPPINGS"] {
        assert_eq!(json_schema(name).unwrap()["title"], "Mapping", "{name}");
    }
    assert_eq!(json_schema("Service"), None);
    let schema = json_schema("tlscontext").unwrap();
    assert_eq!(schema["properties"]["apiVersion"]["enum"][2], "getambassador.io/v3alpha1");
    let spec = &schema["properties"]["spec"]["properties"];
    assert_eq!(spec["ambassador_id"]["type"], json!(["array", "string"]));
    assert_eq!(spec["secret"]["type"], "string");
    assert_eq!(spec["ca_secret"]["type"], "string", "TLS settings are fields of a TLSContext");
    assert!(!schema.to_string().contains("x-kubernetes"));
}

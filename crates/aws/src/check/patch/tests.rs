use serde_json::json;

use super::*;

fn service() -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge"}, "spec": {"ports": [{"port": 80}, {"port": 443}]}})
}

fn edit(operation: Operation) -> Patch {
    Patch {
        edits: vec![Edit { object: ObjectId::new("Service", "default", "edge"), operation }],
        create: vec![],
    }
}

fn applied(patches: &[&Patch]) -> Value {
    let patched = apply(vec![json!({"kind": "List", "items": [service()]})], patches);
    assert_eq!(patched.left, []);
    patched.documents[0]["items"][0].clone()
}

#[test]
fn maps_on_the_way_are_made() {
    let path = "/metadata/annotations/a~1b".to_owned();
    let patched = applied(&[&edit(Operation::Add { path, value: "c".into() })]);
    assert_eq!(patched["metadata"]["annotations"], json!({"a/b": "c"}));
}

#[test]
fn elements_keep_their_places_until_the_end() {
    let remove = |at: usize| edit(Operation::Remove { path: format!("/spec/ports/{at}") });
    let replace = edit(Operation::Replace { path: "/spec/ports/1/port".into(), value: 8443.into() });
    let patched = applied(&[&remove(0), &replace, &remove(0)]);
    assert_eq!(patched["spec"]["ports"], json!([{"port": 8443}]));
}

#[test]
fn elements_move() {
    let patched =
        applied(&[&edit(Operation::Move { from: "/spec/ports/1".into(), path: "/spec/ports/0".into() })]);
    assert_eq!(patched["spec"]["ports"], json!([{"port": 443}, {"port": 80}]));
}

#[test]
fn a_renamed_object_is_found_under_its_old_name() {
    let rename = edit(Operation::Replace { path: "/metadata/name".into(), value: "other".into() });
    let after = edit(Operation::Add { path: "/spec/type".into(), value: "NodePort".into() });
    let patched = applied(&[&rename, &after]);
    assert_eq!(
        (&patched["metadata"]["name"], &patched["spec"]["type"]),
        (&json!("other"), &json!("NodePort"))
    );
}

#[test]
fn what_finds_no_place_is_told() {
    let nowhere = edit(Operation::Replace { path: "/spec/nothing".into(), value: 1.into() });
    assert_eq!(apply(vec![service()], &[&nowhere]).left, nowhere.edits);
    assert_eq!(apply(vec![], &[&nowhere]).left, nowhere.edits);
}

#[test]
fn yaml_reads_back() {
    let yaml = to_yaml(&[service(), json!({"a": "true", "b": "0755", "c": "x: y"})]).unwrap();
    let read: Vec<Value> =
        plenipo_resources::documents(&yaml).iter().map(|document| document.value().unwrap()).collect();
    assert_eq!(read, [service(), json!({"a": "true", "b": "0755", "c": "x: y"})]);
}

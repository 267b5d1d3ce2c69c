//! What of an object is worth reading: the rest costs memory for nothing.

use serde_json::{Map, Value, json};

use super::api::Target;

/// What of `metadata` is read. (`managedFields` tell in which version an object was written; nobody keeps them.)
const METADATA: [&str; 9] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
];

/// What of the annotations of a pod is read: settings of Istio's proxies.
const OF_PODS: &str = "proxy.istio.io/config";

/// The object without what nobody reads, and with its kind and version, which the items of lists lack.
pub(super) fn trimmed(target: &Target, value: Value) -> Value {
    let kind = target.kind;
    let Value::Object(mut fields) = value else { return value };
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.retain(|key, _| METADATA.contains(&key.as_str()));
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.retain(|key, _| kind.name != "Pod" || key == OF_PODS);
        }
    }
    match kind.name {
        "Service" => keep(&mut fields, "status", &["/loadBalancer/ingress"]),
        "Pod" => {
            keep(&mut fields, "status", &["/podIPs", "/podIP"]);
            keep(&mut fields, "spec", &["/serviceAccountName", "/nodeName"]);
        }
        "Node" => {
            fields.remove("spec");
            fields.remove("status");
        }
        "ConfigMap" => drop(fields.remove("binaryData")),
        "Deployment" => {
            fields.remove("status");
            if !target.whole {
                deployment(&mut fields);
            }
        }
        _ => drop(fields.remove("status")),
    }
    fields.entry("apiVersion").or_insert_with(|| kind.api_version(target.version).into());
    fields.entry("kind").or_insert_with(|| kind.name.into());
    Value::Object(fields)
}

/// Keeps these parts of a field.
fn keep(fields: &mut Map<String, Value>, field: &str, parts: &[&str]) {
    let Some(whole) = fields.remove(field) else { return };
    let mut kept = json!({});
    for part in parts {
        let Some(found) = whole.pointer(part).filter(|found| !found.is_null()) else { continue };
        let mut at = &mut kept;
        for key in part.trim_start_matches('/').split('/') {
            at = &mut at[key];
        }
        *at = found.clone();
    }
    if kept.as_object().is_some_and(|kept| !kept.is_empty()) {
        fields.insert(field.to_owned(), kept);
    }
}

/// Whose pods they are, and on which ports they listen; not what runs in them with which environment.
fn deployment(fields: &mut Map<String, Value>) {
    const POD: &str = "/template/spec";
    keep(
        fields,
        "spec",
        &[
            "/replicas",
            "/selector",
            "/template/metadata",
            "/template/spec/serviceAccountName",
            "/template/spec/containers",
        ],
    );
    let containers = fields.get_mut("spec").and_then(|spec| spec.pointer_mut(POD));
    let Some(Value::Array(containers)) = containers.and_then(|pod| pod.get_mut("containers")) else { return };
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        container.retain(|key, _| ["name", "ports", "args"].contains(&key.as_str()));
    }
}

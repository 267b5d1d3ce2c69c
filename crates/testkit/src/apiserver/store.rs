//! Objects, and what happened to them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Group and plural.
pub(super) type Resource = (String, String);

/// What is served, what there is, what happened.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// Versions and kind, by resource.
    pub(super) served: BTreeMap<Resource, (BTreeSet<String>, String)>,
    objects: BTreeMap<Resource, BTreeMap<(String, String), Value>>,
    /// Everything since the last compaction.
    pub(super) events: Vec<Event>,
    /// The version of the last change.
    pub(super) version: u64,
    /// The version of the last compaction.
    pub(super) oldest: u64,
    pub(super) refused: BTreeMap<String, (u16, String)>,
    pub(super) unconvertible: BTreeSet<String>,
    pub(super) asked: Vec<String>,
}

/// A change.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) resource: Resource,
    pub(super) name: &'static str,
    pub(super) object: Value,
}

const CLUSTER_SCOPED: [&str; 5] = ["Namespace", "Node", "IngressClass", "IngressClassParams", "GatewayClass"];

/// `getambassador.io/v2` in two.
pub(super) fn split(api_version: &str) -> (String, String) {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    (group.to_owned(), version.to_owned())
}

/// The plural of a kind, by the rules of English that hold for those we know.
fn plural(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.strip_suffix('y') {
        _ if kind.ends_with("params") || kind == "endpoints" => kind,
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ if kind.ends_with('s') => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

impl Store {
    pub(super) fn serve(&mut self, api_version: &str, kind: &str) {
        let (group, version) = split(api_version);
        let (versions, _) =
            self.served.entry((group, plural(kind))).or_insert_with(|| (BTreeSet::new(), kind.to_owned()));
        versions.insert(version);
    }

    pub(super) fn unserve(&mut self, kind: &str) {
        self.served.retain(|_, (_, other)| other != kind);
        self.objects.retain(|(_, other), _| *other != plural(kind));
    }

    pub(super) fn put(&mut self, mut object: Value) {
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        self.serve(&api_version, &kind);
        self.version += 1;
        if object["metadata"]["namespace"].is_null() && !CLUSTER_SCOPED.contains(&kind.as_str()) {
            object["metadata"]["namespace"] = "default".into();
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        if object["metadata"]["managedFields"].is_null() {
            object["metadata"]["managedFields"] = json!([{
                "manager": "test", "operation": "Update", "apiVersion": api_version, "time": "2026-01-01T00:00:00Z",
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}},
            }]);
        }
        let resource = (split(&api_version).0, plural(&kind));
        let before = self.objects.entry(resource.clone()).or_default().insert(place(&object), object.clone());
        let name = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push(Event { version: self.version, resource, name, object });
    }

    pub(super) fn delete(&mut self, kind: &str, namespace: &str, name: &str) {
        let place = (namespace.to_owned(), name.to_owned());
        let plural = plural(kind);
        for (resource, objects) in self.objects.iter_mut().filter(|((_, other), _)| *other == plural) {
            if let Some(mut object) = objects.remove(&place) {
                self.version += 1;
                object["metadata"]["resourceVersion"] = self.version.to_string().into();
                let resource = resource.clone();
                self.events.push(Event { version: self.version, resource, name: "DELETED", object });
            }
        }
    }

    pub(super) fn compact(&mut self) {
        // Something else happened too, as it always does.
        self.version += 1;
        self.oldest = self.version;
        self.events.clear();
    }

    pub(super) fn objects(&self, resource: &Resource) -> impl Iterator<Item = &Value> {
        self.objects.get(resource).into_iter().flat_map(BTreeMap::values)
    }
}

pub(super) fn place(object: &Value) -> (String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

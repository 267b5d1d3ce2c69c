//! JSON values into objects.

mod ambassador;
mod annotation;
mod core;
mod istio;
mod typed;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};

use crate::ambassador::{Version, written};
use crate::object::{Decoded, Meta, Object, ObjectId, Origin, View};
use crate::problem::{Code, Problem, Severity};
use typed::{Fault, text};

#[cfg(test)]
pub(crate) use ambassador::KINDS as AMBASSADOR_KINDS;

type Fields = Map<String, Value>;

/// Reads one document: the object in it, the items if it is a List, and what is written in `getambassador.io/config`
/// annotations. Never fails: what cannot be read is among the problems.
pub fn decode(value: Value, origin: Origin) -> Decoded {
    let mut reading = Reading { origin, decoded: Decoded::default() };
    reading.read(value);
    reading.decoded
}

/// The reading of what stands at one place.
struct Reading {
    origin: Origin,
    decoded: Decoded,
}

impl Reading {
    fn read(&mut self, value: Value) {
        let mut fields = match value {
            Value::Object(fields) => fields,
            Value::Null => return,
            other => {
                let found = typed::describe(&other);
                let fault =
                    Fault::new("not-an-object", "", format!("this is {found}, not a Kubernetes object"))
                        .fix("write a map with apiVersion, kind and metadata");
                return self.decoded.problems.push(fault.problem(None, &self.origin));
            }
        };
        if !fields.contains_key("apiVersion") && !fields.contains_key("kind") {
            let message = "this has neither apiVersion nor kind, so it is left aside".to_owned();
            let fault = Fault::new("not-an-object", "", message).fix("keep other files elsewhere");
            let problem = fault.problem(None, &self.origin);
            return self.decoded.problems.push(Problem { severity: Severity::Warning, ..problem });
        }
        if let Some(items) = list_items(&mut fields) {
            return items.into_iter().for_each(|item| self.read(item));
        }
        match object(fields, &self.origin) {
            Ok(object) => {
                let inner = annotation::decode(&object);
                self.decoded.objects.push(object);
                self.decoded.objects.extend(inner.objects);
                self.decoded.problems.extend(inner.problems);
            }
            Err(problem) => self.decoded.problems.push(*problem),
        }
    }
}

/// The items of a `List` or `MappingList`. The apiserver leaves kind and version out of the items of typed lists.
fn list_items(fields: &mut Fields) -> Option<Vec<Value>> {
    let kind = fields.get("kind")?.as_str()?.strip_suffix("List")?.to_owned();
    let version = fields.get("apiVersion").cloned();
    let Value::Array(mut items) = fields.get_mut("items")?.take() else { return None };
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !kind.is_empty()) {
        item.entry("kind").or_insert_with(|| kind.clone().into());
        if let Some(version) = &version {
            item.entry("apiVersion").or_insert_with(|| version.clone());
        }
    }
    Some(items)
}

fn object(mut fields: Fields, origin: &Origin) -> Result<Object, Box<Problem>> {
    let anonymous = |fault: Fault| Box::new(fault.problem(None, origin));
    let api_version = required(&fields, "apiVersion").map_err(anonymous)?;
    let kind = required(&fields, "kind").map_err(anonymous)?;
    let group = Group::of(&api_version, &kind);
    if matches!(group, Group::Ambassador(_)) {
        unfold(&mut fields);
    }
    let metadata = fields.remove("metadata").unwrap_or_default();
    let name = metadata.get("name").and_then(text).filter(|name| !name.is_empty()).ok_or_else(|| {
        let message = format!("a {kind} without a name");
        anonymous(Fault::new("missing-name", "metadata.name", message).fix("give it a name"))
    })?;
    let id = ObjectId {
        namespace: namespace(&metadata, &kind),
        kind: group.kind(&api_version, &kind),
        name: name.into(),
    };
    let meta = meta(api_version, &metadata);
    let mut unknown_fields = Vec::new();
    let view = match group {
        Group::Ambassador(given) => {
            let version = written::version(given, &metadata, fields.get("spec"));
            ambassador::view(&kind, version, fields, &mut unknown_fields)
        }
        Group::AmbassadorFuture => Err(Fault::new(
            "unknown-api-version",
            "apiVersion",
            format!("{} is not a version this gateway reads", meta.api_version),
        )
        .fix("write it as getambassador.io/v3alpha1")),
        Group::Kubernetes => core::view(&kind, &meta, fields),
        Group::Istio => istio::view(&kind, fields, &mut unknown_fields),
        Group::Checked => Ok(View::Written(Box::new(fields.into()))),
        Group::Foreign => Ok(View::Foreign),
    };
    match view {
        Ok(view) => Ok(Object { id, meta, origin: origin.clone(), view, unknown_fields }),
        Err(fault) => Err(Box::new(fault.problem(Some(id), origin))),
    }
}

fn required(fields: &Fields, name: &'static str) -> Result<String, Fault> {
    match fields.get(name) {
        Some(Value::String(value)) if !value.is_empty() => Ok(value.clone()),
        found => {
            let code = if name == "kind" { "missing-kind" } else { "missing-api-version" };
            let message = match found {
                None | Some(Value::Null) => format!("there is no {name}"),
                Some(other) => format!("{name} is {}", typed::describe(other)),
            };
            Err(Fault::new(code, name, message).fix("every object begins with apiVersion and kind"))
        }
    }
}

/// Of these a load balancer keeps what was applied last, which the check of it has to know.
const RESETTABLE: &str = "-attributes\":";

/// Without what kubectl keeps in an annotation: the whole object once more.
fn meta(api_version: String, metadata: &Value) -> Meta {
    let texts = |name: &str| -> BTreeMap<String, String> {
        let map = metadata.get(name).and_then(Value::as_object);
        map.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
    };
    Meta {
        api_version,
        labels: texts("labels"),
        annotations: texts("annotations")
            .into_iter()
            .filter(|(key, value)| key != written::LAST_APPLIED || value.contains(RESETTABLE))
            .collect(),
        unquoted_annotations: unquoted(metadata),
        uid: metadata.get("uid").and_then(text).unwrap_or_default(),
        created: metadata.get("creationTimestamp").and_then(text).unwrap_or_default(),
        deleting: metadata.get("deletionTimestamp").is_some_and(|at| !at.is_null()),
        generation: metadata.get("generation").and_then(Value::as_i64).unwrap_or(0),
    }
}

fn unquoted(metadata: &Value) -> Vec<String> {
    let annotations = metadata.get("annotations").and_then(Value::as_object);
    let wrong = |value: &Value| matches!(value, Value::Bool(_) | Value::Number(_));
    annotations.into_iter().flatten().filter(|(_, value)| wrong(value)).map(|(key, _)| key.clone()).collect()
}

fn namespace(metadata: &Value, kind: &str) -> Arc<str> {
    match metadata.get("namespace").and_then(Value::as_str) {
        Some(namespace) if !namespace.is_empty() => namespace.into(),
        _ if CLUSTER_SCOPED.contains(&kind) => interned(""),
        _ => interned("default"),
    }
}

/// Annotations and old files have no `metadata` and `spec`: `{apiVersion, kind, name, namespace, …fields}`.
fn unfold(fields: &mut Fields) {
    if fields.contains_key("metadata") || fields.contains_key("spec") || !fields.contains_key("name") {
        return;
    }
    let mut metadata = Fields::new();
    let mut spec = Fields::new();
    let mut whole = Fields::new();
    for (key, value) in std::mem::take(fields) {
        match key.as_str() {
            "apiVersion" | "kind" => whole.insert(key, value),
            "name" | "namespace" | "generation" => metadata.insert(key, value),
            // `labels` belongs to the spec: it is what rate limits are about.
            "metadata_labels" => metadata.insert("labels".to_owned(), value),
            "status" => None,
            _ => spec.insert(key, value),
        };
    }
    whole.insert("metadata".to_owned(), metadata.into());
    whole.insert("spec".to_owned(), spec.into());
    *fields = whole;
}

/// Who knows what a kind means.
#[derive(Clone, Copy)]
enum Group {
    Ambassador(Version),
    /// A version of `getambassador.io` that nobody had heard of when this was written.
    AmbassadorFuture,
    Kubernetes,
    Istio,
    /// Only checks look at it.
    Checked,
    Foreign,
}

impl Group {
    fn of(api_version: &str, kind: &str) -> Self {
        match api_version.split_once('/') {
            Some(("getambassador.io" | "ambassador", version)) => {
                Version::parse(version).map_or(Self::AmbassadorFuture, Self::Ambassador)
            }
            None if api_version == "v1" && core::KINDS.contains(&kind) => Self::Kubernetes,
            Some(("discovery.k8s.io", "v1")) if kind == "EndpointSlice" => Self::Kubernetes,
            Some(("networking.k8s.io", "v1" | "v1beta1") | ("extensions", "v1beta1"))
                if matches!(kind, "Ingress" | "IngressClass") =>
            {
                Self::Kubernetes
            }
            Some(("elbv2.k8s.aws", _)) if matches!(kind, "IngressClassParams" | "TargetGroupBinding") => {
                Self::Kubernetes
            }
            Some(("apps", "v1")) if kind == "Deployment" => Self::Checked,
            Some(("install.istio.io", _)) if kind == "IstioOperator" => Self::Checked,
            Some(("networking.istio.io", _))
                if matches!(kind, "EnvoyFilter" | "ProxyConfig" | "Sidecar" | "WorkloadGroup") =>
            {
                Self::Checked
            }
            Some(("extensions.istio.io", _)) if kind == "WasmPlugin" => Self::Checked,
            Some((group, _)) if istio::GROUPS.contains(&group) && istio::KINDS.contains(&kind) => Self::Istio,
            _ => Self::Foreign,
        }
    }

    /// A foreign kind that has the name of one of ours (Knative's Service) is named with its group, for an id has none.
    fn kind(self, api_version: &str, kind: &str) -> Arc<str> {
        match (self, api_version.split_once('/')) {
            (Self::Foreign, Some((group, _))) if KINDS.contains_key(kind) => format!("{kind}.{group}").into(),
            _ => interned(kind),
        }
    }
}

const CLUSTER_SCOPED: [&str; 10] = [
    "Namespace",
    "Node",
    "PersistentVolume",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "IngressClassParams",
    "GatewayClass",
    "StorageClass",
];

/// Kinds of other groups that are read.
const OTHER_KINDS: [&str; 5] =
    ["EndpointSlice", "Ingress", "IngressClass", "IngressClassParams", "TargetGroupBinding"];

/// Kinds are few and objects are many.
static KINDS: LazyLock<BTreeMap<&'static str, Arc<str>>> = LazyLock::new(|| {
    let kinds = ambassador::KINDS.iter().chain(&core::KINDS).chain(&istio::KINDS).chain(&OTHER_KINDS);
    kinds.map(|kind| (*kind, Arc::from(*kind))).collect()
});

static NAMESPACES: LazyLock<[Arc<str>; 2]> = LazyLock::new(|| ["".into(), "default".into()]);

fn interned(word: &str) -> Arc<str> {
    let namespace = || NAMESPACES.iter().find(|known| &***known == word);
    KINDS.get(word).or_else(namespace).map_or_else(|| word.into(), Arc::clone)
}

impl Fault {
    fn problem(self, object: Option<ObjectId>, origin: &Origin) -> Problem {
        Problem {
            severity: Severity::Error,
            code: Code(self.code),
            object,
            origin: Some(origin.clone()),
            field: self.field,
            message: self.message,
            fix: self.fix.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;

//! What a cluster has to know of our kinds: a CustomResourceDefinition for each kind of `getambassador.io`, and its JSON
//! Schema for editors. Both are made of the types that read the objects, so that they cannot say anything else.
//!
//! The rules that definitions follow:
//! - Every version has one and the same schema, and nothing is converted between them: whoever reads an object cannot
//!   know in which version it was written, so every spelling is taken in every version.
//! - What is not known is kept. A definition never refuses what Emissary's accepts and the gateway serves.
//! - Where the versions want different types (`ambassador_id`: text or list), the schema leaves the type open.

mod columns;
pub(crate) mod form;
mod kinds;
mod status;
mod structural;

use serde_json::{Value, json};

use kinds::Kind;

/// The group of the kinds that are defined here.
pub const GROUP: &str = "getambassador.io";

/// The version that is stored.
const STORED: &str = "v3alpha1";

/// The definitions of all kinds, in the order of their names: objects of `apiextensions.k8s.io/v1`.
pub fn definitions() -> impl Iterator<Item = Value> {
    kinds::KINDS.iter().map(definition)
}

/// The names of the kinds that are defined, in order.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    kinds::KINDS.iter().map(|kind| kind.name)
}

/// All definitions as YAML documents, to be applied to a cluster.
pub fn yaml() -> String {
    let document = |definition: Value| {
        serde_saphyr::to_string(&definition).expect("a JSON value has no keys and numbers that YAML has not")
    };
    let documents: Vec<String> = definitions().map(document).collect();
    format!("# Made by `plenipo crds`.\n---\n{}", documents.join("---\n"))
}

/// The JSON Schema (draft 7, which every editor knows) of objects of a kind; its name may be in any case, and plural.
/// None: no such kind.
pub fn json_schema(kind: &str) -> Option<Value> {
    let wanted = kind.to_ascii_lowercase();
    let kind = kinds::KINDS.iter().find(|kind| [kind.singular(), kind.plural()].contains(&wanted))?;
    let versions: Vec<String> = kind.versions.iter().map(|version| format!("{GROUP}/{version}")).collect();
    let spec = structural::for_editors(&kind.spec());
    Some(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": kind.name,
        "description": kind.description(),
        "type": "object",
        "required": ["apiVersion", "kind", "metadata"],
        "properties": {
            "apiVersion": {"enum": versions},
            "kind": {"const": kind.name},
            "metadata": {"type": "object"},
            "spec": spec,
        },
    }))
}

fn definition(kind: &Kind) -> Value {
    let spec = structural::for_cluster(&kind.spec());
    let mut schema = json!({
        "description": kind.description(),
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string", "description": "The group and version in which the object is written."},
            "kind": {"type": "string", "description": format!("{}.", kind.name)},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status::schema(kind.name),
        },
    });
    if schema.pointer("/properties/spec/required").is_some() {
        schema["required"] = json!(["spec"]);
    }
    let version = |name: &&str| {
        json!({
            "name": name,
            "served": true,
            "storage": *name == STORED,
            "schema": {"openAPIV3Schema": schema},
            "subresources": {"status": {}},
            "additionalPrinterColumns": columns::of(kind.name),
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{}.{GROUP}", kind.plural()),
            "labels": {"app.kubernetes.io/part-of": "plenipo"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": format!("{}List", kind.name),
                "plural": kind.plural(),
                "singular": kind.singular(),
                "categories": ["ambassador-crds"],
            },
            "conversion": {"strategy": "None"},
            "versions": kind.versions.iter().map(version).collect::<Vec<_>>(),
        },
    })
}

#[cfg(test)]
mod tests;

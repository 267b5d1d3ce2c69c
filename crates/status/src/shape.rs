//! What the cluster's own definition of a kind lets a status hold.
//!
//! Emissary's definitions and ours differ: what a definition does not name is pruned, and a server-side apply of it is refused.
//! The apiserver publishes what it serves as OpenAPI, which every account may read.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kinds::Kind;

/// What a status may hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Shape {
    /// How `status.conditions` is kept.
    pub(crate) conditions: List,
    /// Fields of `status` that stay; none = all do.
    pub(crate) fields: Option<BTreeSet<String>>,
}

/// How a list is kept when several write to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum List {
    /// There is none.
    Absent,
    /// Each has its entries, by `type`.
    Map,
    /// Whoever writes writes all of it.
    Atomic,
}

impl Shape {
    /// What is assumed where no definition can be read: that of our own.
    pub(crate) fn assumed() -> Self {
        Self { conditions: List::Map, fields: None }
    }

    /// From the apiserver's OpenAPI (version 3) of a group and version. None when the kind is not served, or without a status
    /// that could be written apart from the rest (writing it together with the rest would be a new generation).
    pub(crate) fn of(kind: &Kind, version: &str, document: &Value) -> Option<Self> {
        let path = format!(
            "/apis/{}/{version}/namespaces/{{namespace}}/{}/{{name}}/status",
            kind.group, kind.plural
        );
        document["paths"].get(&path)?;
        let schema = document["components"]["schemas"].as_object()?.values().find(|schema| {
            let names = schema["x-kubernetes-group-version-kind"].as_array();
            names.is_some_and(|names| {
                names.iter().any(|it| {
                    it["group"] == kind.group && it["version"] == version && it["kind"] == kind.name
                })
            })
        })?;
        let Some(status) = schema["properties"].get("status") else {
            return preserves(schema).then_some(Self { conditions: List::Atomic, fields: None });
        };
        let open = preserves(status);
        let properties = status["properties"].as_object();
        let conditions = match properties.and_then(|it| it.get("conditions")) {
            Some(list) if list["x-kubernetes-list-type"] == "map" => List::Map,
            Some(_) => List::Atomic,
            None if open => List::Atomic,
            None => List::Absent,
        };
        let fields =
            (!open).then(|| properties.into_iter().flatten().map(|(name, _)| name.clone()).collect());
        Some(Self { conditions, fields })
    }

    /// May `status` have this field?
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.as_ref().is_none_or(|fields| fields.contains(field))
    }
}

fn preserves(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(status: Value) -> Value {
        let mut schema = json!({
            "properties": {},
            "x-kubernetes-group-version-kind": [{"group": "getambassador.io", "kind": "Mapping", "version": "v2"}],
        });
        if !status.is_null() {
            schema["properties"]["status"] = status;
        }
        json!({
            "paths": {"/apis/getambassador.io/v2/namespaces/{namespace}/mappings/{name}/status": {}},
            "components": {"schemas": {"other": {}, "io.getambassador.v2.Mapping": schema}},
        })
    }

    fn shape(status: Value) -> Option<Shape> {
        Shape::of(Kind::named("Mapping").expect("it is one"), "v2", &document(status))
    }

    #[test]
    fn emissarys_definition_has_state_and_reason_and_nothing_else() {
        let status = json!({"type": "object", "properties": {"state": {}, "reason": {}}});
        let shape = shape(status).expect("it has a status");
        assert_eq!(shape.conditions, List::Absent);
        assert!(shape.has("state") && shape.has("reason") && !shape.has("errorReason"));
    }

    #[test]
    fn lists_are_kept_as_they_say() {
        let by_type = json!({"properties": {"conditions": {"x-kubernetes-list-type": "map"}}});
        assert_eq!(shape(by_type).map(|it| it.conditions), Some(List::Map));
        let whole = json!({"properties": {"conditions": {"type": "array"}}});
        assert_eq!(shape(whole).map(|it| it.conditions), Some(List::Atomic));
        let open = shape(json!({"x-kubernetes-preserve-unknown-fields": true})).expect("it has a status");
        assert_eq!(open.conditions, List::Atomic);
        assert!(open.has("anything"));
    }

    #[test]
    fn without_a_status_of_its_own_nothing_is_written() {
        assert_eq!(shape(Value::Null), None);
        let mut without = document(json!({}));
        without["paths"] = json!({});
        assert_eq!(Shape::of(Kind::named("Mapping").expect("it is one"), "v2", &without), None);
        assert_eq!(Shape::of(Kind::named("Host").expect("it is one"), "v2", &document(json!({}))), None);
    }
}

//! Objects written inside the `getambassador.io/config` annotation of another (Emissary: of a Service or an Ingress).

use serde_json::{Map, Value};

use super::typed::{Fault, describe, text};
use super::{Group, Reading, unfold};
use crate::document::documents;
use crate::object::{Decoded, Object, Origin};
use crate::problem::Problem;

const ANNOTATION: &str = "getambassador.io/config";
const FIELD: &str = "metadata.annotations[getambassador.io/config]";

/// Each document on its own: one that cannot be read is a problem of the parent, and the others count.
pub(super) fn decode(parent: &Object) -> Decoded {
    let annotation = parent.meta.annotations.get(ANNOTATION);
    let Some(annotation) = annotation.filter(|_| !matches!(parent.origin, Origin::Annotation { .. })) else {
        return Decoded::default();
    };
    let (id, place) = (Box::new(parent.id.clone()), Box::new(parent.origin.clone()));
    let origin = Origin::Annotation { parent: id, place };
    let mut reading = Reading { origin, decoded: Decoded::default() };
    for document in documents(annotation) {
        let value = document.value().map_err(|error| {
            Fault::new("broken-yaml", FIELD, format!("this is not YAML: {error} (of the annotation)"))
        });
        match value.and_then(|value| whole(value, parent)) {
            Ok(value) => reading.read(value),
            Err(fault) => reading.decoded.problems.push(of_parent(fault, parent)),
        }
    }
    let mut decoded = reading.decoded;
    for problem in decoded.problems.iter_mut().filter(|problem| problem.object.is_none()) {
        problem.object = Some(parent.id.clone());
    }
    decoded
}

fn of_parent(fault: Fault, parent: &Object) -> Problem {
    fault.problem(Some(parent.id.clone()), &parent.origin)
}

/// The object with `metadata` and `spec`; namespace and labels it does not name are its parent's.
fn whole(value: Value, parent: &Object) -> Result<Value, Fault> {
    let Value::Object(mut fields) = value else {
        return Err(Fault::new("not-an-object", FIELD, format!("holds {}, not an object", describe(&value))));
    };
    let kind = fields.get("kind").and_then(text).unwrap_or_default();
    let api_version = fields.get("apiVersion").and_then(text).unwrap_or_default();
    if !matches!(Group::of(&api_version, &kind), Group::Ambassador(_) | Group::AmbassadorFuture) {
        let message = format!("a {kind} of {api_version:?} cannot be written in an annotation");
        return Err(Fault::new("bad-annotation", FIELD, message)
            .fix("write apiVersion: getambassador.io/v3alpha1, or make it an object of its own"));
    }
    unfold(&mut fields);
    let metadata = fields.entry("metadata").or_insert_with(|| Map::new().into());
    if let Value::Object(metadata) = metadata {
        metadata.entry("namespace").or_insert_with(|| (*parent.id.namespace).into());
        metadata.entry("labels").or_insert_with(|| {
            let labels = parent.meta.labels.iter();
            labels.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect()
        });
    }
    Ok(Value::Object(fields))
}

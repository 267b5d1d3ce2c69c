//! Whether an Ingress is the controller's, and what its class says.

use std::collections::BTreeMap;

use plenipo_resources::networking::{Ingress, IngressClass};
use plenipo_resources::{Object, Set, View};
use serde::Deserialize;

use super::group::Params;
use crate::account::Account;
use crate::owner::{DEFAULT_CLASS_ANNOTATION, INGRESS_CLASS_ANNOTATION, INGRESS_CONTROLLER, is_presumed};

/// The class the controller answers to in that annotation.
const CLASS: &str = "alb";

/// Whose an Ingress is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Class<'a> {
    /// The controller's. (With the annotation there are never parameters.)
    Ours(Option<Params<'a>>),
    /// Somebody else's, or nobody's.
    Foreign,
}

/// Whose an Ingress is. The annotation beats `spec.ingressClassName`.
///
/// # Errors
/// When its class, or the parameters of it, cannot be found or do not admit its namespace; the controller's words.
pub(super) fn classify<'a>(
    set: &'a Set,
    account: &Account,
    object: &Object,
    ingress: &Ingress,
) -> Result<Class<'a>, String> {
    if let Some(named) = object.meta.annotations.get(INGRESS_CLASS_ANNOTATION) {
        return Ok(if named == CLASS { Class::Ours(None) } else { Class::Foreign });
    }
    let name = match &ingress.ingress_class_name {
        Some(name) => name.clone(),
        None => match default_class(set)? {
            Some(name) => name,
            None if account.gates.ingresses_without_class => return Ok(Class::Ours(None)),
            None => return Ok(Class::Foreign),
        },
    };
    let invalid = |reason: String| format!("invalid ingress class: {reason}");
    let missing = |kind: &str, name: &str| invalid(format!("{kind} {name:?} not found"));
    let Some(class) = class(set, &name) else {
        // In front of a directory classes may be kept elsewhere.
        return match is_presumed(set, object, &name) {
            _ if account.complete => Err(missing("ingressclasses.networking.k8s.io", &name)),
            true => Ok(Class::Ours(None)),
            false if !has_class_of_ours(set) => Ok(Class::Foreign),
            false => Err(missing("ingressclasses.networking.k8s.io", &name)),
        };
    };
    if class.controller != INGRESS_CONTROLLER {
        return Ok(Class::Foreign);
    }
    let Some(reference) = &class.parameters else { return Ok(Class::Ours(None)) };
    if reference.api_group.as_deref() != Some("elbv2.k8s.aws") || reference.kind != "IngressClassParams" {
        return Err(invalid(format!("IngressClass {name} references unknown parameters")));
    }
    let params = set.get("IngressClassParams", "", &reference.name).and_then(|object| match &object.view {
        View::IngressClassParams(spec) => Some(Params { object, spec }),
        _ => None,
    });
    let params = params.ok_or_else(|| missing("ingressclassparamses.elbv2.k8s.aws", &reference.name))?;
    admits(set, account, &params, &object.id.namespace).map_err(invalid)?;
    Ok(Class::Ours(Some(params)))
}

/// Where there is no class of ours, a class that is not there is another controller's.
fn has_class_of_ours(set: &Set) -> bool {
    let mut classes = set.of_kind("IngressClass").iter();
    classes.any(
        |object| matches!(&object.view, View::IngressClass(class) if class.controller == INGRESS_CONTROLLER),
    )
}

fn class<'a>(set: &'a Set, name: &str) -> Option<&'a IngressClass> {
    match &set.get("IngressClass", "", name)?.view {
        View::IngressClass(class) => Some(class),
        _ => None,
    }
}

fn default_class(set: &Set) -> Result<Option<String>, String> {
    let is_default = |object: &Object| {
        object.meta.annotations.get(DEFAULT_CLASS_ANNOTATION).is_some_and(|on| on == "true")
    };
    let mut classes = set.of_kind("IngressClass").iter().filter(|object| is_default(object));
    match (classes.next(), classes.next()) {
        (Some(_), Some(_)) => Err("multiple default IngressClasses found".to_owned()),
        (class, _) => Ok(class.map(|object| object.id.name.to_string())),
    }
}

/// Do the parameters admit Ingresses of this namespace? In front of a directory its labels may not be known: then they do.
pub(super) fn admits(
    set: &Set,
    account: &Account,
    params: &Params<'_>,
    namespace: &str,
) -> Result<(), String> {
    let Some(selector) = &params.spec.namespace_selector else { return Ok(()) };
    let selector = Selector::deserialize(selector).map_err(|error| error.to_string())?;
    let Some(object) = set.get("Namespace", "", namespace) else {
        return if account.complete { Err(format!("namespaces {namespace:?} not found")) } else { Ok(()) };
    };
    let mut labels = object.meta.labels.clone();
    // Kubernetes gives every namespace this label.
    labels.entry("kubernetes.io/metadata.name".to_owned()).or_insert_with(|| namespace.to_owned());
    match selector.matches(&labels) {
        true => Ok(()),
        false => Err(format!("namespaceSelector of IngressClassParams {} mismatch", params.object.id.name)),
    }
}

/// A label selector (`metav1.LabelSelector`).
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Selector {
    match_labels: BTreeMap<String, String>,
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Selector {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.matches(labels))
    }
}

impl Expression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|value| self.values.contains(value)),
            "NotIn" => value.is_none_or(|value| !self.values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

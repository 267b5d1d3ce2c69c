//! Objects and accounts of rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_resources::core::IntOrString;
use plenipo_resources::{Object, Origin, Set, SetBuilder, View};
use serde_json::{Value, json};

use crate::account::Account;
use crate::ingress::group::{Member, Params};
use crate::ingress::written::{Action as Written, Deed, WrittenCondition};
use crate::stack::{Action, Condition};

/// An object, with what a manifest would have besides.
pub(super) fn object(kind: &str, value: &Value) -> Arc<Object> {
    let mut value = if value.is_null() { json!({}) } else { value.clone() };
    value["apiVersion"] = json!(match kind {
        "Service" | "Namespace" | "Secret" => "v1",
        "IngressClassParams" => "elbv2.k8s.aws/v1beta1",
        _ => "networking.k8s.io/v1",
    });
    value["kind"] = json!(kind);
    if value.pointer("/metadata/name").is_none() {
        value["metadata"]["name"] = json!("x");
    }
    if value.pointer("/metadata/annotations/unit-test~1delete").is_some() {
        value["metadata"]["deletionTimestamp"] = json!("2021-01-01T00:00:00Z");
    }
    if kind == "Secret" {
        value["stringData"] = value["data"].take();
    }
    let decoded = plenipo_resources::decode(value, Origin::Cluster);
    assert!(decoded.problems.is_empty(), "{:?}", decoded.problems);
    Arc::new(decoded.objects.into_iter().next().unwrap())
}

pub(super) fn set(objects: impl IntoIterator<Item = Arc<Object>>) -> Set {
    let mut builder = SetBuilder::default();
    objects.into_iter().for_each(|object| builder.add(object));
    builder.build()
}

/// All objects of a row's `env`.
pub(super) fn env(row: &Value) -> Vec<Arc<Object>> {
    let kinds = [
        ("nsList", "Namespace"),
        ("ingClassList", "IngressClass"),
        ("ingClassParamsList", "IngressClassParams"),
        ("ingList", "Ingress"),
        ("svcs", "Service"),
        ("secrets", "Secret"),
    ];
    let all = kinds
        .iter()
        .flat_map(|(list, kind)| items(&row["env"][list]).into_iter().map(|value| object(kind, &value)));
    all.collect()
}

pub(super) fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// `{Ing, IngClassConfig}`: an Ingress and the parameters of its class.
pub(super) struct Classified {
    ingress: Arc<Object>,
    params: Option<Arc<Object>>,
}

impl Classified {
    pub(super) fn new(value: &Value) -> Self {
        let params = &value["IngClassConfig"]["IngClassParams"];
        Self {
            ingress: object("Ingress", &value["Ing"]),
            params: (!params.is_null()).then(|| object("IngressClassParams", params)),
        }
    }

    /// An Ingress with these annotations.
    pub(super) fn annotated(annotations: &Value) -> Self {
        Self::new(&json!({"Ing": {"metadata": {"namespace": "awesome-ns", "annotations": annotations}}}))
    }

    pub(super) fn member(&self) -> Member<'_> {
        let View::Ingress(ingress) = &self.ingress.view else { panic!("not an Ingress") };
        let params = self.params.as_ref().map(|params| {
            let View::IngressClassParams(spec) = &params.view else { panic!("not an IngressClassParams") };
            Params { object: params, spec }
        });
        Member { object: &self.ingress, ingress, params }
    }
}

/// Runs something with the members of a list.
pub(super) fn with_members<T>(list: &Value, run: impl FnOnce(&[Member<'_>]) -> T) -> T {
    let classified: Vec<Classified> = items(list).iter().map(Classified::new).collect();
    let members: Vec<Member<'_>> = classified.iter().map(Classified::member).collect();
    run(&members)
}

/// What a row says of the controller's settings.
pub(super) fn account(fields: &Value) -> Account {
    let map = |value: &Value| -> BTreeMap<String, String> {
        serde_json::from_value(value.clone()).unwrap_or_default()
    };
    let mut account = Account { complete: true, ..Account::default() };
    account.cluster = "cluster-dummy".to_owned();
    account.default_tags = map(&fields["defaultTags"]);
    account.external_tag_keys =
        serde_json::from_value(fields["externalManagedTags"]["$set"].clone()).unwrap_or_default();
    let gates = &fields["enabledFeatureGates"]["$featureGates"]["enable"];
    account.gates.default_tags_low_priority = items(gates).contains(&json!("EnableDefaultTagsLowPriority"));
    account.gates.manage_backend_rules = fields["enableManageBackendSGRules"] == true;
    let scheme = fields["defaultScheme"].as_str().unwrap_or("internal");
    account.default_scheme = scheme.to_owned();
    account
}

/// The text of a wanted error; `Some("")` = any.
pub(super) fn wanted_error(row: &Value) -> Option<String> {
    for key in ["expectedErrMsg", "errMsg", "errorMsg", "expectedErrorMessage", "errSubString"] {
        if let Some(text) = row[key].as_str() {
            return Some(text.to_owned());
        }
    }
    ["wantErr", "wantError"].iter().find_map(|key| match &row[*key] {
        Value::Bool(true) => Some(String::new()),
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Object(error) => Some(error["$error"][0].as_str().unwrap().to_owned()),
        _ => None,
    })
}

pub(super) fn port(value: &Value) -> IntOrString {
    match value {
        Value::String(name) => IntOrString::String(name.clone()),
        number => IntOrString::Int(number.as_i64().unwrap()),
    }
}

/// A condition in AWS's JSON.
pub(super) fn condition(value: &Value) -> Condition {
    let written: WrittenCondition = serde_json::from_value(value.clone()).unwrap();
    written.valid().unwrap().unwrap()
}

pub(super) fn conditions(value: &Value) -> Vec<Condition> {
    items(value).iter().map(condition).collect()
}

/// An action as users write it; rows leave out weights that they do not look at.
pub(super) fn deed(value: &Value) -> Deed {
    let mut value = value.clone();
    let targets = value.pointer_mut("/forwardConfig/targetGroups").and_then(Value::as_array_mut);
    if let Some(targets) = targets.filter(|targets| targets.len() > 1) {
        for target in targets.iter_mut().filter(|target| target["weight"].is_null()) {
            target["weight"] = json!(1);
        }
    }
    serde_json::from_value::<Written>(value).unwrap().valid().unwrap()
}

/// An action in AWS's JSON; of forwards and sign-ins only that they are there.
pub(super) fn action(value: &Value) -> Action {
    match value["type"].as_str().unwrap() {
        "redirect" | "fixed-response" => match deed(value) {
            Deed::Redirect(redirect) => Action::Redirect(redirect),
            Deed::FixedResponse { status, content_type, body } => {
                Action::FixedResponse { status, content_type, body }
            }
            Deed::Forward { .. } => unreachable!("neither is one"),
        },
        _ => Action::AuthenticateOidc(value.clone()),
    }
}

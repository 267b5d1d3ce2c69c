//! Classes, groups, order, certificates' names.

use plenipo_resources::{Object, Set, View};
use serde_json::{Value, json};

use super::fixture::{self, Classified, account, env, object, set, with_members};
use super::{Outcome, Table};
use crate::account::Account;
use crate::ingress::class::{Class, admits, classify};
use crate::ingress::group::{self, GroupId, Member, Params};
use crate::ingress::{certificates, groups};

pub(super) const TABLES: &[Table] = &[
    ("ingress/group_loader/Test_defaultGroupLoader_Load", load),
    ("ingress/group_loader/Test_defaultGroupLoader_LoadGroupIDsPendingFinalization", apart),
    ("ingress/group_loader/Test_defaultGroupLoader_containsGroupFinalizer", apart),
    ("ingress/group_loader/Test_defaultGroupLoader_classifyIngress", classified),
    ("ingress/group_loader/Test_defaultGroupLoader_loadGroupID", id),
    ("ingress/group_loader/Test_defaultGroupLoader_loadGroupIDIfAnyHelper", id_if_any),
    ("ingress/group_loader/Test_defaultGroupLoader_sortGroupMembers", in_order),
    ("ingress/group_loader/Test_validateGroupName", valid_name),
    ("ingress/class_loader/Test_defaultClassLoader_Load", class),
    ("ingress/class_loader/Test_defaultClassLoader_validateIngressClassParamsNamespaceRestriction", admitted),
    ("ingress/class_annotation_matcher/Test_defaultClassAnnotationMatcher_Matches", matcher),
    ("certs/cert_discovery/Test_acmCertDiscovery_domainMatchesHost", covers),
    ("ingress/group/TestGroupID_String", id_text),
];

/// The controller remembers membership in finalizers; here an Ingress belongs where it says.
fn apart(_: &Value) -> Outcome {
    Outcome::Apart
}

fn group_id(value: &Value) -> GroupId {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    match text("Namespace") {
        namespace if namespace.is_empty() => GroupId::Explicit(text("Name")),
        namespace => GroupId::Implicit { namespace, name: text("Name") },
    }
}

fn names(members: &[Member<'_>]) -> Value {
    members.iter().map(|member| member.object.id.name.to_string()).collect()
}

fn wanted_names(members: &Value) -> Value {
    fixture::items(members).iter().map(|member| member["Ing"]["metadata"]["name"].clone()).collect()
}

/// Only who takes part is compared: who has left is known by finalizers.
fn load(row: &Value) -> Outcome {
    if fixture::wanted_error(row).is_some() {
        return Outcome::Apart;
    }
    let set = set(env(row));
    let wanted = group_id(&row["args"]["groupID"]);
    let (groups, _) = groups(&set, &account(&Value::Null));
    let group = groups.iter().find(|group| group.id == wanted);
    let members = group.map(|group| group::in_order(&group.members).unwrap()).unwrap_or_default();
    Outcome::of(&wanted_names(&row["want"]["Members"]), &names(&members))
}

fn ingress(object: &Object) -> &plenipo_resources::networking::Ingress {
    match &object.view {
        View::Ingress(ingress) => ingress,
        _ => panic!("not an Ingress"),
    }
}

fn of_class<'a>(set: &'a Set, account: &Account, object: &Object) -> Result<Class<'a>, String> {
    classify(set, account, object, ingress(object))
}

fn flags(row: &Value) -> Account {
    let mut account = account(&Value::Null);
    account.gates.ingresses_without_class = row["fields"]["manageIngressesWithoutIngressClass"] == true;
    account
}

fn classified(row: &Value) -> Outcome {
    let object = object("Ingress", &row["args"]["ing"]);
    let set = set(env(row));
    let got = of_class(&set, &flags(row), &object).map(|class| json!(matches!(class, Class::Ours(_))));
    let wanted = json!(row["wantIngressClassMatches"] == true);
    Outcome::result(row, &wanted, got)
}

fn class(row: &Value) -> Outcome {
    let object = object("Ingress", &row["args"]["ing"]);
    let set = set(env(row));
    let got = of_class(&set, &flags(row), &object).map(|class| match class {
        Class::Ours(params) => json!([true, params.map(|params| params.object.id.name.to_string())]),
        Class::Foreign => json!([false, null]),
    });
    let want = &row["want"];
    let ours = want.pointer("/IngClass/spec/controller") == Some(&json!("ingress.k8s.aws/alb"));
    Outcome::result(row, &json!([ours, want.pointer("/IngClassParams/metadata/name")]), got)
}

fn admitted(row: &Value) -> Outcome {
    let args = &row["args"];
    let params = object("IngressClassParams", &args["ingClassParams"]);
    let View::IngressClassParams(spec) = &params.view else { panic!("not an IngressClassParams") };
    let requested = args.pointer("/admissionReq/AdmissionRequest/Namespace").and_then(Value::as_str);
    let own = args.pointer("/ing/metadata/namespace").and_then(Value::as_str);
    let set = set(env(row));
    let got =
        admits(&set, &account(&Value::Null), &Params { object: &params, spec }, requested.or(own).unwrap());
    Outcome::result(row, &Value::Null, got.map(|()| Value::Null))
}

fn matcher(row: &Value) -> Outcome {
    let named = &row["args"]["ingClassAnnotation"];
    // Another name of the controller's class, or none at all, is a flag that is not modelled.
    if named == "" {
        return Outcome::Apart;
    }
    let classified = Classified::annotated(&json!({"kubernetes.io/ingress.class": named}));
    let member = classified.member();
    let set = Set::default();
    let got = of_class(&set, &account(&Value::Null), member.object).unwrap();
    Outcome::of(&row["want"], &json!(matches!(got, Class::Ours(_))))
}

fn id(row: &Value) -> Outcome {
    let classified = Classified::new(&row["args"]["classifiedIng"]);
    let got = group::id(&classified.member());
    let wanted = row.get("want").map(|want| group_id(want).to_string());
    Outcome::result(row, &json!(wanted), got.map(|id| json!(id.to_string())).map_err(|error| error.message))
}

fn id_if_any(row: &Value) -> Outcome {
    let mut objects = env(row);
    objects.push(object("Ingress", &row["args"]["ing"]));
    let set = set(objects);
    let (groups, problems) = groups(&set, &account(&Value::Null));
    let group = groups.iter().find(|group| !group.members.is_empty());
    let got = match problems.first() {
        Some(problem) => Err(problem.message.clone()),
        None => Ok(json!(group.map(|group| group.id.to_string()))),
    };
    let wanted = &row["wantGroupID"];
    let wanted = (!wanted.is_null()).then(|| group_id(wanted).to_string());
    Outcome::result(row, &json!(wanted), got)
}

fn in_order(row: &Value) -> Outcome {
    with_members(&row["members"], |members| {
        let got = group::in_order(members).map(|members| names(&members));
        Outcome::result(row, &wanted_names(&row["want"]), got.map_err(|error| error.message))
    })
}

fn valid_name(row: &Value) -> Outcome {
    let got = group::valid_name(row["groupName"].as_str().unwrap());
    Outcome::result(row, &Value::Null, got.map(|()| Value::Null))
}

fn covers(row: &Value) -> Outcome {
    let text = |key: &str| row["args"][key].as_str().unwrap().to_owned();
    Outcome::of(&row["want"], &json!(certificates::covers(&text("domainName"), &text("tlsHost"))))
}

fn id_text(row: &Value) -> Outcome {
    Outcome::of(&row["want"], &json!(group_id(&row["groupID"]).to_string()))
}

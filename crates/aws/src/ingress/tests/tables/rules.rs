//! Patterns, conditions, order, optimizer, actions and transforms of annotations.

use plenipo_resources::networking::{IngressBackend, IngressPath, IngressRule};
use serde_json::{Value, json};

use super::fixture::{Classified, account, action, condition, conditions, deed, env, items, set};
use super::{Outcome, Table};
use crate::annotations::Annotations;
use crate::ingress::auth::{Auth, Kind};
use crate::ingress::backend;
use crate::ingress::written::{Deed, WrittenTransform};
use crate::ingress::{optimizer, rules, tags};
use crate::stack::{Action, Condition, ListenerProtocol, Rule, Transform, Values};

pub(super) const TABLES: &[Table] = &[
    ("ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildPathPatterns", patterns),
    (
        "ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildPathPatternsForExactPathType",
        exact,
    ),
    (
        "ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildPathPatternsForPrefixPathType",
        prefix,
    ),
    (
        "ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildImplementationSpecificPathPatterns",
        implementation_specific,
    ),
    ("ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildRuleConditions", rule_conditions),
    ("ingress/model_build_listener_rules/Test_defaultModelBuildTask_sortIngressPath", sorted),
    ("ingress/model_build_listener_rules/Test_defaultModelBuildTask_classifyIngressPathsByType", classified),
    ("ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildTransforms", transforms),
    ("ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildListenerRuleTags", rule_tags),
    (
        "ingress/model_build_listener_rules/Test_defaultModelBuildTask_buildListenerRuleTags_FeatureGate",
        rule_tags,
    ),
    ("ingress/rule_optimizer/Test_defaultRuleOptimizer_Optimize", optimize),
    ("ingress/rule_optimizer/Test_findRedirectActionConfig", find_redirect),
    ("ingress/rule_optimizer/Test_isInfiniteRedirectRule", endless),
    ("ingress/rule_optimizer/Test_isSupersetConditions", superset),
    ("ingress/rule_optimizer/TestIsSupersetConditions_DifferentRegexPaths", superset),
    ("ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_Build", whole_backend),
    (
        "ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_buildActionViaAnnotation",
        written_action,
    ),
    (
        "ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_buildActionViaServiceAndServicePort",
        plain_action,
    ),
    (
        "ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_build503ResponseAction",
        unavailable,
    ),
    (
        "ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_buildConditions",
        written_conditions,
    ),
    (
        "ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_buildTransforms",
        written_transforms,
    ),
    ("ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_loadBackendServices", loaded),
    ("ingress/enhanced_backend_builder/Test_defaultEnhancedBackendBuilder_buildAuthConfig", sign_in),
    ("ingress/auth_config_builder/Test_defaultAuthConfigBuilder_Build", auth_config),
    ("ingress/model_build_actions/Test_defaultModelBuildTask_buildAuthenticateOIDCAction", oidc_action),
];

fn texts(values: &Value) -> Vec<String> {
    serde_json::from_value(values.clone()).unwrap_or_default()
}

fn same<T: PartialEq + std::fmt::Debug>(wanted: &T, got: &T) -> Outcome {
    match wanted == got {
        true => Outcome::Equal,
        false => Outcome::Differs(format!("wanted {wanted:?}, got {got:?}")),
    }
}

fn found(row: &Value, values: Result<Values, String>) -> Outcome {
    let values = values.map(|values| match values {
        Values::Wildcards(values) => json!([values, []]),
        Values::Regexes(values) => json!([[], values]),
    });
    let plain = if row["wantValues"].is_null() { &row["want"] } else { &row["wantValues"] };
    Outcome::result(row, &json!([texts(plain), texts(&row["wantRegexValues"])]), values)
}

fn text<'a>(row: &'a Value, pointer: &str) -> &'a str {
    row.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn patterns(row: &Value) -> Outcome {
    let kind = row.pointer("/args/pathType").and_then(Value::as_str);
    found(row, rules::patterns(text(row, "/args/path"), kind, false))
}

fn exact(row: &Value) -> Outcome {
    found(row, rules::patterns(text(row, "/args/path"), Some("Exact"), false))
}

fn prefix(row: &Value) -> Outcome {
    found(row, rules::patterns(text(row, "/args/path"), Some("Prefix"), false))
}

/// These rows were made with the prefix of Services.
fn under_our_prefix(value: &Value) -> Value {
    let text = value.to_string().replace("service.beta.kubernetes.io/", "alb.ingress.kubernetes.io/");
    serde_json::from_str(&text).unwrap()
}

fn implementation_specific(row: &Value) -> Outcome {
    let classified = Classified::new(&under_our_prefix(&row["args"]["ing"]));
    let path = IngressPath { path: Some(text(row, "/args/path").to_owned()), ..IngressPath::default() };
    let conditions = rules::conditions(&classified.member(), &IngressRule::default(), &path, &[]);
    let values = conditions.map(|conditions| match conditions.into_iter().next() {
        Some(Condition::Path(values)) => values,
        other => panic!("{other:?}"),
    });
    found(row, values)
}

fn rule_conditions(row: &Value) -> Outcome {
    let classified = Classified::new(&under_our_prefix(&row["ing"]));
    let rule: IngressRule = serde_json::from_value(row["rule"].clone()).unwrap();
    let path: IngressPath = serde_json::from_value(row["path"].clone()).unwrap();
    let added = conditions(&row["backend"]["Conditions"]);
    let got = rules::conditions(&classified.member(), &rule, &path, &added);
    match got {
        Ok(got) if row["wantErr"] == false => same(&conditions(&row["want"]), &got),
        got => Outcome::result(row, &Value::Null, got.map(|got| json!(format!("{got:?}")))),
    }
}

fn paths(value: &Value) -> Vec<IngressPath> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

fn sorted(row: &Value) -> Outcome {
    let given = paths(&row["args"]["paths"]);
    let got = rules::in_order(&given).unwrap();
    same(&paths(&row["want"]), &got.into_iter().map(|(_, path)| path.clone()).collect())
}

fn classified(row: &Value) -> Outcome {
    let given = paths(&row["args"]["paths"]);
    let got = rules::in_order(&given).map(|got| {
        let of = |kind: &str| -> Vec<String> {
            let there = got.iter().filter(|(_, path)| path.path_type.as_deref() == Some(kind));
            there.filter_map(|(_, path)| path.path.clone()).collect()
        };
        json!([of("Exact"), of("Prefix"), of("ImplementationSpecific")])
    });
    let of =
        |list: &str| -> Vec<String> { paths(&row[list]).into_iter().filter_map(|path| path.path).collect() };
    let wanted = json!([of("wantExactPaths"), of("wantPrefixPaths"), of("wantImplementationSpecificPaths")]);
    Outcome::result(row, &wanted, got)
}

fn read_transforms(value: &Value) -> Result<Vec<Transform>, String> {
    let written: Vec<WrittenTransform> = serde_json::from_value(value.clone()).unwrap_or_default();
    written.into_iter().map(WrittenTransform::valid).collect()
}

fn transforms(row: &Value) -> Outcome {
    let got = read_transforms(&row["args"]["backend"]["Transforms"]);
    match got {
        Ok(got) if row["wantErr"].is_null() => same(&read_transforms(&row["want"]).unwrap(), &got),
        got => Outcome::result(row, &Value::Null, got.map(|got| json!(format!("{got:?}")))),
    }
}

fn rule_tags(row: &Value) -> Outcome {
    let classified = Classified::new(&row["fields"]["ing"]);
    let got = tags::of_member(&classified.member(), &account(&row["fields"]));
    Outcome::result(row, &row["want"], got.map(|tags| json!(tags)).map_err(|error| error.message))
}

fn rule(value: &Value) -> Rule {
    Rule {
        priority: 0,
        source: plenipo_resources::ObjectId::new("Ingress", "", ""),
        conditions: conditions(&value["Conditions"]),
        actions: items(&value["Actions"]).iter().map(action).collect(),
        transforms: Vec::new(),
        tags: Default::default(),
    }
}

fn protocol(value: &Value) -> ListenerProtocol {
    if value == "HTTPS" { ListenerProtocol::Https } else { ListenerProtocol::Http }
}

fn number(value: &Value) -> u16 {
    u16::try_from(value.as_u64().unwrap()).unwrap()
}

fn optimize(row: &Value) -> Outcome {
    let args = &row["args"];
    let given = items(&args["rules"]).iter().map(rule).collect();
    let got = optimizer::optimized(number(&args["port"]), protocol(&args["protocol"]), given);
    same(&items(&row["want"]).iter().map(rule).collect(), &got)
}

fn find_redirect(row: &Value) -> Outcome {
    let actions: Vec<Action> = items(&row["args"]["actions"]).iter().map(action).collect();
    let wanted =
        (!row["want"].is_null()).then(|| action(&json!({"type": "redirect", "redirectConfig": row["want"]})));
    same(&wanted, &optimizer::redirect(&actions).cloned().map(Action::Redirect))
}

fn endless(row: &Value) -> Outcome {
    let args = &row["args"];
    let rule = rule(&args["rule"]);
    let got = optimizer::is_endless(number(&args["port"]), protocol(&args["protocol"]), &rule);
    Outcome::of(&row["want"], &json!(got))
}

fn superset(row: &Value) -> Outcome {
    let either = |short: &str, long: &str| match row["args"].is_null() {
        true => row[short].clone(),
        false => row["args"][long].clone(),
    };
    let lhs = conditions(&either("lhsRules", "lhsConditions"));
    let rhs = conditions(&either("rhsRules", "rhsConditions"));
    let wanted = if row["want"].is_null() { &row["expected"] } else { &row["want"] };
    Outcome::of(wanted, &json!(optimizer::takes_all(&lhs, &rhs)))
}

fn whole_backend(row: &Value) -> Outcome {
    let args = &row["args"];
    // Whether Services are loaded is an option of the controller's own callers.
    if args["loadBackendServices"] == false {
        return Outcome::Apart;
    }
    let classified = Classified::new(&json!({"Ing": args["ing"]}));
    let written: IngressBackend = serde_json::from_value(args["backend"].clone()).unwrap();
    let mut account = account(&Value::Null);
    account.gates.tolerate_missing_backend = ["Service", "Action"]
        .iter()
        .all(|what| row["fields"][format!("tolerateNonExistentBackend{what}")] != false);
    let set = set(env(row));
    let read = backend::read(&set, &account, &classified.member(), &written, "spec");
    let backend = match read {
        Ok(backend) => backend,
        Err(error) => return Outcome::result(row, &Value::Null, Err(error.message)),
    };
    if super::fixture::wanted_error(row).is_some() {
        return Outcome::Differs("no error".to_owned());
    }
    let want = &row["want"];
    let conditions_equal = conditions(&want["Conditions"]) == backend.conditions;
    let transforms_equal = read_transforms(&want["Transforms"]) == Ok(backend.transforms.clone());
    let jwt = want.get("JwtValidationConfig").map(|config| Action::ValidateJwt(config.clone()));
    let equal = conditions_equal
        && transforms_equal
        && deed(&want["Action"]) == backend.deed
        && auth(&want["AuthConfig"]) == backend.auth
        && jwt == backend.jwt;
    if equal { Outcome::Equal } else { Outcome::Differs(format!("got {backend:?}")) }
}

fn auth(value: &Value) -> Auth {
    let part = |name: &str| value[name].clone();
    let word = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Auth {
        kind: match value["Type"].as_str() {
            Some("cognito") => Kind::Cognito,
            Some("oidc") => Kind::Oidc,
            _ => Kind::None,
        },
        cognito: serde_json::from_value(part("IDPConfigCognito")).unwrap(),
        oidc: serde_json::from_value(part("IDPConfigOIDC")).unwrap(),
        on_unauthenticated: word("OnUnauthenticatedRequest"),
        scope: word("Scope"),
        session_cookie: word("SessionCookieName"),
        session_timeout: value["SessionTimeout"].as_i64().unwrap(),
    }
}

fn written_action(row: &Value) -> Outcome {
    let args = &row["args"];
    let classified = Classified::annotated(&args["ingAnnotation"]);
    let mut account = account(&Value::Null);
    account.gates.tolerate_missing_backend = false;
    let got = backend::action(&classified.member(), &account, text(row, "/args/svcName"));
    match got {
        Ok(got) if row["wantErr"].is_null() => same(&deed(&row["want"]), &got),
        got => Outcome::result(
            row,
            &Value::Null,
            got.map(|got| json!(format!("{got:?}"))).map_err(|error| error.message),
        ),
    }
}

fn plain_action(row: &Value) -> Outcome {
    let port = super::fixture::port(&row["args"]["svcPort"]);
    same(&deed(&row["want"]), &Deed::to_service(text(row, "/args/svcName"), port))
}

fn unavailable(row: &Value) -> Outcome {
    same(&deed(&row["want"]), &Deed::unavailable(text(row, "/args/messageBody")))
}

fn written_conditions(row: &Value) -> Outcome {
    let classified = Classified::annotated(&row["args"]["ingAnnotation"]);
    let got = backend::conditions(&classified.member(), text(row, "/args/svcName")).unwrap();
    same(&items(&row["want"]).iter().map(condition).collect(), &got)
}

fn written_transforms(row: &Value) -> Outcome {
    let classified = Classified::annotated(&row["args"]["ingAnnotation"]);
    let got = backend::transforms(&classified.member(), text(row, "/args/svcName")).unwrap();
    same(&read_transforms(&row["want"]).unwrap(), &got)
}

fn loaded(row: &Value) -> Outcome {
    let classified = Classified::annotated(&json!({}));
    let mut account = account(&Value::Null);
    account.gates.tolerate_missing_backend = row["fields"]["tolerateNonExistentBackendService"] == true;
    let mut got = deed(&row["args"]["action"]);
    let set = set(env(row));
    match backend::load(&set, &account, &classified.member(), &mut got, "spec") {
        Ok(()) if row["wantErr"].is_null() => same(&deed(&row["wantAction"]), &got),
        Ok(()) => Outcome::Differs("no error".to_owned()),
        Err(error) => Outcome::result(row, &Value::Null, Err(error.message)),
    }
}

fn sign_in(row: &Value) -> Outcome {
    let args = &row["args"];
    let classified = Classified::annotated(&args["ingAnnotation"]);
    let services = args["backendServices"].as_object().unwrap().iter().map(|(key, service)| {
        let (namespace, name) = key.split_once('/').unwrap();
        let mut service = service.clone();
        service["metadata"]["namespace"] = json!(namespace);
        service["metadata"]["name"] = json!(name);
        super::fixture::object("Service", &service)
    });
    let got = backend::sign_in(&set(services), &classified.member(), &deed(&args["action"]));
    same(&auth(&row["want"]), &got.unwrap())
}

fn auth_config(row: &Value) -> Outcome {
    let annotations = serde_json::from_value(row["args"]["svcAndIngAnnotations"].clone()).unwrap_or_default();
    same(&Ok(auth(&row["want"])), &Auth::read(&Annotations::ingress(&annotations)))
}

fn oidc_action(row: &Value) -> Outcome {
    let mut config = row["args"]["authCfg"].clone();
    for (name, default) in [("SessionTimeout", json!(0)), ("IDPConfigOIDC", Value::Null)] {
        if config.get(name).is_none() {
            config[name] = default;
        }
    }
    // The type in these rows is not looked at.
    let auth = Auth { kind: Kind::Oidc, ..auth(&config) };
    let set = set(env(row));
    let got = auth.action(&set, text(row, "/args/namespace"), false);
    let got = got.map_err(|(_, message)| message).map(|action| match action {
        Some(Action::AuthenticateOidc(config)) => config,
        other => panic!("{other:?}"),
    });
    // The model never holds the client's secret, but says where it is.
    let mut wanted = row["want"]["authenticateOIDCConfig"].clone();
    if let Some(fields) = wanted.as_object_mut() {
        fields.remove("clientSecret");
        fields.insert("secret".to_owned(), json!("my-ns/my-k8s-secret"));
    }
    Outcome::result(row, &wanted, got)
}

//! Target groups.

use plenipo_resources::View;
use plenipo_resources::core::ServicePort;
use serde_json::{Value, json};

use super::fixture::{Classified, account, object, port};
use super::{Outcome, Table};
use crate::annotations::Annotations;
use crate::ingress::group::GroupId;
use crate::ingress::target_group::{self, Common};
use crate::ingress::{health, tags};
use crate::stack::{
    AddressType, GroupRef, HealthPort, PeerRef, PortRef, TargetGroup, TargetProtocol, TargetType,
};

pub(super) const TABLES: &[Table] = &[
    ("ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupName", name),
    ("ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupPort", number),
    ("ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupSpec", spec),
    (
        "ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupBindingNetworking",
        networking,
    ),
    (
        "ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupBindingNodeSelector",
        selector,
    ),
    (
        "ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupBindingMultiClusterFlag",
        clusters,
    ),
    ("ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupHealthCheckPath", path),
    ("ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupHealthCheckMatcher", codes),
    (
        "ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupTargetControlPort",
        control_port,
    ),
    ("ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupTags", backend_tags),
    (
        "ingress/model_build_target_group/Test_defaultModelBuildTask_buildTargetGroupTags_FeatureGate",
        backend_tags,
    ),
    ("ingress/model_build_tags/Test_defaultModelBuildTask_buildIngressBackendResourceTags", tags_of_backend),
];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn target_type(value: &Value) -> TargetType {
    if value == "ip" { TargetType::Ip } else { TargetType::Instance }
}

fn common<'a>(id: &'a GroupId, account: &'a crate::Account) -> Common<'a> {
    Common { id, account, addresses: AddressType::Ipv4, admitted: None }
}

fn name(row: &Value) -> Outcome {
    let args = &row["args"];
    let classified = Classified::new(&json!({"Ing": {"metadata": args["ingKey"]}}));
    let service = object("Service", &args["svc"]);
    // The rows were made without a cluster's and a group's name.
    let (id, mut account) = (GroupId::Explicit(String::new()), account(&Value::Null));
    account.cluster = String::new();
    let protocol = if args["tgProtocol"] == "HTTPS" { TargetProtocol::Https } else { TargetProtocol::Http };
    let number = |key: &str| args[key].as_u64().map(|number| u16::try_from(number).unwrap());
    let key = (
        number("tgPort").unwrap(),
        target_type(&args["targetType"]),
        protocol,
        args["tgProtocolVersion"].as_str().unwrap(),
        number("controlPort"),
    );
    let got =
        target_group::name(&common(&id, &account), &classified.member(), &service, &port(&args["port"]), key);
    Outcome::of(&row["want"], &json!(got))
}

fn number(row: &Value) -> Outcome {
    let service_port: ServicePort = serde_json::from_value(row["args"]["svcPort"].clone()).unwrap();
    let kind = target_type(&row["args"]["targetType"]);
    let got = target_group::number(&Default::default(), &service_port, kind);
    Outcome::result(row, &row["want"], got.map(|number| json!(number)))
}

/// A target group of a row's Ingress and Service.
fn built(ingress: &Value, service: &Value, port: &Value) -> Result<TargetGroup, String> {
    let classified = Classified::new(ingress);
    let object = object("Service", service);
    let View::Service(spec) = &object.view else { panic!("not a Service") };
    let (id, account) = (GroupId::Explicit("x".to_owned()), account(&Value::Null));
    let built = target_group::build(
        &common(&id, &account),
        &classified.member(),
        (&object, spec),
        &super::fixture::port(port),
    );
    built.map_err(|error| error.message)
}

fn spec(row: &Value) -> Outcome {
    let args = &row["args"];
    let mut service = args["svc"].clone();
    service["spec"]["ports"] = json!([args["svcPort"]]);
    let got = built(&args["ing"], &service, &args["port"]);
    Outcome::result(row, &Value::Null, got.map(|_| Value::Null))
}

fn networking(row: &Value) -> Outcome {
    let mut account = account(&Value::Null);
    account.gates.restricted_security_group_rules = row["disableRestrictedSGRules"] != true;
    let number = |key: &str| row[key].as_u64().map(|number| u16::try_from(number).unwrap());
    let got = target_group::networking(
        &account,
        &GroupRef::Id("sg-backend".to_owned()),
        PortRef::Number(number("targetPort").unwrap()),
        number("healthCheckPort").map_or(HealthPort::Traffic, HealthPort::Port),
        number("targetControlPort"),
    );
    let rules = got.iter().map(|rule| {
        let from = rule.from.iter().map(|peer| match peer {
            PeerRef::Group(GroupRef::Id(id)) => json!({"securityGroup": {"groupID": id}}),
            other => panic!("{other:?}"),
        });
        let ports = rule.ports.iter().map(|port| json!({"protocol": port.protocol, "port": port.port}));
        json!({"from": from.collect::<Value>(), "ports": ports.collect::<Value>()})
    });
    Outcome::of(&row["expected"], &json!({"ingress": rules.collect::<Value>()}))
}

/// A Service with a port that both kinds of targets can have.
fn service(value: &Value) -> Value {
    let mut service = if value.is_null() { json!({}) } else { value.clone() };
    service["spec"]["ports"] = json!([{"port": 80, "targetPort": 8080, "nodePort": 30080}]);
    service
}

fn selector(row: &Value) -> Outcome {
    let args = &row["args"];
    let mut ingress = args["ing"].clone();
    let mut service = service(&args["svc"]);
    for object in [&mut ingress["Ing"], &mut service] {
        let kind = args["targetType"].as_str().unwrap_or("instance");
        object["metadata"]["annotations"]["alb.ingress.kubernetes.io/target-type"] = json!(kind);
    }
    let got = built(&ingress, &service, &json!(80)).map(|group| match group.node_selector.is_empty() {
        true => Value::Null,
        false => json!({"matchLabels": group.node_selector}),
    });
    Outcome::result(row, &row["want"], got)
}

fn clusters(row: &Value) -> Outcome {
    let got = built(&row["ing"], &service(&row["svc"]), &json!(80));
    Outcome::result(row, &row["want"], got.map(|group| json!(group.multi_cluster.unwrap_or(false))))
}

fn with_annotations<T>(row: &Value, run: impl FnOnce(&Annotations<'_>) -> T) -> T {
    let values = serde_json::from_value(row["args"]["svcAndIngAnnotations"].clone()).unwrap_or_default();
    run(&Annotations::ingress(&values))
}

fn path(row: &Value) -> Outcome {
    let version = text(&row["args"]["tgProtocolVersion"]);
    let got = with_annotations(row, |notes| health::path(notes, &version));
    Outcome::of(&row["want"], &json!(got))
}

fn codes(row: &Value) -> Outcome {
    let version = text(&row["args"]["tgProtocolVersion"]);
    let got = with_annotations(row, |notes| {
        let service = plenipo_resources::core::Service::default();
        health::check(notes, ("x", &service), TargetType::Ip, TargetProtocol::Http, &version)
            .unwrap()
            .success_codes
    });
    let key = if version == "GRPC" { "grpcCode" } else { "httpCode" };
    Outcome::of(&row["want"], &json!({key: got}))
}

fn control_port(row: &Value) -> Outcome {
    let service = object("Service", &row["args"]["svc"]);
    let port = row["args"].get("port").map_or(port(&json!(80)), port);
    let got =
        with_annotations(row, |notes| target_group::control_port(notes, &service, &port, TargetType::Ip));
    Outcome::result(row, &row["want"], got.map(|port| json!(port)).map_err(|(_, message)| message))
}

fn of_backend(row: &Value, service: &str) -> Outcome {
    let classified = Classified::new(&row["args"]["ing"]);
    let service = object("Service", &row["args"][service]);
    let account = account(&row["fields"]);
    let got = tags::of_backend_service(&classified.member(), &service, &account);
    Outcome::result(row, &row["want"], got.map(|tags| json!(tags)).map_err(|error| error.message))
}

fn backend_tags(row: &Value) -> Outcome {
    of_backend(row, "svc")
}

fn tags_of_backend(row: &Value) -> Outcome {
    of_backend(row, "backend")
}

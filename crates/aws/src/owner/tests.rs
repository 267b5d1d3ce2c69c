use std::sync::Arc;

use plenipo_resources::{Origin, SetBuilder};

use super::*;

fn object(kind: &str, annotations: &[(&str, &str)], spec: &serde_json::Value) -> Arc<Object> {
    let api_version = match kind {
        "Service" => "v1",
        _ => "networking.k8s.io/v1",
    };
    let annotations: serde_json::Map<_, _> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    let value = serde_json::json!({
        "apiVersion": api_version, "kind": kind, "spec": spec,
        "metadata": {"name": "x", "annotations": annotations},
    });
    Arc::new(plenipo_resources::decode(value, Origin::Cluster).objects.remove(0))
}

fn of_service(annotations: &[(&str, &str)], spec: &serde_json::Value) -> Option<(Controller, Kind)> {
    let annotations: Vec<(String, &str)> = annotations
        .iter()
        .map(|(key, value)| (format!("service.beta.kubernetes.io/aws-load-balancer-{key}"), *value))
        .collect();
    let annotations: Vec<_> = annotations.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let object = object("Service", &annotations, spec);
    let View::Service(view) = &object.view else { unreachable!("it is a Service") };
    service(&object, view, &Gates::default()).owner.map(|owner| (owner.controller, owner.kind))
}

#[test]
fn services() {
    let balanced = || serde_json::json!({"type": "LoadBalancer"});
    let classed = |class: &str| serde_json::json!({"type": "LoadBalancer", "loadBalancerClass": class});
    let controller = Some((Controller::LoadBalancerController, Kind::Network));
    let classic = Some((Controller::CloudProvider, Kind::Classic));

    assert_eq!(of_service(&[], &classed("service.k8s.aws/nlb")), controller);
    assert_eq!(of_service(&[("type", "nlb-ip")], &classed("other")), None);
    assert_eq!(of_service(&[("type", "nlb-ip")], &balanced()), controller);
    assert_eq!(of_service(&[("type", "external"), ("nlb-target-type", "ip")], &balanced()), controller);
    assert_eq!(of_service(&[("type", "external"), ("nlb-target-type", "pod")], &balanced()), None);
    assert_eq!(of_service(&[("type", "external")], &balanced()), None);
    assert_eq!(of_service(&[("type", "nlb")], &balanced()), Some((Controller::CloudProvider, Kind::Network)));
    assert_eq!(of_service(&[("type", "NLB")], &balanced()), classic);
    assert_eq!(of_service(&[("type", "alb")], &balanced()), classic);
    assert_eq!(of_service(&[], &balanced()), classic);
    assert_eq!(of_service(&[], &serde_json::json!({"type": "NodePort"})), None);
    assert_eq!(of_service(&[("type", "nlb-ip")], &serde_json::json!({"type": "NodePort"})), controller);
}

#[test]
fn ingresses() {
    let class = object("IngressClass", &[], &serde_json::json!({"controller": INGRESS_CONTROLLER}));
    let default = object(
        "IngressClass",
        &[(DEFAULT_CLASS_ANNOTATION, "true")],
        &serde_json::json!({"controller": INGRESS_CONTROLLER}),
    );
    let owned = |classes: &[&Arc<Object>], annotations: &[(&str, &str)], spec: &serde_json::Value| {
        let mut set = SetBuilder::default();
        classes.iter().for_each(|class| set.add(Arc::clone(class)));
        let object = object("Ingress", annotations, spec);
        ingress(&set.build(), &object, &Gates::default()).owner.is_some()
    };
    let named = |name: &str| serde_json::json!({"ingressClassName": name});
    assert!(owned(&[&class], &[], &named("x")));
    assert!(!owned(&[&class], &[], &named("y")));
    assert!(!owned(&[&class], &[], &serde_json::json!({})));
    assert!(owned(&[&default], &[], &serde_json::json!({})));
    assert!(owned(&[], &[(INGRESS_CLASS_ANNOTATION, "alb")], &named("y")));
    assert!(owned(&[], &[], &named("alb")));
    assert!(owned(&[], &[("alb.ingress.kubernetes.io/scheme", "internal")], &named("edge")));
    assert!(!owned(&[], &[], &named("nginx")));
    assert!(owned(&[&class], &[], &named("alb")));
    assert!(!owned(&[&class], &[("alb.ingress.kubernetes.io/scheme", "internal")], &named("edge")));
    assert!(!owned(&[&class], &[(INGRESS_CLASS_ANNOTATION, "nginx")], &named("x")));
}

//! What changes, ends, and is allowed: AWS-88 to -92, -95.

use std::collections::BTreeMap;

use plenipo_resources::{Object, View};
use serde_json::Value;

use super::finding::Findings;
use super::scene::{Scene, ServiceView, annotation, deployments, entry};
use crate::annotations::{INGRESS, SERVICE};

/// What the last `kubectl apply` was given.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const READINESS: &str = "elbv2.k8s.aws/pod-readiness-gate-inject";
const CONTROLLER: &str = "aws-load-balancer-controller";

/// Actions that people's policies lack most often, with what needs them.
const ACTIONS: [(&str, &str); 6] = [
    ("elasticloadbalancing:SetRulePriorities", "an Ingress whose rules change"),
    ("elasticloadbalancing:AddTags", "tags at creation, since version 2.4.7"),
    ("elasticloadbalancing:DescribeListenerAttributes", "listeners, since version 2.9"),
    ("elasticloadbalancing:ModifyListenerAttributes", "listener attributes, since version 2.9"),
    ("elasticloadbalancing:DescribeTrustStores", "client certificates, since version 2.7"),
    ("ec2:GetSecurityGroupsForVpc", "security groups, since version 2.12"),
];

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for object in balanced(scene) {
        reset(object, found);
        protected(object, found);
    }
    teardown(scene, found);
    permissions(scene, found);
    for service in &scene.services {
        rolling(scene, service, found);
    }
    clusters(scene, found);
}

/// The objects that ask for load balancers.
fn balanced<'a>(scene: &Scene<'a>) -> Vec<&'a Object> {
    let services = scene.services.iter().filter(|one| one.type_() == "LoadBalancer").map(|one| &**one.object);
    services.chain(scene.ingresses.iter().map(|one| &**one.object)).collect()
}

fn attribute_keys(prefix: &str) -> [String; 2] {
    match prefix {
        SERVICE => ["aws-load-balancer-attributes", "aws-load-balancer-target-group-attributes"]
            .map(|key| format!("{SERVICE}/{key}")),
        _ => ["load-balancer-attributes", "target-group-attributes"].map(|key| format!("{INGRESS}/{key}")),
    }
}

/// AWS-88: what is left out keeps its last value.
fn reset(object: &Object, found: &mut Findings) {
    let Some(applied) = object.meta.annotations.get(APPLIED) else { return };
    let Ok(applied) = serde_json::from_str::<Value>(applied) else { return };
    let Some(before) = applied.pointer("/metadata/annotations").and_then(Value::as_object) else { return };
    for key in [SERVICE, INGRESS].into_iter().flat_map(attribute_keys) {
        let Some(was) = before.get(&key).and_then(Value::as_str) else { continue };
        let now = object.meta.annotations.get(&key).map(String::as_str);
        let gone: Vec<&str> = was
            .split(',')
            .filter_map(|entry| entry.split('=').next())
            .map(str::trim)
            .filter(|name| !name.is_empty() && entry(now, name).is_none())
            .collect();
        if !gone.is_empty() {
            found
                .on(
                    88,
                    object,
                    annotation(&key),
                    format!(
                        "{} was set before and is left out now: the load balancer keeps the value it has",
                        gone.join(", ")
                    ),
                )
                .fix("write the default value");
        }
    }
}

/// AWS-89.
fn protected(object: &Object, found: &mut Findings) {
    if !object.meta.deleting {
        return;
    }
    for key in [SERVICE, INGRESS].into_iter().flat_map(attribute_keys) {
        let raw = object.meta.annotations.get(&key).map(String::as_str);
        if entry(raw, "deletion_protection.enabled") == Some("true") {
            found
                .on(
                    89,
                    object,
                    annotation(&key),
                    "it is being deleted, and its load balancer is protected from that: the object stays, \
                    with its finalizer",
                )
                .fix("turn deletion protection off first")
                .set(super::scene::with_entry(raw, "deletion_protection.enabled", Some("false")));
        }
    }
}

/// AWS-90: somebody must be left to take the load balancers down.
fn teardown(scene: &Scene<'_>, found: &mut Findings) {
    let left: Vec<&Object> = balanced(scene);
    for object in scene.set.objects().iter().filter(|object| is_controller(object)) {
        let stopped = matches!(&object.view, View::Written(written) if written.pointer("/spec/replicas") == Some(&Value::from(0)));
        if let (true, Some(first)) = (object.meta.deleting || stopped, left.first()) {
            found
                .on(90, object, "", format!(
                    "the controller goes, and {} is left: its load balancer stays in AWS, and its finalizer keeps the object", first.id
                ))
                .fix("delete the Services and Ingresses first, wait until they are gone, then the controller, its role last");
        }
    }
    for namespace in scene.set.of_kind("Namespace").iter().filter(|namespace| namespace.meta.deleting) {
        let here = scene
            .set
            .objects()
            .iter()
            .find(|object| *object.id.namespace == *namespace.id.name && is_controller(object));
        let outside = left.iter().find(|object| *object.id.namespace != *namespace.id.name);
        if let (Some(_), Some(object)) = (here, outside) {
            found
                .on(90, namespace, "", format!(
                    "the controller's namespace goes, and {} is left: nobody takes its load balancer down", object.id
                ))
                .fix("delete the Services and Ingresses first, wait until they are gone, then the namespace");
        }
    }
}

fn is_controller(object: &Object) -> bool {
    &*object.id.kind == "Deployment" && object.id.name.contains(CONTROLLER)
}

/// AWS-91.
fn permissions(scene: &Scene<'_>, found: &mut Findings) {
    let Some(allowed) = &scene.known.iam_actions else { return };
    let any = scene.services.iter().any(ServiceView::is_lbc) || !scene.ingresses.is_empty();
    if !any {
        return;
    }
    let is_allowed = |action: &str| {
        allowed.iter().any(|allowed| {
            allowed == "*"
                || allowed.eq_ignore_ascii_case(action)
                || allowed
                    .strip_suffix('*')
                    .is_some_and(|start| action.to_lowercase().starts_with(&start.to_lowercase()))
        })
    };
    let missing: Vec<String> = ACTIONS
        .iter()
        .filter(|(action, _)| !is_allowed(action))
        .map(|(action, needs)| format!("{action} ({needs})"))
        .collect();
    let controller = scene.set.objects().iter().find(|object| is_controller(object));
    let first = controller.map(|object| &**object).or_else(|| balanced(scene).first().copied());
    if let (false, Some(object)) = (missing.is_empty(), first) {
        found
            .on(91, object, "", format!("the controller's policy lacks {}", missing.join(", ")))
            .fix("take the policy that belongs to the controller's version");
    }
}

/// AWS-92: a pod that ends is a target for some seconds more.
fn rolling(scene: &Scene<'_>, service: &ServiceView<'_>, found: &mut Findings) {
    let behind =
        scene.stacks.iter().flat_map(|stack| stack.target_groups.values()).any(|group| {
            group.service == service.object.id && group.target_type == crate::stack::TargetType::Ip
        });
    if !behind && !service.has_ip_targets() {
        return;
    }
    let namespace = scene.set.get("Namespace", "", &service.object.id.namespace);
    let gated =
        namespace.is_some_and(|one| one.meta.labels.get(READINESS).is_some_and(|value| value == "enabled"));
    for (deployment, written) in deployments(scene.set, service) {
        let containers = written.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        let waits = containers.into_iter().flatten().any(waits);
        if gated && waits {
            continue;
        }
        let missing = match (gated, waits) {
            (false, false) => {
                "neither waits for the load balancer to know the new ones nor the old ones for it to look away"
            }
            (false, true) => "does not wait for the load balancer to know the new ones",
            _ => "does not let the old ones serve until the load balancer looks away",
        };
        let finding = found.on(
            92,
            deployment,
            "/spec/template/spec",
            format!("its pods are targets themselves, and a rolling update {missing}: requests are lost"),
        );
        finding.fix(format!(
            "label the namespace {READINESS}: enabled, and give the container a preStop of some seconds"
        ));
        if !waits && containers.is_some_and(|all| !all.is_empty()) {
            finding.add(
                "/spec/template/spec/containers/0/lifecycle",
                serde_json::json!({ "preStop": { "sleep": { "seconds": 20 } } }),
            );
        }
        if let (false, Some(namespace)) = (gated, namespace) {
            let path = format!("/metadata/labels/{}", READINESS.replace('/', "~1"));
            finding.edit(namespace.id.clone(), super::Operation::Add { path, value: "enabled".into() });
        }
        if let (false, None) = (gated, namespace) {
            finding.create(serde_json::json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": { "name": &*service.object.id.namespace, "labels": { (READINESS): "enabled" } },
            }));
        }
    }
}

/// Does this container serve on for some time after it was told to end? Plenipo itself does, with `--min-drain`.
fn waits(container: &Value) -> bool {
    let arguments = container.get("args").and_then(Value::as_array);
    let mut words = arguments.into_iter().flatten().filter_map(Value::as_str);
    container.pointer("/lifecycle/preStop").is_some() || words.any(|word| word.starts_with("--min-drain"))
}

/// AWS-95.
fn clusters(scene: &Scene<'_>, found: &mut Findings) {
    let config = scene.set.of_kind("ClusterConfig").first().map(|object| object.id.name.to_string());
    let Some(cluster) = scene.known.cluster.clone().or(config) else { return };
    let mut named: BTreeMap<String, (&Object, String)> = BTreeMap::new();
    for object in scene.set.objects().iter().filter(|object| is_controller(object)) {
        let View::Written(written) = &object.view else { continue };
        let containers = written.pointer("/spec/template/spec/containers").and_then(Value::as_array);
        for (place, container) in containers.into_iter().flatten().enumerate() {
            let arguments = container.get("args").and_then(Value::as_array).into_iter().flatten();
            for (at, argument) in
                arguments.enumerate().filter_map(|(at, argument)| Some((at, argument.as_str()?)))
            {
                if let Some(name) = argument.strip_prefix("--cluster-name=") {
                    named.insert(
                        name.to_owned(),
                        (object, format!("/spec/template/spec/containers/{place}/args/{at}")),
                    );
                }
            }
        }
    }
    for (name, (object, field)) in named.into_iter().filter(|(name, _)| *name != cluster) {
        let value = format!("--cluster-name={cluster}");
        found
            .on(95, object, field.clone(), format!(
                "the controller is told that the cluster is {name}, and it is {cluster}: it finds neither its subnets nor what it made"
            ))
            .fix("use one name")
            .replace(field, value);
    }
}

//! TargetGroupBindings that somebody wrote: a load balancer that is made elsewhere, whose targets are a Service here.

use std::collections::BTreeMap;

use plenipo_resources::core::{IntOrString, Service};
use plenipo_resources::elbv2::TargetGroupBinding;
use plenipo_resources::{Code, Object, ObjectId, Problem, Set, Severity, View};
use serde_json::Value;

use crate::stack::{GroupRef, NetworkingRule, PeerRef, Permission, PortRef, TargetRef, TargetType};

/// Labels of bindings that the AWS Load Balancer Controller makes for its own load balancers.
const MADE: [&str; 3] = ["service.k8s.aws/stack-name", "ingress.k8s.aws/stack", "ingress.k8s.aws/stack-name"];

/// A target group that is made elsewhere, and the Service whose nodes or pods are in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The TargetGroupBinding.
    pub object: ObjectId,
    /// By ARN, or by name when there is none.
    pub target_group: TargetRef,
    /// Nodes or pods; none = as the target group says.
    pub target_type: Option<TargetType>,
    /// The Service.
    pub service: ObjectId,
    /// Its port, as written.
    pub service_port: IntOrString,
    /// Where targets are reached: node port (0 = Kubernetes has yet to choose it) or port of the pods; none when the
    /// Service is not there, or has no such port.
    pub target: Option<PortRef>,
    /// Which nodes are targets (labels); empty = all.
    pub node_selector: BTreeMap<String, String>,
    /// Other clusters have targets there, too.
    pub multi_cluster: bool,
    /// Who is let in to the targets; none = hands off.
    pub networking: Option<Vec<NetworkingRule>>,
}

/// What the TargetGroupBindings of a set bind, and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// In the order of their names.
    pub bindings: Vec<Binding>,
    /// One bad object loses only itself.
    pub problems: Vec<Problem>,
}

/// Reads all TargetGroupBindings but those that the controller made for itself.
#[must_use]
pub fn bindings(set: &Set) -> Bindings {
    let mut found = Bindings::default();
    for object in set.of_kind("TargetGroupBinding") {
        let View::TargetGroupBinding(spec) = &object.view else { continue };
        if MADE.iter().any(|label| object.meta.labels.contains_key(*label)) {
            continue;
        }
        match binding(set, object, spec) {
            Ok(binding) => found.bindings.push(binding),
            Err((field, message)) => {
                let fix = "correct it: until then the target group keeps what it has";
                let code = Code("binding-not-read");
                found.problems.push(object.problem(Severity::Error, code, field, message, fix));
            }
        }
    }
    refuse_second(set, &mut found);
    found
}

type Wrong = (&'static str, String);

fn binding(set: &Set, object: &Object, spec: &TargetGroupBinding) -> Result<Binding, Wrong> {
    let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let target_group = match (some(&spec.target_group_arn), some(&spec.target_group_name)) {
        (Some(arn), _) => TargetRef::Arn(arn),
        (None, Some(name)) => TargetRef::Name(name),
        (None, None) => {
            let message = "must specify either TargetGroupARN or TargetGroupName".to_owned();
            return Err(("spec.targetGroupARN", message));
        }
    };
    let target_type = match spec.target_type.as_deref() {
        None | Some("") => None,
        Some("instance") => Some(TargetType::Instance),
        Some("ip") => Some(TargetType::Ip),
        Some(other) => return Err(("spec.targetType", format!("{other:?} is neither instance nor ip"))),
    };
    if target_type == Some(TargetType::Ip) && spec.node_selector.is_some() {
        let message = "TargetGroupBinding cannot set NodeSelector when TargetType is ip".to_owned();
        return Err(("spec.nodeSelector", message));
    }
    if spec.service_ref.name.is_empty() {
        return Err(("spec.serviceRef.name", "the Service is not named".to_owned()));
    }
    let Some(service_port) = spec.service_ref.port.clone() else {
        return Err(("spec.serviceRef.port", "the port of the Service is not named".to_owned()));
    };
    let namespace = &object.id.namespace;
    let service = set.get("Service", namespace, &spec.service_ref.name);
    let target = service.and_then(|service| match &service.view {
        View::Service(service) => target(service, &service_port, target_type),
        _ => None,
    });
    Ok(Binding {
        object: object.id.clone(),
        target_group,
        target_type,
        service: ObjectId::new("Service", namespace, &spec.service_ref.name),
        target,
        service_port,
        node_selector: labels(spec.node_selector.as_ref()),
        multi_cluster: spec.multi_cluster_target_group,
        networking: spec.networking.as_ref().map(networking),
    })
}

fn target(service: &Service, wanted: &IntOrString, target_type: Option<TargetType>) -> Option<PortRef> {
    let port = service.ports.iter().find(|port| match wanted {
        IntOrString::Int(number) => port.port == *number,
        IntOrString::String(name) => port.name.as_ref() == Some(name),
    })?;
    let number = |number: i64| u16::try_from(number).ok().map(PortRef::Number);
    match (target_type, &port.target_port) {
        (Some(TargetType::Ip), None) => number(port.port),
        (Some(TargetType::Ip), Some(IntOrString::Int(target))) => number(*target),
        (Some(TargetType::Ip), Some(IntOrString::String(name))) => Some(PortRef::Name(name.clone())),
        _ => number(port.node_port.unwrap_or(0)),
    }
}

fn labels(selector: Option<&Value>) -> BTreeMap<String, String> {
    let labels = selector.and_then(|selector| selector.get("matchLabels")).and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}

fn networking(written: &Value) -> Vec<NetworkingRule> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let peer = |peer: &Value| {
        let range = peer["ipBlock"]["cidr"].as_str().map(|range| PeerRef::Cidr(range.to_owned()));
        let group = peer["securityGroup"]["groupID"].as_str();
        range.or_else(|| group.map(|id| PeerRef::Group(GroupRef::Id(id.to_owned()))))
    };
    let permission = |port: &Value| Permission {
        protocol: port["protocol"].as_str().unwrap_or("TCP").to_owned(),
        port: match &port["port"] {
            Value::Number(number) => {
                number.as_u64().and_then(|number| u16::try_from(number).ok()).map(PortRef::Number)
            }
            Value::String(name) => Some(PortRef::Name(name.clone())),
            _ => None,
        },
    };
    let rule = |rule: &Value| NetworkingRule {
        from: list(rule, "from").iter().filter_map(peer).collect(),
        ports: list(rule, "ports").iter().map(permission).collect(),
    };
    list(written, "ingress").iter().map(rule).collect()
}

/// Two bindings of one target group would take each other's targets out, unless both know that others are there.
fn refuse_second(set: &Set, found: &mut Bindings) {
    let mut first: BTreeMap<TargetRef, (ObjectId, bool)> = BTreeMap::new();
    let problems = &mut found.problems;
    found.bindings.retain(|binding| {
        let Some((other, other_shares)) = first.get(&binding.target_group) else {
            first.insert(binding.target_group.clone(), (binding.object.clone(), binding.multi_cluster));
            return true;
        };
        let shared = binding.multi_cluster && *other_shares;
        let id = &binding.object;
        if let Some(object) = set.get(&id.kind, &id.namespace, &id.name).filter(|_| !shared) {
            problems.push(object.problem(
                Severity::Error,
                Code("binding-not-read"),
                "spec.targetGroupARN",
                format!("the target group is already bound by {other}"),
                "bind a target group once, or set multiClusterTargetGroup on every binding of it",
            ));
        }
        shared
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use plenipo_resources::{Origin, SetBuilder, decode};
    use serde_json::json;

    use super::*;

    fn read(objects: &[Value]) -> Bindings {
        let mut set = SetBuilder::default();
        for object in objects {
            decode(object.clone(), Origin::Cluster)
                .objects
                .into_iter()
                .for_each(|object| set.add(Arc::new(object)));
        }
        bindings(&set.build())
    }

    fn bound(name: &str, spec: &Value) -> Value {
        json!({"apiVersion": "elbv2.k8s.aws/v1beta1", "kind": "TargetGroupBinding",
               "metadata": {"name": name}, "spec": spec})
    }

    fn service() -> Value {
        let ports = json!([{"name": "https", "port": 443, "targetPort": 8443, "nodePort": 30443}]);
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gateway"},
               "spec": {"type": "NodePort", "ports": ports}})
    }

    #[test]
    fn a_service_stands_behind_it() {
        let spec = |type_: &str| {
            json!({"targetGroupARN": "arn:1", "targetType": type_,
                   "serviceRef": {"name": "gateway", "port": "https"},
                   "networking": {"ingress": [{"from": [{"securityGroup": {"groupID": "sg-1"}}],
                                               "ports": [{"protocol": "TCP"}]}]}})
        };
        for (type_, port) in [("ip", 8443), ("instance", 30443)] {
            let found = read(&[service(), bound("a", &spec(type_))]);
            assert!(found.problems.is_empty());
            assert_eq!(found.bindings[0].target, Some(PortRef::Number(port)));
            let rules = found.bindings[0].networking.as_ref().unwrap();
            assert_eq!(rules[0].from, [PeerRef::Group(GroupRef::Id("sg-1".to_owned()))]);
        }
    }

    #[test]
    fn what_cannot_be_bound() {
        let reference = json!({"name": "gateway", "port": 443});
        let wrong = [
            json!({"serviceRef": reference}),
            json!({"targetGroupARN": "a", "targetType": "ip", "nodeSelector": {}, "serviceRef": reference}),
            json!({"targetGroupARN": "a", "targetType": "lambda", "serviceRef": reference}),
            json!({"targetGroupARN": "a", "serviceRef": {"name": "gateway"}}),
        ];
        for spec in wrong {
            let found = read(&[service(), bound("a", &spec)]);
            assert_eq!((found.bindings.len(), found.problems.len()), (0, 1), "{spec}");
        }
    }

    #[test]
    fn one_target_group_has_one_binding() {
        let spec = |shared: bool| {
            json!({"targetGroupARN": "arn:1", "multiClusterTargetGroup": shared,
                   "serviceRef": {"name": "gateway", "port": 443}})
        };
        let found = read(&[bound("a", &spec(false)), bound("b", &spec(true))]);
        assert_eq!((found.bindings.len(), found.problems.len()), (1, 1));
        let found = read(&[bound("a", &spec(true)), bound("b", &spec(true))]);
        assert_eq!((found.bindings.len(), found.problems.len()), (2, 0));
    }
}

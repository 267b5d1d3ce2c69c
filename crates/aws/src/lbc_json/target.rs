//! Target groups and the bindings that fill them.

use plenipo_resources::core::IntOrString;
use serde_json::{Map, Value, json};

use super::{LOAD_BALANCER, Resources, attributes, group, insert, reference, tags};
use crate::stack::{
    HealthCheck, HealthPort, NetworkingRule, PeerRef, Permission, PortRef, Stack, TargetGroup,
    TargetProtocol, TargetType,
};

pub(super) const TARGET_GROUP: &str = "AWS::ElasticLoadBalancingV2::TargetGroup";
const BINDING: &str = "K8S::ElasticLoadBalancingV2::TargetGroupBinding";

pub(super) fn add(resources: &mut Resources, id: &str, target: &TargetGroup) {
    insert(resources, TARGET_GROUP, id, spec(target));
    // A load balancer as target is registered by the controller itself, not by a binding.
    if target.target_type != TargetType::Alb {
        insert(resources, BINDING, id, json!({"template": binding(id, target)}));
    }
}

/// The groups of a frontend's listeners, by name, and the load balancer that is their target.
pub(super) fn connect(resources: &mut Resources, frontend: &Stack) {
    let one = |(id, target): (&String, &TargetGroup)| {
        let state = json!({
            "TargetARN": reference(LOAD_BALANCER, "LoadBalancer", "loadBalancerARN"),
            "TargetGroupARN": reference(TARGET_GROUP, id, "targetGroupARN"),
            "TargetPort": port(&target.service_port),
            "Port": target.port,
        });
        (target.name.clone(), state)
    };
    let groups: Map<String, Value> = frontend.target_groups.iter().map(one).collect();
    let kept = resources.entry("FrontendNLBTargetGroup".to_owned()).or_default();
    kept.insert("FrontendNLBTargetGroup".to_owned(), json!({"TargetGroups": groups}));
}

fn spec(target: &TargetGroup) -> Value {
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    put("name", json!(target.name));
    put("targetType", json!(target.target_type));
    put("ipAddressType", json!(if target.ipv6 { "ipv6" } else { "ipv4" }));
    put("port", json!(target.port));
    put("protocol", json!(target.protocol.as_str()));
    if let Some(version) = &target.protocol_version {
        put("protocolVersion", json!(version));
    }
    put("healthCheckConfig", health_check(&target.health_check, target.protocol_version.as_deref()));
    if let Some(port) = target.control_port {
        put("targetControlPort", json!(port));
    }
    attributes(&mut spec, "targetGroupAttributes", &target.attributes);
    tags(&mut spec, &target.tags);
    Value::Object(spec)
}

fn health_check(check: &HealthCheck, version: Option<&str>) -> Value {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put(
        "port",
        match check.port {
            HealthPort::Traffic => json!("traffic-port"),
            HealthPort::Port(port) => json!(port),
        },
    );
    put("protocol", json!(check.protocol.as_str()));
    if let Some(path) = check.path.as_ref().filter(|_| check.protocol != TargetProtocol::Tcp) {
        put("path", json!(path));
    }
    if let Some(codes) = &check.success_codes {
        let key = if version == Some("GRPC") { "grpcCode" } else { "httpCode" };
        put("matcher", json!({key: codes}));
    }
    put("intervalSeconds", json!(check.interval));
    put("timeoutSeconds", json!(check.timeout));
    put("healthyThresholdCount", json!(check.healthy));
    put("unhealthyThresholdCount", json!(check.unhealthy));
    Value::Object(fields)
}

fn binding(id: &str, target: &TargetGroup) -> Value {
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    put("targetGroupARN", reference(TARGET_GROUP, id, "targetGroupARN"));
    put("targetGroupProtocol", json!(target.protocol.as_str()));
    put("targetType", json!(target.target_type));
    put("ipAddressType", json!(if target.ipv6 { "ipv6" } else { "ipv4" }));
    if let Some(vpc) = &target.vpc {
        put("vpcID", json!(vpc));
    }
    put("serviceRef", json!({"name": target.service.name, "port": port(&target.service_port)}));
    if let Some(rules) = &target.networking {
        put("networking", json!({"ingress": rules.iter().map(rule).collect::<Vec<_>>()}));
    }
    if !target.node_selector.is_empty() {
        put("nodeSelector", json!({"matchLabels": target.node_selector}));
    }
    if target.multi_cluster == Some(true) {
        put("multiClusterTargetGroup", json!(true));
    }
    json!({"metadata": {"name": target.name, "namespace": target.service.namespace}, "spec": spec})
}

fn port(port: &IntOrString) -> Value {
    match port {
        IntOrString::Int(number) => json!(number),
        IntOrString::String(name) => json!(name),
    }
}

fn rule(rule: &NetworkingRule) -> Value {
    let peer = |peer: &PeerRef| match peer {
        PeerRef::Cidr(range) => json!({"ipBlock": {"cidr": range}}),
        PeerRef::Group(id) => json!({"securityGroup": {"groupID": group(id)}}),
        PeerRef::PrefixList(list) => json!({"prefixList": list}),
    };
    let permission = |permission: &Permission| {
        let mut fields = Map::from_iter([("protocol".to_owned(), json!(permission.protocol))]);
        let port = permission.port.as_ref().map(|port| match port {
            PortRef::Number(number) => json!(number),
            PortRef::Name(name) => json!(name),
        });
        fields.extend(port.map(|port| ("port".to_owned(), port)));
        Value::Object(fields)
    };
    json!({
        "from": rule.from.iter().map(peer).collect::<Vec<_>>(),
        "ports": rule.ports.iter().map(permission).collect::<Vec<_>>(),
    })
}

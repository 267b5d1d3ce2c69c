//! A [`Stack`] as the AWS Load Balancer Controller prints its own model: what its logs, its dry runs and its tests show.
//!
//! Resources are listed by type and id, and refer to each other by `{"$ref": "#/resources/<type>/<id>/status/<field>"}`.

mod action;
mod listener;
mod target;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::stack::{
    AddressType, GroupRef, Kind, LoadBalancer, PeerRef, Scheme, SecurityGroupSpec, Stack, SubnetMapping,
};

const LOAD_BALANCER: &str = "AWS::ElasticLoadBalancingV2::LoadBalancer";
const SECURITY_GROUP: &str = "AWS::EC2::SecurityGroup";
const FRONTEND: &str = "FrontendNlb";

/// Resources of one load balancer, by type and id.
type Resources = BTreeMap<String, Map<String, Value>>;

/// The whole model of a stack.
pub fn stack(stack: &Stack) -> Value {
    let mut resources = Resources::new();
    let application = stack.load_balancer.kind == Kind::Application;
    add(&mut resources, stack, "");
    if application {
        // What the controller keeps to connect the two load balancers is part of every model of an Ingress group.
        let kept = resources.entry("FrontendNLBTargetGroup".to_owned()).or_default();
        kept.insert("FrontendNLBTargetGroup".to_owned(), json!({"TargetGroups": {}}));
    }
    if let Some(frontend) = &stack.frontend {
        add(&mut resources, frontend, FRONTEND);
        target::connect(&mut resources, frontend);
    }
    json!({"id": stack.id, "resources": resources})
}

/// The model of an object that asks for no load balancer.
pub fn empty(id: &str) -> Value {
    json!({"id": id, "resources": {}})
}

/// `prefix` keeps the resources of a frontend apart from those of the load balancer behind it.
fn add(resources: &mut Resources, stack: &Stack, prefix: &str) {
    let load_balancer = if prefix.is_empty() { "LoadBalancer" } else { prefix }.to_owned();
    insert(resources, LOAD_BALANCER, &load_balancer, load_balancer_spec(&stack.load_balancer));
    if let Some(group) = &stack.security_group {
        insert(resources, SECURITY_GROUP, "ManagedLBSecurityGroup", security_group(group));
    }
    for listener in &stack.listeners {
        listener::add(resources, stack, listener, &load_balancer);
    }
    for (id, group) in &stack.target_groups {
        target::add(resources, id, group);
    }
    let arn = || reference(LOAD_BALANCER, &load_balancer, "loadBalancerARN");
    if let Some(acl) = &stack.web_acl {
        let acl = if acl == "none" { "" } else { acl };
        let spec = json!({"resourceARN": arn(), "webACLARN": acl});
        insert(resources, "AWS::WAFv2::WebACLAssociation", &load_balancer, spec);
    }
    if let Some(enabled) = stack.shield {
        let spec = json!({"resourceARN": arn(), "enabled": enabled});
        insert(resources, "AWS::Shield::Protection", &load_balancer, spec);
    }
}

fn insert(resources: &mut Resources, kind: &str, id: &str, spec: Value) {
    let whole = Map::from_iter([("spec".to_owned(), spec)]);
    resources.entry(kind.to_owned()).or_default().insert(id.to_owned(), whole.into());
}

/// A value that another resource will have once it is there.
fn reference(kind: &str, id: &str, field: &str) -> Value {
    json!({"$ref": format!("#/resources/{kind}/{id}/status/{field}")})
}

fn load_balancer_spec(balancer: &LoadBalancer) -> Value {
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    put("name", json!(balancer.name));
    put("type", json!(if balancer.kind == Kind::Application { "application" } else { "network" }));
    put("scheme", json!(scheme(balancer.scheme)));
    put("ipAddressType", json!(address_type(balancer.addresses)));
    put("subnetMapping", balancer.subnets.iter().map(mapping).collect());
    if !balancer.security_groups.is_empty() {
        put("securityGroups", balancer.security_groups.iter().map(group).collect());
    }
    if let Some(on) = balancer.private_link_rules {
        put("securityGroupsInboundRulesOnPrivateLink", on_off(on));
    }
    if let Some(on) = balancer.ipv6_source_nat {
        put("enablePrefixForIpv6SourceNat", on_off(on));
    }
    if let Some(pool) = &balancer.customer_owned_pool {
        put("customerOwnedIPv4Pool", json!(pool));
    }
    if let Some(pool) = &balancer.ipam_pool {
        put("ipv4IPAMPool", json!(pool));
    }
    if let Some(units) = balancer.minimum_capacity {
        put("minimumLoadBalancerCapacity", json!({"capacityUnits": units}));
    }
    attributes(&mut spec, "loadBalancerAttributes", &balancer.attributes);
    tags(&mut spec, &balancer.tags);
    Value::Object(spec)
}

fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Internal => "internal",
        Scheme::InternetFacing => "internet-facing",
    }
}

fn address_type(addresses: AddressType) -> &'static str {
    match addresses {
        AddressType::Ipv4 => "ipv4",
        AddressType::Dualstack => "dualstack",
        AddressType::DualstackWithoutPublicIpv4 => "dualstack-without-public-ipv4",
    }
}

fn mapping(mapping: &SubnetMapping) -> Value {
    let mut fields = Map::from_iter([("subnetID".to_owned(), json!(mapping.subnet))]);
    let optional = [
        ("allocationID", &mapping.allocation),
        ("privateIPv4Address", &mapping.private_ipv4),
        ("ipv6Address", &mapping.ipv6),
        ("sourceNatIpv6Prefix", &mapping.source_nat_prefix),
    ];
    for (key, value) in optional {
        fields.extend(value.iter().map(|value| (key.to_owned(), json!(value))));
    }
    Value::Object(fields)
}

fn group(group: &GroupRef) -> Value {
    match group {
        GroupRef::Managed => reference(SECURITY_GROUP, "ManagedLBSecurityGroup", "groupID"),
        GroupRef::Id(id) => json!(id),
    }
}

fn security_group(group: &SecurityGroupSpec) -> Value {
    let mut spec = Map::new();
    spec.insert("groupName".to_owned(), json!(group.name));
    spec.insert("description".to_owned(), json!(group.description));
    let grants = group.ingress.iter().map(|grant| {
        let mut fields = Map::from_iter([
            ("ipProtocol".to_owned(), json!(grant.protocol)),
            ("fromPort".to_owned(), json!(grant.from_port)),
            ("toPort".to_owned(), json!(grant.to_port)),
        ]);
        let (key, peer) = match &grant.peer {
            PeerRef::Cidr(range) if range.contains(':') => ("ipv6Ranges", json!({"cidrIPv6": range})),
            PeerRef::Cidr(range) => ("ipRanges", json!({"cidrIP": range})),
            PeerRef::PrefixList(list) => ("prefixLists", json!({"listID": list})),
            PeerRef::Group(id) => ("userIDGroupPairs", json!({"groupID": self::group(id)})),
        };
        fields.insert(key.to_owned(), json!([peer]));
        Value::Object(fields)
    });
    let grants: Vec<Value> = grants.collect();
    if !grants.is_empty() {
        spec.insert("ingress".to_owned(), grants.into());
    }
    tags(&mut spec, &group.tags);
    Value::Object(spec)
}

fn on_off(on: bool) -> Value {
    json!(if on { "on" } else { "off" })
}

fn attributes(spec: &mut Map<String, Value>, field: &str, attributes: &BTreeMap<String, String>) {
    if !attributes.is_empty() {
        let pair = |(key, value): (&String, &String)| json!({"key": key, "value": value});
        spec.insert(field.to_owned(), attributes.iter().map(pair).collect());
    }
}

fn tags(spec: &mut Map<String, Value>, tags: &BTreeMap<String, String>) {
    if !tags.is_empty() {
        spec.insert("tags".to_owned(), json!(tags));
    }
}

//! One load balancer with everything that belongs to it.

mod listener;
mod rule;
mod security;
mod target;

use std::collections::BTreeMap;

use plenipo_resources::ObjectId;
use serde::Serialize;

pub use listener::{AlpnPolicy, Listener, ListenerProtocol, MutualAuthentication, MutualMode};
pub use rule::{Action, Condition, Forward, Redirect, Rule, TargetRef, Transform, Values, WeightedTarget};
pub use security::{Grant, GroupRef, PeerRef, Permission, PortRef, SecurityGroupSpec};
pub use target::{HealthCheck, HealthPort, NetworkingRule, TargetGroup, TargetProtocol, TargetType};

/// One load balancer and what belongs to it: what one Service, or one group of Ingresses, asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stack {
    /// `namespace/name` of the Service or Ingress, or the name of an explicit group.
    pub id: String,
    /// Who makes it.
    pub controller: Controller,
    /// The Service, or the Ingresses in the group's order.
    pub members: Vec<ObjectId>,
    /// The load balancer itself.
    pub load_balancer: LoadBalancer,
    /// In the order of their ports.
    pub listeners: Vec<Listener>,
    /// By resource id: `namespace/service:port`, for an Ingress `namespace/ingress-service:port`.
    pub target_groups: BTreeMap<String, TargetGroup>,
    /// The security group made for it; none when its own are given, or it has none.
    pub security_group: Option<SecurityGroupSpec>,
    /// A web ACL to associate (`none` takes one away).
    pub web_acl: Option<String>,
    /// Shield Advanced: on, off, or left as it is.
    pub shield: Option<bool>,
    /// A network load balancer in front of this (application) one.
    pub frontend: Option<Box<Self>>,
}

/// Who makes a load balancer out of the objects, and how the annotations are therefore read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// The AWS Load Balancer Controller.
    LoadBalancerController,
    /// The cloud provider (`cloud-provider-aws`, formerly part of Kubernetes).
    CloudProvider,
}

/// The load balancer itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LoadBalancer {
    /// Its name in AWS, at most 32 characters.
    pub name: String,
    /// Classic, network or application.
    pub kind: Kind,
    /// Who can reach it.
    pub scheme: Scheme,
    /// Which addresses it has.
    pub addresses: AddressType,
    /// Where it stands.
    pub subnets: Vec<SubnetMapping>,
    /// Its security groups; empty = it has none (which can never be changed for a network load balancer).
    pub security_groups: Vec<GroupRef>,
    /// Attributes that are set, in AWS's names (`idle_timeout.timeout_seconds`).
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Security group rules hold for PrivateLink traffic too; none = not said.
    pub private_link_rules: Option<bool>,
    /// IPv6 source prefixes for UDP over dualstack; none = not said.
    pub ipv6_source_nat: Option<bool>,
    /// Capacity units reserved.
    pub minimum_capacity: Option<u32>,
    /// Pool for IPv4 addresses.
    pub ipam_pool: Option<String>,
    /// Customer-owned pool for IPv4 addresses (Outposts).
    pub customer_owned_pool: Option<String>,
}

/// The kinds of AWS load balancers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Classic ELB, by layer 4 (TCP, SSL) or 7 (HTTP, HTTPS) listener.
    Classic,
    /// NLB.
    Network,
    /// ALB.
    Application,
}

/// Who can reach a load balancer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// The VPC and what is connected to it.
    Internal,
    /// Everybody.
    InternetFacing,
}

/// Which addresses a load balancer has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressType {
    /// IPv4.
    Ipv4,
    /// Both.
    Dualstack,
    /// IPv6 for everybody, IPv4 inside.
    DualstackWithoutPublicIpv4,
}

/// One subnet of a load balancer and its addresses there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SubnetMapping {
    /// `subnet-…`.
    pub subnet: String,
    /// Elastic IP.
    pub allocation: Option<String>,
    /// Fixed private address.
    pub private_ipv4: Option<String>,
    /// Fixed IPv6 address.
    pub ipv6: Option<String>,
    /// Prefix for IPv6 source addresses.
    pub source_nat_prefix: Option<String>,
}

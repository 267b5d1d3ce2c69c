//! Who may reach a load balancer, and its targets.

use std::collections::BTreeMap;

use serde::Serialize;

/// The security group made for a load balancer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SecurityGroupSpec {
    /// Its name in AWS.
    pub name: String,
    /// What it says it is for.
    pub description: String,
    /// Who is let in.
    pub ingress: Vec<Grant>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// One rule of a security group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Grant {
    /// `tcp`, `udp`, `icmp`, `icmpv6`.
    pub protocol: String,
    /// First port (for ICMP: type).
    pub from_port: i32,
    /// Last port (for ICMP: code).
    pub to_port: i32,
    /// From where.
    pub peer: PeerRef,
}

/// From where something comes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum PeerRef {
    /// An IPv4 or IPv6 range.
    Cidr(String),
    /// A managed prefix list.
    PrefixList(String),
    /// Members of a security group.
    Group(GroupRef),
}

/// A port that is opened.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Permission {
    /// `TCP` or `UDP`.
    pub protocol: String,
    /// None = all.
    pub port: Option<PortRef>,
}

/// A port of targets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(untagged)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By the name that every pod gives it.
    Name(String),
}

/// A security group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum GroupRef {
    /// The one made for this load balancer.
    Managed,
    /// One that exists.
    Id(String),
}

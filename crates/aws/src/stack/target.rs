//! Where a load balancer sends things.

use std::collections::BTreeMap;

use plenipo_resources::ObjectId;
use plenipo_resources::core::IntOrString;
use serde::Serialize;

use super::security::{PeerRef, Permission};

/// A target group, and the Service whose pods or nodes are its targets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TargetGroup {
    /// Its name in AWS, at most 32 characters.
    pub name: String,
    /// Nodes, pods or a load balancer.
    pub target_type: TargetType,
    /// Addresses of the targets are IPv6.
    pub ipv6: bool,
    /// Node port (0 when Kubernetes has yet to choose it, as in front of files), or port of the pods; 1 when the pods' port
    /// has only a name (each is registered with its own).
    pub port: u16,
    /// What targets speak.
    pub protocol: TargetProtocol,
    /// `HTTP1`, `HTTP2` or `GRPC`; none on layer 4.
    pub protocol_version: Option<String>,
    /// How targets are checked.
    pub health_check: HealthCheck,
    /// Attributes that are set, in AWS's names.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The Service.
    pub service: ObjectId,
    /// Its port, as written where it is referred to.
    #[serde(serialize_with = "port_as_text")]
    pub service_port: IntOrString,
    /// Which nodes are targets (labels); empty = all.
    pub node_selector: BTreeMap<String, String>,
    /// Other clusters have targets here, too.
    pub multi_cluster: Option<bool>,
    /// Who is let in to the targets; none = hands off.
    pub networking: Option<Vec<NetworkingRule>>,
    /// The VPC is said in the binding.
    pub vpc: Option<String>,
    /// Port of the target that controls its registration (ip targets of an ALB).
    pub control_port: Option<u16>,
}

/// What targets are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// Nodes.
    Instance,
    /// Pods.
    Ip,
    /// An application load balancer.
    Alb,
}

/// What targets speak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are AWS's")]
pub enum TargetProtocol {
    Http,
    Https,
    Tcp,
    /// TLS of a classic load balancer's layer 4.
    Ssl,
    Tls,
    Udp,
    TcpUdp,
    Quic,
    TcpQuic,
}

impl TargetProtocol {
    /// AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
            Self::Ssl => "SSL",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
            Self::Quic => "QUIC",
            Self::TcpQuic => "TCP_QUIC",
        }
    }

    /// Is the connection to the target encrypted? (No load balancer verifies who answers.)
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Ssl | Self::Tls)
    }
}

impl TargetGroup {
    /// Attribute of a target group behind a classic load balancer that writes PROXY headers (version 1) to it. AWS has a
    /// policy for it there, no attribute: the name is ours, after the one of version 2.
    pub const PROXY_V1: &str = "proxy_protocol_v1.enabled";
    /// Attribute of a network load balancer's target group that gets PROXY headers (version 2).
    pub const PROXY_V2: &str = "proxy_protocol_v2.enabled";
    /// Attribute by which a network load balancer connects to a target group from the client's address.
    pub const PRESERVE: &str = "preserve_client_ip.enabled";

    /// Do connections to the targets begin with a PROXY header, and of which version?
    pub fn proxy_version(&self) -> Option<u8> {
        let on = |name: &str| self.attributes.get(name).is_some_and(|value| value == "true");
        if on(Self::PROXY_V2) { Some(2) } else { on(Self::PROXY_V1).then_some(1) }
    }

    /// Does a network load balancer connect to these targets from the client's address? (Datagrams always come from there;
    /// AWS's guide for Network Load Balancers, "Client IP preservation".)
    pub fn preserves_client(&self) -> bool {
        let may_be_off = self.target_type != TargetType::Alb
            && matches!(self.protocol, TargetProtocol::Tcp | TargetProtocol::Tls);
        match self.attributes.get(Self::PRESERVE) {
            Some(value) if may_be_off => value == "true",
            _ => !may_be_off || self.target_type == TargetType::Instance,
        }
    }
}

/// How targets are checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HealthCheck {
    /// Where.
    pub port: HealthPort,
    /// How.
    pub protocol: TargetProtocol,
    /// What is asked for; none for TCP.
    pub path: Option<String>,
    /// Codes that pass (`200-399`): HTTP's, or gRPC's for a GRPC target group; none for TCP.
    pub success_codes: Option<String>,
    /// Seconds between two checks.
    pub interval: u32,
    /// Seconds for one answer.
    pub timeout: u32,
    /// Passes in a row that make a target healthy.
    pub healthy: u32,
    /// Failures in a row that make it unhealthy.
    pub unhealthy: u32,
}

/// Where targets are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum HealthPort {
    /// Where traffic goes.
    Traffic,
    /// This port.
    Port(u16),
}

/// Who is let in to the targets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetworkingRule {
    /// Who.
    pub from: Vec<PeerRef>,
    /// Where.
    pub ports: Vec<Permission>,
}

fn port_as_text<S: serde::Serializer>(port: &IntOrString, serializer: S) -> Result<S::Ok, S::Error> {
    match port {
        IntOrString::Int(number) => serializer.serialize_i64(*number),
        IntOrString::String(name) => serializer.serialize_str(name),
    }
}

//! Whom the security groups of the targets let in.

use plenipo_resources::core::Service;

use super::{Frame, Request};
use crate::account::Subnet;
use crate::build_error::BuildError;
use crate::stack::{HealthPort, NetworkingRule, PeerRef, Permission, PortRef, Scheme, TargetProtocol};

/// What rules towards the targets of one group depend on.
pub(super) struct Reached<'a> {
    pub(super) service: &'a Service,
    pub(super) protocol: TargetProtocol,
    pub(super) port: &'a PortRef,
    pub(super) health: HealthPort,
    pub(super) ipv6: bool,
    pub(super) preserves_client: bool,
}

impl Reached<'_> {
    /// Datagrams: their source address always is the client's.
    fn has_udp(&self) -> bool {
        matches!(
            self.protocol,
            TargetProtocol::Udp | TargetProtocol::TcpUdp | TargetProtocol::Quic | TargetProtocol::TcpQuic
        )
    }

    fn has_both(&self) -> bool {
        matches!(self.protocol, TargetProtocol::TcpUdp | TargetProtocol::TcpQuic)
    }

    /// The port of the checks, where it is another one.
    fn other_health_port(&self) -> Option<PortRef> {
        match self.health {
            HealthPort::Traffic => None,
            HealthPort::Port(port) => Some(PortRef::Number(port)).filter(|port| port != self.port),
        }
    }

    fn permission(&self, protocol: &str) -> Permission {
        permission(protocol, Some(self.port.clone()))
    }
}

impl Request<'_> {
    pub(super) fn networking(
        &self,
        frame: &Frame,
        reached: &Reached<'_>,
    ) -> Result<Option<Vec<NetworkingRule>>, BuildError> {
        if frame.is_guarded { Ok(self.by_group(frame, reached)) } else { self.by_address(frame, reached) }
    }

    /// From a load balancer with security groups: its members.
    fn by_group(&self, frame: &Frame, reached: &Reached<'_>) -> Option<Vec<NetworkingRule>> {
        let backend = frame.backend.clone()?;
        let mut ports = Vec::new();
        if !self.account.gates.restricted_security_group_rules {
            ports.push(permission("TCP", None));
            ports.extend(reached.has_udp().then(|| permission("UDP", None)));
        } else if reached.has_udp() {
            ports.push(reached.permission("UDP"));
            if reached.has_both() || reached.other_health_port().is_none() {
                ports.push(reached.permission("TCP"));
            }
        } else {
            ports.push(reached.permission("TCP"));
        }
        if self.account.gates.restricted_security_group_rules {
            ports.extend(reached.other_health_port().map(|port| permission("TCP", Some(port))));
        }
        Some(vec![NetworkingRule { from: vec![PeerRef::Group(backend)], ports }])
    }

    /// From a load balancer without any: its subnets, or the clients, where targets see their addresses.
    fn by_address(
        &self,
        frame: &Frame,
        reached: &Reached<'_>,
    ) -> Result<Option<Vec<NetworkingRule>>, BuildError> {
        const MANAGE: &str = "aws-load-balancer-manage-backend-security-group-rules";
        if self.annotations.flag(MANAGE)? == Some(false) {
            return Ok(None);
        }
        let subnets = subnet_ranges(&frame.subnets, reached.ipv6);
        let from_clients = reached.has_udp() || reached.preserves_client;
        let named = self.source_ranges(&reached.service.load_balancer_source_ranges);
        let (sources, by_default) = match (from_clients, named.is_empty()) {
            (false, _) => (subnets.clone(), false),
            (true, false) => (named, false),
            (true, true) => (self.clients(frame.scheme, reached.ipv6)?, true),
        };
        let ports = match (reached.has_both(), reached.has_udp()) {
            (true, _) => vec![reached.permission("TCP"), reached.permission("UDP")],
            (false, true) => vec![reached.permission("UDP")],
            (false, false) => vec![reached.permission("TCP")],
        };
        let health = health_sources(reached, &sources, subnets, by_default);
        let mut rules = vec![NetworkingRule { from: peers(sources), ports }];
        if !health.is_empty() {
            let port = reached.other_health_port().unwrap_or_else(|| reached.port.clone());
            rules.push(NetworkingRule { from: peers(health), ports: vec![permission("TCP", Some(port))] });
        }
        Ok(Some(rules))
    }

    /// Who may come when nobody is named: the VPC, or the world.
    fn clients(&self, scheme: Scheme, ipv6: bool) -> Result<Vec<String>, BuildError> {
        let account = self.account;
        match (scheme, ipv6) {
            (Scheme::Internal, _) if account.vpc_cidrs.is_empty() && account.vpc_cidrs_v6.is_empty() => {
                Err(BuildError::new("", "unable to resolve VPC CIDRs"))
            }
            (Scheme::Internal, false) => Ok(account.vpc_cidrs.clone()),
            (Scheme::Internal, true) => Ok(account.vpc_cidrs_v6.clone()),
            (Scheme::InternetFacing, false) => Ok(vec!["0.0.0.0/0".to_owned()]),
            (Scheme::InternetFacing, true) => Ok(vec!["::/0".to_owned()]),
        }
    }
}

/// Checks come from the load balancer's subnets: a rule of their own where the one for traffic does not let them in.
fn health_sources(
    reached: &Reached<'_>,
    sources: &[String],
    subnets: Vec<String>,
    by_default: bool,
) -> Vec<String> {
    let is_covered = reached.protocol != TargetProtocol::Udp
        && reached.other_health_port().is_none()
        && (!reached.preserves_client
            || by_default
            || sources.iter().any(|source| matches!(source.as_str(), "0.0.0.0/0" | "::/0")));
    if is_covered { Vec::new() } else { subnets }
}

fn subnet_ranges(subnets: &[Subnet], ipv6: bool) -> Vec<String> {
    let ranges = |subnet: &Subnet| if ipv6 { subnet.cidrs_v6.clone() } else { vec![subnet.cidr.clone()] };
    subnets.iter().flat_map(ranges).filter(|range| !range.is_empty()).collect()
}

fn peers(ranges: Vec<String>) -> Vec<PeerRef> {
    ranges.into_iter().map(PeerRef::Cidr).collect()
}

fn permission(protocol: &str, port: Option<PortRef>) -> Permission {
    Permission { protocol: protocol.to_owned(), port }
}

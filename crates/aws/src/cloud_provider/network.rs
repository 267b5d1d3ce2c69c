//! Network load balancers of the cloud provider: their targets are nodes, and they have no security groups.

use std::collections::BTreeMap;

use super::{Listening, Request, number, protocol};
use crate::account::Subnet;
use crate::build_error::BuildError;
use crate::stack::{
    HealthCheck, HealthPort, ListenerProtocol, NetworkingRule, PeerRef, Permission, PortRef, Scheme, Stack,
    SubnetMapping, TargetGroup, TargetProtocol,
};

const ATTRIBUTES: &str = "aws-load-balancer-target-group-attributes";
const PROXY_V2: &str = "proxy_protocol_v2.enabled";

impl<'a> Request<'a> {
    pub(super) fn network(&self) -> Result<Stack, BuildError> {
        const EXTRA: &str = "aws-load-balancer-extra-security-groups";
        if self.annotations.text(EXTRA).is_some() {
            return Err(
                self.fault(EXTRA, "extra security groups are only supported for classic load balancers")
            );
        }
        let listenings: Vec<Listening<'a>> =
            self.ports()?.into_iter().map(|port| self.network_listening(port)).collect();
        let subnets = self.subnets()?;
        let balancer = self.load_balancer(self.network_mappings(&subnets)?, self.network_attributes()?);
        let health_check = self.network_health_check()?;
        let attributes = self.target_attributes(&listenings)?;
        self.stack(balancer, &listenings, |listening| {
            let networking = self.node_rules(listening, &health_check, &subnets);
            Ok(self.target_group(listening, health_check.clone(), attributes.clone(), Some(networking)))
        })
    }

    /// Names in `ssl-ports` are compared letter by letter here, unlike those of a classic load balancer.
    fn network_listening(&self, port: &'a plenipo_resources::core::ServicePort) -> Listening<'a> {
        if protocol(port) == "UDP" {
            let (protocol, target) = (ListenerProtocol::Udp, TargetProtocol::Udp);
            return Listening { port, protocol, target, certificate: None };
        }
        let ports = self.annotations.ssl_ports();
        let is_named =
            ports.is_none_or(|ports| ports.has(port.port, port.name.as_deref().unwrap_or_default()));
        let certificate = self.annotations.text("aws-load-balancer-ssl-cert").filter(|_| is_named);
        let tls_to_targets = self.annotations.text("aws-load-balancer-backend-protocol") == Some("ssl");
        let (protocol, target) = match (certificate, tls_to_targets) {
            (None, _) => (ListenerProtocol::Tcp, TargetProtocol::Tcp),
            (Some(_), false) => (ListenerProtocol::Tls, TargetProtocol::Tcp),
            (Some(_), true) => (ListenerProtocol::Tls, TargetProtocol::Tls),
        };
        Listening { port, protocol, target, certificate }
    }

    fn network_mappings(&self, subnets: &[Subnet]) -> Result<Vec<SubnetMapping>, BuildError> {
        const ALLOCATIONS: &str = "aws-load-balancer-eip-allocations";
        const PRIVATE: &str = "aws-load-balancer-private-ipv4-addresses";
        let allocations = self.annotations.list(ALLOCATIONS);
        let private = self.annotations.list(PRIVATE);
        if !allocations.is_empty() && self.scheme() == Scheme::Internal {
            return Err(
                self.fault(ALLOCATIONS, "EIP allocations can only be set for internet facing load balancers")
            );
        }
        if !private.is_empty() && self.scheme() == Scheme::InternetFacing {
            return Err(
                self.fault(PRIVATE, "private IPv4 addresses can only be set for internal load balancers")
            );
        }
        for (suffix, given) in [(ALLOCATIONS, &allocations), (PRIVATE, &private)] {
            if !given.is_empty() && given.len() != subnets.len() {
                let (given, wanted) = (given.len(), subnets.len());
                return Err(self
                    .fault(suffix, format!("error creating load balancer: expected {wanted}, got {given}")));
            }
        }
        let mapping = |(at, subnet): (usize, &Subnet)| SubnetMapping {
            subnet: subnet.id.clone(),
            allocation: allocations.get(at).cloned(),
            private_ipv4: private.get(at).cloned(),
            ..SubnetMapping::default()
        };
        Ok(subnets.iter().enumerate().map(mapping).collect())
    }

    /// Two attributes are known, and their values are `true` and `false`, in these letters.
    fn target_attributes(
        &self,
        listenings: &[Listening<'_>],
    ) -> Result<BTreeMap<String, String>, BuildError> {
        let attributes = self.annotations.map(ATTRIBUTES);
        let fault =
            |why: String| self.fault(ATTRIBUTES, format!("error validating target group attributes: {why}"));
        for (key, value) in &attributes {
            if value.is_empty() {
                return Err(fault(format!("attribute value is empty for {key:?}")));
            }
            if !matches!(key.as_str(), TargetGroup::PRESERVE | PROXY_V2) {
                let message = "is not supported by the controller or is invalid";
                return Err(fault(format!("the attribute {key:?} {message}")));
            }
            if !matches!(value.as_str(), "true" | "false") {
                return Err(fault(format!("invalid attribute value for {key:?}: {value}")));
            }
        }
        let has_udp = listenings.iter().any(|listening| listening.target == TargetProtocol::Udp);
        if has_udp && attributes.get(TargetGroup::PRESERVE).is_some_and(|value| value == "false") {
            return Err(fault("client IP preservation can't be disabled for UDP ports".to_owned()));
        }
        Ok(attributes)
    }

    /// Nodes admit clients, whose addresses they see, and the checks that come from the load balancer's subnets.
    fn node_rules(
        &self,
        listening: &Listening<'_>,
        health_check: &HealthCheck,
        subnets: &[Subnet],
    ) -> Vec<NetworkingRule> {
        let node_port = PortRef::Number(number(listening.port.node_port.unwrap_or(0)));
        let health_port = match health_check.port {
            HealthPort::Traffic => node_port.clone(),
            HealthPort::Port(port) => PortRef::Number(port),
        };
        let rule = |ranges: Vec<String>, protocol: &str, port: PortRef| NetworkingRule {
            from: ranges.into_iter().map(PeerRef::Cidr).collect(),
            ports: vec![Permission { protocol: protocol.to_owned(), port: Some(port) }],
        };
        let subnets: Vec<String> =
            subnets.iter().map(|subnet| subnet.cidr.clone()).filter(|range| !range.is_empty()).collect();
        vec![
            rule(self.source_ranges(), protocol(listening.port), node_port),
            rule(subnets, "TCP", health_port),
        ]
    }
}

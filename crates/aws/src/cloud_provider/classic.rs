//! Classic load balancers.

use std::collections::BTreeMap;

use super::{Listening, PROXY_V1, Request, number, protocol};
use crate::build_error::BuildError;
use crate::stack::{
    Grant, GroupRef, ListenerProtocol, NetworkingRule, PeerRef, Permission, SecurityGroupSpec, Stack,
    SubnetMapping, TargetProtocol,
};

const CERTIFICATE: &str = "aws-load-balancer-ssl-cert";
const BACKEND: &str = "aws-load-balancer-backend-protocol";

impl<'a> Request<'a> {
    pub(super) fn classic(&self) -> Result<Stack, BuildError> {
        const TARGET_ATTRIBUTES: &str = "aws-load-balancer-target-group-attributes";
        if self.annotations.present(TARGET_ATTRIBUTES).is_some() {
            let message = "target group annotations attribute is only supported for NLB";
            return Err(self.fault(TARGET_ATTRIBUTES, message));
        }
        let listenings: Vec<Listening<'a>> =
            self.ports()?.into_iter().map(|port| self.classic_listening(port)).collect::<Result<_, _>>()?;
        let subnets = self.subnets()?;
        let mapping = |subnet: &crate::account::Subnet| SubnetMapping {
            subnet: subnet.id.clone(),
            ..SubnetMapping::default()
        };
        let mut balancer =
            self.load_balancer(subnets.iter().map(mapping).collect(), self.classic_attributes()?);
        let managed = self.classic_groups(&mut balancer.security_groups);
        let managed = managed.then(|| self.classic_group(&balancer.name, &listenings));
        let proxy = self.proxy()?;
        let first = listenings.first().map_or(0, |listening| number(listening.port.node_port.unwrap_or(0)));
        let health_check = self.classic_health_check(first)?;
        let networking = balancer.security_groups.first().map(admit);
        let mut stack = self.stack(balancer, &listenings, |listening| {
            let attributes = if proxy {
                BTreeMap::from([(PROXY_V1.to_owned(), "true".to_owned())])
            } else {
                BTreeMap::new()
            };
            Ok(self.target_group(listening, health_check.clone(), attributes, networking.clone()))
        })?;
        stack.security_group = managed;
        Ok(stack)
    }

    /// With a certificate, the backend's protocol chooses the layer; without one, `http` alone does.
    fn classic_listening(
        &self,
        port: &'a plenipo_resources::core::ServicePort,
    ) -> Result<Listening<'a>, BuildError> {
        let ports = self.annotations.ssl_ports();
        let name = port.name.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is_named = ports.is_none_or(|ports| ports.has(port.port, &name));
        let certificate = self.annotations.text(CERTIFICATE).filter(|_| is_named);
        let backend = self.annotations.text(BACKEND);
        let (protocol, target) = match (certificate, backend) {
            (Some(_), None | Some("tcp")) => (ListenerProtocol::Ssl, TargetProtocol::Tcp),
            (Some(_), Some("ssl")) => (ListenerProtocol::Ssl, TargetProtocol::Ssl),
            (Some(_), Some("http")) => (ListenerProtocol::Https, TargetProtocol::Http),
            (Some(_), Some("https")) => (ListenerProtocol::Https, TargetProtocol::Https),
            (Some(arn), Some(other)) => {
                let key = format!("{}/{BACKEND}", crate::annotations::SERVICE);
                return Err(
                    self.fault(BACKEND, format!("Invalid backend protocol {other} for {arn} in {key}"))
                );
            }
            (None, Some("http")) => (ListenerProtocol::Http, TargetProtocol::Http),
            (None, _) => (ListenerProtocol::Tcp, TargetProtocol::Tcp),
        };
        Ok(Listening { port, protocol, target, certificate })
    }

    /// PROXY of version 1, on every backend port or on none.
    fn proxy(&self) -> Result<bool, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-proxy-protocol";
        match self.annotations.present(SUFFIX) {
            None | Some("") => Ok(false),
            Some("*") => Ok(true),
            Some(other) => {
                let key = format!("{}/{SUFFIX}", crate::annotations::SERVICE);
                let message = format!(
                    "annotation {key:?}={other:?} detected, but the only value supported currently is '*'"
                );
                Err(self.fault(SUFFIX, message))
            }
        }
    }

    /// The groups that are named instead of one of its own, and those in addition; true = it has one of its own.
    fn classic_groups(&self, groups: &mut Vec<GroupRef>) -> bool {
        let named = self.annotations.list("aws-load-balancer-security-groups");
        let managed = named.is_empty();
        groups.extend(managed.then_some(GroupRef::Managed));
        groups.extend(named.into_iter().map(GroupRef::Id));
        let more = self.annotations.list("aws-load-balancer-extra-security-groups");
        groups.extend(more.into_iter().map(GroupRef::Id));
        managed
    }

    fn classic_group(&self, name: &str, listenings: &[Listening<'_>]) -> SecurityGroupSpec {
        let id = &self.object.id;
        let ranges = self.source_ranges();
        let mut ingress = Vec::new();
        for listening in listenings {
            let port = i32::from(number(listening.port.port));
            let protocol = protocol(listening.port).to_ascii_lowercase();
            ingress.extend(ranges.iter().map(|range| Grant {
                protocol: protocol.clone(),
                from_port: port,
                to_port: port,
                peer: PeerRef::Cidr(range.clone()),
            }));
        }
        // "Fragmentation needed": path MTU discovery.
        ingress.extend(ranges.iter().map(|range| Grant {
            protocol: "icmp".to_owned(),
            from_port: 3,
            to_port: 4,
            peer: PeerRef::Cidr(range.clone()),
        }));
        SecurityGroupSpec {
            name: format!("k8s-elb-{name}"),
            description: format!("Security group for Kubernetes ELB {name} ({}/{})", id.namespace, id.name),
            ingress,
            tags: self.tags(),
        }
    }
}

/// Nodes admit the first security group of the load balancer, on every port.
fn admit(group: &GroupRef) -> Vec<NetworkingRule> {
    let all = Permission { protocol: "-1".to_owned(), port: None };
    vec![NetworkingRule { from: vec![PeerRef::Group(group.clone())], ports: vec![all] }]
}

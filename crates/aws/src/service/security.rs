//! Security groups of the load balancer: who may reach it, and as whom it reaches the targets.

use super::Request;
use crate::account::Account;
use crate::annotations::Annotations;
use crate::build_error::BuildError;
use crate::names;
use crate::stack::{AddressType, Grant, GroupRef, PeerRef, SecurityGroupSpec};

const GROUPS: &str = "aws-load-balancer-security-groups";
const PREFIX_LISTS: &str = "aws-load-balancer-security-group-prefix-lists";
const RANGES: &str = "load-balancer-source-ranges";
const ICMP: &str = "aws-load-balancer-enable-icmp-for-path-mtu-discovery";

/// ICMP messages that path MTU discovery needs: type and code.
const TOO_BIG: (&str, i32, i32) = ("icmp", 3, 4);
const TOO_BIG_V6: (&str, i32, i32) = ("icmpv6", 2, 0);

/// Security groups of one load balancer.
#[derive(Default)]
pub(super) struct Guard {
    pub(super) groups: Vec<GroupRef>,
    pub(super) managed: Option<SecurityGroupSpec>,
    /// Whose members the targets admit.
    pub(super) backend: Option<GroupRef>,
}

impl Request<'_> {
    /// A network load balancer that was made without security groups can never have any, and the other way round.
    pub(super) fn guard(&self, addresses: AddressType) -> Result<Guard, BuildError> {
        const DISABLE: &str = "aws-load-balancer-disable-nlb-sg";
        let has_groups = self.existing.map(|existing| !existing.security_groups.is_empty());
        if has_groups == Some(false) {
            return Ok(Guard::default());
        }
        let disabled = self.annotations.flag(DISABLE)?.unwrap_or(false);
        if disabled || !self.account.gates.nlb_security_group {
            return match has_groups {
                Some(true) => Err(self.fault(DISABLE, "conflicting security groups configuration")),
                _ => Ok(Guard::default()),
            };
        }
        match self.annotations.list(GROUPS).filter(|names| !names.is_empty()) {
            Some(names) => self.own_guard(&names),
            None => self.managed_guard(addresses),
        }
    }

    fn managed_guard(&self, addresses: AddressType) -> Result<Guard, BuildError> {
        let managed = self.managed_group(addresses)?;
        let mut groups = vec![GroupRef::Managed];
        let backend = match &self.account.backend_security_group {
            Some(id) => {
                groups.push(GroupRef::Id(id.clone()));
                GroupRef::Id(id.clone())
            }
            None => GroupRef::Managed,
        };
        Ok(Guard { groups, managed: Some(managed), backend: Some(backend) })
    }

    fn own_guard(&self, names: &[String]) -> Result<Guard, BuildError> {
        const MANAGE: &str = "aws-load-balancer-manage-backend-security-group-rules";
        let mut groups = security_groups(self.account, self.annotations, GROUPS, names)?;
        if !self.annotations.flag(MANAGE)?.unwrap_or(self.account.gates.manage_backend_rules) {
            return Ok(Guard { groups, ..Guard::default() });
        }
        let Some(id) = &self.account.backend_security_group else {
            return Err(self.fault(
                MANAGE,
                "backendSG feature is required to manage worker node SG rules when frontendSG is manually specified",
            ));
        };
        groups.push(GroupRef::Id(id.clone()));
        Ok(Guard { groups, managed: None, backend: Some(GroupRef::Id(id.clone())) })
    }

    fn managed_group(&self, addresses: AddressType) -> Result<SecurityGroupSpec, BuildError> {
        let id = &self.object.id;
        Ok(SecurityGroupSpec {
            name: names::namespaced(
                &id.namespace,
                &id.name,
                &[&self.account.cluster, &id.name, &id.namespace, &self.uid],
            ),
            description: "[k8s] Managed SecurityGroup for LoadBalancer".to_owned(),
            ingress: self.grants(addresses)?,
            tags: self.tags.clone(),
        })
    }

    fn grants(&self, addresses: AddressType) -> Result<Vec<Grant>, BuildError> {
        let lists = self.annotations.list(PREFIX_LISTS);
        let ranges = self.admitted(addresses, lists.is_some())?;
        let discovery = self.annotations.text(ICMP) == Some("on");
        let mut grants = Vec::new();
        for port in &self.service.ports {
            let protocol = port.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase();
            let number = i32::try_from(port.port).unwrap_or(0);
            let grant = |peer| Grant { protocol: protocol.clone(), from_port: number, to_port: number, peer };
            for range in &ranges {
                grants.push(grant(PeerRef::Cidr(range.clone())));
                if discovery {
                    let (protocol, from_port, to_port) =
                        if range.contains(':') { TOO_BIG_V6 } else { TOO_BIG };
                    let peer = PeerRef::Cidr(range.clone());
                    grants.push(Grant { protocol: protocol.to_owned(), from_port, to_port, peer });
                }
            }
            grants.extend(lists.iter().flatten().map(|list| grant(PeerRef::PrefixList(list.clone()))));
        }
        Ok(grants)
    }

    /// Everybody, unless ranges or prefix lists are named.
    fn admitted(&self, addresses: AddressType, has_lists: bool) -> Result<Vec<String>, BuildError> {
        let dualstack = addresses == AddressType::Dualstack;
        let ranges = self.source_ranges(&self.service.load_balancer_source_ranges);
        if let Some(range) = ranges.iter().find(|range| range.contains(':') && !dualstack) {
            let field = match self.service.load_balancer_source_ranges.as_slice() {
                [] => self.annotations.field(RANGES),
                _ => "spec.loadBalancerSourceRanges".to_owned(),
            };
            return Err(BuildError::new(
                field,
                format!("unsupported v6 cidr {range} when lb is not dualstack"),
            ));
        }
        Ok(match (ranges.is_empty(), has_lists) {
            (false, _) | (true, true) => ranges,
            _ if dualstack => vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
            _ => vec!["0.0.0.0/0".to_owned()],
        })
    }

    /// The field wins over the annotation.
    pub(super) fn source_ranges(&self, field: &[String]) -> Vec<String> {
        match field {
            [] => self.annotations.list(RANGES).unwrap_or_default(),
            ranges => ranges.to_vec(),
        }
    }
}

/// Security groups by id or Name tag.
fn security_groups(
    account: &Account,
    annotations: Annotations<'_>,
    suffix: &str,
    names: &[String],
) -> Result<Vec<GroupRef>, BuildError> {
    let fault = |reason| BuildError::new(annotations.field(suffix), reason);
    account.security_groups_called(names).map_err(fault)
}

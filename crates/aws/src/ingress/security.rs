//! Security groups: the one made for the load balancer, its users' own, and the one that targets admit.

use std::collections::BTreeMap;

use super::agree::{self, go_list};
use super::fault::{GroupError, Result};
use super::group::{GroupId, Member};
use super::load_balancer::made_up;
use super::ports::Port;
use super::tags;
use crate::account::Account;
use crate::stack::{AddressType, Grant, GroupRef, PeerRef, SecurityGroupSpec};

/// The security groups of a load balancer.
pub(super) struct Security {
    /// Of the load balancer, in order.
    pub(super) groups: Vec<GroupRef>,
    /// The one made for it.
    pub(super) managed: Option<SecurityGroupSpec>,
    /// The one that targets admit; none = the targets' rules are left alone.
    pub(super) admitted: Option<GroupRef>,
}

/// The security groups of a group's load balancer.
pub(super) fn build(
    id: &GroupId,
    members: &[Member<'_>],
    account: &Account,
    ports: &BTreeMap<u16, Port>,
    addresses: AddressType,
) -> Result<Security> {
    const SUFFIX: &str = "security-groups";
    let conflict =
        |a: &[String], b: &[String]| format!("conflicting securityGroups: {} | {}", go_list(a), go_list(b));
    let own = agree::list(members, SUFFIX, true, conflict)?.unwrap_or_default();
    let shared = account.backend_security_group.clone().map(GroupRef::Id);
    if own.is_empty() {
        let admitted = shared.clone().unwrap_or(GroupRef::Managed);
        return Ok(Security {
            groups: [GroupRef::Managed].into_iter().chain(shared).collect(),
            managed: Some(managed(id, members, account, ports, addresses)?),
            admitted: Some(admitted),
        });
    }
    let manage = agree::flag(
        members,
        "manage-backend-security-group-rules",
        "conflicting manage backend security group rules settings",
    )?;
    let mut groups = called(members, account, SUFFIX, &own)?;
    if !manage.unwrap_or(account.gates.manage_backend_rules) {
        return Ok(Security { groups, managed: None, admitted: None });
    }
    let Some(shared) = shared else {
        let message =
            "backendSG feature is required to manage worker node SG rules when frontendSG manually specified";
        return Err(GroupError::of_account(message));
    };
    groups.push(shared.clone());
    Ok(Security { groups, managed: None, admitted: Some(shared) })
}

/// Security groups that an annotation names by id or `Name` tag.
pub(super) fn called(
    members: &[Member<'_>],
    account: &Account,
    suffix: &str,
    names: &[String],
) -> Result<Vec<GroupRef>> {
    account.security_groups_called(names).map_err(|reason| {
        let saying = members.iter().find(|member| member.notes().text(suffix).is_some());
        saying.unwrap_or(&members[0]).fault(suffix, reason)
    })
}

fn managed(
    id: &GroupId,
    members: &[Member<'_>],
    account: &Account,
    ports: &BTreeMap<u16, Port>,
    addresses: AddressType,
) -> Result<SecurityGroupSpec> {
    Ok(SecurityGroupSpec {
        name: made_up(id, &[&account.cluster, &id.to_string()]),
        description: "[k8s] Managed SecurityGroup for LoadBalancer".to_owned(),
        ingress: ports.iter().flat_map(|(number, port)| grants(*number, port, addresses)).collect(),
        tags: tags::of_group(members, account)?,
    })
}

/// Who is let in to one port.
fn grants(number: u16, port: &Port, addresses: AddressType) -> Vec<Grant> {
    let v6 = port.cidrs_v6.iter().filter(|_| addresses != AddressType::Ipv4);
    let ranges = port.cidrs_v4.iter().chain(v6).cloned().map(PeerRef::Cidr);
    let lists = port.prefix_lists.iter().cloned().map(PeerRef::PrefixList);
    let grant = |peer| Grant {
        protocol: "tcp".to_owned(),
        from_port: i32::from(number),
        to_port: i32::from(number),
        peer,
    };
    ranges.chain(lists).map(grant).collect()
}

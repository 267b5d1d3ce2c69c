//! The load balancer itself: what its members must say alike about it.

use std::collections::BTreeMap;

use plenipo_resources::elbv2::IngressClassParams;
use serde_json::Value;

use super::agree::{self, Wording, go_list, go_set, go_sorted};
use super::fault::{GroupError, Result};
use super::group::{GroupId, Member};
use super::tags;
use crate::account::Account;
use crate::names;
use crate::stack::{AddressType, GroupRef, Kind, LoadBalancer, Scheme, SubnetMapping};
use crate::subnets::{self, Need};

/// Longest name of a load balancer.
const LONGEST_NAME: usize = 32;

/// The load balancer of a group, but for its security groups.
pub(super) fn build(id: &GroupId, members: &[Member<'_>], account: &Account) -> Result<LoadBalancer> {
    let scheme = scheme(members, account)?;
    let addresses = addresses(members)?;
    let need = Need { kind: Kind::Application, scheme, addresses };
    Ok(LoadBalancer {
        subnets: subnets(id, members, account, need)?,
        customer_owned_pool: customer_owned_pool(members)?,
        ipam_pool: ipam_pool(members)?,
        attributes: attributes(members)?,
        minimum_capacity: minimum_capacity(members, account)?,
        tags: tags::of_group(members, account)?,
        name: name(id, members, account, scheme)?,
        kind: Kind::Application,
        scheme,
        addresses,
        security_groups: Vec::<GroupRef>::new(),
        private_link_rules: None,
        ipv6_source_nat: None,
    })
}

/// AWS's spelling.
pub(super) fn scheme_text(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Internal => "internal",
        Scheme::InternetFacing => "internet-facing",
    }
}

pub(super) fn parse_scheme(text: &str) -> Option<Scheme> {
    match text {
        "internal" => Some(Scheme::Internal),
        "internet-facing" => Some(Scheme::InternetFacing),
        _ => None,
    }
}

/// The first member that says something about `suffix`: whom a fault of the value that all agree on is about.
fn first<'m, 'a>(members: &'m [Member<'a>], suffix: &str) -> &'m Member<'a> {
    members.iter().find(|member| member.notes().text(suffix).is_some()).unwrap_or(&members[0])
}

fn class_text(
    read: impl Fn(&IngressClassParams) -> &Option<String>,
) -> impl Fn(&Member<'_>) -> Option<String> {
    move |member| read(member.class()?).clone()
}

fn scheme(members: &[Member<'_>], account: &Account) -> Result<Scheme> {
    let conflict = ("conflicting scheme", go_set as Wording);
    let said = agree::text(members, "scheme", class_text(|class| &class.scheme), conflict)?;
    let text = said.unwrap_or_else(|| account.default_scheme.clone());
    parse_scheme(&text)
        .ok_or_else(|| first(members, "scheme").fault("scheme", format!("unknown scheme: {text}")))
}

pub(super) fn addresses(members: &[Member<'_>]) -> Result<AddressType> {
    const SUFFIX: &str = "ip-address-type";
    let conflict = ("conflicting IPAddressType", go_sorted as Wording);
    let said = agree::text(members, SUFFIX, class_text(|class| &class.ip_address_type), conflict)?;
    match said.as_deref() {
        None | Some("ipv4") => Ok(AddressType::Ipv4),
        Some("dualstack") => Ok(AddressType::Dualstack),
        Some("dualstack-without-public-ipv4") => Ok(AddressType::DualstackWithoutPublicIpv4),
        Some(other) => Err(first(members, SUFFIX).fault(SUFFIX, format!("unknown IPAddressType: {other}"))),
    }
}

/// Subnets by the classes, by the annotations, those it stands in already, or those that are found.
pub(super) fn subnets(
    id: &GroupId,
    members: &[Member<'_>],
    account: &Account,
    need: Need,
) -> Result<Vec<SubnetMapping>> {
    const SUFFIX: &str = "subnets";
    let selected = |member: &Member<'_>| Ok(member.class().and_then(|class| class.subnets.clone()));
    let selectors = agree::said(members, selected)?;
    let others: Vec<Member<'_>> = members
        .iter()
        .filter(|member| member.class().is_none_or(|class| class.subnets.is_none()))
        .copied()
        .collect();
    let named = agree::list(&others, SUFFIX, false, |a, b| {
        format!("conflicting subnets: {} | {}", go_list(a), go_list(b))
    })?;
    let selecting = selectors.first().map(|(member, _)| *member);
    if selecting.is_some() && named.is_some() {
        let message = "conflicting subnet specifications: IngressClassParams versus annotation";
        return Err(first(&others, SUFFIX).fault(SUFFIX, message));
    }
    let (who, found) = if selecting.is_some() {
        let selector = agree::agreed(selectors, |member, _| {
            member.class_fault("spec.subnets", "conflicting IngressClassParams subnet specifications")
        })?;
        let selector = selector.unwrap_or_default();
        (selecting, subnets::selected(account, &selector, need))
    } else if let Some(names) = named {
        (Some(first(&others, SUFFIX)), subnets::named(account, &names, need))
    } else {
        if let Some(there) = existing(id, account, need.scheme) {
            return Ok(there);
        }
        let found = subnets::discovered(account, need);
        (None, found.map_err(|reason| format!("couldn't auto-discover subnets: {reason}")))
    };
    let fault = |reason: String| match who {
        Some(member) => member.fault(SUFFIX, reason),
        None => GroupError::of_account(reason),
    };
    let mapping = |subnet: crate::Subnet| SubnetMapping { subnet: subnet.id, ..SubnetMapping::default() };
    Ok(found.map_err(fault)?.into_iter().map(mapping).collect())
}

/// Where it stands already, unless it must become another one.
fn existing(id: &GroupId, account: &Account, scheme: Scheme) -> Option<Vec<SubnetMapping>> {
    let there = account.existing.get(&id.to_string())?.first()?;
    let mapping = |subnet: &String| SubnetMapping { subnet: subnet.clone(), ..SubnetMapping::default() };
    (there.scheme == scheme_text(scheme)).then(|| there.subnets.iter().map(mapping).collect())
}

pub(super) fn customer_owned_pool(members: &[Member<'_>]) -> Result<Option<String>> {
    const SUFFIX: &str = "customer-owned-ipv4-pool";
    if let Some(member) = members.iter().find(|member| member.notes().text(SUFFIX) == Some("")) {
        let key = member.key();
        let message = format!("cannot use empty value for {SUFFIX} annotation, ingress: {key}");
        return Err(member.fault(SUFFIX, message));
    }
    let conflict = ("conflicting CustomerOwnedIPv4Pool", go_sorted as Wording);
    agree::text(members, SUFFIX, |_| None, conflict)
}

/// What the class of the first member says wins over all annotations.
pub(super) fn ipam_pool(members: &[Member<'_>]) -> Result<Option<String>> {
    let class = members.first().and_then(Member::class).and_then(|class| class.ipam_configuration.as_ref());
    let pool = class.and_then(|configuration| configuration.get("ipv4IPAMPoolId")).and_then(Value::as_str);
    if let Some(pool) = pool {
        return Ok(Some(pool.to_owned()));
    }
    let conflict = ("conflicting ipv4 ipam pools", go_sorted as Wording);
    agree::text(members, "ipam-ipv4-pool-id", |_| None, conflict)
}

pub(super) fn attributes(members: &[Member<'_>]) -> Result<BTreeMap<String, String>> {
    const SUFFIX: &str = "load-balancer-attributes";
    let class: BTreeMap<String, String> = members
        .iter()
        .filter_map(Member::class)
        .flat_map(|class| &class.load_balancer_attributes)
        .map(|attribute| (attribute.key.clone(), attribute.value.clone()))
        .collect();
    let read =
        |member: &Member<'_>| agree::read(member, member.notes().map(SUFFIX)).map(Option::unwrap_or_default);
    let mut attributes = agree::map(members, read, |member, key, a, b| {
        let message = format!("conflicting load balancer attributes {key}: {a} | {b}");
        // What the class says wins, so nobody need agree on it.
        (!class.contains_key(key)).then(|| member.fault(SUFFIX, message))
    })?;
    attributes.extend(class);
    Ok(attributes)
}

pub(super) fn minimum_capacity(members: &[Member<'_>], account: &Account) -> Result<Option<u32>> {
    const SUFFIX: &str = "minimum-load-balancer-capacity";
    const KEY: &str = "CapacityUnits";
    if !account.gates.capacity_reservation {
        return Ok(None);
    }
    let class = members[0].class().and_then(|class| class.minimum_load_balancer_capacity.as_ref());
    if let Some(units) = class.and_then(|capacity| capacity.get("capacityUnits")).and_then(Value::as_u64) {
        return Ok(u32::try_from(units).ok());
    }
    let read =
        |member: &Member<'_>| agree::read(member, member.notes().map(SUFFIX)).map(Option::unwrap_or_default);
    let said = agree::map(members, read, |member, key, a, b| {
        Some(member.fault(SUFFIX, format!("conflicting capacity reservation {key}: {a} | {b}")))
    })?;
    let fault = |message: String| first(members, SUFFIX).fault(SUFFIX, message);
    if let Some(key) = said.keys().find(|key| *key != KEY) {
        return Err(fault(format!("invalid key to set the capacity: {key}, Expected key: {KEY}")));
    }
    let parse = |units: &String| {
        units.parse().map_err(|_| {
            fault(format!(
                "invalid value to set the capacity: {units}: strconv.ParseInt: parsing {units:?}: invalid syntax"
            ))
        })
    };
    said.get(KEY).map(parse).transpose()
}

pub(super) fn name(
    id: &GroupId,
    members: &[Member<'_>],
    account: &Account,
    scheme: Scheme,
) -> Result<String> {
    const SUFFIX: &str = "load-balancer-name";
    let class =
        |member: &Member<'_>| member.class()?.load_balancer_name.clone().filter(|name| !name.is_empty());
    let conflict = ("conflicting load balancer name", go_set as Wording);
    match agree::text(members, SUFFIX, class, conflict)? {
        Some(name) if name.len() > LONGEST_NAME => {
            let message = format!("load balancer name cannot be longer than {LONGEST_NAME} characters");
            Err(first(members, SUFFIX).fault(SUFFIX, message))
        }
        Some(name) => Ok(name),
        None => Ok(made_up(id, &[&account.cluster, &id.to_string(), scheme_text(scheme)])),
    }
}

/// The name of what belongs to a group and is not named by its members.
pub(super) fn made_up(id: &GroupId, parts: &[&str]) -> String {
    match id {
        GroupId::Explicit(group) => names::grouped(group, parts),
        GroupId::Implicit { namespace, name } => names::namespaced(namespace, name, parts),
    }
}

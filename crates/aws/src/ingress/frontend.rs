//! A network load balancer in front of the application load balancer: fixed addresses, PrivateLink.

use std::collections::BTreeMap;

use plenipo_resources::ObjectId;
use plenipo_resources::core::IntOrString;

use super::agree::{self, Wording, go_list, go_set};
use super::build::Asked;
use super::fault::{GroupError, Result, words};
use super::group::{GroupId, Member};
use super::load_balancer::parse_scheme;
use super::{security, tags};
use crate::account::Account;
use crate::stack::{
    Action, Controller, Forward, GroupRef, HealthCheck, HealthPort, Kind, Listener, ListenerProtocol,
    LoadBalancer, Scheme, SubnetMapping, TargetGroup, TargetProtocol, TargetRef, TargetType, WeightedTarget,
};
use crate::subnets::{self, Need};
use crate::{Stack, names};

/// Letters of the application load balancer's name that the name of the one in front keeps.
const KEPT_NAME: usize = 28;

/// The network load balancer in front, if the members want one.
pub(super) fn build(
    id: &GroupId,
    members: &[Member<'_>],
    account: &Account,
    behind: &LoadBalancer,
    asked: &Asked,
) -> Result<Option<Stack>> {
    let wanted = agree::flag(members, "enable-frontend-nlb", "conflicting enable frontend NLB values")?;
    if wanted != Some(true) {
        return Ok(None);
    }
    let load_balancer = load_balancer(members, account, behind)?;
    let mut listeners = Vec::new();
    let mut target_groups = BTreeMap::new();
    for (port, settings) in ports(members, asked)? {
        let group = target_group(id, account, behind, &load_balancer, (port, settings), members);
        let key = format!("FrontendNlb-tg-TCP-{port}");
        listeners.push(listener(port, &key, &load_balancer));
        target_groups.insert(key, group);
    }
    Ok(Some(Stack {
        id: id.to_string(),
        controller: Controller::LoadBalancerController,
        members: members.iter().map(|member| member.object.id.clone()).collect(),
        load_balancer,
        listeners,
        target_groups,
        security_group: None,
        web_acl: None,
        shield: None,
        frontend: None,
    }))
}

fn load_balancer(members: &[Member<'_>], account: &Account, behind: &LoadBalancer) -> Result<LoadBalancer> {
    let scheme = scheme(members, account)?;
    let kept: String = behind.name.chars().take(KEPT_NAME).collect();
    Ok(LoadBalancer {
        name: format!("{kept}-nlb"),
        kind: Kind::Network,
        scheme,
        addresses: behind.addresses,
        subnets: subnets(members, account, behind, scheme)?,
        security_groups: groups(members, account)?.unwrap_or_else(|| behind.security_groups.clone()),
        attributes: attributes(members)?,
        tags: own_tags(members, account)?,
        private_link_rules: None,
        ipv6_source_nat: None,
        minimum_capacity: None,
        ipam_pool: None,
        customer_owned_pool: None,
    })
}

pub(super) fn scheme(members: &[Member<'_>], account: &Account) -> Result<Scheme> {
    const SUFFIX: &str = "frontend-nlb-scheme";
    let conflict = ("conflicting scheme", go_set as Wording);
    let said = agree::text(members, SUFFIX, |_| None, conflict)?;
    let text = said.unwrap_or_else(|| account.default_scheme.clone());
    let saying = |member: &&Member<'_>| member.notes().text(SUFFIX).is_some();
    parse_scheme(&text).ok_or_else(|| {
        let member = members.iter().find(saying).unwrap_or(&members[0]);
        member.fault(SUFFIX, format!("unknown scheme: {text}"))
    })
}

/// Its own subnets or those of the load balancer behind, with fixed addresses where they are given.
pub(super) fn subnets(
    members: &[Member<'_>],
    account: &Account,
    behind: &LoadBalancer,
    scheme: Scheme,
) -> Result<Vec<SubnetMapping>> {
    const SUFFIX: &str = "frontend-nlb-subnets";
    const ADDRESSES: &str = "frontend-nlb-eip-allocations";
    let saying = |suffix: &'static str| {
        let who = members.iter().find(|member| member.notes().text(suffix).is_some());
        move |message: String| match who {
            Some(member) => member.fault(suffix, message),
            None => GroupError::of_account(message),
        }
    };
    let named = agree::list(members, SUFFIX, false, |a, b| {
        format!("conflicting subnets: {} | {}", go_list(a), go_list(b))
    })?;
    let mut mappings = match named {
        None => behind.subnets.clone(),
        Some(names) => {
            let need = Need { kind: Kind::Network, scheme, addresses: behind.addresses };
            let found = subnets::named(account, &names, need).map_err(saying(SUFFIX))?;
            let mapping = |subnet: crate::Subnet| SubnetMapping { subnet: subnet.id, ..Default::default() };
            found.into_iter().map(mapping).collect()
        }
    };
    let allocations = agree::list(members, ADDRESSES, true, |a, b| {
        format!("conflicting frontend NLB EIP allocations: {} | {}", go_list(a), go_list(b))
    })?;
    let Some(allocations) = allocations else { return Ok(mappings) };
    if scheme != Scheme::InternetFacing {
        let message = "EIP allocations can only be set for internet facing load balancers";
        return Err(saying(ADDRESSES)(message.to_owned()));
    }
    if allocations.len() != mappings.len() {
        let (addresses, subnets) = (allocations.len(), mappings.len());
        let message = format!("count of EIP allocations ({addresses}) and subnets ({subnets}) must match");
        return Err(saying(ADDRESSES)(message));
    }
    for (mapping, allocation) in mappings.iter_mut().zip(allocations) {
        mapping.allocation = Some(allocation);
    }
    Ok(mappings)
}

fn groups(members: &[Member<'_>], account: &Account) -> Result<Option<Vec<GroupRef>>> {
    const SUFFIX: &str = "frontend-nlb-security-groups";
    let conflict =
        |a: &[String], b: &[String]| format!("conflicting securityGroups: {} | {}", go_list(a), go_list(b));
    let named = agree::list(members, SUFFIX, true, conflict)?.filter(|names| !names.is_empty());
    named.map(|names| security::called(members, account, SUFFIX, &names)).transpose()
}

/// Attributes are those of the first member, and all others must say the same, even by silence.
pub(super) fn attributes(members: &[Member<'_>]) -> Result<BTreeMap<String, String>> {
    const SUFFIX: &str = "frontend-nlb-attributes";
    const POLICY: &str = "dns_record.client_routing_policy";
    let mut attributes: Option<BTreeMap<String, String>> = None;
    for member in members {
        let own = agree::read(member, member.notes().map(SUFFIX))?.unwrap_or_default();
        let policy = own.get(POLICY).map(String::as_str);
        let known =
            ["any_availability_zone", "partial_availability_zone_affinity", "availability_zone_affinity"];
        if let Some(policy) = policy.filter(|policy| !known.contains(policy)) {
            let all = known.join(", ");
            let message = format!("invalid {POLICY} set in annotation {policy}: must be one of [{all}]");
            return Err(member.fault(SUFFIX, message));
        }
        match &attributes {
            Some(agreed) if *agreed != own => {
                return Err(member.fault(SUFFIX, "conflicting frontend NLB attributes"));
            }
            _ => attributes = Some(own),
        }
    }
    Ok(attributes.unwrap_or_default())
}

/// Its own tags, or else those of the load balancer behind.
pub(super) fn own_tags(members: &[Member<'_>], account: &Account) -> Result<BTreeMap<String, String>> {
    const SUFFIX: &str = "frontend-nlb-tags";
    let said = agree::said(members, |member| agree::read(member, member.notes().map(SUFFIX)))?;
    let own = agree::agreed(said, |member, _| {
        let key = member.key();
        member.fault(SUFFIX, format!("conflicting frontend NLB tags: {key}"))
    })?;
    match own {
        Some(tags) => Ok(tags),
        None => tags::of_group(members, account),
    }
}

/// A port in front: the port behind it and how that is checked.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Front {
    target: u16,
    check: Check,
}

/// Settings of the check: the value and whether somebody chose it.
#[derive(Clone, PartialEq, Debug)]
struct Check {
    port: Chosen<HealthPort>,
    protocol: Chosen<TargetProtocol>,
    path: Chosen<String>,
    codes: Chosen<String>,
    interval: Chosen<u32>,
    timeout: Chosen<u32>,
    healthy: Chosen<u32>,
    unhealthy: Chosen<u32>,
}

#[derive(Clone, PartialEq, Debug)]
struct Chosen<T> {
    value: T,
    explicit: bool,
}

/// The ports in front: as they are mapped, or those behind.
pub(super) fn ports(members: &[Member<'_>], asked: &Asked) -> Result<BTreeMap<u16, Front>> {
    let mut fronts: BTreeMap<u16, Front> = BTreeMap::new();
    let mut places: BTreeMap<u16, usize> = BTreeMap::new();
    for (member, asked) in members.iter().zip(asked) {
        let wrong = |error: GroupError| {
            error.within(&format!("failed to compute listenPort config for ingress: {}", member.key()))
        };
        let mapping = mapping(member).map_err(wrong)?;
        let pairs: Vec<(u16, u16)> = match mapping.is_empty() {
            true => asked.keys().map(|port| (*port, *port)).collect(),
            false => mapping.into_iter().filter(|(_, behind)| asked.contains_key(behind)).collect(),
        };
        for (port, target) in pairs {
            let check = check(member).map_err(wrong)?;
            let place = places.entry(port).or_default();
            *place += 1;
            let Some(front) = fronts.get_mut(&port) else {
                fronts.insert(port, Front { target, check });
                continue;
            };
            let merged = front.check.merge(check, *place).and_then(|()| match front.target == target {
                true => Ok(()),
                false => {
                    let previous = front.target;
                    Err(format!("conflicting Target Port, config {place}: {target}, previous: {previous}"))
                }
            });
            merged.map_err(|reason| {
                let message = format!("failed to merge NLB listenPort config for port: {port}: {reason}");
                member.fault("frontend-nlb-listener-port-mapping", message)
            })?;
        }
    }
    Ok(fronts)
}

fn mapping(member: &Member<'_>) -> Result<BTreeMap<u16, u16>> {
    const SUFFIX: &str = "frontend-nlb-listener-port-mapping";
    let pairs = agree::read(member, member.notes().map(SUFFIX))?.unwrap_or_default();
    let port = |which: &str, text: &str| {
        text.parse::<u16>()
            .map_err(|_| member.fault(SUFFIX, format!("invalid {which} listener port: {text}")))
    };
    pairs.iter().map(|(front, behind)| Ok((port("NLB", front)?, port("ALB", behind)?))).collect()
}

fn check(member: &Member<'_>) -> Result<Check> {
    let notes = member.notes();
    let text = |suffix: &str, default: &str| {
        let said = notes.text(suffix);
        Chosen { value: said.unwrap_or(default).to_owned(), explicit: said.is_some() }
    };
    let count = |suffix: &str, default: u32| {
        let said = notes.int32(suffix).map_err(|error| member.fault(suffix, words(&error)))?;
        let value = said.map_or(Ok(default), u32::try_from);
        let value = value.map_err(|_| member.fault(suffix, format!("{suffix} must not be negative")))?;
        Ok::<_, GroupError>(Chosen { value, explicit: said.is_some() })
    };
    let raw = notes.text("frontend-nlb-healthcheck-port");
    let port = match raw {
        None | Some("traffic-port") => HealthPort::Traffic,
        Some(raw) => raw.parse().map(HealthPort::Port).map_err(|_| {
            member.fault("frontend-nlb-healthcheck-port", "failed to resolve healthCheckPort")
        })?,
    };
    let written = notes.text("frontend-nlb-healthcheck-protocol");
    let protocol = match written {
        None | Some("HTTP") => TargetProtocol::Http,
        Some("HTTPS") => TargetProtocol::Https,
        Some(_) => {
            let message = "healthCheckProtocol must be within [HTTP, HTTPS]";
            return Err(member.fault("frontend-nlb-healthcheck-protocol", message));
        }
    };
    Ok(Check {
        port: Chosen { value: port, explicit: raw.is_some() },
        protocol: Chosen { value: protocol, explicit: written.is_some() },
        path: text("frontend-nlb-healthcheck-path", "/"),
        codes: text("frontend-nlb-healthcheck-success-codes", "200"),
        interval: count("frontend-nlb-healthcheck-interval-seconds", 15)?,
        timeout: count("frontend-nlb-healthcheck-timeout-seconds", 5)?,
        healthy: count("frontend-nlb-healthcheck-healthy-threshold-count", 3)?,
        unhealthy: count("frontend-nlb-healthcheck-unhealthy-threshold-count", 3)?,
    })
}

impl Check {
    /// What was chosen wins over defaults, and two who chose must have chosen alike.
    fn merge(&mut self, other: Self, place: usize) -> std::result::Result<(), String> {
        self.interval.merge(other.interval, "IntervalSeconds", place)?;
        self.timeout.merge(other.timeout, "TimeoutSeconds", place)?;
        self.healthy.merge(other.healthy, "HealthyThresholdCount", place)?;
        self.unhealthy.merge(other.unhealthy, "UnhealthyThresholdCount", place)?;
        self.protocol.merge(other.protocol, "Protocol", place)?;
        self.path.merge(other.path, "Path", place)?;
        self.codes.merge(other.codes, "Matcher", place)?;
        self.port.merge(other.port, "Port", place)
    }
}

impl<T: PartialEq + std::fmt::Debug> Chosen<T> {
    fn merge(&mut self, other: Self, field: &str, place: usize) -> std::result::Result<(), String> {
        if !other.explicit {
            return Ok(());
        }
        if self.explicit && self.value != other.value {
            let (new, old) = (&other.value, &self.value);
            return Err(format!("conflicting {field}, config {place}: {new:?}, previous: {old:?}"));
        }
        *self = other;
        Ok(())
    }
}

fn listener(port: u16, target_group: &str, load_balancer: &LoadBalancer) -> Listener {
    let target = WeightedTarget { target: TargetRef::Own(target_group.to_owned()), weight: None };
    Listener {
        port,
        protocol: ListenerProtocol::Tcp,
        certificates: Vec::new(),
        ssl_policy: None,
        alpn: None,
        mutual_authentication: None,
        default_actions: vec![Action::Forward(Forward {
            targets: vec![target],
            stickiness: None,
            other: None,
        })],
        rules: Vec::new(),
        attributes: BTreeMap::new(),
        tags: load_balancer.tags.clone(),
    }
}

/// The target group whose only target is the load balancer behind. Its "service port" is the port there.
fn target_group(
    id: &GroupId,
    account: &Account,
    behind: &LoadBalancer,
    front: &LoadBalancer,
    (port, Front { target, check }): (u16, Front),
    members: &[Member<'_>],
) -> TargetGroup {
    let first: ObjectId = members[0].object.id.clone();
    TargetGroup {
        name: group_name(id, account, port),
        target_type: TargetType::Alb,
        ipv6: behind.addresses != crate::stack::AddressType::Ipv4,
        port,
        protocol: TargetProtocol::Tcp,
        protocol_version: None,
        health_check: HealthCheck {
            port: check.port.value,
            protocol: check.protocol.value,
            path: Some(check.path.value),
            success_codes: Some(check.codes.value),
            interval: check.interval.value,
            timeout: check.timeout.value,
            healthy: check.healthy.value,
            unhealthy: check.unhealthy.value,
        },
        attributes: BTreeMap::new(),
        tags: front.tags.clone(),
        service: first,
        service_port: IntOrString::Int(i64::from(target)),
        node_selector: BTreeMap::new(),
        multi_cluster: None,
        networking: None,
        vpc: None,
        control_port: None,
    }
}

fn group_name(id: &GroupId, account: &Account, port: u16) -> String {
    let (namespace, name) = match id {
        GroupId::Implicit { namespace, name } => (namespace.as_str(), name.as_str()),
        GroupId::Explicit(name) => ("", name.as_str()),
    };
    let port = port.to_string();
    let parts = [&account.cluster, &id.to_string(), &port, &port, "alb", "TCP", "TCP"];
    names::frontend_target_group(namespace, name, &parts)
}

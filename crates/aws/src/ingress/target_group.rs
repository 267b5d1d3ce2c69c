//! Target groups: one for each port of a Service that an Ingress sends requests to.

use std::collections::BTreeMap;

use plenipo_resources::Object;
use plenipo_resources::core::{IntOrString, Service, ServicePort};

use super::fault::{GroupError, Result, of_backend, words};
use super::group::{GroupId, Member, key};
use super::{backend, health, tags};
use crate::account::Account;
use crate::annotations::Annotations;
use crate::names;
use crate::stack::{
    AddressType, GroupRef, HealthPort, NetworkingRule, PeerRef, Permission, PortRef, TargetGroup,
    TargetProtocol, TargetType,
};

/// What stands in for a node port that Kubernetes has not given yet, and for the number of a port with a name: every
/// target is registered with its own.
const NO_NUMBER: u16 = 1;

/// What all target groups of a group have in common.
#[derive(Clone, Debug)]
pub(super) struct Common<'a> {
    pub(super) id: &'a GroupId,
    pub(super) account: &'a Account,
    /// Addresses of the load balancer.
    pub(super) addresses: AddressType,
    /// The security group that targets admit.
    pub(super) admitted: Option<GroupRef>,
}

/// `namespace/ingress-service:port`.
pub(super) fn resource_id(member: &Member<'_>, service: &Object, port: &IntOrString) -> String {
    format!("{}-{}:{}", member.key(), service.id.name, super::port_text(port))
}

/// The target group of a Service's port behind an Ingress.
pub(super) fn build(
    common: &Common<'_>,
    member: &Member<'_>,
    (object, service): (&Object, &Service),
    written: &IntOrString,
) -> Result<TargetGroup> {
    let account = common.account;
    let fault = |message: String| behind(member, object, "spec.ports", message);
    let port = lookup(&key(object), service, written).map_err(fault)?;
    let both = backend::over(object, member.object);
    let notes = Annotations::ingress(&both);
    let wrong = |(suffix, message): (&'static str, String)| of_backend(member, object, suffix, message);
    let read = |suffix: &'static str| {
        notes.map(suffix).map(Option::unwrap_or_default).map_err(|error| wrong((suffix, words(&error))))
    };
    let target_type = target_type(&notes, member, account).map_err(wrong)?;
    let protocol = protocol(&notes).map_err(wrong)?;
    let version = version(&notes).map_err(wrong)?;
    let service_key = key(object);
    let health_check =
        health::check(&notes, (&service_key, service), target_type, protocol, &version).map_err(wrong)?;
    let attributes = read("target-group-attributes")?;
    let tags = tags::of_backend_service(member, object, account)?;
    let ipv6 = service.ip_families.iter().any(|family| family == "IPv6");
    if ipv6 && common.addresses == AddressType::Ipv4 {
        let message = "unsupported IPv6 configuration, lb not dual-stack".to_owned();
        return Err(behind(member, object, "spec.ipFamilies", message));
    }
    let control_port = control_port(&notes, object, written, target_type).map_err(wrong)?;
    let number = number(service, port, target_type).map_err(fault)?;
    let networking = let_in(common, port, (number, target_type), health_check.port, control_port);
    let multi_cluster = multi_cluster(member, object)?;
    let node_selector = match target_type {
        TargetType::Instance => read("target-node-labels")?,
        TargetType::Ip | TargetType::Alb => BTreeMap::new(),
    };
    let name = name(common, member, object, written, (number, target_type, protocol, &version, control_port));
    Ok(TargetGroup {
        name,
        target_type,
        ipv6,
        port: number,
        protocol,
        protocol_version: Some(version),
        health_check,
        attributes,
        tags,
        service: object.id.clone(),
        service_port: written.clone(),
        node_selector,
        multi_cluster,
        networking,
        vpc: Some(account.vpc.clone()),
        control_port,
    })
}

type Read<T> = std::result::Result<T, (&'static str, String)>;

fn behind(member: &Member<'_>, object: &Object, field: &str, message: String) -> GroupError {
    GroupError { object: Some(Box::new(object.id.clone())), ..member.fault_at(field, message) }
}

/// The port of a Service that is meant.
pub(super) fn lookup<'a>(
    key: &str,
    service: &'a Service,
    port: &IntOrString,
) -> std::result::Result<&'a ServicePort, String> {
    let found = service.ports.iter().find(|candidate| match port {
        IntOrString::Int(number) => candidate.port == *number,
        IntOrString::String(name) => candidate.name.as_ref() == Some(name),
    });
    found.ok_or_else(|| format!("unable to find port {} on service {key}", super::port_text(port)))
}

/// The port of the pods: as Kubernetes fills it in where it is not said.
pub(super) fn target_port(port: &ServicePort) -> IntOrString {
    port.target_port.clone().unwrap_or(IntOrString::Int(port.port))
}

/// The class beats the annotations, which beat the controller's flag.
fn target_type(notes: &Annotations<'_>, member: &Member<'_>, account: &Account) -> Read<TargetType> {
    const SUFFIX: &str = "target-type";
    let class = member.class().and_then(|class| class.target_type.as_deref()).filter(|text| !text.is_empty());
    match class.or_else(|| notes.text(SUFFIX)).unwrap_or(&account.default_target_type) {
        "instance" => Ok(TargetType::Instance),
        "ip" if account.ip_targets => Ok(TargetType::Ip),
        "ip" => {
            let message = "unsupported targetType: ip when EnableIPTargetType is false";
            Err((SUFFIX, message.to_owned()))
        }
        other => Err((SUFFIX, format!("unknown targetType: {other}"))),
    }
}

fn protocol(notes: &Annotations<'_>) -> Read<TargetProtocol> {
    const SUFFIX: &str = "backend-protocol";
    match notes.text(SUFFIX) {
        None | Some("HTTP") => Ok(TargetProtocol::Http),
        Some("HTTPS") => Ok(TargetProtocol::Https),
        Some(other) => Err((SUFFIX, format!("backend protocol must be within [HTTP, HTTPS]: {other}"))),
    }
}

fn version(notes: &Annotations<'_>) -> Read<String> {
    const SUFFIX: &str = "backend-protocol-version";
    match notes.text(SUFFIX).unwrap_or("HTTP1") {
        version @ ("HTTP1" | "HTTP2" | "GRPC") => Ok(version.to_owned()),
        other => {
            let message = format!("backend protocol version must be within [HTTP1, HTTP2, GRPC]: {other}");
            Err((SUFFIX, message))
        }
    }
}

/// `target-control-port.<service>.<port>`.
pub(super) fn control_port(
    notes: &Annotations<'_>,
    service: &Object,
    port: &IntOrString,
    target_type: TargetType,
) -> Read<Option<u16>> {
    const SUFFIX: &str = "target-control-port";
    let suffix = format!("{SUFFIX}.{}.{}", service.id.name, super::port_text(port));
    let Some(raw) = notes.int32(&suffix).map_err(|error| (SUFFIX, words(&error)))? else { return Ok(None) };
    if target_type == TargetType::Instance {
        let message = "target control port is not supported for instance target target group";
        return Err((SUFFIX, message.to_owned()));
    }
    let port = u16::try_from(raw).ok().filter(|port| *port != 0);
    let message = || format!("target control port must be within [1, 65535]: {raw}");
    port.map(Some).ok_or_else(|| (SUFFIX, message()))
}

/// The number of a target group's port.
pub(super) fn number(
    service: &Service,
    port: &ServicePort,
    target_type: TargetType,
) -> std::result::Result<u16, String> {
    let valid = |number: i64| u16::try_from(number).ok().filter(|port| *port != 0);
    if target_type == TargetType::Instance {
        let type_ = service.type_.as_deref().unwrap_or("ClusterIP");
        let given = matches!(type_, "NodePort" | "LoadBalancer")
            && service.allocate_load_balancer_node_ports != Some(false);
        return match port.node_port.and_then(valid) {
            Some(number) => Ok(number),
            // In a file: the cluster gives it one.
            None if given => Ok(NO_NUMBER),
            None => {
                Err("TargetGroup port is empty. When using Instance targets, your service be must of type \
                         'NodePort' or 'LoadBalancer'"
                    .to_owned())
            }
        };
    }
    match target_port(port) {
        IntOrString::String(_) => Ok(NO_NUMBER),
        IntOrString::Int(number) => valid(number)
            .ok_or_else(|| "TargetGroup port is empty. Are you using the correct service type?".to_owned()),
    }
}

/// Who is let in to the targets; none where their rules are left alone.
fn let_in(
    common: &Common<'_>,
    port: &ServicePort,
    (number, target_type): (u16, TargetType),
    health: HealthPort,
    control: Option<u16>,
) -> Option<Vec<NetworkingRule>> {
    let target = match (target_type, target_port(port)) {
        (TargetType::Instance, _) | (_, IntOrString::Int(_)) => PortRef::Number(number),
        (_, IntOrString::String(name)) => PortRef::Name(name),
    };
    let admitted = common.admitted.as_ref()?;
    Some(networking(common.account, admitted, target, health, control))
}

/// The rules for the ports of a target.
pub(super) fn networking(
    account: &Account,
    admitted: &GroupRef,
    target: PortRef,
    health: HealthPort,
    control: Option<u16>,
) -> Vec<NetworkingRule> {
    let rule = |port: Option<PortRef>| NetworkingRule {
        from: vec![PeerRef::Group(admitted.clone())],
        ports: vec![Permission { protocol: "TCP".to_owned(), port }],
    };
    if !account.gates.restricted_security_group_rules {
        return vec![rule(None)];
    }
    let health = match health {
        HealthPort::Traffic => None,
        HealthPort::Port(port) => Some(PortRef::Number(port)),
    };
    let ports = [Some(target), health, control.map(PortRef::Number)];
    ports.into_iter().flatten().map(|port| rule(Some(port))).collect()
}

/// Either object may say that other clusters have targets here, too.
fn multi_cluster(member: &Member<'_>, service: &Object) -> Result<Option<bool>> {
    const SUFFIX: &str = "multi-cluster-target-group";
    let own = Annotations::ingress(&service.meta.annotations)
        .flag(SUFFIX)
        .map_err(|error| of_backend(member, service, SUFFIX, words(&error)))?;
    if own == Some(true) {
        return Ok(own);
    }
    let said = member.notes().flag(SUFFIX).map_err(|error| member.grammar(&error))?;
    Ok(said.or(own))
}

pub(super) fn name(
    common: &Common<'_>,
    member: &Member<'_>,
    service: &Object,
    written: &IntOrString,
    (number, target_type, protocol, version, control): (u16, TargetType, TargetProtocol, &str, Option<u16>),
) -> String {
    let target_type = match target_type {
        TargetType::Instance => "instance",
        TargetType::Ip => "ip",
        TargetType::Alb => "alb",
    };
    let id = &member.object.id;
    let uid = crate::service::uid(service, common.account);
    names::namespaced(
        &service.id.namespace,
        &service.id.name,
        &[
            &common.account.cluster,
            &common.id.to_string(),
            &id.namespace,
            &id.name,
            &uid,
            &super::port_text(written),
            &number.to_string(),
            target_type,
            protocol.as_str(),
            version,
            &control.map(|port| port.to_string()).unwrap_or_default(),
        ],
    )
}

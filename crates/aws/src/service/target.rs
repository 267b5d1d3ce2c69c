//! Target groups, and the Services whose nodes or pods are in them.

use std::collections::BTreeMap;

use plenipo_resources::Object;
use plenipo_resources::core::{IntOrString, Service};

use super::networking::Reached;
use super::port::{Port, awaits_node_port};
use super::{Frame, Request, TargetGroups};
use crate::annotations::boolean;
use crate::build_error::BuildError;
use crate::names;
use crate::stack::{AddressType, HealthCheck, PortRef, TargetGroup, TargetProtocol, TargetType};

const TARGET_TYPE: &str = "aws-load-balancer-nlb-target-type";
const ATTRIBUTES: &str = "aws-load-balancer-target-group-attributes";
const PROXY: &str = "proxy_protocol_v2.enabled";

/// The Service behind a target group: that of the load balancer, or one that shares its traffic.
pub(super) struct Backend<'a> {
    pub(super) object: &'a Object,
    pub(super) service: &'a Service,
    /// UID of the load balancer's Service, when it is another one. (Its annotations hold in both cases.)
    pub(super) shared_by: Option<&'a str>,
    pub(super) uid: String,
}

impl Request<'_> {
    pub(super) fn own_backend(&self) -> Backend<'_> {
        Backend { object: self.object, service: self.service, shared_by: None, uid: self.uid.clone() }
    }

    /// Makes the target group of a Service's port, unless it is there, and returns its id.
    pub(super) fn target_group(
        &self,
        frame: &Frame,
        groups: &mut TargetGroups,
        backend: &Backend<'_>,
        port: &Port<'_>,
        protocol: TargetProtocol,
    ) -> Result<String, BuildError> {
        let id = format!("{}/{}:{}", backend.object.id.namespace, backend.object.id.name, port.number);
        if !groups.contains_key(&id) {
            let group = self.new_target_group(frame, backend, port, protocol)?;
            groups.insert(id.clone(), group);
        }
        Ok(id)
    }

    fn new_target_group(
        &self,
        frame: &Frame,
        backend: &Backend<'_>,
        port: &Port<'_>,
        protocol: TargetProtocol,
    ) -> Result<TargetGroup, BuildError> {
        let target_type = self.target_type(backend.service, port)?;
        let health_check = self.health_check(backend.object, backend.service, target_type)?;
        let attributes = self.target_attributes(port)?;
        let preserves_client = attributes
            .get(TargetGroup::PRESERVE)
            .and_then(|value| boolean(value))
            .unwrap_or(target_type == TargetType::Instance);
        let (number, target) = self.target_port(backend.service, target_type, port)?;
        let ipv6 = ipv6(backend.service, frame.addresses)?;
        let reached = Reached {
            service: backend.service,
            protocol,
            port: &target,
            health: health_check.port,
            ipv6,
            preserves_client,
        };
        let is_shared = self.annotations.flag("aws-load-balancer-multi-cluster-target-group")?;
        Ok(TargetGroup {
            name: self.target_group_name(backend, port, number, target_type, protocol, &health_check),
            target_type,
            ipv6,
            port: number,
            protocol,
            protocol_version: None,
            attributes,
            tags: self.tags.clone(),
            service: backend.object.id.clone(),
            service_port: IntOrString::Int(i64::from(port.number)),
            node_selector: self.node_selector(target_type)?,
            multi_cluster: is_shared.filter(|is_shared| *is_shared),
            networking: self.networking(frame, &reached)?,
            health_check,
            vpc: Some(self.account.vpc.clone()),
            control_port: None,
        })
    }

    fn target_type(&self, service: &Service, port: &Port<'_>) -> Result<TargetType, BuildError> {
        let named = self.annotations.text(TARGET_TYPE).unwrap_or(&self.account.default_target_type);
        if named == "ip" && !self.account.ip_targets {
            let message = "unsupported targetType: ip when EnableIPTargetType is false";
            return Err(self.fault(TARGET_TYPE, message));
        }
        if named == "ip" || self.annotations.text("aws-load-balancer-type") == Some("nlb-ip") {
            return Ok(TargetType::Ip);
        }
        if service.type_.as_deref() == Some("ClusterIP") {
            return Err(self.fault(
                TARGET_TYPE,
                format!("unsupported service type \"ClusterIP\" for load balancer target type \"{named}\""),
            ));
        }
        if port.node_port == 0 && service.allocate_load_balancer_node_ports == Some(false) {
            return Err(BuildError::new(
                "spec.allocateLoadBalancerNodePorts",
                "unable to support instance target type with an unallocated NodePort",
            ));
        }
        Ok(TargetType::Instance)
    }

    /// The group's own port says little, for every target is registered with its own; rules name the real one.
    fn target_port(
        &self,
        service: &Service,
        target_type: TargetType,
        port: &Port<'_>,
    ) -> Result<(u16, PortRef), BuildError> {
        let (number, target) = match (target_type, &port.target) {
            (TargetType::Instance, _) => (port.node_port, PortRef::Number(port.node_port)),
            (_, PortRef::Number(number)) => (*number, PortRef::Number(*number)),
            (_, PortRef::Name(name)) => (1, PortRef::Name(name.clone())),
        };
        match (number, target_type) {
            (0, TargetType::Instance) if !awaits_node_port(service, self.account) => Err(BuildError::new(
                "spec.ports",
                "TargetGroup port is empty. When using Instance targets, your service be must of type 'NodePort' or \
                 'LoadBalancer'",
            )),
            (0, TargetType::Ip | TargetType::Alb) => Err(BuildError::new(
                "spec.ports",
                "TargetGroup port is empty. Are you using the correct service type?",
            )),
            _ => Ok((number, target)),
        }
    }

    fn target_group_name(
        &self,
        backend: &Backend<'_>,
        port: &Port<'_>,
        number: u16,
        target_type: TargetType,
        protocol: TargetProtocol,
        health: &HealthCheck,
    ) -> String {
        let type_ = match target_type {
            TargetType::Instance => "instance",
            TargetType::Ip => "ip",
            TargetType::Alb => "alb",
        };
        let id = &backend.object.id;
        names::namespaced(
            &id.namespace,
            &id.name,
            &[
                &self.account.cluster,
                backend.shared_by.unwrap_or_default(),
                &backend.uid,
                &number.to_string(),
                &port.number.to_string(),
                type_,
                protocol.as_str(),
                health.protocol.as_str(),
                &health.interval.to_string(),
            ],
        )
    }

    /// What holds for all ports, then for this one; the annotations about PROXY win over both.
    pub(super) fn target_attributes(&self, port: &Port<'_>) -> Result<BTreeMap<String, String>, BuildError> {
        const PROXY_PORTS: &str = "aws-load-balancer-proxy-protocol-per-target-group";
        const PROXY_ALL: &str = "aws-load-balancer-proxy-protocol";
        let mut attributes = BTreeMap::from([(PROXY.to_owned(), "false".to_owned())]);
        attributes.extend(self.written_attributes(ATTRIBUTES)?);
        let of_port = self.written_attributes(&format!("{ATTRIBUTES}.{}", port.number))?;
        attributes.extend(of_port.into_iter().filter(|(_, value)| !value.is_empty()));
        let mut proxy = |on: bool| attributes.insert(PROXY.to_owned(), on.to_string());
        if let Some(ports) = self.annotations.list(PROXY_PORTS) {
            if let Some(wrong) = ports.iter().find(|port| port.parse::<i64>().is_err()) {
                let message = format!("invalid port number in proxy-protocol-per-target-group: {wrong}");
                return Err(self.fault(PROXY_PORTS, message));
            }
            proxy(ports.contains(&port.number.to_string()));
        }
        match self.annotations.text(PROXY_ALL) {
            None => {}
            Some("*") => {
                proxy(true);
            }
            Some(other) => {
                return Err(self.fault(
                    PROXY_ALL,
                    format!(
                        "invalid value {other} for Load Balancer proxy protocol v2 annotation, only value currently \
                         supported is *"
                    ),
                ));
            }
        }
        attributes.retain(|key, value| key != PROXY || !value.is_empty());
        Ok(attributes)
    }

    fn written_attributes(&self, suffix: &str) -> Result<BTreeMap<String, String>, BuildError> {
        let attributes = self.annotations.map(suffix)?.unwrap_or_default();
        match attributes.get(TargetGroup::PRESERVE) {
            Some(value) if boolean(value).is_none() => {
                Err(self
                    .fault(suffix, format!("failed to parse attribute {}={value}", TargetGroup::PRESERVE)))
            }
            _ => Ok(attributes),
        }
    }

    fn node_selector(&self, target_type: TargetType) -> Result<BTreeMap<String, String>, BuildError> {
        if target_type != TargetType::Instance {
            return Ok(BTreeMap::new());
        }
        Ok(self.annotations.map("aws-load-balancer-target-node-labels")?.unwrap_or_default())
    }
}

/// Are targets addressed by IPv6?
fn ipv6(service: &Service, addresses: AddressType) -> Result<bool, BuildError> {
    let ipv6 = service.ip_families.iter().any(|family| family == "IPv6");
    if ipv6 && addresses != AddressType::Dualstack {
        return Err(BuildError::new("spec.ipFamilies", "unsupported IPv6 configuration, lb not dual-stack"));
    }
    Ok(ipv6)
}

//! The load balancer that the cloud provider (`cloud-provider-aws`, formerly part of Kubernetes) makes out of a Service:
//! a classic one, or a network load balancer of its own kind.
//!
//! A classic load balancer is modelled with listeners and target groups as the others are: every listener forwards to one
//! group of nodes, with the protocol of the backend. Attributes that only classic ones have got names in the style of the
//! others: `connection_draining.enabled`, `connection_draining.timeout_seconds`, `access_logs.s3.emit_interval` (minutes)
//! of the load balancer, and [`PROXY_V1`] of a target group.

mod attributes;
mod classic;
mod health;
mod network;

use std::collections::BTreeMap;

use plenipo_resources::core::{IntOrString, Service, ServicePort};
use plenipo_resources::{Object, View};

use crate::account::{Account, Subnet};
use crate::annotations::cloud_provider::CloudAnnotations;
use crate::build_error::BuildError;
use crate::owner;
use crate::stack::{
    Action, AddressType, Controller, Forward, HealthCheck, Kind, Listener, ListenerProtocol, LoadBalancer,
    NetworkingRule, Scheme, Stack, SubnetMapping, TargetGroup, TargetProtocol, TargetRef, TargetType,
    WeightedTarget,
};
use crate::subnets::{self, Need};
use crate::{names, service};

/// Attribute of a classic load balancer's target group: connections to it begin with a PROXY header of version 1. (AWS
/// calls it a `ProxyProtocolPolicyType` policy of the backend port.)
pub const PROXY_V1: &str = "proxy_protocol_v1.enabled";

const RANGES: &str = "load-balancer-source-ranges";

/// Security policy of TLS listeners that name none (AWS's own default).
const DEFAULT_POLICY: &str = "ELBSecurityPolicy-2016-08";

/// Builds the load balancer of a Service; none when it is not the cloud provider's.
///
/// # Errors
/// When the cloud provider would refuse: which field is wrong, and why.
pub fn build(object: &Object, account: &Account) -> Result<Option<Stack>, BuildError> {
    let View::Service(service) = &object.view else { return Ok(None) };
    let owner = owner::service(object, service, &account.gates).owner;
    let Some(owner) = owner.filter(|owner| owner.controller == Controller::CloudProvider) else {
        return Ok(None);
    };
    let annotations = CloudAnnotations::new(&object.meta.annotations);
    let request = Request { account, object, service, annotations, kind: owner.kind };
    request.check()?;
    let stack = match owner.kind {
        Kind::Classic => request.classic(),
        _ => request.network(),
    };
    stack.map(Some)
}

/// One Service that asks for a load balancer.
struct Request<'a> {
    account: &'a Account,
    object: &'a Object,
    service: &'a Service,
    annotations: CloudAnnotations<'a>,
    kind: Kind,
}

/// What a port of the Service becomes.
struct Listening<'a> {
    port: &'a ServicePort,
    protocol: ListenerProtocol,
    target: TargetProtocol,
    /// The one certificate of a port where TLS ends.
    certificate: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// What the cloud provider refuses, whatever it makes.
    fn check(&self) -> Result<(), BuildError> {
        let service = self.service;
        if let Some(affinity) = service.session_affinity.as_deref().filter(|affinity| *affinity != "None") {
            let message = format!("unsupported load balancer affinity: {affinity}");
            return Err(BuildError::new("spec.sessionAffinity", message));
        }
        if service.ports.is_empty() {
            return Err(BuildError::new("spec.ports", "requested load balancer with no ports"));
        }
        if service.load_balancer_ip.as_deref().is_some_and(|address| !address.is_empty()) {
            let message = "LoadBalancerIP cannot be specified for AWS ELB";
            return Err(BuildError::new("spec.loadBalancerIP", message));
        }
        let protocols: Vec<&str> = service.ports.iter().map(protocol).collect();
        if protocols.iter().any(|protocol| *protocol != protocols[0]) {
            return Err(BuildError::new("spec.ports", "mixed protocol is not supported for LoadBalancer"));
        }
        let carried: &[&str] = if self.kind == Kind::Network { &["TCP", "UDP"] } else { &["TCP"] };
        if let Some(protocol) = protocols.iter().find(|protocol| !carried.contains(protocol)) {
            return Err(BuildError::new(
                "spec.ports",
                format!("Protocol {protocol} not supported by LoadBalancer"),
            ));
        }
        self.check_ranges()?;
        self.check_type()
    }

    fn check_ranges(&self) -> Result<(), BuildError> {
        let ranges = self.source_ranges();
        let Some(range) = ranges.iter().find(|range| range.parse::<ipnet::IpNet>().is_err()) else {
            return Ok(());
        };
        let field = match self.service.load_balancer_source_ranges.as_slice() {
            [] => self.annotations.field(RANGES),
            _ => "spec.loadBalancerSourceRanges".to_owned(),
        };
        let message =
            format!("{range} is not valid. Expecting a list of IP ranges. For example, 10.0.0.0/24.");
        Err(BuildError::new(field, message))
    }

    /// Host names tell which kind a load balancer is: those of classic ones end differently.
    fn check_type(&self) -> Result<(), BuildError> {
        const SUFFIX: &str = "aws-load-balancer-type";
        let is_aws = |host: &&String| host.ends_with(".amazonaws.com");
        let Some(host) = self.service.status_addresses.iter().find(is_aws) else { return Ok(()) };
        if host.ends_with(".elb.amazonaws.com") == (self.kind == Kind::Classic) {
            return Ok(());
        }
        let key = format!("{}/{SUFFIX}", crate::annotations::SERVICE);
        let message = format!("cannot update Load Balancer Type annotation {key:?} after creation");
        Err(self.fault(SUFFIX, message))
    }

    fn scheme(&self) -> Scheme {
        if self.annotations.internal() { Scheme::Internal } else { Scheme::InternetFacing }
    }

    fn subnets(&self) -> Result<Vec<Subnet>, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-subnets";
        let need = Need { kind: self.kind, scheme: self.scheme(), addresses: AddressType::Ipv4 };
        let found = match self.annotations.list(SUFFIX).as_slice() {
            [] => subnets::discovered(self.account, need),
            names => subnets::named(self.account, names, need),
        };
        found.map_err(|message| self.fault(SUFFIX, message))
    }

    /// Ports that have a node port; in files, where it is not chosen yet, all of them.
    fn ports(&self) -> Result<Vec<&'a ServicePort>, BuildError> {
        let mut ports = Vec::new();
        for (at, port) in self.service.ports.iter().enumerate() {
            for (number, part) in [(port.port, "port"), (port.node_port.unwrap_or(0), "nodePort")] {
                if u16::try_from(number).is_err() {
                    let field = format!("spec.ports[{at}].{part}");
                    return Err(BuildError::new(field, format!("{number} is not a port")));
                }
            }
            if port.node_port.unwrap_or(0) != 0 || !self.account.complete {
                ports.push(port);
            }
        }
        Ok(ports)
    }

    fn load_balancer(
        &self,
        subnets: Vec<SubnetMapping>,
        attributes: BTreeMap<String, String>,
    ) -> LoadBalancer {
        LoadBalancer {
            name: names::cloud_provider(&service::uid(self.object, self.account)),
            kind: self.kind,
            scheme: self.scheme(),
            addresses: AddressType::Ipv4,
            subnets,
            security_groups: Vec::new(),
            attributes,
            tags: self.tags(),
            private_link_rules: None,
            ipv6_source_nat: None,
            minimum_capacity: None,
            ipam_pool: None,
            customer_owned_pool: None,
        }
    }

    fn stack(
        &self,
        load_balancer: LoadBalancer,
        listenings: &[Listening<'_>],
        target: impl Fn(&Listening<'_>) -> Result<TargetGroup, BuildError>,
    ) -> Result<Stack, BuildError> {
        let mut listeners = BTreeMap::new();
        let mut target_groups = BTreeMap::new();
        for listening in listenings {
            let id = format!("{}/{}:{}", self.object.id.namespace, self.object.id.name, listening.port.port);
            let listener = self.listener(listening, &id);
            target_groups.insert(id, target(listening)?);
            listeners.insert(listener.port, listener);
        }
        Ok(Stack {
            id: format!("{}/{}", self.object.id.namespace, self.object.id.name),
            controller: Controller::CloudProvider,
            members: vec![self.object.id.clone()],
            load_balancer,
            listeners: listeners.into_values().collect(),
            target_groups,
            security_group: None,
            web_acl: None,
            shield: None,
            frontend: None,
        })
    }

    fn listener(&self, listening: &Listening<'_>, target: &str) -> Listener {
        let policy = self.annotations.text("aws-load-balancer-ssl-negotiation-policy");
        let ends_tls = listening.certificate.is_some();
        let targets = vec![WeightedTarget { target: TargetRef::Own(target.to_owned()), weight: None }];
        Listener {
            port: number(listening.port.port),
            protocol: listening.protocol,
            certificates: listening.certificate.map(str::to_owned).into_iter().collect(),
            ssl_policy: ends_tls.then(|| policy.unwrap_or(DEFAULT_POLICY).to_owned()),
            alpn: None,
            mutual_authentication: None,
            default_actions: vec![Action::Forward(Forward { targets, stickiness: None, other: None })],
            rules: Vec::new(),
            attributes: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    fn target_group(
        &self,
        listening: &Listening<'_>,
        health_check: HealthCheck,
        attributes: BTreeMap<String, String>,
        networking: Option<Vec<NetworkingRule>>,
    ) -> TargetGroup {
        let id = &self.object.id;
        let port = listening.port;
        let node_port = number(port.node_port.unwrap_or(0));
        TargetGroup {
            // The cloud provider hashes the same parts, by SHA-1.
            name: names::namespaced(
                &id.namespace,
                &id.name,
                &[
                    &self.account.cluster,
                    &id.namespace,
                    &id.name,
                    &port.port.to_string(),
                    &node_port.to_string(),
                    listening.target.as_str(),
                    "instance",
                ],
            ),
            target_type: TargetType::Instance,
            ipv6: false,
            port: node_port,
            protocol: listening.target,
            protocol_version: None,
            health_check,
            attributes,
            tags: self.tags(),
            service: id.clone(),
            service_port: IntOrString::Int(port.port),
            node_selector: self.annotations.map("aws-load-balancer-target-node-labels"),
            multi_cluster: None,
            networking,
            vpc: None,
            control_port: None,
        }
    }

    fn tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.annotations.map("aws-load-balancer-additional-resource-tags");
        let id = &self.object.id;
        tags.insert("kubernetes.io/service-name".to_owned(), format!("{}/{}", id.namespace, id.name));
        tags.insert(format!("kubernetes.io/cluster/{}", self.account.cluster), "owned".to_owned());
        tags
    }

    /// Who may connect: the field, the annotation, everybody.
    fn source_ranges(&self) -> Vec<String> {
        let ranges = match self.service.load_balancer_source_ranges.as_slice() {
            [] => self.annotations.list(RANGES),
            ranges => ranges.to_vec(),
        };
        if ranges.is_empty() { vec!["0.0.0.0/0".to_owned()] } else { ranges }
    }

    fn fault(&self, suffix: &str, message: impl Into<String>) -> BuildError {
        BuildError::new(self.annotations.field(suffix), message)
    }
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

/// Of a port that was checked.
fn number(port: i64) -> u16 {
    u16::try_from(port).unwrap_or(0)
}

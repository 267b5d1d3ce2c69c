//! One listener for every port of the Service, or for every two that differ in TCP and UDP only.

use std::collections::BTreeMap;

use super::port::{Port, ports};
use super::target::Backend;
use super::{Frame, Request, TargetGroups};
use crate::build_error::BuildError;
use crate::stack::{
    Action, AlpnPolicy, Forward, Listener, ListenerProtocol, TargetProtocol, TargetRef, WeightedTarget,
};

const CERTIFICATES: &str = "aws-load-balancer-ssl-cert";
const SSL_PORTS: &str = "aws-load-balancer-ssl-ports";
const QUIC_PORTS: &str = "aws-load-balancer-quic-enabled-ports";

/// What holds for all listeners of the load balancer.
struct Settings {
    certificates: Vec<String>,
    /// None named = all.
    ssl_ports: Vec<String>,
    quic_ports: Vec<String>,
    ssl_policy: String,
    /// Targets of TLS listeners speak TLS too.
    tls_to_targets: bool,
}

impl Request<'_> {
    pub(super) fn listeners(&self, frame: &Frame) -> Result<(Vec<Listener>, TargetGroups), BuildError> {
        let settings = self.settings()?;
        let ports = ports(self.service)?;
        let merging = self.merges_ports();
        let mut target_groups = TargetGroups::new();
        let mut listeners: BTreeMap<u16, Listener> = BTreeMap::new();
        for port in &ports {
            let same: Vec<&Port<'_>> = ports.iter().filter(|other| other.number == port.number).collect();
            let merged = merging && same.len() > 1;
            if merged {
                mergeable(&same)?;
            }
            if merging && listeners.contains_key(&port.number) {
                continue;
            }
            let listener = self.listener(frame, &settings, &mut target_groups, port, merged)?;
            // Without merging, the last of several ports of one number wins: they have the same resource id.
            listeners.insert(port.number, listener);
        }
        Ok((listeners.into_values().collect(), target_groups))
    }

    /// A value that is no boolean is as none.
    pub(super) fn merges_ports(&self) -> bool {
        let written = self.annotations.flag("aws-load-balancer-enable-tcp-udp-listener");
        written.ok().flatten().unwrap_or(self.account.gates.tcp_udp_listener)
    }

    fn settings(&self) -> Result<Settings, BuildError> {
        let ssl_ports = self.annotations.list(SSL_PORTS).unwrap_or_default();
        let ports = ports(self.service)?;
        let is_unused =
            |entry: &&String| !ports.iter().any(|port| port.is_among(std::slice::from_ref(*entry)));
        let unused: Vec<&str> = ssl_ports.iter().filter(is_unused).map(String::as_str).collect();
        if !unused.is_empty() {
            let message = format!("Unused port in ssl-ports annotation [{}]", unused.join(" "));
            return Err(self.fault(SSL_PORTS, message));
        }
        let policy = self.annotations.text("aws-load-balancer-ssl-negotiation-policy");
        Ok(Settings {
            certificates: self.annotations.list(CERTIFICATES).unwrap_or_default(),
            ssl_ports,
            quic_ports: self.annotations.list(QUIC_PORTS).unwrap_or_default(),
            ssl_policy: policy.unwrap_or(&self.account.default_ssl_policy).to_owned(),
            tls_to_targets: self.annotations.text("aws-load-balancer-backend-protocol") == Some("ssl"),
        })
    }

    fn listener(
        &self,
        frame: &Frame,
        settings: &Settings,
        target_groups: &mut TargetGroups,
        port: &Port<'_>,
        merged: bool,
    ) -> Result<Listener, BuildError> {
        let (protocol, target_protocol) = self.protocols(settings, port, merged)?;
        let ends_tls = protocol == ListenerProtocol::Tls;
        let own = self.own_backend();
        let first = self.target_group(frame, target_groups, &own, port, target_protocol)?;
        let targets = match self.shared_traffic(protocol, port.number)? {
            None => vec![WeightedTarget { target: TargetRef::Own(first), weight: None }],
            Some(shares) => {
                let mut targets =
                    vec![WeightedTarget { target: TargetRef::Own(first), weight: Some(shares.base_weight) }];
                for share in &shares.others {
                    let target = self.share(frame, target_groups, protocol, share)?;
                    targets.push(WeightedTarget { target, weight: share.weight });
                }
                targets
            }
        };
        let suffix = format!("aws-load-balancer-listener-attributes.{}-{}", protocol.as_str(), port.number);
        Ok(Listener {
            port: port.number,
            protocol,
            certificates: if ends_tls { settings.certificates.clone() } else { Vec::new() },
            ssl_policy: ends_tls.then(|| settings.ssl_policy.clone()),
            alpn: if ends_tls { self.alpn()? } else { None },
            mutual_authentication: None,
            default_actions: vec![Action::Forward(Forward { targets, stickiness: None, other: None })],
            rules: Vec::new(),
            attributes: self.annotations.map(&suffix)?.unwrap_or_default(),
            tags: self.tags.clone(),
        })
    }

    /// What clients speak, and what targets speak.
    fn protocols(
        &self,
        settings: &Settings,
        port: &Port<'_>,
        merged: bool,
    ) -> Result<(ListenerProtocol, TargetProtocol), BuildError> {
        let (mut protocol, mut target) = match port.protocol {
            _ if merged => (ListenerProtocol::TcpUdp, TargetProtocol::TcpUdp),
            "UDP" => (ListenerProtocol::Udp, TargetProtocol::Udp),
            "TCP" => (ListenerProtocol::Tcp, TargetProtocol::Tcp),
            other => {
                let message = format!("a network load balancer cannot carry {other}");
                return Err(BuildError::new("spec.ports", message));
            }
        };
        let is_named = settings.ssl_ports.is_empty() || port.is_among(&settings.ssl_ports);
        if protocol == ListenerProtocol::Tcp && !settings.certificates.is_empty() && is_named {
            protocol = ListenerProtocol::Tls;
            if settings.tls_to_targets {
                target = TargetProtocol::Tls;
            }
        }
        if port.is_among(&settings.quic_ports) {
            (protocol, target) = match protocol {
                ListenerProtocol::Udp => (ListenerProtocol::Quic, TargetProtocol::Quic),
                ListenerProtocol::TcpUdp => (ListenerProtocol::TcpQuic, TargetProtocol::TcpQuic),
                other => {
                    let message = format!("Unsupported QUIC upgrade for protocol {}", other.as_str());
                    return Err(self.fault(QUIC_PORTS, message));
                }
            };
        }
        Ok((protocol, target))
    }

    /// Of a TLS listener.
    pub(super) fn alpn(&self) -> Result<Option<AlpnPolicy>, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-alpn-policy";
        let policy = match self.annotations.text(SUFFIX) {
            None => return Ok(None),
            Some("None") => AlpnPolicy::None,
            Some("HTTP1Only") => AlpnPolicy::Http1Only,
            Some("HTTP2Only") => AlpnPolicy::Http2Only,
            Some("HTTP2Optional") => AlpnPolicy::Http2Optional,
            Some("HTTP2Preferred") => AlpnPolicy::Http2Preferred,
            Some(other) => {
                return Err(self.fault(
                    SUFFIX,
                    format!(
                        "invalid ALPN policy {other}, policy must be one of [None, HTTP1Only, HTTP2Only, \
                         HTTP2Optional, HTTP2Preferred]"
                    ),
                ));
            }
        };
        Ok(Some(policy))
    }

    /// The target group of a Service that shares the traffic, or somebody else's.
    fn share(
        &self,
        frame: &Frame,
        target_groups: &mut TargetGroups,
        protocol: ListenerProtocol,
        share: &super::action::Share,
    ) -> Result<TargetRef, BuildError> {
        use super::action::ShareTarget;

        let (name, port) = match &share.target {
            ShareTarget::Arn(arn) => return Ok(TargetRef::Arn(arn.clone())),
            ShareTarget::Service { name, port } => (name, port),
        };
        let fault = |message: String| BuildError::new(share.field.clone(), message);
        let namespace = &self.object.id.namespace;
        let object = self.set.get("Service", namespace, name);
        let Some((object, service)) = object.and_then(|object| match &object.view {
            plenipo_resources::View::Service(service) => Some((&**object, &**service)),
            _ => None,
        }) else {
            return Err(fault(format!("services \"{name}\" not found")));
        };
        let port = super::port::lookup(object, service, port).map_err(fault)?;
        let target_protocol = match protocol {
            ListenerProtocol::Tls if share.decrypted => TargetProtocol::Tcp,
            ListenerProtocol::Tls => TargetProtocol::Tls,
            ListenerProtocol::Udp => TargetProtocol::Udp,
            ListenerProtocol::TcpUdp => TargetProtocol::TcpUdp,
            ListenerProtocol::Quic => TargetProtocol::Quic,
            ListenerProtocol::TcpQuic => TargetProtocol::TcpQuic,
            _ => TargetProtocol::Tcp,
        };
        let uid = super::uid(object, self.account);
        let backend = Backend { object, service, shared_by: Some(&self.uid), uid };
        self.target_group(frame, target_groups, &backend, &port, target_protocol).map(TargetRef::Own)
    }
}

/// Exactly two ports can be one listener: one of TCP and one of UDP.
fn mergeable(ports: &[&Port<'_>]) -> Result<(), BuildError> {
    let fault = |message: String| Err(BuildError::new("spec.ports", message));
    let [first, second] = ports else {
        return fault(format!("can only merge two ports, not {}", ports.len()));
    };
    if let Some(other) = ports.iter().find(|port| !matches!(port.protocol, "TCP" | "UDP")) {
        return fault(format!("unsupported protocol for merging: {}", other.protocol));
    }
    if first.protocol == second.protocol {
        return fault(format!("protocols can't match for merging: {}", first.protocol));
    }
    Ok(())
}

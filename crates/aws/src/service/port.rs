//! The ports of a Service, as a load balancer needs them.

use plenipo_resources::Object;
use plenipo_resources::core::{IntOrString, Service, ServicePort};

use crate::account::Account;
use crate::build_error::BuildError;
use crate::stack::PortRef;

/// One port of a Service.
pub(super) struct Port<'a> {
    pub(super) number: u16,
    pub(super) name: Option<&'a str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub(super) protocol: &'a str,
    /// 0 = Kubernetes has not chosen one.
    pub(super) node_port: u16,
    /// Of the pods.
    pub(super) target: PortRef,
}

impl<'a> Port<'a> {
    pub(super) fn new(port: &'a ServicePort, field: &str) -> Result<Self, BuildError> {
        let number = |number: i64, part: &str| {
            u16::try_from(number)
                .map_err(|_| BuildError::new(format!("{field}.{part}"), format!("{number} is not a port")))
        };
        Ok(Self {
            number: number(port.port, "port")?,
            name: port.name.as_deref().filter(|name| !name.is_empty()),
            protocol: port.protocol.as_deref().unwrap_or("TCP"),
            node_port: number(port.node_port.unwrap_or(0), "nodePort")?,
            target: match &port.target_port {
                None => PortRef::Number(number(port.port, "port")?),
                Some(IntOrString::Int(target)) => PortRef::Number(number(*target, "targetPort")?),
                Some(IntOrString::String(name)) => PortRef::Name(name.clone()),
            },
        })
    }

    /// Is it meant by an entry of a list of names and numbers?
    pub(super) fn is_among(&self, entries: &[String]) -> bool {
        let number = self.number.to_string();
        entries.iter().any(|entry| *entry == number || Some(entry.as_str()) == self.name)
    }
}

/// All ports of a Service.
pub(super) fn ports(service: &Service) -> Result<Vec<Port<'_>>, BuildError> {
    let port = |(at, port)| Port::new(port, &format!("spec.ports[{at}]"));
    service.ports.iter().enumerate().map(port).collect()
}

/// The port of a Service that is referred to by number or name.
pub(super) fn lookup<'a>(
    object: &Object,
    service: &'a Service,
    wanted: &IntOrString,
) -> Result<Port<'a>, String> {
    let is_wanted = |port: &ServicePort| match wanted {
        IntOrString::Int(number) => port.port == *number,
        IntOrString::String(name) => port.name.as_ref() == Some(name),
    };
    let found = service.ports.iter().find(|port| is_wanted(port)).ok_or_else(|| {
        let wanted = match wanted {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(name) => name.clone(),
        };
        format!("unable to find port {wanted} on service {}/{}", object.id.namespace, object.id.name)
    })?;
    Port::new(found, "spec.ports").map_err(|error| error.message)
}

/// In files the node port of a Service is nearly always missing, for Kubernetes chooses it; in a cluster it is there.
pub(super) fn awaits_node_port(service: &Service, account: &Account) -> bool {
    let type_ = service.type_.as_deref().unwrap_or("ClusterIP");
    !account.complete && matches!(type_, "NodePort" | "LoadBalancer")
}

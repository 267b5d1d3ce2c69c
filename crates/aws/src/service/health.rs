//! How targets are checked.

use plenipo_resources::Object;
use plenipo_resources::core::{IntOrString, Service};

use super::Request;
use super::port;
use crate::build_error::BuildError;
use crate::stack::{HealthCheck, HealthPort, PortRef, TargetProtocol, TargetType};

const PORT: &str = "aws-load-balancer-healthcheck-port";
const PROTOCOL: &str = "aws-load-balancer-healthcheck-protocol";

/// What holds where no annotation says otherwise.
struct Defaults {
    port: String,
    protocol: TargetProtocol,
    path: &'static str,
    timeout: u32,
    threshold: u32,
}

const INTERVAL: u32 = 10;

impl Request<'_> {
    /// Nodes that hold traffic for their own pods only are asked whether they have any.
    pub(super) fn health_check(
        &self,
        object: &Object,
        service: &Service,
        targets: TargetType,
    ) -> Result<HealthCheck, BuildError> {
        let is_local = targets == TargetType::Instance
            && service.external_traffic_policy.as_deref() == Some("Local")
            && service.type_.as_deref() == Some("LoadBalancer");
        let defaults = if is_local {
            Defaults {
                port: service.health_check_node_port.unwrap_or(0).to_string(),
                protocol: TargetProtocol::Http,
                path: "/healthz",
                timeout: 6,
                threshold: 2,
            }
        } else {
            Defaults {
                port: "traffic-port".to_owned(),
                protocol: TargetProtocol::Tcp,
                path: "/",
                timeout: 10,
                threshold: 3,
            }
        };
        let protocol = self.health_protocol(defaults.protocol)?;
        let is_http = protocol != TargetProtocol::Tcp;
        let text = |suffix, default: &str| self.annotations.text(suffix).unwrap_or(default).to_owned();
        Ok(HealthCheck {
            port: self.health_port(object, service, targets, &defaults.port)?,
            protocol,
            path: is_http.then(|| text("aws-load-balancer-healthcheck-path", defaults.path)),
            success_codes: is_http.then(|| text("aws-load-balancer-healthcheck-success-codes", "200-399")),
            interval: self.number("aws-load-balancer-healthcheck-interval", INTERVAL)?,
            timeout: self.number("aws-load-balancer-healthcheck-timeout", defaults.timeout)?,
            healthy: self.number("aws-load-balancer-healthcheck-healthy-threshold", defaults.threshold)?,
            unhealthy: self
                .number("aws-load-balancer-healthcheck-unhealthy-threshold", defaults.threshold)?,
        })
    }

    fn health_protocol(&self, default: TargetProtocol) -> Result<TargetProtocol, BuildError> {
        let Some(name) = self.annotations.text(PROTOCOL) else { return Ok(default) };
        match name.to_ascii_uppercase().as_str() {
            "TCP" => Ok(TargetProtocol::Tcp),
            "HTTP" => Ok(TargetProtocol::Http),
            "HTTPS" => Ok(TargetProtocol::Https),
            _ => Err(self.fault(PROTOCOL, format!("unsupported health check protocol {name}"))),
        }
    }

    /// A number is a port of the target, a name is a port of the Service.
    fn health_port(
        &self,
        object: &Object,
        service: &Service,
        targets: TargetType,
        default: &str,
    ) -> Result<HealthPort, BuildError> {
        let raw = self.annotations.text(PORT).unwrap_or(default);
        if raw == "traffic-port" {
            return Ok(HealthPort::Traffic);
        }
        if let Ok(number) = raw.parse::<i64>() {
            let port = u16::try_from(number).map_err(|_| self.fault(PORT, format!("{raw} is not a port")));
            return port.map(HealthPort::Port);
        }
        let port = port::lookup(object, service, &IntOrString::String(raw.to_owned()))
            .map_err(|why| self.fault(PORT, format!("failed to resolve healthCheckPort: {why}")))?;
        match (targets, port.target) {
            (TargetType::Instance, _) => Ok(HealthPort::Port(port.node_port)),
            (_, PortRef::Number(number)) => Ok(HealthPort::Port(number)),
            (_, PortRef::Name(_)) => Err(self.fault(
                PORT,
                "cannot use named healthCheckPort for IP TargetType when service's targetPort is a named port",
            )),
        }
    }

    fn number(&self, suffix: &str, default: u32) -> Result<u32, BuildError> {
        let number = self.annotations.int32(suffix)?.map(u32::try_from).unwrap_or(Ok(default));
        number.map_err(|_| self.fault(suffix, "must not be negative"))
    }
}

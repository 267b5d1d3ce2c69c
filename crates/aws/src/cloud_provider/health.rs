//! How nodes are checked.

use super::Request;
use crate::build_error::BuildError;
use crate::stack::{HealthCheck, HealthPort, Kind, TargetProtocol};

const PROTOCOL: &str = "aws-load-balancer-healthcheck-protocol";
const PORT: &str = "aws-load-balancer-healthcheck-port";
const PATH: &str = "aws-load-balancer-healthcheck-path";
const INTERVAL: &str = "aws-load-balancer-healthcheck-interval";
const TIMEOUT: &str = "aws-load-balancer-healthcheck-timeout";
const HEALTHY: &str = "aws-load-balancer-healthcheck-healthy-threshold";
const UNHEALTHY: &str = "aws-load-balancer-healthcheck-unhealthy-threshold";

/// What holds where no annotation says otherwise.
struct Defaults {
    protocol: TargetProtocol,
    port: HealthPort,
    path: &'static str,
    interval: u32,
    timeout: u32,
    healthy: u32,
    unhealthy: u32,
}

impl Request<'_> {
    /// A classic load balancer has one check, of its first port.
    pub(super) fn classic_health_check(&self, first_node_port: u16) -> Result<HealthCheck, BuildError> {
        let backend = self.annotations.text("aws-load-balancer-backend-protocol").unwrap_or_default();
        let protocol = match backend.to_ascii_lowercase().as_str() {
            "https" | "ssl" => TargetProtocol::Ssl,
            _ => TargetProtocol::Tcp,
        };
        let (timeout, healthy, unhealthy) = (5, 2, 6);
        let plain = Defaults {
            protocol,
            port: HealthPort::Port(first_node_port),
            path: "/",
            interval: 10,
            timeout,
            healthy,
            unhealthy,
        };
        let mut check = self.health_check(&self.local_port().map_or(plain, |port| Defaults {
            protocol: TargetProtocol::Http,
            port,
            path: "/healthz",
            interval: 10,
            timeout,
            healthy,
            unhealthy,
        }))?;
        if check.port == HealthPort::Traffic {
            check.port = HealthPort::Port(first_node_port);
        }
        if check.timeout >= check.interval {
            let message = format!("{} is not less than the interval, {}", check.timeout, check.interval);
            return Err(self.fault(TIMEOUT, message));
        }
        Ok(check)
    }

    pub(super) fn network_health_check(&self) -> Result<HealthCheck, BuildError> {
        let plain = Defaults {
            protocol: TargetProtocol::Tcp,
            port: HealthPort::Traffic,
            path: "/",
            interval: 30,
            timeout: 10,
            healthy: 3,
            unhealthy: 3,
        };
        let mut check = self.health_check(&self.local_port().map_or(plain, |port| Defaults {
            protocol: TargetProtocol::Http,
            port,
            path: "/healthz",
            interval: 10,
            timeout: 10,
            healthy: 2,
            unhealthy: 2,
        }))?;
        if check.protocol != TargetProtocol::Tcp {
            check.success_codes = Some("200-399".to_owned());
        }
        Ok(check)
    }

    /// Nodes that hold traffic for their own pods only are asked whether they have any.
    fn local_port(&self) -> Option<HealthPort> {
        let is_local = self.service.external_traffic_policy.as_deref() == Some("Local");
        let port = self.service.health_check_node_port.unwrap_or(0);
        is_local.then(|| HealthPort::Port(super::number(port)))
    }

    fn health_check(&self, defaults: &Defaults) -> Result<HealthCheck, BuildError> {
        let protocol = match self.annotations.text(PROTOCOL).map(str::to_ascii_uppercase).as_deref() {
            None => defaults.protocol,
            Some("TCP") => TargetProtocol::Tcp,
            Some("SSL") if self.kind == Kind::Classic => TargetProtocol::Ssl,
            Some("HTTP") => TargetProtocol::Http,
            Some("HTTPS") => TargetProtocol::Https,
            Some(other) => {
                return Err(self.fault(PROTOCOL, format!("Unsupported health check protocol {other}")));
            }
        };
        let port = match self.annotations.text(PORT) {
            None => defaults.port,
            Some("traffic-port") => HealthPort::Traffic,
            Some(raw) => {
                let port = raw
                    .parse()
                    .map_err(|_| self.fault(PORT, format!("Invalid health check port '{raw}'")))?;
                HealthPort::Port(port)
            }
        };
        let is_http = matches!(protocol, TargetProtocol::Http | TargetProtocol::Https);
        let path = self.annotations.text(PATH).unwrap_or(defaults.path);
        Ok(HealthCheck {
            port,
            protocol,
            path: is_http.then(|| path.to_owned()),
            success_codes: is_http.then(|| "200".to_owned()),
            interval: self.whole(INTERVAL, 5..=300)?.unwrap_or(defaults.interval),
            timeout: self.whole(TIMEOUT, 2..=120)?.unwrap_or(defaults.timeout),
            healthy: self.whole(HEALTHY, 2..=10)?.unwrap_or(defaults.healthy),
            unhealthy: self.whole(UNHEALTHY, 2..=10)?.unwrap_or(defaults.unhealthy),
        })
    }
}

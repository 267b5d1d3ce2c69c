//! Health checks of target groups.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use plenipo_model::{
    HeaderEdit, HeaderEdits, HealthCheck, HealthProbe, HealthTransport, Template, TlsClient,
};

use super::Remarks;
use crate::stack::{Kind, TargetGroup, TargetProtocol};

/// The port that a check asks on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CheckPort {
    /// That of the traffic.
    Traffic,
    /// Another one.
    Other(u16),
    /// Another one, which nobody knows on this machine.
    Unknown(u16),
}

/// The check of a target group. One that cannot be asked here becomes a connection that must open where the traffic goes.
pub(super) fn check(
    kind: Kind,
    group: &TargetGroup,
    port: CheckPort,
    tls: TlsClient,
    target: Option<SocketAddr>,
    remarks: &mut Remarks,
) -> HealthCheck {
    let wanted = &group.health_check;
    let seconds = |number: u32| Duration::from_secs(u64::from(number.max(1)));
    let asks = matches!(wanted.protocol, TargetProtocol::Http | TargetProtocol::Https);
    let path = wanted.path.clone();
    let codes = wanted.success_codes.as_deref();
    let probe = match port {
        _ if !asks => HealthProbe::Tcp,
        CheckPort::Unknown(port) => {
            let (protocol, path) = (wanted.protocol.as_str(), path.unwrap_or_default());
            remarks.deviations.push(format!(
                "{}: healthy is what takes a connection, {protocol} {path} on port {port} is not asked for",
                group.name
            ));
            HealthProbe::Tcp
        }
        _ if group.protocol_version.as_deref() == Some("GRPC") => HealthProbe::GrpcCall {
            path: path.unwrap_or_else(|| "/AWS.ALB/healthcheck".to_owned()),
            // Unimplemented, which whatever speaks gRPC says of a method that it has not.
            statuses: statuses(codes.unwrap_or("12")),
        },
        _ => HealthProbe::Http {
            path: path.unwrap_or_else(|| "/".to_owned()),
            host: target.map(|target| target.to_string()),
            headers: agent(kind),
            statuses: statuses(codes.unwrap_or("200")),
        },
    };
    let elsewhere = matches!(port, CheckPort::Unknown(_));
    let transport = match (elsewhere, group.protocol.is_tls(), wanted.protocol.is_tls()) {
        (true, ..) | (_, true, true) | (_, false, false) => HealthTransport::Traffic,
        (_, true, false) => HealthTransport::ClearText,
        (_, false, true) => HealthTransport::Tls(Arc::new(tls)),
    };
    HealthCheck {
        timeout: seconds(wanted.timeout),
        interval: seconds(wanted.interval),
        healthy_after: wanted.healthy.max(1),
        unhealthy_after: wanted.unhealthy.max(1),
        probe,
        port: match port {
            CheckPort::Other(port) => Some(port),
            CheckPort::Traffic | CheckPort::Unknown(_) => None,
        },
        transport,
    }
}

/// How load balancers call themselves when they ask.
fn agent(kind: Kind) -> HeaderEdits {
    let name = if kind == Kind::Classic { "ELB-HealthChecker/1.0" } else { "ELB-HealthChecker/2.0" };
    let edit = HeaderEdit { name: USER_AGENT, value: Template::literal(name), append: false };
    HeaderEdits { remove: Vec::new(), add: vec![edit] }
}

/// `200-299,404` as ranges; what is no number is left out.
fn statuses(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    text.split(',').filter_map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_ranges() {
        assert_eq!(statuses("200"), [(200, 200)]);
        assert_eq!(statuses("200-299, 404,x"), [(200, 299), (404, 404)]);
    }
}

//! How the targets of a target group are checked.

use plenipo_resources::core::{IntOrString, Service};

use super::target_group::{lookup, target_port};
use crate::annotations::{AnnotationError, Annotations};
use crate::stack::{HealthCheck, HealthPort, TargetProtocol, TargetType};

use super::fault::words;

type Read<T> = Result<T, (&'static str, String)>;

/// The check of a target group, by the annotations of Service and Ingress. An error names the annotation.
pub(super) fn check(
    notes: &Annotations<'_>,
    (key, service): (&str, &Service),
    target_type: TargetType,
    protocol: TargetProtocol,
    version: &str,
) -> Read<HealthCheck> {
    let text = |suffix: &str, default: &str| notes.text(suffix).unwrap_or(default).to_owned();
    let grpc = version == "GRPC";
    Ok(HealthCheck {
        port: port(notes, (key, service), target_type)?,
        protocol: match notes.text("healthcheck-protocol") {
            None => protocol,
            Some("HTTP") => TargetProtocol::Http,
            Some("HTTPS") => TargetProtocol::Https,
            Some(_) => {
                let message = "healthCheckProtocol must be within [HTTP, HTTPS]".to_owned();
                return Err(("healthcheck-protocol", message));
            }
        },
        path: Some(path(notes, version)),
        success_codes: Some(text("success-codes", if grpc { "12" } else { "200" })),
        interval: count(notes, "healthcheck-interval-seconds", 15)?,
        timeout: count(notes, "healthcheck-timeout-seconds", 5)?,
        healthy: count(notes, "healthy-threshold-count", 2)?,
        unhealthy: count(notes, "unhealthy-threshold-count", 2)?,
    })
}

/// What is asked for.
pub(super) fn path(notes: &Annotations<'_>, version: &str) -> String {
    let default = if version == "GRPC" { "/AWS.ALB/healthcheck" } else { "/" };
    notes.text("healthcheck-path").unwrap_or(default).to_owned()
}

fn port(
    notes: &Annotations<'_>,
    (key, service): (&str, &Service),
    target_type: TargetType,
) -> Read<HealthPort> {
    const SUFFIX: &str = "healthcheck-port";
    let raw = match notes.text(SUFFIX) {
        None | Some("traffic-port") => return Ok(HealthPort::Traffic),
        Some(raw) => raw,
    };
    let fault = |message: String| (SUFFIX, message);
    let number = |number: i64| {
        let port = u16::try_from(number).ok().filter(|port| *port != 0).map(HealthPort::Port);
        port.ok_or_else(|| fault(format!("healthCheckPort must be within [1, 65535]: {number}")))
    };
    if let Ok(port) = raw.parse() {
        return number(port);
    }
    let named = IntOrString::String(raw.to_owned());
    let port = lookup(key, service, &named)
        .map_err(|reason| fault(format!("failed to resolve healthCheckPort: {reason}")))?;
    if target_type == TargetType::Instance {
        return number(port.node_port.unwrap_or(0));
    }
    match target_port(port) {
        IntOrString::Int(port) => number(port),
        IntOrString::String(_) => Err(fault(
            "cannot use named healthCheckPort for IP TargetType when service's targetPort is a named port"
                .to_owned(),
        )),
    }
}

fn count(notes: &Annotations<'_>, suffix: &'static str, default: u32) -> Read<u32> {
    let value = notes.int32(suffix).map_err(|error: AnnotationError| (suffix, words(&error)))?;
    value.map_or(Ok(default), |value| {
        u32::try_from(value).map_err(|_| (suffix, format!("{suffix} must not be negative: {value}")))
    })
}

//! Limits that Istio has no field for, as annotations of Gateways: what people patch Envoy for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{HttpLimits, Listener, Serve};
use plenipo_resources::Object;

use super::gateway::Server;
use crate::duration::duration;
use crate::findings::Findings;

/// Bytes of a request's body; more is 413.
const BODY: &str = "plenipo.io/max-request-body";
/// In place of one that cannot be read.
const UNREAD_BODY: u64 = 1 << 20;
/// Bytes of a request's head; more is 431.
const HEAD: &str = "plenipo.io/max-request-head";
/// How long a connection may be without a request.
const IDLE: &str = "plenipo.io/idle-timeout";
/// After how long a connection takes no new request.
const LIFETIME: &str = "plenipo.io/max-connection-duration";

/// Puts them on the listeners. Where several Gateways share an address, the narrowest holds there.
pub(super) fn apply(listeners: &mut [Listener], servers: &[Server<'_>], findings: &mut Findings) {
    let mut read: BTreeMap<_, HttpLimits> = BTreeMap::new();
    for listener in listeners {
        let here = servers.iter().filter(|server| server.bind == listener.bind).map(|server| server.gateway);
        let all = here.map(|gateway| *read.entry(&gateway.id).or_insert_with(|| of(gateway, findings)));
        let limits = all.reduce(narrower).unwrap_or_default();
        if limits == HttpLimits::default() {
            continue;
        }
        for chain in &mut listener.chains {
            if let Serve::Http(server) = &mut chain.serve {
                Arc::make_mut(server).limits = limits;
            }
        }
    }
}

fn narrower(one: HttpLimits, other: HttpLimits) -> HttpLimits {
    HttpLimits {
        body_bytes: one.body_bytes.into_iter().chain(other.body_bytes).min(),
        header_bytes: one.header_bytes.min(other.header_bytes),
        idle_timeout: one.idle_timeout.min(other.idle_timeout),
        lifetime: one.lifetime.into_iter().chain(other.lifetime).min(),
        ..one
    }
}

fn of(gateway: &Object, findings: &mut Findings) -> HttpLimits {
    let usual = HttpLimits::default();
    let head = value(gateway, HEAD, bytes, "write a number of bytes, as in 32Ki", findings);
    let time = |text: &str| duration(text).filter(|time| !time.is_zero());
    let mut times = |name| value::<Duration>(gateway, name, time, "write a time, as in 60s", findings);
    let (idle, lifetime) = (times(IDLE), times(LIFETIME));
    let body = value(gateway, BODY, bytes, "write a number of bytes, as in 10Mi", findings);
    // A limit was wanted: until it can be read a low one holds.
    let unread = gateway.meta.annotations.contains_key(BODY) && body.is_none();
    HttpLimits {
        body_bytes: body.or(unread.then_some(UNREAD_BODY)),
        header_bytes: head.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usual.header_bytes),
        idle_timeout: idle.unwrap_or(usual.idle_timeout),
        lifetime,
        ..usual
    }
}

fn value<T>(
    gateway: &Object,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
    fix: &str,
    findings: &mut Findings,
) -> Option<T> {
    let text = gateway.meta.annotations.get(name)?;
    let found = read(text.trim());
    if found.is_none() {
        let field = format!("metadata.annotations[{name}]");
        findings.error(
            gateway,
            "bad-annotation",
            &field,
            format!("'{text}' is no limit, the usual one holds"),
            fix,
        );
    }
    found
}

/// `1048576`, `1024Ki`, `1Mi`, `1M`: as Kubernetes writes quantities.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        assert_eq!(bytes("10"), Some(10));
        assert_eq!(bytes("10Mi"), Some(10 << 20));
        assert_eq!(bytes("10M"), Some(10_000_000));
        for wrong in ["", "Mi", "0", "10m", "10 Mi", "-1", "99999999999999999999"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}

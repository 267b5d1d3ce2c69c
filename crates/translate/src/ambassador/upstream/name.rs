//! Names of clusters: the service, and whatever sets it apart from other clusters of the same service. Equal settings
//! give equal names and different ones different names, so that two Mappings never get each other's timeouts.

use std::fmt::Write;

use plenipo_model::{
    Balance, DnsFamily, DnsKind, Fingerprint, HealthCheck, LimitSet, Limits, SendProxyProtocol,
};

use super::super::module::Settings;
use super::super::service::ServiceAddress;
use super::{Times, Wanted};

/// `https://quote.default:443[connect=5s,tag=blue]`.
pub(super) fn of(
    wanted: &Wanted<'_>,
    address: &ServiceAddress,
    port: u16,
    encrypted: bool,
    by_endpoints: bool,
    times: &Times,
    balance: Balance,
) -> String {
    let mut name = String::with_capacity(address.host.len() + 16);
    if encrypted {
        name.push_str("https://");
    }
    name.push_str(&address.with_port(port));
    let plain = name.len();
    let mut extra = |words: std::fmt::Arguments<'_>| {
        name.push(if name.len() == plain { '[' } else { ',' });
        put(&mut name, words);
    };
    if let Some(context) = wanted.tls.filter(|context| !context.is_empty()) {
        extra(format_args!("tls={context}@{}", wanted.object.id.namespace));
    }
    if by_endpoints {
        extra(format_args!("endpoints"));
    }
    if wanted.http2 {
        extra(format_args!("http2"));
    }
    if balance != Balance::RoundRobin {
        extra(format_args!("{balance:?}"));
    }
    if times.connect != Times::CONNECT {
        extra(format_args!("connect={:?}", times.connect));
    }
    if times.idle != Times::IDLE {
        extra(format_args!("idle={:?}", times.idle));
    }
    if let Some(lifetime) = times.lifetime {
        extra(format_args!("lifetime={lifetime:?}"));
    }
    if wanted.dns_type.is_some_and(|kind| kind.eq_ignore_ascii_case("logical_dns")) && !by_endpoints {
        extra(format_args!("{:?}", DnsKind::Logical));
    }
    if wanted.respect_dns_ttl && !by_endpoints {
        extra(format_args!("ttl"));
    }
    if wanted.family != DnsFamily::V4 {
        extra(format_args!("{:?}", wanted.family));
    }
    if let Some(limits) = wanted.limits.filter(|limits| *limits != Limits::default()) {
        extra(format_args!("limits={}/{}", limit_text(&limits.default), limit_text(&limits.high)));
    }
    if let Some(keepalive) = wanted.keepalive {
        let secs = |time: Option<std::time::Duration>| time.map_or(0, |time| time.as_secs());
        let (idle, interval) = (secs(keepalive.idle), secs(keepalive.interval));
        extra(format_args!("keepalive={}-{idle}-{interval}", keepalive.probes.unwrap_or(0)));
    }
    if !wanted.health_checks.is_empty() {
        extra(format_args!("health={}", health_text(&wanted.health_checks)));
    }
    if let Some(tag) = wanted.tag {
        extra(format_args!("tag={tag}"));
    }
    if let Some(stats) = wanted.stats_name {
        extra(format_args!("stats={stats}"));
    }
    match &wanted.send_proxy {
        Some(SendProxyProtocol::V1) => extra(format_args!("proxy=v1")),
        Some(SendProxyProtocol::V2(_)) => extra(format_args!("proxy=v2")),
        None => {}
    }
    if name.len() > plain {
        name.push(']');
    }
    name
}

fn put(name: &mut String, words: std::fmt::Arguments<'_>) {
    name.write_fmt(words).expect("writing to a String does not fail");
}

fn limit_text(set: &LimitSet) -> String {
    format!("{}-{}-{}-{}", set.connections, set.pending, set.requests, set.retries)
}

/// Checks have too many parts to be spelled out in a name.
fn health_text(checks: &[HealthCheck]) -> String {
    Fingerprint::of(format!("{checks:?}").as_bytes()).to_string().trim_start_matches("sha256:")[..8]
        .to_owned()
}

/// Name in Envoy-style metrics: what the Mapping or the Module says, else the service.
pub(super) fn of_stats(wanted: &Wanted<'_>, address: &ServiceAddress, settings: &Settings<'_>) -> String {
    let name = match wanted.stats_name.or(settings.mapping.stats_name.as_deref()) {
        Some(name) => name.to_owned(),
        None => match address.port {
            Some(port) => format!("{}:{port}", address.host),
            None => address.host.clone(),
        },
    };
    name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte) } else { '_' }).collect()
}

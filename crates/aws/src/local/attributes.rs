//! Attributes of load balancers, listeners and target groups, by AWS's names.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::stack::{AddressType, Kind, Stack};

/// Attributes that are set.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(pub(super) &'a BTreeMap<String, String>);

impl<'a> Attributes<'a> {
    /// As it is.
    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A switch, if it is set.
    pub(super) fn switch(self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }

    /// Is it set to `true`?
    pub(super) fn is(self, name: &str) -> bool {
        self.switch(name) == Some(true)
    }

    /// A number of seconds.
    pub(super) fn seconds(self, name: &str) -> Option<Duration> {
        self.text(name)?.parse().ok().map(Duration::from_secs)
    }
}

/// Attributes that say nothing about traffic on one machine, by what they begin with.
const WITHOUT_EFFECT: [&str; 7] = [
    "deletion_protection.",
    "load_balancing.cross_zone.",
    "dns_record.client_routing_policy",
    "zonal_shift.",
    "ipv6.deny_all_igw_traffic",
    "secondary_ips.",
    "ConnectionSettings",
];

/// Attributes that are acted on, by what they begin with.
const ACTED_ON: [&str; 6] = [
    "idle_timeout.",
    "client_keep_alive.",
    "routing.http.",
    "routing.http2.",
    "waf.fail_open.",
    "connection_draining.",
];

/// How a load balancer as a whole differs here from what AWS would run.
pub(super) fn deviations(stack: &Stack) -> Vec<String> {
    let balancer = &stack.load_balancer;
    let mut found = Vec::new();
    if balancer.addresses != AddressType::Ipv4 {
        found.push("it has an IPv4 address only".to_owned());
    }
    if balancer.subnets.len() > 1 {
        found.push(format!(
            "its {} zones are one: no zone fails, and nothing leaves DNS",
            balancer.subnets.len()
        ));
    }
    let has_groups = !balancer.security_groups.is_empty() || stack.security_group.is_some();
    if has_groups {
        found.push("security groups do not keep anybody out".to_owned());
    }
    if balancer.kind == Kind::Application && stack.shield == Some(true) {
        found.push("Shield Advanced does not watch it".to_owned());
    }
    for name in balancer.attributes.keys() {
        let is_among = |known: &[&str]| known.iter().any(|known| name.starts_with(known));
        if is_among(&WITHOUT_EFFECT) || is_among(&ACTED_ON) {
            continue;
        }
        if name.starts_with("access_log") || name.starts_with("connection_logs.") {
            if balancer.attributes[name] == "true" {
                found.push(format!("{name}: no log is written to S3"));
            }
            continue;
        }
        found.push(format!("{name} is not acted on"));
    }
    found
}

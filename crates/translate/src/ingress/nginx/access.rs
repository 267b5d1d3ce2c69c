//! Who may come by address.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use plenipo_model::{AccessPolicy, AccessRule, AccessTest, Authorization, Fact, Guard, Source};

use super::super::policy::Policy;
use super::annotations::Annotations;

pub(super) fn read(annotations: &mut Annotations<'_, '_>, policy: &mut Policy, source: &Source) {
    let allowed = networks(annotations, "whitelist-source-range");
    let also = networks(annotations, "allowlist-source-range");
    let denied = networks(annotations, "denylist-source-range").unwrap_or_default();
    // The newer spelling goes before the older one.
    let allowed = also.or(allowed);
    if allowed.is_none() && denied.is_empty() {
        return;
    }
    let of = |networks: Vec<IpNet>| AccessPolicy {
        source: source.clone(),
        rules: vec![AccessRule {
            groups: vec![vec![vec![AccessTest { fact: Fact::Client(networks), not: false }]]],
        }],
    };
    let authorization = Authorization {
        deny: if denied.is_empty() { Vec::new() } else { vec![of(denied)] },
        allow: allowed.map(|networks| vec![of(networks)]),
        ..Authorization::default()
    };
    policy.guard = Some(Arc::new(Guard { authorization: Some(Arc::new(authorization)), ..Guard::default() }));
}

fn networks(annotations: &mut Annotations<'_, '_>, name: &'static str) -> Option<Vec<IpNet>> {
    let words = annotations.list(name)?;
    let mut networks = Vec::new();
    for word in words {
        match word.parse::<IpNet>().ok().or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from)) {
            Some(network) => networks.push(network.trunc()),
            None => annotations.close(
                name,
                &format!("'{word}' is not a network"),
                "write networks, as in 10.0.0.0/8",
            ),
        }
    }
    Some(networks)
}

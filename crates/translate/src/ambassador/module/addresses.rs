//! `ip_allow` and `ip_deny`.

use std::net::IpAddr;

use ipnet::IpNet;
use plenipo_model::AddressRules;
use serde_json::Value;

use super::fields::Fields;

/// Who may come in. A list of what is allowed in which no entry is good lets nobody in: it was asked for.
pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<AddressRules> {
    let allow = fields.value("ip_allow");
    let deny = fields.value("ip_deny");
    if allow.is_some() && deny.is_some() {
        let message = "ip_allow is there too, which is the one that is used".to_owned();
        fields.error("both-ip-lists", "spec.config.ip_deny", message, "keep one of the two");
    }
    match (allow, deny) {
        (Some(list), _) => Some(rules(list, true, "ip_allow", fields)),
        (None, Some(list)) => Some(rules(list, false, "ip_deny", fields)),
        (None, None) => None,
    }
}

fn rules(list: &Value, allow: bool, key: &str, fields: &mut Fields<'_, '_>) -> AddressRules {
    const FIX: &str = "write a list of 'peer: CIDR' and 'remote: CIDR'";
    let mut rules = AddressRules { allow, peer: Vec::new(), remote: Vec::new() };
    let single = std::slice::from_ref(list);
    let entries = list.as_array().map_or(single, Vec::as_slice);
    for (index, entry) in entries.iter().enumerate() {
        let field = format!("spec.config.{key}[{index}]");
        let Some((kind, value)) =
            entry.as_object().filter(|map| map.len() == 1).and_then(|map| map.iter().next())
        else {
            fields.error("bad-ip-list", &field, format!("{entry} is not one address rule"), FIX);
            continue;
        };
        let text = value.as_str().unwrap_or_default();
        let Some(net) = network(text) else {
            fields.error("bad-ip-list", &field, format!("{value} is not a network"), FIX);
            continue;
        };
        match kind.as_str() {
            "peer" => rules.peer.push(net),
            "remote" => rules.remote.push(net),
            _ => fields.error("bad-ip-list", &field, format!("'{kind}' is neither peer nor remote"), FIX),
        }
    }
    if allow && rules.peer.is_empty() && rules.remote.is_empty() {
        let message = "no entry is usable, so that nobody is let in".to_owned();
        fields.error("empty-ip-allow", "spec.config.ip_allow", message, FIX);
    }
    rules
}

/// `10.0.0.0/8`, or one address.
pub(crate) fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

//! TCPMappings.

use std::collections::BTreeMap;

use plenipo_resources::ambassador::TcpMapping;
use plenipo_resources::{Object, View};
use serde_json::Value;

use super::canary::load_order;
use crate::draft::Draft;
use crate::rules;

type Group<'a> = Vec<(&'a Object, &'a TcpMapping)>;

/// Port, host and address: what TCPMappings that share connections have in common.
type Key<'a> = (Option<i64>, Option<&'a str>, Option<&'a str>);

pub(super) fn read(draft: &mut Draft<'_>) {
    let mut groups: BTreeMap<Key<'_>, Group<'_>> = BTreeMap::new();
    for object in draft.ours() {
        let View::TcpMapping(mapping) = &object.view else { continue };
        if draft.is_refused(&object.id) {
            continue;
        }
        one(draft, object, mapping);
        let key = (mapping.port, mapping.host.as_deref(), mapping.address.as_deref());
        groups.entry(key).or_default().push((object, mapping));
    }
    for mut group in groups.into_values().filter(|group| group.len() > 1) {
        group.sort_by_key(|(object, _)| load_order(object));
        weights(draft, &group);
    }
}

fn one(draft: &mut Draft<'_>, object: &Object, mapping: &TcpMapping) {
    if let Some(time) = &mapping.idle_timeout_ms {
        let text = match time {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let about = if text.trim() == "0" { "never after".to_owned() } else { format!("{text} ms after") };
        draft.say(&rules::TCP_IDLE, object, "spec.idle_timeout_ms", about);
    }
    if mapping.tls_passthrough == Some(true) {
        draft.say(
            &rules::OURS_ALONE,
            object,
            "spec.tls_passthrough",
            "relays TLS by its server name".to_owned(),
        );
    }
    if mapping.proxy_protocol.is_some() {
        draft.say(&rules::OURS_ALONE, object, "spec.proxy_protocol", String::new());
    }
    if mapping.tls_passthrough == Some(true) || mapping.proxy_protocol.is_some() {
        draft.edit(object, |view| {
            if let View::TcpMapping(mapping) = view {
                (mapping.tls_passthrough, mapping.proxy_protocol) = (None, None);
            }
        });
    }
}

/// Emissary makes running sums of the weights and gives them to Envoy as weights: 30 and 70 become 30 and 100.
fn weights(draft: &mut Draft<'_>, group: &[(&Object, &TcpMapping)]) {
    let shares = written(group);
    let mut sum = 0i64;
    let sums: Vec<i64> = shares
        .iter()
        .map(|share| {
            sum = sum.saturating_add(*share);
            sum
        })
        .collect();
    let total: i64 = sums.iter().fold(0, |total: i64, sum| total.saturating_add(*sum));
    if total <= 0 || sum <= 0 {
        return;
    }
    let before: Vec<i64> = sums.iter().map(|sum| percent(*sum, total)).collect();
    let after: Vec<i64> = shares.iter().map(|share| percent(*share, shares.iter().sum())).collect();
    if before == after {
        return;
    }
    // Of what sums to 100 the last gets what rounding left.
    let rest = 100 - before.iter().take(before.len() - 1).sum::<i64>();
    for (at, (object, _)) in group.iter().enumerate() {
        let share = if at + 1 == before.len() { rest } else { before[at] };
        draft.say(
            &rules::TCP_WEIGHTS,
            object,
            "spec.weight",
            format!("{share} % before, {} % after", after[at]),
        );
        draft.edit(object, |view| {
            if let View::TcpMapping(mapping) = view {
                mapping.weight = Some(share);
            }
        });
    }
}

/// The weights of a group; those without one share equally what the others leave of 100.
fn written(group: &[(&Object, &TcpMapping)]) -> Vec<i64> {
    let given = group.iter().filter_map(|(_, mapping)| mapping.weight);
    let sum = given.fold(0i64, |sum, weight| sum.saturating_add(weight.max(0)));
    let without = group.iter().filter(|(_, mapping)| mapping.weight.is_none()).count();
    let each = (100 - sum).max(0) / i64::try_from(without).unwrap_or(1).max(1);
    group.iter().map(|(_, mapping)| mapping.weight.map_or(each, |weight| weight.max(0))).collect()
}

fn percent(part: i64, total: i64) -> i64 {
    let exact = i128::from(part) * 100 + i128::from(total) / 2;
    i64::try_from(exact / i128::from(total.max(1))).unwrap_or(100)
}

//! Weights above 100.

use std::collections::BTreeMap;

use plenipo_resources::ambassador::Mapping;
use plenipo_resources::{Object, View};

use crate::draft::Draft;
use crate::rules;

pub(super) fn read(draft: &mut Draft<'_>) {
    let mut groups: BTreeMap<String, Vec<(&Object, &Mapping)>> = BTreeMap::new();
    for object in draft.ours() {
        if let View::Mapping(mapping) = &object.view
            && !draft.is_refused(&object.id)
        {
            groups.entry(requests(mapping)).or_default().push((object, mapping));
        }
    }
    for mut group in groups.into_values().filter(|group| group.len() > 1) {
        group.sort_by_key(|(object, _)| load_order(object));
        of_group(draft, &group);
    }
}

/// Emissary loads objects in the order of `name.namespace`.
pub(super) fn load_order(object: &Object) -> String {
    format!("{}.{}", object.id.name, object.id.namespace)
}

/// What Mappings for the same requests have in common (Emissary's group id).
fn requests(mapping: &Mapping) -> String {
    let host = [&mapping.hostname, &mapping.host].into_iter().flatten().next();
    format!(
        "{:?}",
        (
            mapping.precedence.unwrap_or(0),
            mapping.method.as_deref().unwrap_or("GET"),
            &mapping.prefix,
            host,
            &mapping.headers,
            &mapping.regex_headers,
            &mapping.query_parameters,
            &mapping.regex_query_parameters,
        )
    )
}

/// Emissary makes running sums, and who is past 100 gets nothing; a single weight above 100 makes it give up.
fn of_group(draft: &mut Draft<'_>, group: &[(&Object, &Mapping)]) {
    let weights: Vec<i64> = group.iter().map(|(_, mapping)| mapping.weight.unwrap_or(0)).collect();
    let sum = weights.iter().fold(0i64, |sum, weight| sum.saturating_add(*weight));
    if sum <= 100 {
        return;
    }
    let gives_up = weights.iter().any(|weight| *weight > 100);
    let mut left = 100i64;
    for ((object, mapping), weight) in group.iter().zip(&weights) {
        let share = (*weight).clamp(0, left);
        left -= share;
        let about = match gives_up {
            true => format!("the weights sum to {sum}, one is above 100: 404"),
            false => format!("the weights sum to {sum}: {weight} is {share} % before, {weight}/{sum} after"),
        };
        if mapping.weight.is_some() || share != *weight {
            draft.say(&rules::WEIGHTS, object, "spec.weight", about);
        }
        if gives_up {
            draft.remove(&object.id);
        } else {
            draft.edit(object, |view| {
                if let View::Mapping(mapping) = view {
                    mapping.weight = Some(share);
                }
            });
        }
    }
}

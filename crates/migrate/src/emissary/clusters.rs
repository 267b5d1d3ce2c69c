//! Mappings to the same service: in Emissary the times of the first hold for all.

use std::collections::BTreeMap;

use plenipo_resources::ambassador::Mapping;
use plenipo_resources::{Object, View};

use super::canary::load_order;
use crate::draft::Draft;
use crate::rules;

/// A field of a Mapping that holds a time.
type Time = fn(&Mapping) -> Option<i64>;

/// Times that belong to the upstream, with their names.
const TIMES: [(&str, Time); 3] = [
    ("connect_timeout_ms", |mapping| mapping.connect_timeout_ms),
    ("cluster_idle_timeout_ms", |mapping| mapping.cluster_idle_timeout_ms),
    ("cluster_max_connection_lifetime_ms", |mapping| mapping.cluster_max_connection_lifetime_ms),
];

pub(super) fn read(draft: &mut Draft<'_>) {
    let mut groups: BTreeMap<String, Vec<(&Object, &Mapping)>> = BTreeMap::new();
    for object in draft.ours() {
        if let View::Mapping(mapping) = &object.view
            && !draft.is_refused(&object.id)
            && draft.remains(&object.id)
            && mapping.host_redirect != Some(true)
        {
            groups.entry(cluster(object, mapping)).or_default().push((object, mapping));
        }
    }
    for mut group in groups.into_values() {
        group.sort_by_key(|(object, _)| load_order(object));
        let Some(((first, theirs), others)) = group.split_first() else { continue };
        for (object, mapping) in others {
            inherits(draft, object, mapping, first, theirs);
        }
    }
}

/// What Emissary names a cluster by: the service as written, the namespace, and settings that are part of the name.
fn cluster(object: &Object, mapping: &Mapping) -> String {
    let encrypted = mapping.tls.is_some()
        || mapping
            .service
            .as_deref()
            .is_some_and(|service| service.to_ascii_lowercase().starts_with("https://"));
    let balancer = mapping.load_balancer.as_ref().map(|found| {
        (&found.policy, &found.header, found.cookie.as_ref().map(|cookie| &cookie.name), found.source_ip)
    });
    format!(
        "{:?}",
        (
            &object.id.namespace,
            &mapping.service,
            &mapping.tls,
            &mapping.cluster_tag,
            &mapping.circuit_breakers,
            balancer,
            &mapping.resolver,
            mapping.host_rewrite.as_ref().filter(|_| encrypted),
            mapping.shadow,
        )
    )
}

fn inherits(draft: &mut Draft<'_>, object: &Object, mapping: &Mapping, first: &Object, theirs: &Mapping) {
    let mut differs = false;
    for (name, time) in TIMES {
        let set = |mapping: &Mapping| time(mapping).filter(|millis| *millis != 0);
        if set(mapping) == set(theirs) {
            continue;
        }
        differs = true;
        let told =
            |millis: Option<i64>| millis.map_or("the default".to_owned(), |millis| format!("{millis} ms"));
        let about =
            format!("{} before, as {} has it; {} after", told(set(theirs)), first.id, told(set(mapping)));
        draft.say(&rules::SHARED_CLUSTER, object, &format!("spec.{name}"), about);
    }
    if differs {
        let [connect, idle, lifetime] = TIMES.map(|(_, time)| time(theirs));
        draft.edit(object, |view| {
            if let View::Mapping(mapping) = view {
                mapping.connect_timeout_ms = connect;
                mapping.cluster_idle_timeout_ms = idle;
                mapping.cluster_max_connection_lifetime_ms = lifetime;
            }
        });
    }
}

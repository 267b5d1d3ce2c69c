//! Secrets and ConfigMaps, fetched when something refers to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_resources::ObjectId;
use tracing::warn;

use super::{Done, Fetched, Follower};
use crate::cluster::api::{self, Target};
use crate::cluster::glimpses::Errands;
use crate::cluster::kinds::KINDS;
use crate::cluster::watch::{self, Item};

impl Follower {
    /// Sees to it that what is wanted is known, and nothing else is.
    pub(super) fn pursue(&mut self, ids: impl IntoIterator<Item = ObjectId>) {
        let mut errands = Errands::default();
        for id in ids {
            let is_wanted = self.store.wants(&id)
                || self.glimpses.labels(&id).is_some_and(|labels| is_setting(&id, labels));
            self.glimpses.errand(&id, is_wanted, &mut errands);
        }
        for (id, version) in errands.fetch {
            self.fetch(id, version);
        }
        for id in errands.forget {
            self.store.remove(known(&id.kind), &(id.namespace.to_string(), id.name.to_string()));
        }
    }

    pub(super) fn fetch(&mut self, id: ObjectId, version: String) {
        let list = self.courses.values().find(|course| {
            course.key.kind == &*id.kind
                && course.key.name.is_none()
                && course.key.covers(&id.namespace, &id.name)
        });
        let Some(list) = list else { return };
        let (namespace, name) = (Some(id.namespace.to_string()), Some(id.name.to_string()));
        let target = Target { namespace, name, ..list.target.clone() };
        let (client, permits) = (self.client.clone(), Arc::clone(&self.permits));
        self.errands.spawn(async move {
            let _permit = permits.acquire().await;
            let answer = api::object(&client, &target, &id.name).await;
            Done::Fetched(Box::new(Fetched { id, version, target, answer }))
        });
    }

    pub(super) fn fetched(&mut self, fetched: Fetched) {
        let Fetched { id, version, target, answer } = fetched;
        let place = (id.namespace.to_string(), id.name.to_string());
        match answer {
            Ok(found) if self.glimpses.answered(&id, &version) => {
                // There may have been a complaint about it.
                self.store.touch();
                match found.map(|value| watch::read(&target, value)) {
                    Some(Some((place, Item::Whole(decoded)))) => {
                        self.store.put(target.kind.name, place, *decoded);
                    }
                    _ => self.store.remove(target.kind.name, &place),
                }
            }
            Ok(_) => {}
            Err(failure) => {
                if self.glimpses.unanswered(&id, &version, &failure) {
                    warn!("{id} cannot be read: {failure}");
                    self.store.touch();
                }
            }
        }
    }
}

/// The kind's name for as long as the program runs.
fn known(name: &str) -> &'static str {
    KINDS.iter().find(|kind| kind.name == name).map_or("", |kind| kind.name)
}

/// ConfigMaps that nothing refers to, and that are known by their names: the settings of a mesh, and of ingress-nginx.
fn is_setting(id: &ObjectId, labels: &BTreeMap<String, String>) -> bool {
    let label = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
    // One of each namespace, and templates of sidecars.
    let other = ["istio-ca-", "istio-sidecar-injector"].iter().any(|start| id.name.starts_with(start));
    let of_mesh = &*id.name == "istio" || id.name.starts_with("istio-") && !other;
    let of_nginx = &*id.name == "ingress-nginx-controller"
        || label("app.kubernetes.io/name", "ingress-nginx")
            && label("app.kubernetes.io/component", "controller");
    &*id.kind == "ConfigMap" && (of_mesh || of_nginx)
}

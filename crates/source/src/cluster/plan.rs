//! What has to be followed, from what the cluster serves and what is wanted of it.

use std::collections::{BTreeMap, BTreeSet};

use plenipo_resources::ObjectId;

use super::ClusterOptions;
use super::api::Target;
use super::discovery::Served;
use super::kinds::{Kind, Need, SECRETS};

/// One thing that is followed: a kind, in one namespace or all, or one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    pub(super) kind: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

/// Everything that has to be followed, with the versions that are served.
pub(super) type Plan = BTreeMap<Key, (Target, Vec<&'static str>)>;

/// What the plan depends on.
#[derive(Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) options: &'a ClusterOptions,
    pub(super) served: &'a Served,
    /// Are there objects of Istio's?
    pub(super) has_mesh: bool,
    /// Lists of [`Need::Referenced`] kinds that we may not have: what is wanted of those is followed by name.
    pub(super) refused: &'a BTreeSet<Key>,
    /// Secrets and ConfigMaps that are wanted.
    pub(super) wanted: &'a BTreeSet<ObjectId>,
}

impl Key {
    /// Whether an object is among those that are followed so.
    pub(super) fn covers(&self, namespace: &str, name: &str) -> bool {
        self.namespace.as_ref().is_none_or(|own| own == namespace)
            && self.name.as_ref().is_none_or(|own| own == name)
    }
}

impl Circumstances<'_> {
    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan::new();
        for (kind, versions) in self.served.values() {
            if kind.need == Need::Mesh && !self.has_mesh && !self.options.whole {
                continue;
            }
            for namespace in self.scopes(kind) {
                self.add(&mut plan, kind, versions, namespace, None);
            }
        }
        for list in self.refused {
            let Some((kind, versions)) = self.served.get(list.kind) else { continue };
            let wanted = self.wanted.iter().filter(|id| *id.kind == *list.kind);
            for id in wanted.filter(|id| list.covers(&id.namespace, &id.name)) {
                self.add(
                    &mut plan,
                    kind,
                    versions,
                    Some(id.namespace.to_string()),
                    Some(id.name.to_string()),
                );
            }
        }
        plan
    }

    fn scopes(&self, kind: &Kind) -> Vec<Option<String>> {
        match self.options.namespaces.as_slice() {
            several if kind.namespaced && !several.is_empty() => several.iter().cloned().map(Some).collect(),
            _ => vec![None],
        }
    }

    fn add(
        &self,
        plan: &mut Plan,
        kind: &'static Kind,
        versions: &[&'static str],
        namespace: Option<String>,
        name: Option<String>,
    ) {
        let Some(version) = versions.first().copied() else { return };
        // Emissary gives its selectors to everything it watches.
        let selects = kind.need != Need::Mesh && kind.name != "Namespace";
        let selector = |selector: &Option<String>| selector.clone().filter(|_| selects);
        let mut fields: Vec<String> = selector(&self.options.field_selector).into_iter().collect();
        if kind.name == "Secret" && name.is_none() {
            fields.push(SECRETS.to_owned());
        }
        let target = Target {
            kind,
            version,
            namespace: namespace.clone(),
            labels: selector(&self.options.label_selector),
            fields: (!fields.is_empty()).then(|| fields.join(",")),
            name: name.clone(),
            whole: self.options.whole,
        };
        plan.insert(Key { kind: kind.name, namespace, name }, (target, versions.to_vec()));
    }
}

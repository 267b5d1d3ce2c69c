//! Who may come to the gateway: which of the objects about that are for its pods, and what they say together.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{AccessLog, Authentication, Authorization};
use plenipo_resources::istio::{LabelSelector, TargetRef};
use plenipo_resources::{Object, ObjectId, Set, Severity, View};

use super::authorization::{self, Carried};
use super::mesh::Mesh;
use super::world::World;
use super::{request_authentication, telemetry};
use crate::findings::Findings;
use crate::options::Options;

type Labels = BTreeMap<String, String>;

/// What istiod's pods are labelled with: they are never ours.
const CONTROL_PLANE: (&str, &str) = ("app", "istiod");

/// What holds for everything that the gateway serves.
#[derive(Debug, Default)]
pub(super) struct Security {
    pub(super) authentication: Option<Arc<Authentication>>,
    /// Of requests.
    pub(super) authorization: Option<Arc<Authorization>>,
    /// Of connections whose bytes are relayed.
    pub(super) relays: Option<Arc<Authorization>>,
    pub(super) access_log: Option<Arc<AccessLog>>,
}

/// The pods of the gateway, as far as they are known.
#[derive(Debug)]
pub(super) struct Pods<'a> {
    pub(super) set: &'a Set,
    pub(super) mesh: &'a Mesh,
    /// All their labels; empty = not known.
    labels: &'a Labels,
    /// Where they are not known: those by which Gateways select them, and of Deployments that have those, all.
    guessed: Vec<(Labels, bool)>,
}

/// Is an object for our pods?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meant {
    No,
    /// For all of the mesh.
    Mesh,
    /// For all of our namespace.
    Namespace,
    /// By their labels.
    Pods,
}

impl Security {
    /// Reads all objects about it. `selectors` are those of the Gateways that are served.
    pub(super) fn read(mesh: &Mesh, selectors: &[&Labels], world: &mut World<'_, '_>) -> Self {
        let pods = Pods::new(world.set, mesh, &world.options.istio.labels, selectors);
        let access_log = telemetry::access_log(&pods, world.findings);
        let authentication = request_authentication::read(&pods, world);
        let mut authorization = authorization::read(&pods, Carried::Requests, world);
        if let Some(why) = request_authentication::lost(&pods) {
            Arc::make_mut(authorization.get_or_insert_default()).refuse.get_or_insert(why);
        }
        Self {
            authentication,
            authorization,
            relays: authorization::read(&pods, Carried::Bytes, world),
            access_log,
        }
    }
}

/// What these objects are for where nothing listens by Istio's dialect.
pub(super) fn without_gateway(set: &Set, findings: &mut Findings) {
    for kind in ["RequestAuthentication", "AuthorizationPolicy", "Telemetry"] {
        for object in set.of_kind(kind) {
            findings.ignore(object);
            if kind != "Telemetry" {
                let message = "there is no Gateway of Istio's: the gateway asks nobody for it".to_owned();
                let fix = "leave the decision to the services' sidecars, or listen by a Gateway";
                findings.warn(object, "no-gateway", "", message, fix);
            }
        }
    }
}

/// What says who may come to the pods that serve Istio's Ingresses, if anything does.
pub(crate) fn guard_of_ingresses(mesh: &Mesh, set: &Set, options: &Options) -> Option<String> {
    let selector = Labels::from([("istio".to_owned(), "ingressgateway".to_owned())]);
    let pods = Pods::new(set, mesh, &options.istio.labels, &[&selector]);
    ["RequestAuthentication", "AuthorizationPolicy"].into_iter().find_map(|kind| {
        let ours = set.of_kind(kind).iter().find(|object| {
            let (selector, targets) = match &object.view {
                View::RequestAuthentication(spec) => {
                    (spec.selector.as_ref(), (spec.target_ref.as_ref(), spec.target_refs.as_slice()))
                }
                View::AuthorizationPolicy(spec) if !authorization::only_watches(object, spec) => {
                    (spec.selector.as_ref(), (spec.target_ref.as_ref(), spec.target_refs.as_slice()))
                }
                _ => return false,
            };
            pods.meant(object, selector, targets, &mut Findings::default()) != Meant::No
        });
        let lost = || pods.lost(kind).then(|| format!("a {kind} that cannot be read"));
        ours.map(|object| object.id.to_string()).or_else(lost)
    })
}

impl<'a> Pods<'a> {
    fn new(set: &'a Set, mesh: &'a Mesh, labels: &'a Labels, selectors: &[&Labels]) -> Self {
        let templates: Vec<Labels> =
            set.of_kind("Deployment").iter().filter_map(|one| template(one, mesh)).collect();
        let guessed = selectors.iter().flat_map(|selector| {
            let all: Vec<_> = templates.iter().filter(|labels| has(labels, selector)).collect();
            match all.is_empty() {
                true => vec![((*selector).clone(), false)],
                false => all.into_iter().map(|labels| (labels.clone(), true)).collect(),
            }
        });
        Self { set, mesh, labels, guessed: guessed.collect() }
    }

    /// Is an object with this selector for our pods? Where their labels are not known, one that may be is.
    pub(super) fn meant(
        &self,
        object: &Object,
        selector: Option<&LabelSelector>,
        targets: (Option<&TargetRef>, &[TargetRef]),
        findings: &mut Findings,
    ) -> Meant {
        let namespace = &*object.id.namespace;
        let selected = selector.map(|selector| &selector.match_labels).filter(|labels| !labels.is_empty());
        let here = namespace == self.mesh.root_namespace || namespace == self.mesh.namespace;
        let (one, several) = targets;
        if one.is_some() || !several.is_empty() {
            return Meant::No;
        }
        let Some(selected) = selected else {
            return match here {
                true if namespace == self.mesh.root_namespace => Meant::Mesh,
                true => Meant::Namespace,
                false => Meant::No,
            };
        };
        if !here {
            self.elsewhere(object, selected, findings);
            return Meant::No;
        }
        if !self.labels.is_empty() {
            return if has(self.labels, selected) { Meant::Pods } else { Meant::No };
        }
        let may_be = |(labels, all): &(Labels, bool)| match all {
            true => has(labels, selected),
            false => selected.iter().all(|(key, value)| labels.get(key).is_none_or(|own| own == value)),
        };
        let is_istiod = selected.get(CONTROL_PLANE.0).is_some_and(|app| app == CONTROL_PLANE.1);
        let Some((labels, _)) = self.guessed.iter().find(|pods| may_be(pods)).filter(|_| !is_istiod) else {
            return Meant::No;
        };
        if !has(labels, selected) {
            let message =
                "the labels of the gateway's pods are not all known: it is taken to select them".to_owned();
            findings.note(
                object,
                "labels-unknown",
                "spec.selector",
                message,
                "tell the gateway its pods' labels",
            );
        }
        Meant::Pods
    }

    /// Is there an object of this kind that may be for our pods and could not be read?
    pub(super) fn lost(&self, kind: &str) -> bool {
        let ours = |id: &&ObjectId| {
            *id.kind == *kind
                && (*id.namespace == *self.mesh.root_namespace || *id.namespace == *self.mesh.namespace)
        };
        let errors = self.set.problems().iter().filter(|problem| problem.severity == Severity::Error);
        let mut lost = errors.filter_map(|problem| problem.object.as_ref()).filter(ours);
        lost.any(|id| self.set.get(&id.kind, &id.namespace, &id.name).is_none())
    }

    /// Is there a service of this name, of Kubernetes or by a ServiceEntry?
    pub(super) fn knows(&self, host: &str) -> bool {
        let short = host.strip_suffix(&format!(".svc.{}", self.mesh.cluster_domain));
        let service = short.or_else(|| host.strip_suffix(".svc")).and_then(|short| short.split_once('.'));
        service.is_some_and(|(name, namespace)| self.set.get("Service", namespace, name).is_some())
            || self.set.of_kind("ServiceEntry").iter().any(|object| match &object.view {
                View::ServiceEntry(entry) => entry.hosts.iter().any(|one| one == host),
                _ => false,
            })
    }

    /// A policy for the gateway beside it protects nothing.
    fn elsewhere(&self, object: &Object, selected: &Labels, findings: &mut Findings) {
        let theirs = match self.labels.is_empty() {
            true => self.guessed.iter().any(|(labels, _)| has(labels, selected)),
            false => has(self.labels, selected),
        };
        if theirs {
            let message = format!(
                "it selects pods of namespace {}, the gateway's are in {}: it has no effect on the gateway",
                object.id.namespace, self.mesh.namespace
            );
            findings.warn(
                object,
                "no-workload",
                "spec.selector",
                message,
                "move it to the namespace of the gateway",
            );
        }
    }
}

/// Are these labels among those?
fn has(labels: &Labels, selected: &Labels) -> bool {
    selected.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn template(object: &Object, mesh: &Mesh) -> Option<Labels> {
    let View::Written(written) = &object.view else { return None };
    if *object.id.namespace != *mesh.namespace {
        return None;
    }
    let labels = written.pointer("/spec/template/metadata/labels")?.as_object()?;
    Some(labels.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
}

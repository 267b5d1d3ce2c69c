//! The annotations of ingress-nginx, and what they come to here.

mod access;
mod annotations;
mod auth;
mod canary;
mod certificates;
mod cors;
mod redirects;
mod snippets;
mod traffic;
mod unapplied;
mod upstream;
mod variables;

use plenipo_model::Source;
use plenipo_resources::Object;

use super::World;
use super::backend::Clusters;
use super::class::{self, Flavour};
use super::controller::Controller;
use super::policy::Policy;
use crate::findings::Findings;
use crate::secrets::Secrets;

use annotations::{Annotations, PREFIX};

/// What reading annotations needs.
pub(super) struct Reader<'r, 'a> {
    pub(super) world: World<'a>,
    pub(super) secrets: &'r mut Secrets<'a>,
    pub(super) clusters: &'r mut Clusters<'a>,
    pub(super) findings: &'r mut Findings,
    /// Of the class `nginx`.
    pub(super) controller: Controller<'a>,
}

impl<'a> Reader<'_, 'a> {
    /// What the annotations of an Ingress of this flavour ask for.
    pub(super) fn read(&mut self, object: &'a Object, flavour: Flavour, source: &Source) -> Policy {
        let mut policy = Policy::of(flavour);
        if matches!(flavour, Flavour::Istio | Flavour::Emissary) {
            self.foreign(object);
            return policy;
        }
        let controller = if flavour == Flavour::Nginx { self.controller } else { Controller::default() };
        let mut annotations = Annotations::new(object, controller, self.findings);
        traffic::read(&mut annotations, &mut policy, self.world.set);
        redirects::read(&mut annotations, &mut policy);
        cors::read(&mut annotations, &mut policy, source);
        policy.canary = canary::read(&mut annotations);
        upstream::read(&mut annotations, &mut policy, source, self.secrets);
        certificates::read(&mut annotations, &mut policy, self.secrets);
        access::read(&mut annotations, &mut policy, source);
        auth::read(&mut annotations, &mut policy, source, self.world, self.clusters);
        snippets::read(&mut annotations);
        unapplied::report(&mut annotations);
        policy.closed = annotations.is_closed() || controller.unprotected().is_some();
        policy
    }

    /// Annotations that the class of the Ingress does not know.
    fn foreign(&mut self, object: &Object) {
        // cert-manager writes them whatever the class.
        if class::is_solver(object) {
            return;
        }
        for name in object.meta.annotations.keys().filter(|name| name.starts_with(PREFIX)) {
            let message = "the Ingress is of another class, where this annotation has no effect".to_owned();
            let fix = "write spec.ingressClassName: plenipo, or remove it";
            self.findings.warn(object, "annotation-of-others", &field(name), message, fix);
        }
    }
}

/// Where an annotation is.
fn field(name: &str) -> String {
    format!("metadata.annotations[{name}]")
}

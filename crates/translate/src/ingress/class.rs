//! Whose an Ingress is.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use plenipo_resources::networking::Ingress;
use plenipo_resources::{Object, Set, View};

use crate::findings::Findings;
use crate::options::Options;

/// The older way to name a class; it goes before `spec.ingressClassName`, as every controller has it.
pub(super) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// What cert-manager puts on the Ingresses by which its solvers of HTTP-01 challenges are reached.
const SOLVER: &str = "acme.cert-manager.io/http01-solver";
/// Marks the class of Ingresses that name none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
const AWS_CONTROLLER: &str = "ingress.k8s.aws/alb";
const NGINX_CONTROLLER: &str = "k8s.io/ingress-nginx";
/// In [`crate::IngressOptions::classes`]: Ingresses without a class, where no class is the default one.
const WITHOUT_CLASS: &str = "none";

/// Whose rules an Ingress was written for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Flavour {
    /// Ours: those of the Kubernetes API, with the annotations of ingress-nginx.
    Plenipo,
    /// Those of ingress-nginx, defaults included.
    Nginx,
    /// Those of Istio's ingress controller.
    Istio,
    /// Those of Emissary.
    Emissary,
}

/// Whose an Ingress is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// Ours.
    Ours(Flavour),
    /// A load balancer's, which says more about it than we can.
    LoadBalancers,
    /// Somebody else's, or nobody's, for this reason.
    Others(String),
}

/// The classes there are.
#[derive(Debug)]
pub(super) struct Classes<'a> {
    set: &'a Set,
    listed: Option<&'a BTreeSet<String>>,
    /// Another program serves the class `nginx`: this object says so.
    nginx: Option<&'a Object>,
}

/// Is it there for a challenge of ACME's only, for whichever host that is?
pub(super) fn is_solver(object: &Object) -> bool {
    object.meta.labels.get(SOLVER).is_some_and(|value| value == "true")
}

impl<'a> Classes<'a> {
    pub(super) fn new(set: &'a Set, options: &'a Options) -> Self {
        Self { set, listed: options.ingress.classes.as_ref(), nginx: nginx_controller(set) }
    }

    /// Whose this Ingress is.
    pub(super) fn owner(&self, object: &Object, ingress: &Ingress) -> Owner {
        if let Some(name) = named(object, ingress) {
            return self.named(name);
        }
        match self.default_class() {
            Some(class) => self.named(&class.id.name),
            None if self.lists(WITHOUT_CLASS) => Owner::Ours(Flavour::Plenipo),
            // Nobody else's, and where Hosts are is where the challenge is asked for.
            None if is_solver(object) => Owner::Ours(Flavour::Emissary),
            None => Owner::Others("it names no class, and no IngressClass is the default one".to_owned()),
        }
    }

    /// The class of this Ingress, if it is among the objects.
    pub(super) fn class(&self, object: &Object, ingress: &Ingress) -> Option<&'a Object> {
        match named(object, ingress) {
            Some(name) => self.set.get("IngressClass", "", name).map(|object| &**object),
            None => self.default_class(),
        }
    }

    fn named(&self, name: &str) -> Owner {
        let class = self.set.get("IngressClass", "", name).and_then(|object| match &object.view {
            View::IngressClass(class) => Some(&**class),
            _ => None,
        });
        match class {
            Some(class) => self.of_controller(&class.controller, name),
            // Classes may be kept elsewhere than in the directory: they go by their usual names.
            None => match name {
                "plenipo" => Owner::Ours(Flavour::Plenipo),
                "istio" => Owner::Ours(Flavour::Istio),
                "ambassador" => Owner::Ours(Flavour::Emissary),
                "alb" => Owner::LoadBalancers,
                _ => self.chosen(name, None),
            },
        }
    }

    fn of_controller(&self, controller: &str, name: &str) -> Owner {
        match controller {
            "plenipo.io/ingress-controller" => Owner::Ours(Flavour::Plenipo),
            "istio.io/ingress-controller" => Owner::Ours(Flavour::Istio),
            "getambassador.io/ingress-controller" => Owner::Ours(Flavour::Emissary),
            AWS_CONTROLLER => Owner::LoadBalancers,
            other => self.chosen(name, Some(other)),
        }
    }

    /// A class that is ours when it was said so. `nginx` is when nobody said anything and nobody else serves it.
    fn chosen(&self, name: &str, controller: Option<&str>) -> Owner {
        let is_nginx = controller.map_or(name == "nginx", |controller| controller == NGINX_CONTROLLER);
        let ours = Owner::Ours(if is_nginx { Flavour::Nginx } else { Flavour::Plenipo });
        if self.lists(name) || controller.is_some_and(|controller| self.lists(controller)) {
            return ours;
        }
        if let (true, None) = (is_nginx, self.listed) {
            return match self.nginx {
                None => ours,
                Some(other) => Owner::Others(format!("{} serves its class '{name}'", other.id)),
            };
        }
        Owner::Others(match controller {
            Some(controller) => format!("its class '{name}' is for {controller}"),
            None => format!("its class '{name}' is not ours"),
        })
    }

    fn lists(&self, text: &str) -> bool {
        self.listed.is_some_and(|listed| listed.contains(text))
    }

    /// Of several the newest, as the API server has it (then the first by name).
    fn default_class(&self) -> Option<&'a Object> {
        let marked =
            |object: &Object| object.meta.annotations.get(DEFAULT_CLASS).is_some_and(|on| on == "true");
        let classes = self.set.of_kind("IngressClass").iter().filter(|object| marked(object));
        let newest = |one: &&Arc<Object>| (Reverse(one.meta.created.clone()), Arc::clone(&one.id.name));
        classes.min_by_key(newest).map(|object| &**object)
    }

    /// Says what becomes of the classes themselves.
    pub(super) fn report(&self, findings: &mut Findings) {
        for object in self.set.of_kind("IngressClass") {
            let View::IngressClass(class) = &object.view else { continue };
            match self.of_controller(&class.controller, &object.id.name) {
                Owner::Ours(_) => findings.accept(object),
                Owner::LoadBalancers => {}
                Owner::Others(_) => findings.ignore(object),
            }
        }
    }
}

/// The class that an Ingress names.
fn named<'a>(object: &'a Object, ingress: &'a Ingress) -> Option<&'a str> {
    let annotation = object.meta.annotations.get(CLASS_ANNOTATION).map(|name| name.trim());
    let named = annotation.filter(|name| !name.is_empty()).or(ingress.ingress_class_name.as_deref());
    named.filter(|name| !name.is_empty())
}

/// A running ingress-nginx: its Deployment, or its Service with endpoints.
fn nginx_controller(set: &Set) -> Option<&Object> {
    const NAME: &str = "app.kubernetes.io/name";
    let deployments = set.of_kind("Deployment").iter().filter(|object| {
        let View::Written(written) = &object.view else { return false };
        let label = written.pointer("/spec/template/metadata/labels").and_then(|labels| labels.get(NAME));
        let replicas = written.pointer("/spec/replicas").and_then(serde_json::Value::as_u64);
        label.and_then(|label| label.as_str()) == Some("ingress-nginx") && replicas != Some(0)
    });
    let services = set.of_kind("Service").iter().filter(|object| {
        let View::Service(service) = &object.view else { return false };
        let selects = service.selector.as_ref().and_then(|selector| selector.get(NAME));
        selects.is_some_and(|name| name == "ingress-nginx") && has_endpoints(set, object)
    });
    deployments.chain(services).next().map(|object| &**object)
}

fn has_endpoints(set: &Set, service: &Object) -> bool {
    set.of_kind("EndpointSlice").iter().any(|object| match &object.view {
        View::EndpointSlice(slice) => {
            object.id.namespace == service.id.namespace
                && slice.service == *service.id.name
                && !slice.endpoints.is_empty()
        }
        _ => false,
    })
}

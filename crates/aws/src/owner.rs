//! Which controller makes a load balancer out of an object: the first question about every one of them, and the one that
//! people most often get wrong, because nothing in the cluster answers it.

use plenipo_resources::core::Service;
use plenipo_resources::{Object, Set, View};

use crate::account::Gates;
use crate::annotations::{Annotations, cloud_provider::CloudAnnotations};
use crate::stack::{Controller, Kind};

/// `spec.loadBalancerClass` of the AWS Load Balancer Controller.
pub const SERVICE_CLASS: &str = "service.k8s.aws/nlb";

/// `spec.controller` of the IngressClasses of the AWS Load Balancer Controller.
pub const INGRESS_CONTROLLER: &str = "ingress.k8s.aws/alb";

/// The older annotation that names the class of an Ingress.
pub const INGRESS_CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Marks the class of Ingresses that name none.
pub const DEFAULT_CLASS_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

/// Whether an object makes a load balancer, of which kind, by whom, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ownership {
    /// None = nobody makes one here.
    pub owner: Option<Owner>,
    /// The reason, as half a sentence: "spec.loadBalancerClass is service.k8s.aws/nlb".
    pub reason: String,
}

/// Who makes a load balancer, and of which kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Who.
    pub controller: Controller,
    /// Of which kind.
    pub kind: Kind,
}

impl Ownership {
    fn nobody(reason: impl Into<String>) -> Self {
        Self { owner: None, reason: reason.into() }
    }

    fn of(controller: Controller, kind: Kind, reason: impl Into<String>) -> Self {
        Self { owner: Some(Owner { controller, kind }), reason: reason.into() }
    }
}

/// Who makes a load balancer out of a Service.
///
/// The class decides where there is one; without it `aws-load-balancer-type` does, and whatever that says that nobody
/// knows is a classic load balancer of the cloud provider.
pub fn service(object: &Object, service: &Service, gates: &Gates) -> Ownership {
    if object.meta.deleting {
        return Ownership::nobody("it is being deleted");
    }
    let kind = service.type_.as_deref().unwrap_or("ClusterIP");
    let balanced = kind == "LoadBalancer";
    if !balanced && gates.only_load_balancer_services {
        return Ownership::nobody(format!("it is of type {kind}, and only LoadBalancer is looked at"));
    }
    let controller = |reason| Ownership::of(Controller::LoadBalancerController, Kind::Network, reason);
    match service.load_balancer_class.as_deref() {
        Some(SERVICE_CLASS) => return controller(format!("spec.loadBalancerClass is {SERVICE_CLASS}")),
        Some(class) => {
            return Ownership::nobody(format!("spec.loadBalancerClass is {class}, which is nobody's here"));
        }
        None => {}
    }
    let annotations = Annotations::service(&object.meta.annotations);
    let type_ = annotations.text("aws-load-balancer-type").unwrap_or_default();
    let targets = annotations.text("aws-load-balancer-nlb-target-type").unwrap_or_default();
    match (type_, targets) {
        ("nlb-ip", _) => controller("aws-load-balancer-type is nlb-ip (the deprecated spelling)".to_owned()),
        ("external", "ip" | "instance") => {
            controller(format!("aws-load-balancer-type is external, with targets of type {targets}"))
        }
        ("external", _) => Ownership::nobody(
            "aws-load-balancer-type is external without aws-load-balancer-nlb-target-type ip or instance: the cloud \
             provider leaves it to the AWS Load Balancer Controller, which leaves it alone",
        ),
        _ if !balanced => Ownership::nobody(format!("it is of type {kind}")),
        _ => cloud_provider(&object.meta.annotations),
    }
}

fn cloud_provider(annotations: &std::collections::BTreeMap<String, String>) -> Ownership {
    match CloudAnnotations::new(annotations).text("aws-load-balancer-type") {
        Some("nlb") => Ownership::of(
            Controller::CloudProvider,
            Kind::Network,
            "aws-load-balancer-type is nlb, without a class",
        ),
        Some(other) => Ownership::of(
            Controller::CloudProvider,
            Kind::Classic,
            format!(
                "aws-load-balancer-type is {other}, which nobody knows, so the cloud provider makes a classic one"
            ),
        ),
        None => Ownership::of(
            Controller::CloudProvider,
            Kind::Classic,
            "it is of type LoadBalancer, with neither a class nor aws-load-balancer-type",
        ),
    }
}

/// Who makes a load balancer out of an Ingress. Whether its class is sound is another question.
pub fn ingress(set: &Set, object: &Object, gates: &Gates) -> Ownership {
    let controller = |reason| Ownership::of(Controller::LoadBalancerController, Kind::Application, reason);
    let View::Ingress(ingress) = &object.view else { return Ownership::nobody("it is not an Ingress") };
    if let Some(class) = object.meta.annotations.get(INGRESS_CLASS_ANNOTATION) {
        let reason = format!("the annotation {INGRESS_CLASS_ANNOTATION} is {class}");
        return if class == "alb" { controller(reason) } else { Ownership::nobody(reason) };
    }
    if let Some(name) = &ingress.ingress_class_name {
        return match class_controller(set, name) {
            Some(INGRESS_CONTROLLER) => {
                controller(format!("its IngressClass {name} is {INGRESS_CONTROLLER}'s"))
            }
            Some(other) => Ownership::nobody(format!("its IngressClass {name} is {other}'s")),
            None if is_presumed(set, object, name) => controller(format!(
                "there is no IngressClass {name} here, and it is presumed to be {INGRESS_CONTROLLER}'s"
            )),
            None => Ownership::nobody(format!("there is no IngressClass {name}")),
        };
    }
    let mut defaults = set.of_kind("IngressClass").iter().filter(|class| is_default(class));
    match (defaults.next(), defaults.next()) {
        (Some(_), Some(_)) => {
            Ownership::nobody("it names no class, and more than one IngressClass is the default")
        }
        (Some(class), None) => match class_controller(set, &class.id.name) {
            Some(INGRESS_CONTROLLER) => {
                controller(format!("the default IngressClass {} takes it", class.id.name))
            }
            _ => Ownership::nobody(format!("the default IngressClass {} takes it", class.id.name)),
        },
        _ if gates.ingresses_without_class => {
            controller("it names no class, and such Ingresses are taken".to_owned())
        }
        _ => Ownership::nobody("it names no class, and there is no default IngressClass"),
    }
}

/// Is a class that is not there presumed to be the controller's? Its chart brings the class `alb`, so nobody keeps that with
/// the Ingresses. And where no class is kept at all, an Ingress with the controller's annotations was written for it.
pub(crate) fn is_presumed(set: &Set, object: &Object, name: &str) -> bool {
    let annotated = || Annotations::ingress(&object.meta.annotations).starting_with("").next().is_some();
    name == "alb" || (set.of_kind("IngressClass").is_empty() && annotated())
}

fn class_controller<'a>(set: &'a Set, name: &str) -> Option<&'a str> {
    match &set.get("IngressClass", "", name)?.view {
        View::IngressClass(class) => Some(&class.controller),
        _ => None,
    }
}

fn is_default(class: &Object) -> bool {
    class.meta.annotations.get(DEFAULT_CLASS_ANNOTATION).is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests;

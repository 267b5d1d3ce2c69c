//! What goes wrong between a load balancer of AWS and the gateway behind it: 98 rules.
//!
//! *In:* the objects, the load balancers they ask for, what the gateway makes of them, and whatever else is known. *Out:*
//! [`Finding`]s, each with the object, the place in it, and the patch that mends it where one can be written. Every rule
//! has a page in `docs/checks`, whose examples are its tests.
//!
//! A rule is about the pair: each half may look right alone. Nothing here repeats what reading the objects finds.

mod certificates;
mod clients;
mod finding;
mod gateways;
mod groups;
mod health;
mod hops;
mod ingresses;
mod known;
mod lifecycle;
mod names;
mod ownership;
mod patch;
mod ports;
mod proxy;
mod rules;
mod scene;
mod security;
mod streams;
mod targets;
mod tls;
mod unknown;
mod versions;

use std::sync::Arc;

use plenipo_model::Edge;
use plenipo_resources::{Origin, Set, View, decode};

use crate::Stack;

pub use crate::proxies::PROXIES_IN_FRONT;
pub use finding::{Edit, Finding, Operation, Patch};
pub use known::{Known, KnownLoadBalancer};
pub use patch::{Patched, apply, to_yaml};
pub use rules::{RULES, Rule};

use finding::Findings;
use scene::Scene;

/// An object with this annotation is not told about the rules listed in it: `AWS-38,AWS-41`.
pub const IGNORE: &str = "plenipo.io/ignore";

/// What a Service's pods understand at the beginning of a connection: `v1`, `v2`, `both` or `none`.
pub const PROXY_PROTOCOL: &str = "plenipo.io/proxy-protocol";

/// What a Host shall demand of its clients: `required`, `optional` or `none`.
pub const CLIENT_CERTIFICATE: &str = "plenipo.io/client-certificate";

/// Applies all rules. The worst come first, then the order is that of the objects.
#[must_use]
pub fn check(set: &Set, stacks: &[Stack], edge: &Edge, known: &Known) -> Vec<Finding> {
    let scene = Scene::new(set, stacks, edge, known);
    let mut found = Findings::default();
    for family in FAMILIES {
        family(&scene, &mut found);
    }
    groups::blast_radius(&scene, &mut found);
    found.into_list(set)
}

/// The set, with the IngressClass `alb` that the controller's chart installs and directories seldom hold, where an Ingress
/// names it and it is not there.
#[must_use]
pub fn with_usual_class(set: &Set) -> Set {
    let named = set.of_kind("Ingress").iter().any(|object| {
        matches!(&object.view, View::Ingress(spec) if spec.ingress_class_name.as_deref() == Some("alb"))
    });
    if !named || set.get("IngressClass", "", "alb").is_some() {
        return set.clone();
    }
    let class = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": { "name": "alb" },
        "spec": { "controller": crate::owner::INGRESS_CONTROLLER },
    });
    set.with(decode(class, Origin::Cluster).objects.into_iter().map(Arc::new))
}

const FAMILIES: [fn(&Scene<'_>, &mut Findings); 18] = [
    security::find,
    hops::find,
    proxy::find,
    ports::find,
    targets::find,
    tls::find,
    certificates::find,
    clients::find,
    names::find,
    versions::find,
    unknown::find,
    ingresses::find,
    groups::find,
    health::find,
    streams::find,
    ownership::find,
    lifecycle::find,
    gateways::find,
];

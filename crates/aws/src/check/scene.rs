//! Objects, load balancers and gateway as the rules look at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{Accepts, ChainTls, Edge, HttpServer, Listener, Serve, Source, VirtualHost};
use plenipo_resources::ambassador::Module;
use plenipo_resources::core::{Service, ServicePort};
use plenipo_resources::elbv2::IngressClassParams;
use plenipo_resources::networking::Ingress;
use plenipo_resources::{Object, ObjectId, Set, View};
use serde_json::Value;

use super::known::Known;
use crate::account::Gates;
use crate::annotations;
use crate::owner::{self, Owner};
use crate::reach;
use crate::stack::{self, Controller, Kind, Stack, TargetGroup, TargetRef};

/// Everything that rules look at.
pub(super) struct Scene<'a> {
    pub(super) set: &'a Set,
    pub(super) stacks: &'a [Stack],
    pub(super) edge: &'a Edge,
    pub(super) known: &'a Known,
    pub(super) services: Vec<ServiceView<'a>>,
    /// Those of application load balancers.
    pub(super) ingresses: Vec<IngressView<'a>>,
    /// The ways from load balancers into the gateway.
    pub(super) passages: Vec<Passage<'a>>,
}

/// A Service and who makes a load balancer of it.
pub(super) struct ServiceView<'a> {
    pub(super) object: &'a Arc<Object>,
    pub(super) spec: &'a Service,
    pub(super) owner: Option<Owner>,
}

/// An Ingress of an application load balancer.
pub(super) struct IngressView<'a> {
    pub(super) object: &'a Arc<Object>,
    pub(super) spec: &'a Ingress,
    pub(super) params: Option<&'a IngressClassParams>,
}

/// A listener of a load balancer whose targets are the gateway.
#[derive(Clone, Copy)]
pub(super) struct Passage<'a> {
    pub(super) stack: &'a Stack,
    pub(super) listener: &'a stack::Listener,
    pub(super) group: &'a TargetGroup,
    /// The Ingress whose rule leads there; none = the Service, or the listener's default.
    pub(super) rule: Option<&'a stack::Rule>,
    pub(super) service: &'a Arc<Object>,
    pub(super) port: &'a ServicePort,
    /// Its place among the Service's ports.
    pub(super) place: usize,
    pub(super) gateway: &'a Listener,
}

impl<'a> Scene<'a> {
    pub(super) fn new(set: &'a Set, stacks: &'a [Stack], edge: &'a Edge, known: &'a Known) -> Self {
        let gates = Gates::default();
        let services = set.of_kind("Service").iter().filter_map(|object| match &object.view {
            View::Service(spec) => {
                let owner = owner::service(object, spec, &gates).owner;
                Some(ServiceView { object, spec, owner })
            }
            _ => None,
        });
        let ingresses = set.of_kind("Ingress").iter().filter_map(|object| match &object.view {
            View::Ingress(spec) if owner::ingress(set, object, &gates).owner.is_some() => {
                Some(IngressView { object, spec, params: params(set, object, spec) })
            }
            _ => None,
        });
        let (services, ingresses) = (services.collect(), ingresses.collect());
        let passages = passages(set, stacks, edge);
        Self { set, stacks, edge, known, services, ingresses, passages }
    }

    /// The object that a part of the edge comes from.
    pub(super) fn object_of(&self, source: &Source) -> Option<&'a Arc<Object>> {
        let (kind, rest) = source.as_str().split_once(' ')?;
        let (namespace, name) = rest.split(' ').next()?.split_once('/')?;
        self.set.get(kind, namespace, name)
    }

    /// The object that a part of the edge comes from, else the Service in front of it.
    pub(super) fn object_or(&self, source: &Source, passage: &Passage<'a>) -> &'a Arc<Object> {
        self.object_of(source).unwrap_or(passage.service)
    }

    /// Networks that load balancers are in.
    pub(super) fn networks(&self) -> Vec<String> {
        let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"].map(str::to_owned);
        if self.known.vpc_cidrs.is_empty() { private.to_vec() } else { self.known.vpc_cidrs.clone() }
    }

    /// The Module named `ambassador`.
    pub(super) fn module(&self) -> Option<(&'a Arc<Object>, &'a Module)> {
        self.set.of_kind("Module").iter().find_map(|object| match &object.view {
            View::Module(module) if &*object.id.name == "ambassador" => Some((object, &**module)),
            _ => None,
        })
    }

    /// The Service of an id.
    pub(super) fn service(&self, id: &ObjectId) -> Option<&ServiceView<'a>> {
        self.services.iter().find(|service| service.object.id == *id)
    }

    /// The Ingress of an id.
    pub(super) fn ingress(&self, id: &ObjectId) -> Option<&IngressView<'a>> {
        self.ingresses.iter().find(|ingress| ingress.object.id == *id)
    }

    /// The load balancer that an object is a member of.
    pub(super) fn stack(&self, id: &ObjectId) -> Option<&'a Stack> {
        self.stacks.iter().find(|stack| stack.members.contains(id))
    }

    /// Ingresses by the load balancer they share: by explicit group, else each for itself.
    pub(super) fn groups(&self) -> BTreeMap<String, Vec<&IngressView<'a>>> {
        let mut groups: BTreeMap<String, Vec<&IngressView<'a>>> = BTreeMap::new();
        for ingress in &self.ingresses {
            groups.entry(ingress.group_id()).or_default().push(ingress);
        }
        for members in groups.values_mut() {
            let order = |one: &IngressView<'_>| {
                one.note("group.order").and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0)
            };
            members.sort_by_key(|one| (order(one), one.object.id.clone()));
        }
        groups
    }
}

impl<'a> ServiceView<'a> {
    /// Value of an annotation, by its name behind the prefix of Services.
    pub(super) fn note(&self, suffix: &str) -> Option<&'a str> {
        note(self.object, annotations::SERVICE, suffix)
    }

    /// Is it made into a load balancer by this controller?
    pub(super) fn is_of(&self, controller: Controller) -> bool {
        self.owner.is_some_and(|owner| owner.controller == controller)
    }

    /// Is it made by the AWS Load Balancer Controller?
    pub(super) fn is_lbc(&self) -> bool {
        self.is_of(Controller::LoadBalancerController)
    }

    /// Is it made by the cloud provider?
    pub(super) fn is_cloud(&self) -> bool {
        self.is_of(Controller::CloudProvider)
    }

    /// Of which kind it is.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.owner.map(|owner| owner.kind)
    }

    /// Are its targets pods?
    pub(super) fn has_ip_targets(&self) -> bool {
        self.is_lbc()
            && (self.note("aws-load-balancer-nlb-target-type") == Some("ip")
                || self.note("aws-load-balancer-type") == Some("nlb-ip"))
    }

    /// Its type, as Kubernetes understands it.
    pub(super) fn type_(&self) -> &'a str {
        self.spec.type_.as_deref().unwrap_or("ClusterIP")
    }

    /// Is `externalTrafficPolicy: Local` set?
    pub(super) fn is_local(&self) -> bool {
        self.spec.external_traffic_policy.as_deref() == Some("Local")
    }
}

impl<'a> IngressView<'a> {
    /// Value of an annotation, by its name behind the prefix of Ingresses.
    pub(super) fn note(&self, suffix: &str) -> Option<&'a str> {
        note(self.object, annotations::INGRESS, suffix)
    }

    /// Name of the explicit group.
    pub(super) fn group(&self) -> Option<&'a str> {
        let of_class = self.params.and_then(|params| params.group.as_ref()).map(|group| group.name.as_str());
        of_class.or_else(|| self.note("group.name"))
    }

    /// The group it is in, alone or with others.
    pub(super) fn group_id(&self) -> String {
        match self.group() {
            Some(name) => name.to_owned(),
            None => format!("{}/{}", self.object.id.namespace, self.object.id.name),
        }
    }

    /// The Services it names, with the pointers of the places.
    pub(super) fn backends(&self) -> Vec<(String, &'a plenipo_resources::networking::IngressBackend)> {
        let mut found = Vec::new();
        if let Some(backend) = &self.spec.default_backend {
            found.push(("/spec/defaultBackend".to_owned(), backend));
        }
        for (rule, written) in self.spec.rules.iter().enumerate() {
            for (path, one) in written.http.iter().flat_map(|http| &http.paths).enumerate() {
                found.push((format!("/spec/rules/{rule}/http/paths/{path}/backend"), &one.backend));
            }
        }
        found
    }
}

impl<'a> Passage<'a> {
    /// TLS ends at the load balancer, which understands no request.
    pub(super) fn ends_tls_blindly(&self) -> bool {
        self.listener.protocol.ends_tls() && !self.listener.protocol.is_http()
    }

    /// Bytes pass as they are.
    pub(super) fn is_opaque(&self) -> bool {
        !self.listener.protocol.ends_tls() && !self.listener.protocol.is_http()
    }

    /// The HTTP servers that connections of this passage come to: behind TLS chains, or in clear text.
    pub(super) fn servers(&self) -> impl Iterator<Item = &'a HttpServer> + use<'a> {
        let tls = self.group.protocol.is_tls();
        let opaque = self.is_opaque();
        let chains = self.gateway.chains.iter().filter(move |chain| {
            let takes_tls = matches!(chain.accepts, Accepts::Tls(_));
            opaque || takes_tls == tls || matches!(chain.accepts, Accepts::Anything)
        });
        chains.filter_map(|chain| match &chain.serve {
            Serve::Http(server) => Some(&**server),
            Serve::Tcp(_) | Serve::Udp(_) => None,
        })
    }

    /// What [`Passage::servers`] depends on: passages that are equal in it come to the same servers.
    pub(super) fn entrance(&self) -> (&'a str, bool, bool) {
        (&self.gateway.name, self.group.protocol.is_tls(), self.is_opaque())
    }

    /// The virtual hosts behind [`Passage::servers`].
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&'a HttpServer, &'a VirtualHost)> + use<'a> {
        self.servers().flat_map(|server| server.hosts.iter().map(move |host| (server, host)))
    }

    /// Does the gateway's listener end TLS?
    pub(super) fn gateway_ends_tls(&self) -> bool {
        ends_tls(self.gateway)
    }

    /// The load balancer in words: "the NLB of Service default/edge".
    pub(super) fn name(&self) -> String {
        format!("{} of {}", kind_name(self.stack.load_balancer.kind), self.stack_owner())
    }

    fn stack_owner(&self) -> String {
        match &self.stack.members[..] {
            [only] => only.to_string(),
            _ => format!("Ingress group {}", self.stack.id),
        }
    }
}

/// Does a listener end TLS in some chain (or was it asked to, and cannot)?
pub(super) fn ends_tls(listener: &Listener) -> bool {
    listener.chains.iter().any(|chain| !matches!(chain.tls, ChainTls::Untouched))
}

/// A kind of load balancer as people call it.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Classic => "the classic load balancer",
        Kind::Network => "the network load balancer",
        Kind::Application => "the application load balancer",
    }
}

/// Value of an annotation.
pub(super) fn note<'a>(object: &'a Object, prefix: &str, suffix: &str) -> Option<&'a str> {
    object.meta.annotations.get(&format!("{prefix}/{suffix}")).map(String::as_str)
}

/// Pointer of an annotation.
pub(super) fn annotation(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Pointer of an annotation of Services.
pub(super) fn service_note(suffix: &str) -> String {
    annotation(&format!("{}/{suffix}", annotations::SERVICE))
}

/// Pointer of an annotation of Ingresses.
pub(super) fn ingress_note(suffix: &str) -> String {
    annotation(&format!("{}/{suffix}", annotations::INGRESS))
}

/// Value of a map annotation (`a=b,c=d`) with this entry, or without it.
pub(super) fn with_entry(raw: Option<&str>, key: &str, value: Option<&str>) -> String {
    let is_other = |entry: &&str| entry.split('=').next().unwrap_or_default().trim() != key;
    let others = raw.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let mut entries: Vec<String> = others.filter(is_other).map(str::to_owned).collect();
    entries.extend(value.map(|value| format!("{key}={value}")));
    entries.join(",")
}

/// An entry of a map annotation.
pub(super) fn entry<'a>(raw: Option<&'a str>, key: &str) -> Option<&'a str> {
    let entries = raw?.split(',').filter_map(|entry| entry.split_once('='));
    entries
        .map(|(name, value)| (name.trim(), value.trim()))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

fn params<'a>(set: &'a Set, object: &Object, spec: &Ingress) -> Option<&'a IngressClassParams> {
    if object.meta.annotations.contains_key(owner::INGRESS_CLASS_ANNOTATION) {
        return None;
    }
    let View::IngressClass(class) = &set.get("IngressClass", "", spec.ingress_class_name.as_deref()?)?.view
    else {
        return None;
    };
    match &set.get("IngressClassParams", "", &class.parameters.as_ref()?.name)?.view {
        View::IngressClassParams(params) => Some(params),
        _ => None,
    }
}

fn passages<'a>(set: &'a Set, stacks: &'a [Stack], edge: &'a Edge) -> Vec<Passage<'a>> {
    let mut found = Vec::new();
    for stack in stacks {
        for listener in &stack.listeners {
            let ruled = listener.rules.iter().map(|rule| (Some(rule), &rule.actions));
            for (rule, actions) in ruled.chain([(None, &listener.default_actions)]) {
                let forwards = actions.iter().filter_map(|action| match action {
                    stack::Action::Forward(forward) => Some(forward),
                    _ => None,
                });
                for target in forwards.flat_map(|forward| &forward.targets) {
                    let TargetRef::Own(key) = &target.target else { continue };
                    let Some(group) = stack.target_groups.get(key) else { continue };
                    found.extend(passage(set, edge, stack, listener, rule, group));
                }
            }
        }
    }
    found
}

fn passage<'a>(
    set: &'a Set,
    edge: &'a Edge,
    stack: &'a Stack,
    listener: &'a stack::Listener,
    rule: Option<&'a stack::Rule>,
    group: &'a TargetGroup,
) -> Option<Passage<'a>> {
    let gateway = reach::listener(set, edge, &group.service, &group.service_port)?;
    let service = set.get("Service", &group.service.namespace, &group.service.name)?;
    let View::Service(spec) = &service.view else { return None };
    let port = reach::service_port(spec, &group.service_port)?;
    let place = spec.ports.iter().position(|one| one == port)?;
    Some(Passage { stack, listener, group, rule, service, port, place, gateway })
}

/// The Deployments whose pods a Service selects, and what they hold.
pub(super) fn deployments<'a>(set: &'a Set, service: &ServiceView<'_>) -> Vec<(&'a Arc<Object>, &'a Value)> {
    reach::deployments(set, service.object, service.spec).collect()
}

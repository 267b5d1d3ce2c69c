//! The load balancers as an edge of their own, for the data plane that also runs the gateway.
//!
//! *In:* [`Stack`]s, the objects that they come from, the gateway's own [`Edge`] (as bound), and what only whoever runs
//! them knows: certificates, trust stores, ports. *Out:* [`Local`]: a second edge, where each load balancer listens and
//! where it leads, how it differs from AWS, and what it refuses to serve. Pure: it reads no file and makes no key.
//!
//! What AWS would do before it forwards a request (sign a user in, check a token, ask a firewall) and what cannot be done
//! here is never left out in silence: such a rule answers with an error and a [`Problem`] says so.

mod actions;
mod attributes;
mod certificates;
mod clusters;
mod conditions;
mod health;
mod layer4;
mod layer7;
mod places;
mod policies;
mod problems;
mod targets;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use plenipo_model::{Certificate, Cluster, Edge, Listener as Bound, RevocationList, RootStore};
use plenipo_resources::{ObjectId, Problem, Set};
use serde::Serialize;

use crate::stack::{Controller, Kind, Listener, ListenerProtocol, Scheme, Stack};
use places::{Place, Places};

pub use certificates::{Wanted, wanted_certificates, wanted_trust_stores};

/// What must be known to run load balancers here.
#[derive(Clone, Debug)]
pub struct LocalOptions<'a> {
    /// The gateway, with the ports that it binds.
    pub gateway: &'a Edge,
    /// Where the gateway is; none = where its listeners bind, or on 127.0.0.1 where they bind every address.
    pub gateway_address: Option<IpAddr>,
    /// Other ports of the gateway than those of its listeners, as declared and as bound: 8877, which probes ask.
    pub gateway_ports: BTreeMap<u16, u16>,
    /// Where other Services are, by `name.namespace` and port, before their EndpointSlices are looked at.
    pub resolve: BTreeMap<(String, u16), SocketAddr>,
    /// Declared port of a load balancer → port bound for it.
    pub ports: BTreeMap<u16, u16>,
    /// The lowest port that may be bound (1 for who may bind all, usually 1024); lower ones are moved up by 9000 unless
    /// [`LocalOptions::ports`] says where to.
    pub lowest_port: u16,
    /// By ARN, of ACM or of IAM.
    pub certificates: BTreeMap<String, Arc<Certificate>>,
    /// By ARN or name.
    pub trust_stores: BTreeMap<String, TrustStore>,
    /// Serve load balancers that have a web ACL without one. Otherwise they answer 503.
    pub without_web_acl: bool,
}

/// What client certificates are checked against.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustStore {
    /// Authorities.
    pub roots: Arc<RootStore>,
    /// Revoked certificates.
    pub revocation: Option<Arc<RevocationList>>,
}

/// Load balancers, to be run here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Local {
    /// What the data plane serves.
    pub edge: Edge,
    /// What that is, in words: in the order of the stacks, each followed by the load balancer in front of it.
    pub balancers: Vec<Balancer>,
    /// What does not work here, or works otherwise than its author probably thinks.
    pub problems: Vec<Problem>,
}

/// One load balancer as it is run here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Balancer {
    /// Its name in AWS.
    pub name: String,
    /// A name to reach it by (which nobody resolves: for `Host`, `--resolve` and the like).
    pub dns_name: String,
    /// Classic, network or application.
    pub kind: Kind,
    /// How the annotations were read.
    pub controller: Controller,
    /// Who could reach it in AWS.
    pub scheme: Scheme,
    /// Its address here.
    pub address: IpAddr,
    /// The objects that ask for it.
    pub members: Vec<ObjectId>,
    /// Its listeners.
    pub ports: Vec<Port>,
    /// How it differs as a whole from what AWS would run.
    pub deviations: Vec<String>,
}

/// One listener of a load balancer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Port {
    /// As declared: what headers, rules and redirects speak of.
    pub declared: u16,
    /// What clients speak.
    pub protocol: ListenerProtocol,
    /// Where it is bound.
    pub bind: SocketAddr,
    /// Where it leads, a line for each target group.
    pub targets: Vec<String>,
    /// How it differs from what AWS would run.
    pub deviations: Vec<String>,
}

/// What is under construction.
struct Builder<'a> {
    set: &'a Set,
    options: &'a LocalOptions<'a>,
    listeners: Vec<Bound>,
    clusters: BTreeMap<Arc<str>, Arc<Cluster>>,
    problems: Vec<Problem>,
}

/// One load balancer under construction.
#[derive(Clone, Copy)]
struct Site<'a> {
    stack: &'a Stack,
    place: &'a Place,
    /// The application load balancer behind this network load balancer.
    behind: Option<&'a Place>,
    /// A network load balancer in front of it tells who the client is.
    fronted: bool,
}

/// What is said about a listener while it is made.
#[derive(Default)]
struct Remarks {
    targets: Vec<String>,
    deviations: Vec<String>,
}

/// The load balancers as an edge. Equal input gives an equal one.
#[must_use]
pub fn edge(stacks: &[Stack], set: &Set, options: &LocalOptions<'_>) -> Local {
    let mut builder =
        Builder { set, options, listeners: Vec::new(), clusters: BTreeMap::new(), problems: Vec::new() };
    let mut places = Places::new(options);
    let mut balancers = Vec::new();
    for stack in stacks {
        let own = places.take(stack);
        let fronted = stack.frontend.is_some();
        balancers.push(builder.balancer(Site { stack, place: &own, behind: None, fronted }));
        if let Some(front) = &stack.frontend {
            let place = places.take(front);
            let site = Site { stack: front, place: &place, behind: Some(&own), fronted: false };
            balancers.push(builder.balancer(site));
        }
    }
    let Builder { mut listeners, clusters, mut problems, .. } = builder;
    listeners.sort_by_key(|listener| (listener.bind, listener.transport));
    problems.sort();
    problems.dedup();
    Local { edge: Edge { listeners, clusters }, balancers, problems }
}

impl Builder<'_> {
    fn balancer(&mut self, site: Site<'_>) -> Balancer {
        let stack = site.stack;
        let ports = stack.listeners.iter().map(|listener| self.port(site, listener)).collect();
        let name = stack.load_balancer.name.clone();
        Balancer {
            dns_name: format!("{name}.elb.localhost"),
            name,
            kind: stack.load_balancer.kind,
            controller: stack.controller,
            scheme: stack.load_balancer.scheme,
            address: site.place.address,
            members: stack.members.clone(),
            ports,
            deviations: attributes::deviations(stack),
        }
    }

    fn port(&mut self, site: Site<'_>, listener: &Listener) -> Port {
        let mut remarks = Remarks::default();
        match listener.protocol.is_http() {
            true => self.layer7(site, listener, &mut remarks),
            false => self.layer4(site, listener, &mut remarks),
        }
        let Remarks { mut targets, mut deviations } = remarks;
        for list in [&mut targets, &mut deviations] {
            list.sort();
            list.dedup();
        }
        let bind = site.place.bind(listener.port);
        Port { declared: listener.port, protocol: listener.protocol, bind, targets, deviations }
    }
}

impl Site<'_> {
    /// Attributes of the load balancer.
    fn attributes(&self) -> attributes::Attributes<'_> {
        attributes::Attributes(&self.stack.load_balancer.attributes)
    }

    /// The object that a problem of the load balancer is a problem of.
    fn member(&self) -> Option<&ObjectId> {
        self.stack.members.first()
    }

    /// Name of one of its listeners, unique in the edge.
    fn listener_name(&self, port: u16) -> String {
        format!("{}:{port}", self.stack.load_balancer.name)
    }
}

#[cfg(test)]
mod tests;

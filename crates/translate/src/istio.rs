//! Istio's dialect, as an ingress gateway speaks it: Gateways, VirtualServices and what belongs to them.

mod action;
mod analysis;
mod authorization;
mod balance;
mod binding;
mod chains;
mod delegate;
mod destination_rule;
mod destinations;
mod endpoints;
mod gateway;
mod http_server;
mod identity;
mod judgement;
mod limits;
mod listener;
mod locality;
mod matching;
mod mesh;
mod options;
mod origination;
mod peer_authentication;
mod policy;
mod pool;
mod ports;
mod registry;
mod relay;
mod request_authentication;
mod route;
mod security;
mod telemetry;
mod tls;
mod told;
mod unapplied;
mod unserved;
mod virtual_service;
mod workloads;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{Edge, HttpServer, MeshIdentity};
use plenipo_resources::{Object, Set, View};

use self::analysis::Scene;
use self::gateway::Server;
use self::listener::Terms;
use self::security::Security;
use self::tls::Identified;
use self::world::World;
use crate::findings::{Findings, source_of};
use crate::memory::{Dialect, Reader};
use crate::options::Options;
use crate::secrets::Secrets;

pub(crate) use destinations::{Carries, Destinations, Wanted};
pub(crate) use mesh::Mesh;
pub use options::{IstioOptions, Locality};
pub(crate) use security::guard_of_ingresses;

pub(crate) const DIALECT: Dialect = Dialect { concerns, translate };

/// Kinds whose objects are looked at, or that tell where something is.
fn concerns(object: &Object) -> bool {
    matches!(
        object.view,
        View::Gateway(_)
            | View::VirtualService(_)
            | View::DestinationRule(_)
            | View::ServiceEntry(_)
            | View::WorkloadEntry(_)
            | View::PeerAuthentication(_)
            | View::RequestAuthentication(_)
            | View::AuthorizationPolicy(_)
            | View::Telemetry(_)
            | View::Service(_)
            | View::EndpointSlice(_)
            | View::Endpoints(_)
            | View::Pod(_)
            | View::Secret(_)
            | View::ConfigMap(_)
            | View::Namespace
            | View::Written(_)
    ) || &*object.id.kind == "Node"
}

fn translate(mut reader: Reader<'_>) -> Edge {
    unapplied::report(reader.set, &reader.options.istio, reader.findings);
    if reader.set.of_kind("Gateway").is_empty() && reader.set.of_kind("VirtualService").is_empty() {
        unserved::report(reader.set, reader.findings);
        security::without_gateway(reader.set, reader.findings);
        return Edge::default();
    }
    let Reader { set, options, directory, .. } = reader;
    let mesh = Mesh::read(set, options, reader.findings);
    let servers = gateway::read(&mut reader);
    let ours = gateway::ours(&reader);
    let services = virtual_service::read(set, &mesh, &ours, reader.findings);
    let findings = reader.findings;
    let mut secrets = Secrets::new(set, options, std::mem::take(reader.material));
    let identity = identity::read(&options.istio, set, &mut secrets, findings);
    let mut destinations = Destinations::new(&mesh, set, options, directory, identity.clone(), findings);
    let mut world = World {
        set,
        mesh: &mesh,
        options,
        destinations: &mut destinations,
        secrets: &mut secrets,
        findings: &mut *findings,
        relays: None,
        access_log: None,
        nowhere: Vec::new(),
    };
    let security = Security::read(&mesh, &selectors(&servers), &mut world);
    (world.relays, world.access_log) = (security.relays, security.access_log.clone());
    let http = HttpServer {
        authentication: security.authentication,
        authorization: security.authorization,
        access_log: security.access_log,
        ..http_server::template(&mesh)
    };
    let proxy_protocol = mesh.topology.proxy_protocol;
    let tls = Identified { identity: identity.as_deref(), defaults: mesh.config.tls_defaults.as_ref() };
    let terms = Terms { http: &http, proxy_protocol, tls };
    let mut listeners = listener::listeners(&servers, &services, &terms, &mut world);
    let nowhere = world.nowhere;
    limits::apply(&mut listeners, &servers, findings);
    judgement::judge(&services, &servers, findings);
    let mut clusters = destinations.into_clusters();
    clusters.extend(nowhere.into_iter().map(|cluster| (Arc::clone(&cluster.name), cluster)));
    *reader.material = secrets.into_material();
    let edge = Edge { listeners, clusters };
    let scene = Scene { set, options, mesh: &mesh, servers: &servers, services: &services, edge: &edge };
    analysis::analyse(&scene, findings);
    edge
}

/// How the Gateways that are served select our pods.
fn selectors<'a>(servers: &[Server<'a>]) -> Vec<&'a BTreeMap<String, String>> {
    let of = |server: &Server<'a>| match &server.gateway.view {
        View::Gateway(gateway) => Some(&gateway.selector),
        _ => None,
    };
    let mut selectors: Vec<_> = servers.iter().filter_map(of).collect();
    selectors.dedup();
    selectors
}

/// Who the gateway is in the mesh, if anybody said so.
pub(crate) fn identity(
    options: &Options,
    set: &Set,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Option<Arc<MeshIdentity>> {
    identity::read(&options.istio, set, secrets, findings)
}

/// The order in which objects go before each other: the older first, then by name, then by namespace. (Objects in files have
/// no age.)
fn chronological(object: &Object) -> (&str, &str, &str) {
    (&object.meta.created, &object.id.name, &object.id.namespace)
}

/// Names the fields that nobody reads.
/// A field of this part of an object that nobody understands. It may have been what protects something.
fn unknown_within<'o>(object: &'o Object, part: &str) -> Option<&'o String> {
    let within =
        |unknown: &&String| unknown.strip_prefix(part).is_some_and(|rest| rest.starts_with(['.', '[']));
    object.unknown_fields.iter().find(within)
}

fn unknown_fields(object: &Object, findings: &mut Findings) {
    for field in &object.unknown_fields {
        let message =
            format!("'{field}' is not a field of a {} that is understood, it has no effect", object.id.kind);
        findings.warn(object, "unknown-field", field, message, "check the spelling, or remove it");
    }
}

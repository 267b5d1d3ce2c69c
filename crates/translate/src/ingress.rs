//! Kubernetes' own dialect: Ingress, as its API describes it, and as ingress-nginx, Istio and Emissary carry it out.

mod backend;
mod class;
mod controller;
mod guards;
mod hosts;
mod in_front;
mod listeners;
mod nginx;
mod options;
mod path;
mod place;
mod policy;
mod routes;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{Edge, HttpServer, Source, TcpRoute, TcpTarget, VirtualHost};
use plenipo_resources::networking::Ingress;
use plenipo_resources::{Object, ObjectId, Set, View};

use self::backend::Clusters;
use self::class::{Classes, Flavour, Owner};
use self::controller::Controller;
use self::hosts::HostPaths;
use self::in_front::InFront;
use self::listeners::{Served, Serving};
use self::path::Path;
use self::policy::Policy;
use self::tls::HostTls;
use crate::findings::Findings;
use crate::istio::{self, Destinations, Mesh};
use crate::memory::{Dialect, Reader};
use crate::options::Options;
use crate::secrets::Secrets;

pub use self::options::IngressOptions;

pub(crate) const DIALECT: Dialect = Dialect { concerns, translate };

/// What everything here looks at.
#[derive(Clone, Copy, Debug)]
struct World<'a> {
    set: &'a Set,
    options: &'a Options,
}

/// An Ingress that is ours.
#[derive(Debug)]
struct Entry<'a> {
    object: &'a Object,
    spec: &'a Ingress,
    flavour: Flavour,
    /// Its class, if that is among the objects.
    class: Option<&'a Object>,
    source: Source,
    policy: Policy,
}

fn concerns(object: &Object) -> bool {
    matches!(
        object.view,
        View::Ingress(_)
            | View::IngressClass(_)
            | View::Service(_)
            | View::EndpointSlice(_)
            | View::Endpoints(_)
            | View::Secret(_)
            | View::ConfigMap(_)
            | View::Listener(_)
            | View::AuthService(_)
            | View::AuthorizationPolicy(_)
            | View::RequestAuthentication(_)
            | View::DestinationRule(_)
            | View::ServiceEntry(_)
            | View::PeerAuthentication(_)
            | View::Pod(_)
            | View::Namespace
    ) || matches!(&*object.id.kind, "Deployment" | "IstioOperator" | "Node")
}

fn translate(reader: Reader<'_>) -> Edge {
    let Reader { set, options, directory, material, findings } = reader;
    if set.of_kind("Ingress").is_empty() && set.of_kind("IngressClass").is_empty() {
        return Edge::default();
    }
    let world = World { set, options };
    let mut secrets = Secrets::new(set, options, std::mem::take(material));
    let mesh;
    let mut clusters = Clusters::new(directory, options);
    let controller = Controller::find(set);
    let reader =
        nginx::Reader { world, secrets: &mut secrets, clusters: &mut clusters, findings, controller };
    let mut entries = entries(world, reader);
    guards::close_emissary(&mut entries, world, findings);
    if entries.iter().any(|entry| entry.flavour == Flavour::Nginx) {
        controller.report(findings);
    }
    if entries.iter().any(|entry| entry.flavour == Flavour::Istio) {
        mesh = Mesh::read(set, options, findings);
        guards::close_istio(&mut entries, &mesh, world, findings);
        let identity = istio::identity(options, set, &mut secrets, findings);
        clusters.through(Destinations::new(&mesh, set, options, directory, identity, findings));
    }
    let mut listeners = Vec::new();
    for (places, entries) in by_place(world, entries) {
        let serving = serving(world, &entries, &mut secrets, &mut clusters, findings);
        listeners.extend(places.iter().filter_map(|place| listeners::listener(place, &serving)));
    }
    *material = secrets.into_material();
    Edge { listeners, clusters: clusters.into_made() }
}

/// What `status.loadBalancer` of each of our Ingresses should say: the addresses of the gateway's Services, sorted; none when
/// they have none yet. Ingresses of others are not there.
#[must_use]
pub fn addresses(set: &Set, options: &Options) -> BTreeMap<ObjectId, Vec<String>> {
    let world = World { set, options };
    let classes = Classes::new(set, options);
    let ours = set.of_kind("Ingress").iter().filter_map(|object| match &object.view {
        View::Ingress(spec) => match classes.owner(object, spec) {
            Owner::Ours(flavour) if is_instances(object, flavour, options) => {
                Some((object.id.clone(), place::addresses(flavour, &world)))
            }
            Owner::Ours(_) | Owner::LoadBalancers | Owner::Others(_) => None,
        },
        _ => None,
    });
    ours.collect()
}

/// Our Ingresses, oldest first (where nobody knows their age, by namespace and name), with a word on the others.
fn entries<'a>(world: World<'a>, mut reader: nginx::Reader<'_, 'a>) -> Vec<Entry<'a>> {
    let classes = Classes::new(world.set, world.options);
    classes.report(reader.findings);
    let mut entries = Vec::new();
    for object in world.set.of_kind("Ingress") {
        let View::Ingress(spec) = &object.view else { continue };
        let findings = &mut *reader.findings;
        let single = world.options.single_namespace && *object.id.namespace != *world.options.namespace;
        let flavour = match classes.owner(object, spec) {
            Owner::Ours(flavour) if !single && is_instances(object, flavour, world.options) => flavour,
            Owner::LoadBalancers => continue,
            Owner::Ours(_) => {
                findings.ignore(object);
                continue;
            }
            Owner::Others(reason) => {
                findings.ignore(object);
                let message = format!("it is left aside: {reason}");
                let fix = "write spec.ingressClassName: plenipo, or name the class in --ingress-class";
                findings.note(object, "ingress-of-others", "spec.ingressClassName", message, fix);
                continue;
            }
        };
        findings.accept(object);
        for field in &object.unknown_fields {
            let message =
                format!("'{field}' is not a field of an Ingress that is understood, it has no effect");
            findings.warn(object, "unknown-field", field, message, "check the spelling, or remove it");
        }
        let id = &object.id;
        let source = Source::new(["Ingress ", &id.namespace, "/", &id.name].concat());
        let policy = reader.read(object, flavour, &source);
        let class = classes.class(object, spec);
        entries.push(Entry { object, spec, flavour, class, source, policy });
    }
    entries
        .sort_by(|a, b| (&a.object.meta.created, &a.object.id).cmp(&(&b.object.meta.created, &b.object.id)));
    entries
}

/// Several Emissaries share a class: each takes the Ingresses that name it. What answers a challenge names none, and each may
/// have the host that is asked for.
fn is_instances(object: &Object, flavour: Flavour, options: &Options) -> bool {
    let named =
        object.meta.annotations.get("getambassador.io/ambassador-id").map_or("default", |id| id.trim());
    flavour != Flavour::Emissary || named == options.ambassador_id || class::is_solver(object)
}

type Placed<'a> = Vec<(Vec<place::Place>, Vec<Entry<'a>>)>;

/// Ingresses that are served at the same addresses stand beside each other.
fn by_place<'a>(world: World<'a>, entries: Vec<Entry<'a>>) -> Placed<'a> {
    let mut known: BTreeMap<Flavour, Vec<place::Place>> = BTreeMap::new();
    let mut placed: Placed<'a> = Vec::new();
    for entry in entries {
        let places = known.entry(entry.flavour).or_insert_with(|| place::places(entry.flavour, &world));
        match placed.iter_mut().find(|(other, _)| other == places) {
            Some((_, list)) => list.push(entry),
            None => placed.push((places.clone(), vec![entry])),
        }
    }
    placed
}

fn serving<'a>(
    world: World<'a>,
    entries: &[Entry<'a>],
    secrets: &mut Secrets<'a>,
    clusters: &mut Clusters<'a>,
    findings: &mut Findings,
) -> Serving {
    let hosts = hosts::gather(entries, findings);
    let mut reader = tls::Reader { world, secrets, findings };
    let fallback = reader.fallback();
    let tls: Vec<HostTls> = hosts.iter().map(|(host, paths)| reader.host(host, &paths.entries)).collect();
    let mut served = Vec::new();
    for ((host, paths), tls) in hosts.iter().zip(tls) {
        let mut writer = routes::Writer { clusters, secrets: &mut *secrets, findings };
        let routes = writer.host(host, paths, &tls);
        let source =
            paths.entries.first().map_or_else(|| Source::new("Ingress"), |entry| entry.source.clone());
        served.push(Served {
            host: VirtualHost::new(source, host.clone(), routes),
            passthrough: passthrough(paths, clusters, findings),
            strict_transport: paths.entries.iter().any(|entry| entry.policy.strict_transport),
            tls,
        });
    }
    let is_nginx = entries.iter().any(|entry| entry.flavour == Flavour::Nginx);
    let controller = if is_nginx { Controller::find(world.set) } else { Controller::default() };
    let in_front = InFront::read(entries, &controller, findings);
    Serving {
        hosts: served,
        fallback,
        strict_transport: controller.strict_transport(),
        proxy_protocol: in_front.proxy_protocol,
        server: HttpServer { forwarding: in_front.forwarding, ..server(entries) },
    }
}

/// What holds for every request to an Ingress.
fn server(entries: &[Entry<'_>]) -> HttpServer {
    let server = HttpServer::new(Source::new("Ingress"), Vec::new());
    let of = |flavour: Flavour| entries.iter().all(|entry| entry.flavour == flavour);
    match () {
        () if of(Flavour::Istio) => HttpServer { server_name: Some("istio-envoy".to_owned()), ..server },
        () if of(Flavour::Emissary) => HttpServer { server_name: Some("envoy".to_owned()), ..server },
        () => HttpServer { http10: true, keep_request_id: true, suppress_envoy_headers: true, ..server },
    }
}

/// `ssl-passthrough`: the connections of a host go to the Service of its first path, unread.
fn passthrough<'a>(
    paths: &HostPaths<'_, 'a>,
    clusters: &mut Clusters<'a>,
    findings: &mut Findings,
) -> Option<TcpRoute> {
    let is_root = |claim: &&hosts::Claim<'_, 'a>| claim.entry.policy.passthrough && claim.path == Path::all();
    let claim = paths.claims.iter().find(is_root)?;
    let entry = claim.entry;
    let upstream = &entry.policy.upstream;
    let cluster = clusters.of_backend(entry.object, &claim.field, claim.backend, upstream, findings).ok();
    let target = |cluster: Arc<str>| TcpTarget { source: entry.source.clone(), weight: 100, cluster };
    let name = format!("ingress/{}/{}/passthrough", entry.object.id.namespace, entry.object.id.name);
    let relay = TcpRoute::new(&name, entry.source.clone(), cluster.map(target).into_iter().collect());
    Some(TcpRoute { authorization: guards::of_bytes(entry, findings), ..relay })
}

//! Where routes send what they take: clusters named as Envoy's are in a mesh.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{Balance, Cluster, Endpoint, Endpoints, HashKey, MeshIdentity, UpstreamProtocol};
use plenipo_resources::istio::Subset;
use plenipo_resources::{Object, Set};

use super::balance::{self, Chosen};
use super::destination_rule::{self, Part, Policy, Rules};
use super::endpoints::{Found, Spot, World};
use super::locality;
use super::mesh::Mesh;
use super::origination::Hop;
use super::peer_authentication::PeerAuthentications;
use super::registry::{Declared, Port, Protocol, Registry, Service};
use super::told::Told;
use super::workloads::{Workload, Workloads};
use crate::directory::{Directory, Lookup};
use crate::findings::Findings;
use crate::options::Options;
use crate::secrets::Secrets;

/// All destinations that routes name.
#[derive(Debug)]
pub(crate) struct Destinations<'a> {
    mesh: &'a Mesh,
    set: &'a Set,
    options: &'a Options,
    directory: Directory<'a>,
    identity: Option<Arc<MeshIdentity>>,
    registry: Registry<'a>,
    workloads: Workloads<'a>,
    rules: Rules<'a>,
    demands: PeerAuthentications<'a>,
    clusters: BTreeMap<Arc<str>, Arc<Cluster>>,
    known: BTreeMap<Key, (Result<Reached, Missing>, Told)>,
}

/// What a route says about its destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'w> {
    /// Who wants it, and in which field.
    pub(crate) object: &'w Object,
    pub(crate) field: &'w str,
    /// As written: a short name is one of `namespace`.
    pub(crate) host: &'w str,
    /// The namespace of the VirtualService (or Ingress) that says so.
    pub(crate) namespace: &'w str,
    pub(crate) subset: Option<&'w str>,
    /// None: the only port of the service, else that of the listener.
    pub(crate) port: Option<u16>,
    /// The port of the server (as its Gateway says, before any translation).
    pub(crate) listener_port: u16,
    /// What the route relays.
    pub(crate) carries: Carries,
}

/// What a route relays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Carries {
    Http,
    /// Bytes, of a connection that came in clear text or whose TLS ended here.
    Tcp,
    /// TLS that somebody behind ends.
    Tls,
}

/// A destination that there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reached {
    /// Name of the cluster.
    pub(crate) cluster: Arc<str>,
    /// What requests are hashed by, if the DestinationRule says so.
    pub(crate) hash: Option<HashKey>,
    /// Retries go elsewhere than the try before: not where endpoints are chosen by hash.
    pub(crate) retries_avoid_previous: bool,
}

/// There is no such destination: requests are answered 503 (`NC`), connections closed. It was told already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Missing;

/// What two who want the same have in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    /// In full.
    host: String,
    subset: String,
    port: Option<u16>,
    listener_port: u16,
    carries: Carries,
}

impl<'a> Destinations<'a> {
    pub(crate) fn new(
        mesh: &'a Mesh,
        set: &'a Set,
        options: &'a Options,
        directory: Directory<'a>,
        identity: Option<Arc<MeshIdentity>>,
        findings: &mut Findings,
    ) -> Self {
        Self {
            mesh,
            set,
            options,
            directory,
            identity,
            registry: Registry::new(set, mesh, findings),
            workloads: Workloads::new(set),
            rules: Rules::new(set, options, mesh, findings),
            demands: PeerAuthentications::new(set, mesh, findings),
            clusters: BTreeMap::new(),
            known: BTreeMap::new(),
        }
    }

    /// The cluster for a destination; the same one for everybody who wants the same.
    ///
    /// # Errors
    /// When there is no such destination, which the findings tell.
    pub(crate) fn reach(
        &mut self,
        wanted: &Wanted<'_>,
        secrets: &mut Secrets<'_>,
        findings: &mut Findings,
    ) -> Result<Reached, Missing> {
        let key = Key {
            host: self.mesh.full_name(wanted.host, wanted.namespace),
            subset: wanted.subset.unwrap_or_default().to_owned(),
            port: wanted.port,
            listener_port: wanted.listener_port,
            carries: wanted.carries,
        };
        let known = match self.known.get(&key) {
            Some(known) => known,
            None => {
                let mut told = Told::default();
                let outcome = self.make(&key, secrets, &mut told, findings);
                self.known.entry(key).or_insert((outcome, told))
            }
        };
        let (outcome, told) = known;
        told.tell(wanted, findings);
        outcome.clone()
    }

    fn make(
        &mut self,
        key: &Key,
        secrets: &mut Secrets<'_>,
        told: &mut Told,
        findings: &mut Findings,
    ) -> Result<Reached, Missing> {
        let service = self.service(key, told)?;
        let port = port(&service, key, told)?;
        let rules = self.rules.of(&service.host, &service.namespace);
        let subset = if key.subset.is_empty() {
            None
        } else {
            let found = destination_rule::subset(&rules, &key.subset);
            Some(found.ok_or_else(|| unknown_subset(&key.subset, &service.host, told))?)
        };
        let policy = destination_rule::policy(&rules, subset.as_ref(), port.number);
        let mut found = self.found(&service, &port, subset.as_ref(), findings);
        let name = format!("outbound|{}|{}|{}", port.number, key.subset, service.host);
        let cluster = Cluster::new(&name, service.source(), Endpoints::addresses([]));
        let mut cluster = super::pool::with_defaults(cluster, self.mesh, port.protocol);
        // As Envoy's metrics have it in a mesh.
        cluster.stats_name = Arc::clone(&cluster.name);
        super::pool::apply(&policy, port.protocol, &mut cluster, findings);
        let chosen =
            policy.load_balancer.as_ref().map(|part| balance::choose(part, findings)).unwrap_or_default();
        put_balance(&chosen, &mut cluster);
        let expected = self.expected(&service);
        let hop = Hop {
            mesh: self.mesh,
            identity: self.identity.as_deref(),
            identity_expected: self.options.istio.identity_expected,
            demands: &self.demands,
            expected: expected.as_ref(),
            service: &service,
            port: &port,
            subset: &key.subset,
            carries: key.carries,
            protocol: cluster.protocol,
        };
        let tls = match &policy.tls {
            Some(part) => hop.asked(part, &found, secrets, told, findings)?,
            None => hop.automatic(&mut found, told)?,
        };
        if tls.is_none() && key.carries == Carries::Http && port.protocol == Protocol::Tls {
            let message = format!(
                "port {} of {} speaks TLS, and nothing asks for it: requests go there in clear text",
                port.number, service.host
            );
            let fix = "write a DestinationRule with tls.mode SIMPLE for it";
            told.warn("clear-text-to-tls-port", message, fix);
        }
        cluster.tls = tls.map(Arc::new);
        cluster.endpoints = self.endpoints(found, &policy, &cluster);
        let cluster = self.keep(cluster, key.carries);
        let is_hashed = matches!(chosen.balance, Balance::RingHash | Balance::Maglev);
        Ok(Reached { cluster, hash: chosen.hash, retries_avoid_previous: !is_hashed })
    }

    /// The endpoints of a service or of a subset.
    fn found(
        &self,
        service: &Service<'a>,
        port: &Port,
        subset: Option<&Part<'a, Subset>>,
        findings: &mut Findings,
    ) -> Found {
        let (set, options, directory) = (self.set, self.options, self.directory);
        let world = World { set, options, directory, workloads: &self.workloads };
        let mut found = world.find(service, port, findings);
        let Some(subset) = subset else { return found };
        match &mut found {
            Found::Spots(spots) => {
                spots.retain(|spot| spot.workload.has(&subset.spec.labels));
                if spots.is_empty() && !subset.spec.labels.is_empty() {
                    let message = format!(
                        "no endpoint of {} is known to have these labels, requests are answered 503",
                        service.host
                    );
                    let fix = "correct the labels, or remove the subset";
                    findings.warn(subset.object, "empty-subset", &subset.field("labels"), message, fix);
                }
                found
            }
            Found::Given(_) => found,
            // Nobody knows the labels of what a name resolves to.
            Found::Dns(_) if !subset.spec.labels.is_empty() => Found::Spots(Vec::new()),
            Found::Dns(_) => found,
        }
    }

    /// The same cluster, spoken to by HTTP/2 whatever its port is declared to be: for questions by gRPC.
    pub(crate) fn over_http2(&mut self, name: &Arc<str>) -> Arc<str> {
        let Some(cluster) = self.clusters.get(name).filter(|one| one.protocol != UpstreamProtocol::Http2)
        else {
            return Arc::clone(name);
        };
        let other: Arc<str> = format!("{name}|grpc").into();
        let protocol = UpstreamProtocol::Http2;
        let cluster = Cluster { name: Arc::clone(&other), protocol, ..(**cluster).clone() };
        self.clusters.insert(Arc::clone(&other), Arc::new(cluster));
        other
    }

    /// All that were asked for.
    pub(crate) fn into_clusters(self) -> BTreeMap<Arc<str>, Arc<Cluster>> {
        self.clusters
    }

    fn service(&self, key: &Key, told: &mut Told) -> Result<Service<'a>, Missing> {
        let host = key.host.as_str();
        if let Some(service) = self.registry.service(host).or_else(|| self.given(key)) {
            return Ok(service);
        }
        let full = host.split_once('.').and_then(|(name, rest)| {
            let rest = rest.strip_suffix(".svc").unwrap_or(rest);
            let full = format!("{name}.{rest}.svc.{}", self.mesh.cluster_domain);
            self.registry.service(&full).map(|_| full)
        });
        let message = format!("there is no service {host}, requests are answered 503");
        let fix = match full {
            Some(full) => format!("write {full}: names with a dot are taken as they stand"),
            None => "create the Service, or declare the host with a ServiceEntry".to_owned(),
        };
        told.warn("unknown-service", message, fix);
        Err(Missing)
    }

    /// A service that only its endpoints tell of, or somebody who gave its address by hand.
    fn given(&self, key: &Key) -> Option<Service<'a>> {
        let host = key.host.as_str();
        let place = self.registry.in_kubernetes(host);
        let number = key.port.unwrap_or(key.listener_port);
        let has_endpoints = place.is_some_and(|(name, namespace)| {
            let known = self.set.get("Service", namespace, name).is_some();
            let family = plenipo_model::DnsFamily::V4;
            let found = || self.directory.located(namespace, name, number, family);
            !known && matches!(found(), Lookup::Found(spots) if !spots.is_empty())
        });
        if !has_endpoints && self.options.resolved(host, place, number).is_none() {
            return None;
        }
        let (name, namespace) = place.unwrap_or((host, ""));
        Some(Service {
            host: host.to_owned(),
            namespace: namespace.to_owned(),
            ports: vec![Port { number, name: String::new(), protocol: Protocol::Unknown, target: None }],
            origin: Declared::Kubernetes { name: name.to_owned(), service: None },
        })
    }

    /// The pods that a Service would lead to, as their Deployment says. (An ExternalName leads out of the mesh.)
    fn expected(&self, service: &Service<'a>) -> Option<Workload> {
        let Declared::Kubernetes { service: Some((_, spec)), .. } = &service.origin else { return None };
        let nothing = BTreeMap::new();
        let selected = spec.selector.as_ref().unwrap_or(&nothing);
        let nowhere = std::net::IpAddr::from([0, 0, 0, 0]);
        spec.external_name
            .is_none()
            .then(|| self.workloads.behind(&service.namespace, selected, nowhere, None))
    }

    fn endpoints(&self, found: Found, policy: &Policy<'_>, cluster: &Cluster) -> Endpoints {
        let mut spots = match found {
            Found::Spots(spots) => spots,
            Found::Given(address) => return Endpoints::addresses([address]),
            Found::Dns(dns) => return Endpoints::Dns(dns),
        };
        let own = policy.load_balancer.as_ref().and_then(|part| part.spec.locality_lb_setting.as_ref());
        let usual = plenipo_resources::istio::LocalityLbSetting::default();
        let setting = own.or(self.mesh.config.locality_lb_setting.as_ref()).unwrap_or(&usual);
        locality::arrange(&mut spots, Some(setting), &self.options.istio, cluster.outlier.is_some());
        Endpoints::Static(spots.iter().map(endpoint).collect())
    }

    /// One cluster of a name, but for those that are spoken to in another way when bytes are relayed.
    fn keep(&mut self, mut cluster: Cluster, carries: Carries) -> Arc<str> {
        let same = |known: &Arc<Cluster>| **known == cluster;
        if self.clusters.get(&cluster.name).is_some_and(|known| !same(known)) {
            let suffix = if carries == Carries::Http { "http" } else { "tcp" };
            cluster.name = format!("{}|{suffix}", cluster.name).into();
        }
        let name = Arc::clone(&cluster.name);
        self.clusters.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(cluster));
        name
    }
}

fn endpoint(spot: &Spot) -> Endpoint {
    let Spot { address, weight, priority, clear_text, .. } = *spot;
    Endpoint { address, weight, priority, clear_text }
}

fn put_balance(chosen: &Chosen, cluster: &mut Cluster) {
    cluster.balance = chosen.balance;
    cluster.hash_size = chosen.hash_size;
    cluster.slow_start = chosen.slow_start;
}

/// The port that is written, else the only one, else that of the listener.
fn port(service: &Service<'_>, key: &Key, told: &mut Told) -> Result<Port, Missing> {
    let number = match (key.port, service.ports.as_slice()) {
        (Some(number), _) => number,
        (None, [only]) => only.number,
        (None, _) => key.listener_port,
    };
    if let Some(port) = service.ports.iter().find(|port| port.number == number) {
        return Ok(port.clone());
    }
    if service.ports.is_empty() && service.is_elsewhere() {
        return Ok(Port { number, name: String::new(), protocol: Protocol::Unknown, target: None });
    }
    let message = format!("{} has no port {number}, requests are answered 503", service.host);
    let known: Vec<String> = service.ports.iter().map(|port| port.number.to_string()).collect();
    told.error("unknown-service-port", message, format!("write one of its ports: {}", known.join(", ")));
    Err(Missing)
}

fn unknown_subset(name: &str, host: &str, told: &mut Told) -> Missing {
    let message = format!("no DestinationRule for {host} has the subset '{name}', requests are answered 503");
    told.error("unknown-subset", message, "write the subset into a DestinationRule, or remove it here");
    Missing
}

//! Clusters: the Services behind paths.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{
    Balance, Cluster, Dns, DnsFamily, DnsKind, Endpoints, Fingerprint, HashKey, Source, TlsClient,
    UpstreamProtocol,
};
use plenipo_resources::Object;
use plenipo_resources::core::{IntOrString, Service};
use plenipo_resources::networking::IngressBackend;

use crate::directory::{Directory, Lookup};
use crate::findings::{Findings, Flaw};
use crate::istio::{Carries, Destinations};
use crate::options::Options;
use crate::secrets::Secrets;

/// How a Service is reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Upstream {
    /// None: what the Service's `appProtocol` says, else HTTP/1.1 in clear text.
    pub(super) protocol: Option<UpstreamProtocol>,
    pub(super) tls: Option<Arc<TlsClient>>,
    /// What sets `tls` apart from that of others, but for what its Secrets hold, which may change.
    pub(super) tls_terms: String,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) balance: Option<Balance>,
    /// Name of another Service, whose endpoints are used when there is none.
    pub(super) fallback: Option<String>,
}

/// A port of a Service, by somebody's wish.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) object: &'a Object,
    pub(super) field: String,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) port: Option<IntOrString>,
}

/// A cluster of the mesh, and what requests are hashed by there.
type InMesh = (Arc<str>, Option<HashKey>);

/// The clusters that are wanted, each made once.
#[derive(Debug)]
pub(super) struct Clusters<'a> {
    directory: Directory<'a>,
    options: &'a Options,
    made: BTreeMap<Arc<str>, Arc<Cluster>>,
    /// For Istio's Ingresses: how services of the mesh are reached.
    mesh: Option<Destinations<'a>>,
}

const NAME_A_PORT: &str = "name one of the Service's ports";

impl<'a> Clusters<'a> {
    pub(super) fn new(directory: Directory<'a>, options: &'a Options) -> Self {
        Self { directory, options, made: BTreeMap::new(), mesh: None }
    }

    pub(super) fn into_made(self) -> BTreeMap<Arc<str>, Arc<Cluster>> {
        let mut made = self.made;
        made.extend(self.mesh.into_iter().flat_map(Destinations::into_clusters));
        made
    }

    /// Services of Istio's Ingresses are reached so.
    pub(super) fn through(&mut self, mesh: Destinations<'a>) {
        self.mesh = Some(mesh);
    }

    /// The cluster of a path's backend, as the mesh's DestinationRules and PeerAuthentications say, and what requests are
    /// hashed by there; none when nothing may go
    /// there, which was told.
    ///
    /// # Errors
    /// As [`Self::of_backend`].
    pub(super) fn in_mesh(
        &mut self,
        object: &'a Object,
        field: &str,
        backend: &'a IngressBackend,
        secrets: &mut Secrets<'_>,
        findings: &mut Findings,
    ) -> Result<Option<InMesh>, Flaw> {
        let namespace = &*object.id.namespace;
        let known = backend.name().and_then(|name| Some((name, self.directory.service(namespace, name)?)));
        let (Some(mesh), Some((name, service)), None) = (&mut self.mesh, known, &backend.resource) else {
            let plain = self.of_backend(object, field, backend, &Upstream::default(), findings);
            return plain.map(|cluster| Some((cluster, None)));
        };
        let field = format!("{field}.service");
        let asked = Wanted { object, field, namespace, name, port: backend.port() };
        let port = number(Some(service), &asked)?;
        let wanted = crate::istio::Wanted {
            object,
            field: &asked.field,
            host: name,
            namespace,
            subset: None,
            port: Some(port),
            listener_port: port,
            carries: Carries::Http,
        };
        Ok(mesh.reach(&wanted, secrets, findings).ok().map(|reached| (reached.cluster, reached.hash)))
    }

    /// The cluster of a path's backend.
    ///
    /// # Errors
    /// When it names nothing that could be asked.
    pub(super) fn of_backend(
        &mut self,
        object: &'a Object,
        field: &str,
        backend: &'a IngressBackend,
        upstream: &Upstream,
        findings: &mut Findings,
    ) -> Result<Arc<str>, Flaw> {
        if backend.resource.is_some() {
            let message = "a resource cannot be asked".to_owned();
            let field = format!("{field}.resource");
            return Err(Flaw::new("resource-backend", field, message, "name a Service"));
        }
        let name = backend.name().filter(|name| !name.is_empty()).ok_or_else(|| {
            Flaw::new("missing-service", field, "it names no Service", "write service.name and service.port")
        })?;
        let field = format!("{field}.service");
        let namespace = &*object.id.namespace;
        self.service(&Wanted { object, field, namespace, name, port: backend.port() }, upstream, findings)
    }

    /// The cluster of a Service's port.
    ///
    /// # Errors
    /// When the port cannot be found.
    pub(super) fn service(
        &mut self,
        wanted: &Wanted<'_>,
        upstream: &Upstream,
        findings: &mut Findings,
    ) -> Result<Arc<str>, Flaw> {
        let (namespace, name) = (wanted.namespace, wanted.name);
        let service = self.directory.service(namespace, name);
        let port = number(service, wanted)?;
        let app =
            service.and_then(|service| service.ports.iter().find(|entry| entry.port == i64::from(port)));
        let app = app.and_then(|entry| entry.app_protocol.as_deref());
        let protocol = upstream.protocol.unwrap_or_else(|| of_app_protocol(app));
        let title = title(wanted, port, upstream, protocol);
        if let Some(known) = self.made.get(&*title) {
            return Ok(Arc::clone(&known.name));
        }
        let source = match service {
            Some(_) => Source::new(["Service ", namespace, "/", name].concat()),
            None => Source::new(["service ", name, ".", namespace].concat()),
        };
        let mut endpoints = self.endpoints(wanted, service, port, findings);
        if let (true, Some(other)) = (is_empty(&endpoints), &upstream.fallback) {
            endpoints = self.fallback(wanted, other, findings);
        }
        let plain = Cluster::new(&title, source, endpoints);
        let cluster = Cluster {
            stats_name: [namespace, "_", name, "_", &port.to_string()]
                .concat()
                .replace(['-', '.'], "_")
                .into(),
            protocol,
            tls: upstream.tls.clone(),
            connect_timeout: upstream.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            balance: upstream.balance.unwrap_or(Balance::RoundRobin),
            ..plain
        };
        let name = Arc::clone(&cluster.name);
        self.made.insert(Arc::clone(&name), Arc::new(cluster));
        Ok(name)
    }

    /// Is there such a Service, or does somebody say where it is?
    pub(super) fn knows(&self, namespace: &str, name: &str, port: u16) -> bool {
        self.directory.service(namespace, name).is_some() || self.resolved(namespace, name, port).is_some()
    }

    /// A cluster for an address that is not found by way of an Ingress' backend.
    pub(super) fn add(&mut self, cluster: Cluster) -> Arc<str> {
        let name = Arc::clone(&cluster.name);
        self.made.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(cluster));
        name
    }

    /// Where a Service's port is, for somebody who writes its name.
    pub(super) fn endpoints(
        &self,
        wanted: &Wanted<'_>,
        service: Option<&Service>,
        port: u16,
        findings: &mut Findings,
    ) -> Endpoints {
        let (namespace, name) = (wanted.namespace, wanted.name);
        let external = service.filter(|service| service.type_.as_deref() == Some("ExternalName"));
        if let Some(target) = external.and_then(|service| service.external_name.clone()) {
            return self.resolved(namespace, name, port).unwrap_or_else(|| by_name(target, port));
        }
        let lookup = self.directory.endpoints(namespace, name, port, DnsFamily::V4);
        match lookup {
            Lookup::Found(endpoints) if !endpoints.is_empty() => Endpoints::Static(endpoints.into()),
            found => match self.resolved(namespace, name, port) {
                Some(resolved) => resolved,
                None if found == Lookup::NoService => {
                    let message =
                        format!("there is no Service {namespace}/{name}: its requests are answered 503");
                    let fix = "create the Service, or name another";
                    findings.error(wanted.object, "unknown-service", &wanted.field, message, fix);
                    Endpoints::addresses([])
                }
                // A directory seldom holds endpoints: the cluster's DNS knows them.
                None if self.options.force_directory_endpoints => {
                    by_name([name, ".", namespace].concat(), port)
                }
                None => Endpoints::addresses([]),
            },
        }
    }

    fn fallback(&self, wanted: &Wanted<'_>, name: &str, findings: &mut Findings) -> Endpoints {
        let service = self.directory.service(wanted.namespace, name);
        let port = service.and_then(|service| service.ports.first());
        let Some(port) = port.and_then(|port| u16::try_from(port.port).ok()) else {
            let message = format!("there is no Service '{name}' with a port to stand in");
            let field = "metadata.annotations[nginx.ingress.kubernetes.io/default-backend]";
            findings.error(wanted.object, "unknown-service", field, message, "create the Service");
            return Endpoints::addresses([]);
        };
        self.endpoints(&Wanted { name, ..wanted.clone() }, service, port, findings)
    }

    /// Where [`Options::resolve`] says that a host is.
    pub(super) fn resolved_host(&self, host: &str, port: u16) -> Option<Endpoints> {
        let address: SocketAddr = *self.options.resolve.get(&(host.to_owned(), port))?;
        Some(Endpoints::addresses([address]))
    }

    fn resolved(&self, namespace: &str, name: &str, port: u16) -> Option<Endpoints> {
        self.resolved_host(&format!("{name}.{namespace}"), port)
    }
}

/// As ingress-nginx has it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn by_name(name: String, port: u16) -> Endpoints {
    Endpoints::Dns(Dns {
        name,
        port,
        kind: DnsKind::Strict,
        family: DnsFamily::V4,
        respect_ttl: false,
        others: Vec::new(),
    })
}

fn is_empty(endpoints: &Endpoints) -> bool {
    matches!(endpoints, Endpoints::Static(list) if list.is_empty())
}

/// The number of the wanted port.
fn number(service: Option<&Service>, wanted: &Wanted<'_>) -> Result<u16, Flaw> {
    let field = format!("{}.port", wanted.field);
    let (namespace, name) = (wanted.namespace, wanted.name);
    let bad = |message: String| Flaw::new("unknown-service-port", field, message, NAME_A_PORT);
    let valid = |number: i64| u16::try_from(number).ok().filter(|port| *port > 0);
    match (&wanted.port, service) {
        (None, _) => Err(bad("a port is needed, by number or name".to_owned())),
        (Some(IntOrString::Int(number)), None) => {
            valid(*number).ok_or_else(|| bad(format!("{number} is not a port")))
        }
        (Some(IntOrString::Int(number)), Some(service)) => {
            let external = service.type_.as_deref() == Some("ExternalName");
            let declared = external || service.ports.iter().any(|port| port.port == *number);
            let missing = format!("Service {namespace}/{name} has no port {number}");
            valid(*number).filter(|_| declared).ok_or_else(|| bad(missing))
        }
        (Some(IntOrString::String(text)), service) => {
            let named = service.into_iter().flat_map(|service| &service.ports);
            let found =
                named.clone().find(|port| port.name.as_deref() == Some(text)).and_then(|p| valid(p.port));
            let digits =
                || text.parse().ok().filter(|number| named.clone().any(|p| p.port == i64::from(*number)));
            found.or_else(digits).ok_or_else(|| match service {
                Some(_) => bad(format!("Service {namespace}/{name} has no port named '{text}'")),
                None => bad(format!(
                    "there is no Service {namespace}/{name} that could say which port '{text}' is"
                )),
            })
        }
    }
}

fn of_app_protocol(written: Option<&str>) -> UpstreamProtocol {
    match written {
        Some("kubernetes.io/h2c" | "h2c" | "grpc" | "http2") => UpstreamProtocol::Http2,
        _ => UpstreamProtocol::Http1,
    }
}

/// `ingress/default/echo:80[http2,1a2b3c4d]`: equal settings give equal names and different ones different names.
fn title(wanted: &Wanted<'_>, port: u16, upstream: &Upstream, protocol: UpstreamProtocol) -> String {
    let mut words = Vec::new();
    if protocol == UpstreamProtocol::Http2 {
        words.push("http2".to_owned());
    }
    if upstream.tls.is_some() {
        words.push("tls".to_owned());
    }
    let rest = Upstream { protocol: None, tls: None, ..upstream.clone() };
    if rest != Upstream::default() {
        let print = Fingerprint::of(format!("{rest:?}").as_bytes()).to_string();
        words.push(print.trim_start_matches("sha256:")[..8].to_owned());
    }
    let place = format!("ingress/{}/{}:{port}", wanted.namespace, wanted.name);
    if words.is_empty() { place } else { format!("{place}[{}]", words.join(",")) }
}

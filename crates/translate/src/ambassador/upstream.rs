//! Clusters: where Mappings and TCPMappings send what they take.

mod name;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{
    Balance, Cluster, Dns, DnsFamily, DnsKind, Endpoints, HealthCheck, Limits, SendProxyProtocol, Source,
    TcpKeepalive, TlsClient, UpstreamProtocol,
};
use plenipo_resources::Object;
use plenipo_resources::ambassador::Resolver;

use super::directory::{Directory, Lookup};
use super::module::Settings;
use super::ours::{Of, Ours};
use super::policy::{Millis, millis};
use super::service::{self, ServiceAddress};
use super::tls::{self, Contexts, Secrets};
use crate::findings::{Findings, Flaw};
use crate::options::Options;

/// What a Mapping or TCPMapping says about its upstream.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) object: &'a Object,
    pub(crate) service: &'a str,
    pub(crate) resolver: Option<&'a str>,
    /// Name of a TLSContext.
    pub(crate) tls: Option<&'a str>,
    pub(crate) http2: bool,
    pub(crate) connect_timeout_ms: Option<i64>,
    pub(crate) idle_timeout_ms: Option<i64>,
    pub(crate) max_lifetime_ms: Option<i64>,
    pub(crate) dns_type: Option<&'a str>,
    pub(crate) respect_dns_ttl: bool,
    pub(crate) family: DnsFamily,
    pub(crate) limits: Option<Limits>,
    /// The Mapping's own, which asks for a resolver that knows endpoints.
    pub(crate) own_balance: Option<Balance>,
    pub(crate) keepalive: Option<TcpKeepalive>,
    pub(crate) health_checks: Vec<HealthCheck>,
    pub(crate) tag: Option<&'a str>,
    pub(crate) stats_name: Option<&'a str>,
    pub(crate) send_proxy: Option<SendProxyProtocol>,
}

/// A cluster, and what of it matters to the route that uses it.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) cluster: Arc<str>,
    pub(crate) address: ServiceAddress,
    pub(crate) port: u16,
    /// Found by its name, not by its endpoints.
    by_name: bool,
}

impl Upstream {
    /// The name that `auto_host_rewrite` means; none where endpoints are used, which have none.
    pub(crate) fn dns_name(&self) -> Option<&str> {
        (self.by_name && self.address.ip.is_none()).then_some(&*self.address.host)
    }
}

/// All clusters, and what is needed to make one.
#[derive(Debug)]
pub(crate) struct Upstreams<'a> {
    directory: Directory<'a>,
    options: &'a Options,
    resolvers: HashMap<&'a str, Finds>,
    built: HashMap<Arc<str>, Arc<Cluster>>,
}

/// How a resolver finds endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finds {
    ByName,
    ByEndpoints,
    InConsul,
}

impl<'a> Upstreams<'a> {
    pub(crate) fn new(ours: &Ours<'a>, directory: Directory<'a>, options: &'a Options) -> Self {
        let mut resolvers = HashMap::from([
            ("kubernetes-service", Finds::ByName),
            ("kubernetes-endpoint", Finds::ByEndpoints),
            ("endpoint", Finds::ByEndpoints),
            ("consul", Finds::InConsul),
            ("consul-endpoint", Finds::InConsul),
        ]);
        // From last to first, so that the first in load order is the one that stays.
        for resolver in ours.resolvers.iter().rev() {
            let finds = match resolver.spec {
                Resolver::KubernetesService(_) => Finds::ByName,
                Resolver::KubernetesEndpoint(_) => Finds::ByEndpoints,
            };
            resolvers.insert(&resolver.object.id.name, finds);
        }
        Self { directory, options, resolvers, built: HashMap::new() }
    }

    pub(crate) fn into_clusters(self) -> BTreeMap<Arc<str>, Arc<Cluster>> {
        self.built.into_iter().collect()
    }

    /// Forgets the clusters but those whose names have these addresses.
    pub(crate) fn retain(&mut self, used: &HashSet<usize>) {
        self.built.retain(|name, _| used.contains(&Arc::as_ptr(name).addr()));
    }

    /// The cluster for what is wanted; the same one for everybody who wants the same.
    ///
    /// # Errors
    /// When it cannot be reached as asked.
    pub(crate) fn cluster(
        &mut self,
        wanted: &Wanted<'_>,
        world: &World<'_, 'a>,
        secrets: &mut Secrets<'a>,
        findings: &mut Findings,
    ) -> Result<Upstream, Flaw> {
        let mut flaws = Vec::new();
        let mut address = service::parse(wanted.service, "spec.service", &mut flaws)?;
        for flaw in &flaws {
            findings.flaw(wanted.object, flaw);
        }
        let finds = self.resolver(wanted, world.settings)?;
        if let (Some(_), Finds::ByName) = (wanted.own_balance, finds) {
            let message = "the resolver knows a name, not endpoints to balance over";
            let fix = "set resolver: kubernetes-endpoint";
            return Err(Flaw::new("load-balancer-without-endpoints", "spec.load_balancer", message, fix));
        }
        let foreign = *wanted.object.id.namespace != *self.options.namespace;
        if !address.is_qualified() && foreign && !world.settings.own_namespace_for_services {
            address.host = format!("{}.{}", address.host, wanted.object.id.namespace);
        }
        let times = Times::read(wanted, world.settings, findings);
        let context = wanted.tls.filter(|name| !name.is_empty());
        let encrypted = context.is_some() || address.tls == Some(true);
        let port = address.port.unwrap_or(if encrypted { 443 } else { 80 });
        let balance =
            wanted.own_balance.or(world.settings.balancing.as_ref().map(|balancing| balancing.balance));
        let balance = balance.unwrap_or(Balance::RoundRobin);
        let tls = origination(wanted, &address, world, secrets, findings)?;
        let name = name::of(wanted, &address, port, encrypted, finds == Finds::ByEndpoints, &times, balance);
        let by_name = finds == Finds::ByName;
        if let Some((known, _)) = self.built.get_key_value(name.as_str()) {
            return Ok(Upstream { cluster: Arc::clone(known), address, port, by_name });
        }
        let endpoints = self.endpoints(wanted, &address, port, finds, findings);
        let cluster = Cluster {
            name: name.as_str().into(),
            source: self.source(&address),
            endpoints,
            balance,
            protocol: if wanted.http2 { UpstreamProtocol::Http2 } else { UpstreamProtocol::Http1 },
            tls,
            send_proxy: wanted.send_proxy,
            connect_timeout: times.connect,
            idle_timeout: Some(times.idle),
            max_connection_lifetime: times.lifetime,
            keepalive: wanted.keepalive,
            limits: wanted.limits.unwrap_or_default(),
            health_checks: wanted.health_checks.clone(),
            stats_name: name::of_stats(wanted, &address, world.settings).into(),
        };
        let name = Arc::clone(&cluster.name);
        self.built.insert(Arc::clone(&name), Arc::new(cluster));
        Ok(Upstream { cluster: name, address, port, by_name })
    }

    /// A cluster outlives the Mappings that share it, so it is named after the Service, not after one of them.
    fn source(&self, address: &ServiceAddress) -> Source {
        match address.in_kubernetes(&self.options.namespace) {
            Some((name, namespace)) if self.directory.service(namespace, name).is_some() => {
                Source::new(format!("Service {namespace}/{name}"))
            }
            _ => Source::new(format!("service {}", address.host)),
        }
    }

    fn resolver(&self, wanted: &Wanted<'_>, settings: &Settings<'_>) -> Result<Finds, Flaw> {
        let name = wanted.resolver.unwrap_or(&settings.resolver);
        let bad = |message: String, fix| Err(Flaw::new("unknown-resolver", "spec.resolver", message, fix));
        match self.resolvers.get(name) {
            Some(Finds::InConsul) => bad(
                format!("the resolver '{name}' asks Consul, which is not supported"),
                "use kubernetes-service or kubernetes-endpoint",
            ),
            Some(finds) => Ok(*finds),
            None => bad(
                format!("there is no resolver named '{name}'"),
                "use kubernetes-service or kubernetes-endpoint, or create the resolver",
            ),
        }
    }

    fn endpoints(
        &self,
        wanted: &Wanted<'_>,
        address: &ServiceAddress,
        port: u16,
        finds: Finds,
        findings: &mut Findings,
    ) -> Endpoints {
        if let Some(ip) = address.ip {
            return Endpoints::addresses([SocketAddr::new(ip, port)]);
        }
        let place = address.in_kubernetes(&self.options.namespace);
        let lookup = || {
            let (name, namespace) = place?;
            Some(self.directory.endpoints(namespace, name, port, wanted.family))
        };
        let by_endpoints = self.options.force_directory_endpoints || finds == Finds::ByEndpoints;
        let found = if by_endpoints { lookup() } else { None };
        if let (true, Some(Lookup::Found(endpoints))) = (self.options.force_directory_endpoints, &found)
            && !endpoints.is_empty()
        {
            return Endpoints::Static(endpoints.as_slice().into());
        }
        if let Some(resolved) = self.resolved(address, place, port) {
            return Endpoints::addresses([resolved]);
        }
        if finds == Finds::ByName {
            return Endpoints::Dns(self.dns(wanted, address, place, port));
        }
        match found {
            Some(Lookup::Found(endpoints)) => Endpoints::Static(endpoints.into()),
            Some(Lookup::NoPort) => {
                let message = format!("the Service has no port {port}, requests are answered 503");
                findings.error(
                    wanted.object,
                    "unknown-service-port",
                    "spec.service",
                    message,
                    "name one of its ports",
                );
                Endpoints::addresses([])
            }
            Some(Lookup::NoService) | None => {
                let message = format!("there is no Service '{}', requests are answered 503", address.host);
                findings.warn(
                    wanted.object,
                    "unknown-service",
                    "spec.service",
                    message,
                    "create the Service",
                );
                Endpoints::addresses([])
            }
        }
    }

    fn resolved(
        &self,
        address: &ServiceAddress,
        place: Option<(&str, &str)>,
        port: u16,
    ) -> Option<SocketAddr> {
        let table = &self.options.resolve;
        if table.is_empty() {
            return None;
        }
        let exact = table.get(&(address.host.clone(), port));
        exact
            .or_else(|| table.get(&(place.map(|(name, namespace)| format!("{name}.{namespace}"))?, port)))
            .copied()
    }

    fn dns(
        &self,
        wanted: &Wanted<'_>,
        address: &ServiceAddress,
        place: Option<(&str, &str)>,
        port: u16,
    ) -> Dns {
        // Where no cluster's DNS answers, a Service of type ExternalName is followed here.
        let service = place.and_then(|(name, namespace)| self.directory.service(namespace, name));
        let external =
            service.and_then(|service| service.external_name.clone()).filter(|name| !name.is_empty());
        let name = external
            .filter(|_| self.options.force_directory_endpoints)
            .unwrap_or_else(|| address.host.clone());
        let logical = wanted.dns_type.is_some_and(|kind| kind.eq_ignore_ascii_case("logical_dns"));
        Dns {
            name,
            port,
            kind: if logical { DnsKind::Logical } else { DnsKind::Strict },
            family: wanted.family,
            respect_ttl: wanted.respect_dns_ttl,
        }
    }
}

/// What does not change while clusters are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World<'w, 'a> {
    pub(crate) settings: &'w Settings<'a>,
    pub(crate) contexts: &'w Contexts<'a>,
}

/// Times of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Times {
    pub(crate) connect: Duration,
    pub(crate) idle: Duration,
    pub(crate) lifetime: Option<Duration>,
}

impl Times {
    const CONNECT: Duration = Duration::from_secs(3);
    const IDLE: Duration = Duration::from_secs(3600);

    /// 0 is "not set" for all three, as in Emissary.
    fn read(wanted: &Wanted<'_>, settings: &Settings<'_>, findings: &mut Findings) -> Self {
        let mut time = |value: Option<i64>, field: &str| match millis(value?, field) {
            Ok(Millis::Zero) => None,
            Ok(Millis::For(time)) => Some(time),
            Err(flaw) => {
                findings.flaw(wanted.object, &flaw);
                None
            }
        };
        Self {
            connect: time(wanted.connect_timeout_ms, "spec.connect_timeout_ms").unwrap_or(Self::CONNECT),
            idle: time(wanted.idle_timeout_ms, "spec.cluster_idle_timeout_ms")
                .or(settings.cluster_idle_timeout)
                .unwrap_or(Self::IDLE),
            lifetime: time(wanted.max_lifetime_ms, "spec.cluster_max_connection_lifetime_ms")
                .or(settings.cluster_max_lifetime),
        }
    }
}

/// TLS towards the upstream, if any is asked for.
fn origination(
    wanted: &Wanted<'_>,
    address: &ServiceAddress,
    world: &World<'_, '_>,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Result<Option<Arc<TlsClient>>, Flaw> {
    const VERIFY: &str =
        "name a TLSContext in 'tls' that has ca_secret, verify_subject_alt_names or verify_system_roots";
    let tls = match wanted.tls.filter(|name| !name.is_empty()) {
        Some(name) => {
            if address.tls == Some(false) {
                let message =
                    format!("http:// and the TLSContext '{name}' contradict each other, TLS is spoken");
                findings.warn(wanted.object, "tls-with-http", "spec.service", message, "write https://");
            }
            let legacy = world.settings.tls.and_then(|legacy| Some((legacy.object, legacy.context(name)?)));
            let context = world.contexts.named(name, &wanted.object.id.namespace);
            let context =
                context.or(legacy.as_ref().map(|(object, spec)| Of { object, spec })).ok_or_else(|| {
                    let message = format!(
                        "there is no TLSContext '{name}': nothing says what is to be shown and checked"
                    );
                    Flaw::new(
                        "unknown-tls-context",
                        "spec.tls",
                        message,
                        "create it, or remove 'tls' and write https://",
                    )
                })?;
            let namespacing = world.settings.tls_secret_namespacing;
            tls::origination(context, &address.host, namespacing, secrets, findings).map_err(|flaw| {
                let message = format!("{} {}: {}", context.object.id, flaw.field, flaw.message);
                Flaw::new("broken-tls-context", "spec.tls", message, "repair the TLSContext")
            })?
        }
        None if address.tls == Some(true) => {
            tls::unverified(Source::new(format!("service https://{}", address.host)))
        }
        None => return Ok(None),
    };
    if tls.verify == plenipo_model::Verify::Nothing {
        let message =
            "the upstream's certificate is not checked: the connection is encrypted, but to anybody"
                .to_owned();
        findings.warn(wanted.object, "upstream-not-verified", "spec.service", message, VERIFY);
    }
    Ok(Some(Arc::new(tls)))
}

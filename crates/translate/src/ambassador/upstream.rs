//! Clusters: where Mappings and TCPMappings send what they take.

mod clusters;
mod name;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{
    Balance, Cluster, DnsFamily, DnsKind, Endpoints, HealthCheck, Limits, SendProxyProtocol, Source,
    TcpKeepalive, TlsClient, UpstreamProtocol,
};
use plenipo_resources::Object;
use plenipo_resources::ambassador::Resolver;

use super::module::Settings;
use super::ours::{Of, Ours};
use super::policy::{Millis, millis};
use super::service::{self, ServiceAddress};
use super::tls::{self, Contexts};
use crate::findings::{Findings, Flaw};
use crate::options::Options;
use crate::secrets::Secrets;

pub(crate) use clusters::Clusters;

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

/// A cluster as somebody wants it: everything about it but its endpoints, and how those are found. It depends on nothing
/// that is about endpoints, which come and go without anybody else noticing.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    pub(crate) address: ServiceAddress,
    pub(crate) port: u16,
    finds: Finds,
    family: DnsFamily,
    dns: DnsKind,
    respect_dns_ttl: bool,
    /// Without endpoints yet, and with a source that names only the service.
    cluster: Cluster,
}

impl Plan {
    /// The name of the cluster.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.cluster.name
    }

    /// The name that `auto_host_rewrite` means; none where endpoints are used, which have none.
    pub(crate) fn dns_name(&self) -> Option<&str> {
        (self.finds == Finds::ByName && self.address.ip.is_none()).then_some(&*self.address.host)
    }
}

/// What is needed to plan a cluster.
#[derive(Debug)]
pub(crate) struct Upstreams<'a> {
    options: &'a Options,
    resolvers: HashMap<&'a str, Finds>,
}

/// How a resolver finds endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finds {
    ByName,
    ByEndpoints,
    InConsul,
}

impl<'a> Upstreams<'a> {
    pub(crate) fn new(ours: &Ours<'a>, options: &'a Options) -> Self {
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
        Self { options, resolvers }
    }

    /// The cluster for what is wanted; an equal one for everybody who wants the same.
    ///
    /// # Errors
    /// When it cannot be reached as asked.
    pub(crate) fn plan(
        &self,
        wanted: &Wanted<'_>,
        world: &World<'_, 'a>,
        secrets: &mut Secrets<'a>,
        findings: &mut Findings,
    ) -> Result<Plan, Flaw> {
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
        let cluster = Cluster {
            balance,
            protocol: if wanted.http2 { UpstreamProtocol::Http2 } else { UpstreamProtocol::Http1 },
            tls,
            send_proxy: wanted.send_proxy.clone(),
            connect_timeout: times.connect,
            idle_timeout: Some(times.idle),
            max_connection_lifetime: times.lifetime,
            keepalive: wanted.keepalive,
            limits: wanted.limits.unwrap_or_default(),
            health_checks: wanted.health_checks.clone(),
            stats_name: name::of_stats(wanted, &address, world.settings).into(),
            ..Cluster::new(&name, Source::new(["service ", &address.host].concat()), Endpoints::addresses([]))
        };
        let logical = wanted.dns_type.is_some_and(|kind| kind.eq_ignore_ascii_case("logical_dns"));
        Ok(Plan {
            address,
            port,
            finds,
            family: wanted.family,
            dns: if logical { DnsKind::Logical } else { DnsKind::Strict },
            respect_dns_ttl: wanted.respect_dns_ttl,
            cluster,
        })
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
            // As Emissary does, without a server name.
            TlsClient::unverified(Source::new(format!("service https://{}", address.host)))
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

//! TCPMappings: connections relayed as they are, or with TLS taken off or put on.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{
    Accepts, Chain, ChainTls, Cluster, HostPattern, ProxyTlvs, SendProxyProtocol, Serve, TcpRoute, TcpTarget,
};
use plenipo_resources::Object;
use plenipo_resources::ambassador::TcpMapping;
use serde_json::Value;

use super::group::shares;
use super::hosts::{HostEntry, HostTls, certificate_for};
use super::ours::{Of, Ours, source_of};
use super::policy;
use super::upstream::{Clusters, Upstreams, Wanted, World};
use crate::directory::Directory;
use crate::findings::{Findings, Flaw};
use crate::options::Options;
use crate::secrets::Secrets;

/// The TCPMappings of one address and host.
#[derive(Debug)]
pub(crate) struct TcpGroup<'a> {
    /// The first of them.
    pub(crate) object: &'a Object,
    pub(crate) bind: SocketAddr,
    /// None: every connection.
    pub(crate) host: Option<HostPattern>,
    pub(crate) tls: ChainTls,
    pub(crate) route: Arc<TcpRoute>,
}

impl TcpGroup<'_> {
    pub(crate) fn chain(&self) -> Chain {
        Chain {
            source: self.route.source.clone(),
            accepts: self.host.as_ref().map_or(Accepts::Anything, |host| Accepts::Tls(vec![host.clone()])),
            tls: self.tls.clone(),
            serve: Serve::Tcp(Arc::clone(&self.route)),
        }
    }
}

/// One TCPMapping, read.
struct Member<'a> {
    mapping: Of<'a, TcpMapping>,
    cluster: Arc<str>,
    idle_timeout: Option<Duration>,
}

/// Everything that reading TCPMappings needs.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) world: World<'r, 'a>,
    pub(crate) options: &'a Options,
    pub(crate) hosts: &'r [HostEntry<'a>],
    pub(crate) upstreams: &'r Upstreams<'a>,
    pub(crate) clusters: &'r Clusters,
    /// Clusters that no Mapping wants.
    pub(crate) own: BTreeMap<Arc<str>, Arc<Cluster>>,
    pub(crate) directory: Directory<'r>,
    pub(crate) secrets: &'r mut Secrets<'a>,
    pub(crate) findings: &'r mut Findings,
}

impl<'a> Reader<'_, 'a> {
    /// All TCPMappings, grouped by address and host, in that order.
    pub(crate) fn read(&mut self, ours: &Ours<'a>) -> Vec<TcpGroup<'a>> {
        let mut groups: BTreeMap<(SocketAddr, Option<HostPattern>), Vec<Member<'a>>> = BTreeMap::new();
        for mapping in &ours.tcp_mappings {
            match self.member(*mapping) {
                Ok((key, member)) => groups.entry(key).or_default().push(member),
                Err(flaw) => self.findings.fatal(mapping.object, &flaw),
            }
        }
        groups.into_iter().map(|((bind, host), members)| self.group(bind, host, &members)).collect()
    }

    fn member(
        &mut self,
        mapping: Of<'a, TcpMapping>,
    ) -> Result<((SocketAddr, Option<HostPattern>), Member<'a>), Flaw> {
        let spec = mapping.spec;
        let port = spec.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).ok_or_else(
            || {
                Flaw::new(
                    "bad-port",
                    "spec.port",
                    "a TCPMapping needs a port",
                    "write a number from 1 to 65535",
                )
            },
        )?;
        let address = match spec.address.as_deref().filter(|text| !text.is_empty()) {
            None => self.options.bind_address,
            Some(text) => text.parse::<IpAddr>().map_err(|_| {
                let message = format!("'{text}' is not an address");
                Flaw::new("bad-address", "spec.address", message, "write an IP address")
            })?,
        };
        let host = match spec.host.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(HostPattern::parse(text).map_err(|error| {
                Flaw::new(
                    "bad-hostname",
                    "spec.host",
                    error.to_string(),
                    "write a name, or a star at its beginning",
                )
            })?),
        };
        if spec.tls_passthrough == Some(true) && host.is_none() {
            let message = "without a host every connection is passed through as it is anyway".to_owned();
            let fix = "name the host, or remove tls_passthrough";
            self.findings.note(
                mapping.object,
                "passthrough-without-host",
                "spec.tls_passthrough",
                message,
                fix,
            );
        }
        let cluster = self.cluster(mapping)?;
        let idle_timeout = idle_timeout(spec.idle_timeout_ms.as_ref()).map_err(|message| {
            Flaw::new("bad-duration", "spec.idle_timeout_ms", message, "write a number of milliseconds")
        })?;
        Ok(((SocketAddr::new(address, port), host), Member { mapping, cluster, idle_timeout }))
    }

    fn cluster(&mut self, mapping: Of<'a, TcpMapping>) -> Result<Arc<str>, Flaw> {
        let spec = mapping.spec;
        let settings = self.world.settings;
        let own = spec.circuit_breakers.as_ref().filter(|breakers| !breakers.is_null());
        let own = own.map(|breakers| policy::limits(breakers, "spec.circuit_breakers")).transpose()?;
        let send_proxy = match spec.proxy_protocol.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some("v1") => Some(SendProxyProtocol::V1),
            Some("v2") => Some(SendProxyProtocol::V2(ProxyTlvs::default())),
            Some(other) => {
                let message = format!("'{other}' is not a version of the PROXY protocol");
                return Err(Flaw::new(
                    "bad-proxy-protocol",
                    "spec.proxy_protocol",
                    message,
                    "write v1 or v2",
                ));
            }
        };
        let wanted = Wanted {
            object: mapping.object,
            service: spec.service.as_deref().unwrap_or_default(),
            resolver: spec.resolver.as_deref(),
            tls: spec.tls.as_deref(),
            http2: false,
            connect_timeout_ms: None,
            idle_timeout_ms: None,
            max_lifetime_ms: None,
            dns_type: None,
            respect_dns_ttl: false,
            family: settings.family(spec.enable_ipv4, spec.enable_ipv6),
            limits: own.or(settings.limits),
            own_balance: None,
            keepalive: settings.keepalive,
            health_checks: Vec::new(),
            tag: spec.cluster_tag.as_deref(),
            stats_name: spec.stats_name.as_deref(),
            send_proxy,
        };
        let plan = self.upstreams.plan(&wanted, &self.world, self.secrets, self.findings)?;
        let name = Arc::clone(plan.name());
        if self.clusters.cluster(&name).is_none() && !self.own.contains_key(&name) {
            let cluster = plan.cluster(mapping.object, &self.directory, self.options, self.findings);
            self.own.insert(Arc::clone(&name), Arc::new(cluster));
        }
        let wrapped = spec.tls.as_deref().is_some_and(|name| !name.is_empty())
            || wanted.service.trim().to_ascii_lowercase().starts_with("https://");
        if spec.tls_passthrough == Some(true) && wrapped {
            let message = "TLS that is passed through cannot be wrapped in TLS again";
            let fix = "remove https:// and tls, or tls_passthrough";
            return Err(Flaw::new("passthrough-and-origination", "spec.tls_passthrough", message, fix));
        }
        Ok(name)
    }

    fn group(&mut self, bind: SocketAddr, host: Option<HostPattern>, members: &[Member<'a>]) -> TcpGroup<'a> {
        let first = members.first().expect("a group is made of a member");
        let object = first.mapping.object;
        let written: Vec<Option<i64>> = members.iter().map(|member| member.mapping.spec.weight).collect();
        let shares = shares(&written);
        let mut targets = Vec::new();
        for (member, weight) in members.iter().zip(&shares.weights) {
            let source = source_of(member.mapping.object);
            targets.push(TcpTarget { source, weight: *weight, cluster: Arc::clone(&member.cluster) });
            if member.idle_timeout != first.idle_timeout {
                let message = format!("{} has another idle timeout, which is used", object.id);
                let field = "spec.idle_timeout_ms";
                self.findings.warn(
                    member.mapping.object,
                    "group-conflict",
                    field,
                    message,
                    "write the same in both",
                );
            }
        }
        if shares.weights.iter().all(|weight| *weight == 0) {
            targets.clear();
        }
        let tls = self.tls(first.mapping, host.as_ref());
        let name = match &host {
            Some(host) => format!("{bind}/{host}"),
            None => bind.to_string(),
        };
        let route = TcpRoute {
            idle_timeout: first.idle_timeout,
            access_log: self.world.settings.server.access_log.clone(),
            ..TcpRoute::new(&name, source_of(object), targets)
        };
        TcpGroup { object, bind, host, tls, route: Arc::new(route) }
    }

    /// A host means that TLS ends here (unless it is passed through): with the certificate of a Host whose name fits,
    /// else of a TLSContext that names this very host.
    fn tls(&mut self, mapping: Of<'a, TcpMapping>, host: Option<&HostPattern>) -> ChainTls {
        let Some(host) = host.filter(|_| mapping.spec.tls_passthrough != Some(true)) else {
            return ChainTls::Untouched;
        };
        let mut fitting: Vec<&HostEntry<'_>> = self
            .hosts
            .iter()
            .filter(|entry| {
                !matches!(entry.tls, HostTls::None) && entry.pattern.without_port().overlaps(host)
            })
            .collect();
        fitting.sort_by(|a, b| a.pattern.cmp(&b.pattern));
        match fitting.first().map(|entry| &entry.tls) {
            Some(HostTls::Terminate(server)) => return ChainTls::Terminate(Arc::clone(server)),
            Some(HostTls::Broken(reason)) => return ChainTls::Broken(reason.clone()),
            Some(HostTls::None) | None => {}
        }
        let settings = self.world.settings;
        let made = match self.world.contexts.for_host(host).first() {
            Some(context) => certificate_for(*context, settings, self.secrets, self.findings),
            None => {
                let message = format!(
                    "no Host with TLS and no TLSContext is for {host}, so that no connection is taken"
                );
                let fix = "create a TLSContext with this host, or set tls_passthrough";
                Err(Flaw::new("tcp-without-certificate", "spec.host", message, fix))
            }
        };
        match made {
            Ok(server) => ChainTls::Terminate(Arc::new(server)),
            Err(flaw) => {
                self.findings.fatal(mapping.object, &flaw);
                ChainTls::Broken(format!("{}: {}", mapping.object.id, flaw.message))
            }
        }
    }
}

/// Envoy's hour when nothing is written; 0 is no limit.
fn idle_timeout(written: Option<&Value>) -> Result<Option<Duration>, String> {
    let number = match written {
        None | Some(Value::Null) => return Ok(Some(Duration::from_secs(3600))),
        Some(Value::String(text)) => text.trim().parse::<u64>().ok(),
        Some(other) => other.as_u64(),
    };
    match number {
        Some(0) => Ok(None),
        Some(millis) => Ok(Some(Duration::from_millis(millis))),
        None => Err(format!("{} is not a time", written.map_or_else(String::new, ToString::to_string))),
    }
}

//! The Module named `ambassador`: defaults for everything else. Every field is read for itself: a wrong one is reported
//! and costs only itself (in Emissary, a bad retry policy switches off the address rules that come after it).

mod access_log;
mod addresses;
mod fields;
mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use plenipo_model::{Cors, DnsFamily, HeaderEdits, HttpServer, Limits, RetryPolicy, Source, TcpKeepalive};
use plenipo_resources::ambassador::{AddedHeader, Module};
use serde_json::Value;
use std::sync::Arc;

use self::fields::Fields;
use super::ours::{Of, Ours, source_of};
use super::policy::{self, Balancing};
use super::tls::LegacyTls;
use crate::findings::Findings;
use crate::options::Options;

pub(crate) use addresses::network;

use access_log::default_access_log;

/// What the Module says, with defaults in place.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    /// Every HTTP server is made from this one.
    pub(crate) server: HttpServer,
    pub(crate) redirect_unmatched: bool,
    /// `cluster_request_timeout_ms`; none = no limit.
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) cluster_idle_timeout: Option<Duration>,
    pub(crate) cluster_max_lifetime: Option<Duration>,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) limits: Option<Limits>,
    pub(crate) balancing: Option<Balancing>,
    pub(crate) keepalive: Option<TcpKeepalive>,
    pub(crate) resolver: String,
    pub(crate) mapping: MappingDefaults,
    pub(crate) tls_secret_namespacing: bool,
    pub(crate) dns_family: (bool, bool),
    pub(crate) add_linkerd_headers: bool,
    /// Unqualified service names are in our namespace, not in their Mapping's.
    pub(crate) own_namespace_for_services: bool,
    pub(crate) probes: Vec<Probe>,
    /// TLS written into a Module.
    pub(crate) tls: Option<LegacyTls<'a>>,
}

/// `defaults.httpmapping` (and `defaults`).
#[derive(Debug, Default)]
pub(crate) struct MappingDefaults {
    pub(crate) request_headers: HeaderEdits,
    pub(crate) response_headers: HeaderEdits,
    pub(crate) stats_name: Option<String>,
}

/// A path of the gateway's own, answered on every host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) prefix: String,
    pub(crate) body: &'static str,
}

impl<'a> Settings<'a> {
    /// Reads the Module of our id that is named `ambassador`; without one, the defaults.
    pub(crate) fn read(ours: &Ours<'a>, options: &Options, findings: &mut Findings) -> Self {
        let mut named = ours.modules.iter().filter(|module| &*module.object.id.name == "ambassador");
        let module = named.next().copied();
        for other in named {
            findings.refuse(
                other.object,
                "duplicate-module",
                "metadata.name",
                format!(
                    "{} is already the Module of this gateway",
                    module.map_or_else(String::new, |m| m.object.id.to_string())
                ),
                "put all settings into one Module, or give it another ambassador_id",
            );
        }
        let mut settings = Self::defaults();
        settings.tls = legacy_tls(ours, module, findings);
        let Some(module) = module else { return settings };
        settings.server.source = source_of(module.object);
        let Some(mut fields) = Fields::of(module.object, &module.spec.config, findings) else {
            return settings;
        };
        server::read(&mut settings.server, &mut fields, options);
        settings.read_timeouts(&mut fields);
        settings.read_policies(&mut fields);
        settings.read_clusters(&mut fields);
        settings.read_defaults(&mut fields);
        settings.read_probes(&mut fields);
        settings.redirect_unmatched = fields.flag("redirect_unmatched_paths").unwrap_or(false);
        settings.add_linkerd_headers = fields.flag("add_linkerd_headers").unwrap_or(false);
        // Read already.
        fields.value("tls");
        settings.server.access_log = access_log::read(&mut fields);
        settings.server.addresses = addresses::read(&mut fields);
        fields.finish();
        settings
    }

    fn defaults() -> Self {
        let mut server = HttpServer::new(Source::new("defaults"), Vec::new());
        server.server_name = Some("envoy".to_owned());
        server.access_log = Some(default_access_log());
        Self {
            server,
            redirect_unmatched: false,
            request_timeout: Some(Duration::from_secs(3)),
            cluster_idle_timeout: None,
            cluster_max_lifetime: None,
            cors: None,
            retry: None,
            limits: None,
            balancing: None,
            keepalive: None,
            resolver: "kubernetes-service".to_owned(),
            mapping: MappingDefaults::default(),
            tls_secret_namespacing: true,
            dns_family: (true, false),
            add_linkerd_headers: false,
            own_namespace_for_services: false,
            probes: Probe::both().into(),
            tls: None,
        }
    }

    fn read_timeouts(&mut self, fields: &mut Fields<'a, '_>) {
        if let Some(time) = fields.millis("cluster_request_timeout_ms") {
            self.request_timeout = time;
        }
        // 0 is "not set" for these two, as Emissary has it.
        self.cluster_idle_timeout = fields.millis("cluster_idle_timeout_ms").flatten();
        self.cluster_max_lifetime = fields.millis("cluster_max_connection_lifetime_ms").flatten();
        if let Some(Some(time)) = fields.millis("listener_idle_timeout_ms") {
            self.server.limits.idle_timeout = time;
        }
    }

    fn read_policies(&mut self, fields: &mut Fields<'a, '_>) {
        let source = Source::new(format!("{} spec.config.cors", self.server.source));
        if let Some(written) = fields.typed("cors") {
            let mut flaws = Vec::new();
            self.cors = Some(Arc::new(policy::cors(&written, &source, "spec.config.cors", &mut flaws)));
            fields.flaws(flaws);
        }
        if let Some(written) = fields.typed("retry_policy") {
            self.retry = fields.accept(policy::retry(&written, "spec.config.retry_policy"));
        }
        if let Some(written) = fields.value("circuit_breakers") {
            self.limits = fields.accept(policy::limits(written, "spec.config.circuit_breakers"));
        }
        if let Some(written) = fields.typed("load_balancer") {
            self.balancing = fields.accept(policy::balancing(&written, "spec.config.load_balancer"));
        }
        if let Some(written) = fields.typed("keepalive") {
            let mut flaws = Vec::new();
            self.keepalive = policy::keepalive(&written, "spec.config.keepalive", &mut flaws);
            fields.flaws(flaws);
        }
    }

    fn read_clusters(&mut self, fields: &mut Fields<'a, '_>) {
        if let Some(resolver) = fields.text("resolver") {
            self.resolver = resolver;
        }
        self.dns_family =
            (fields.flag("enable_ipv4").unwrap_or(true), fields.flag("enable_ipv6").unwrap_or(false));
        self.own_namespace_for_services =
            fields.flag("use_ambassador_namespace_for_service_resolution").unwrap_or(false);
    }

    /// `defaults.httpmapping.<key>` goes before `defaults.<key>`.
    fn read_defaults(&mut self, fields: &mut Fields<'a, '_>) {
        let Some(Value::Object(defaults)) = fields.value("defaults") else { return };
        let inner = defaults.get("httpmapping").and_then(Value::as_object);
        let lookup = |key: &str| inner.and_then(|map| map.get(key)).or_else(|| defaults.get(key));
        let mut flaws = Vec::new();
        let field = |key: &str| format!("spec.config.defaults.httpmapping.{key}");
        let mut added = |key: &str, fields: &mut Fields<'_, '_>| {
            let map: Option<BTreeMap<String, AddedHeader>> = fields.deserialize(&field(key), lookup(key));
            map.map(|map| policy::additions(&map, &field(key), &mut flaws)).unwrap_or_default()
        };
        self.mapping.request_headers.add = added("add_request_headers", fields);
        self.mapping.response_headers.add = added("add_response_headers", fields);
        let mut removed = |key: &str, fields: &mut Fields<'_, '_>| {
            let list: Option<OneOrMany> = fields.deserialize(&field(key), lookup(key));
            list.map(|list| policy::removals(&list.into_list(), &field(key), &mut flaws)).unwrap_or_default()
        };
        self.mapping.request_headers.remove = removed("remove_request_headers", fields);
        self.mapping.response_headers.remove = removed("remove_response_headers", fields);
        self.mapping.stats_name = fields.deserialize(&field("stats_name"), lookup("stats_name"));
        let namespacing: Option<bool> = fields.deserialize(
            "spec.config.defaults.tls_secret_namespacing",
            defaults.get("tls_secret_namespacing"),
        );
        self.tls_secret_namespacing = namespacing.unwrap_or(true);
        fields.flaws(flaws);
    }

    fn read_probes(&mut self, fields: &mut Fields<'a, '_>) {
        let mut probes = Vec::new();
        for (key, mut probe) in ["liveness_probe", "readiness_probe"].into_iter().zip(Probe::both()) {
            let written: Written = fields.typed(key).unwrap_or_default();
            if let Some(prefix) = written.prefix {
                probe.prefix = prefix;
            }
            if written.enabled.unwrap_or(true) {
                probes.push(probe);
            }
        }
        self.probes = probes;
    }

    /// Which address families a cluster's name is asked for, with a Mapping's own wishes.
    pub(crate) fn family(&self, ipv4: Option<bool>, ipv6: Option<bool>) -> DnsFamily {
        match (ipv4.unwrap_or(self.dns_family.0), ipv6.unwrap_or(self.dns_family.1)) {
            (true, true) => DnsFamily::PreferV6,
            (false, true) => DnsFamily::V6,
            (_, false) => DnsFamily::V4,
        }
    }
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Written {
    enabled: Option<bool>,
    prefix: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

impl Probe {
    /// Liveness and readiness, where Emissary has them.
    fn both() -> [Self; 2] {
        [
            Self {
                name: "check_alive",
                prefix: "/ambassador/v0/check_alive".to_owned(),
                body: "Ambassador is alive and well\n",
            },
            Self {
                name: "check_ready",
                prefix: "/ambassador/v0/check_ready".to_owned(),
                body: "Ambassador is ready and waiting\n",
            },
        ]
    }
}

/// TLS in the Module, else in the old one named `tls`; and a word on Modules with other names.
fn legacy_tls<'a>(
    ours: &Ours<'a>,
    module: Option<Of<'a, Module>>,
    findings: &mut Findings,
) -> Option<LegacyTls<'a>> {
    let within = module.and_then(|m| LegacyTls::new(m.object, "spec.config.tls", m.spec.config.get("tls")?));
    let mut found = within;
    for module in &ours.modules {
        match &*module.object.id.name {
            "ambassador" | "authentication" => {}
            "tls" => found = found.or(LegacyTls::new(module.object, "spec.config", &module.spec.config)),
            name => {
                let message = format!("a Module named '{name}' has no meaning");
                let fix = "name it 'ambassador', or remove it";
                findings.warn(module.object, "unknown-module", "metadata.name", message, fix);
            }
        }
    }
    if let Some(tls) = &found {
        let message = "TLS in a Module is an old form; it is understood".to_owned();
        let fix = "create a Host with tlsSecret, and tls: {ca_secret: …, cert_required: …}";
        findings.note(tls.object, "tls-in-module", tls.field, message, fix);
    }
    found
}

//! Settings of the whole mesh: MeshConfig, from wherever it is written.

use std::time::Duration;

use plenipo_resources::istio::{MeshConfig, ProxyConfig};
use plenipo_resources::{Object, Set, View, documents};
use serde::Deserialize;
use serde_json::Value;

use super::options::IstioOptions;
use crate::duration::duration;
use crate::findings::Findings;
use crate::options::Options;

/// Where pods carry a ProxyConfig of their own.
const PROXY_CONFIG: &str = "proxy.istio.io/config";
/// What Istio's charts label the pods of a gateway with, where nobody said how ours are.
const INGRESS_GATEWAY: (&str, &str) = ("istio", "ingressgateway");

/// What MeshConfig says, as far as a gateway cares.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Mesh {
    /// Where objects hold for the whole mesh.
    pub(crate) root_namespace: String,
    pub(crate) trust_domain: String,
    pub(crate) trust_domain_aliases: Vec<String>,
    /// Suffix of the names of Services.
    pub(crate) cluster_domain: String,
    /// The namespace of our pods.
    pub(crate) namespace: String,
    /// Mutual TLS is spoken to whoever can, unless a DestinationRule says otherwise.
    pub(crate) auto_mtls: bool,
    /// Default 10 s.
    pub(crate) connect_timeout: Duration,
    pub(crate) topology: Topology,
    /// All of it, for those who care about one field.
    pub(crate) config: MeshConfig,
    /// `defaultConfig`, and what the annotation of our own pods says instead.
    pub(crate) proxy: ProxyConfig,
}

/// `gatewayTopology`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Topology {
    pub(crate) trusted_proxies: u32,
    pub(crate) client_cert: ForwardClientCert,
    /// Listeners demand a PROXY header.
    pub(crate) proxy_protocol: bool,
}

/// `forwardClientCertDetails`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum ForwardClientCert {
    Sanitize,
    ForwardOnly,
    AppendForward,
    #[default]
    SanitizeSet,
    AlwaysForwardOnly,
}

/// Who says it, and in which field.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    object: Option<&'a Object>,
    field: &'a str,
}

impl Mesh {
    /// From the ConfigMap that istiod reads, else an IstioOperator. The annotation of our own pods goes
    /// before `defaultConfig`.
    pub(crate) fn read(set: &Set, options: &Options, findings: &mut Findings) -> Self {
        let istio = &options.istio;
        let (config, place) = mesh_config(set, istio, findings);
        let mut proxy = config.default_config.clone().unwrap_or_default();
        let mut topology = Topology::default();
        topology.take(&proxy, place, findings);
        if let Some((own, object)) = own_proxy_config(set, istio, findings) {
            topology.take(&own, Place { object: Some(object), field: PROXY_CONFIG }, findings);
            proxy = overlaid(proxy, own);
        }
        let connect_timeout = config.connect_timeout.as_deref().and_then(|text| {
            let read = duration(text).filter(|time| !time.is_zero());
            if read.is_none() {
                place.warn(
                    "connectTimeout",
                    format!("'{text}' is not a time, 10 s is used"),
                    "write 10s",
                    findings,
                );
            }
            read
        });
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            root_namespace: given(&config.root_namespace).unwrap_or_else(|| istio.root_namespace.clone()),
            trust_domain: given(&config.trust_domain).unwrap_or_else(|| istio.trust_domain.clone()),
            trust_domain_aliases: config.trust_domain_aliases.clone(),
            cluster_domain: istio.cluster_domain.clone(),
            namespace: istio.namespace.clone(),
            auto_mtls: config.enable_auto_mtls.unwrap_or(true),
            connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(10)),
            topology,
            config,
            proxy,
        }
    }

    /// A host in full, lower case: a name without a dot is a Service of that namespace.
    pub(crate) fn full_name(&self, host: &str, namespace: &str) -> String {
        let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
        if host == "*" || host.contains(['.', ':']) {
            return host;
        }
        format!("{host}.{namespace}.svc.{}", self.cluster_domain)
    }

    /// Is something that is exported so seen in our namespace? `default` is what holds where nothing is written.
    pub(crate) fn sees(&self, export_to: &[String], default: &[String], namespace: &str) -> bool {
        let list = if export_to.is_empty() { default } else { export_to };
        let sees = |entry: &String| match entry.as_str() {
            "*" => true,
            "." => namespace == self.namespace,
            other => other == self.namespace,
        };
        list.is_empty() || list.iter().any(sees)
    }
}

impl Place<'_> {
    fn warn(&self, field: &str, message: String, fix: &str, findings: &mut Findings) {
        if let Some(object) = self.object {
            let field = format!("{}.{field}", self.field);
            findings.warn(object, "bad-mesh-setting", &field, message, fix);
        }
    }
}

impl Topology {
    fn take(&mut self, proxy: &ProxyConfig, place: Place<'_>, findings: &mut Findings) {
        let Some(written) = &proxy.gateway_topology else { return };
        if let Some(number) = written.num_trusted_proxies {
            match u32::try_from(number) {
                Ok(number) => self.trusted_proxies = number,
                Err(_) => {
                    let message = format!("{number} is not a number of proxies, nobody is believed");
                    let field = "gatewayTopology.numTrustedProxies";
                    place.warn(field, message, "write how many proxies stand before the gateway", findings);
                }
            }
        }
        if let Some(text) = written.forward_client_cert_details.as_deref() {
            self.client_cert = match text {
                "SANITIZE" => ForwardClientCert::Sanitize,
                "FORWARD_ONLY" => ForwardClientCert::ForwardOnly,
                "APPEND_FORWARD" => ForwardClientCert::AppendForward,
                "SANITIZE_SET" | "UNDEFINED" | "" => ForwardClientCert::SanitizeSet,
                "ALWAYS_FORWARD_ONLY" => ForwardClientCert::AlwaysForwardOnly,
                other => {
                    let message = format!("'{other}' is not known, SANITIZE_SET is done");
                    let field = "gatewayTopology.forwardClientCertDetails";
                    place.warn(field, message, "write SANITIZE_SET or SANITIZE", findings);
                    ForwardClientCert::SanitizeSet
                }
            };
        }
        if written.proxy_protocol.is_some() {
            self.proxy_protocol = true;
        }
    }
}

/// Fields of `over` go before those of `base`.
fn overlaid(base: ProxyConfig, over: ProxyConfig) -> ProxyConfig {
    let mut proxy_metadata = base.proxy_metadata;
    proxy_metadata.extend(over.proxy_metadata);
    ProxyConfig {
        gateway_topology: over.gateway_topology.or(base.gateway_topology),
        proxy_headers: over.proxy_headers.or(base.proxy_headers),
        proxy_metadata,
    }
}

/// `istio`, or `istio-REVISION`, which holds MeshConfig under the key `mesh`.
fn is_mesh_config(object: &Object) -> bool {
    let View::ConfigMap(map) = &object.view else { return false };
    let name = &*object.id.name;
    (name == "istio" || name.starts_with("istio-")) && map.data.contains_key("mesh")
}

fn mesh_config<'a>(set: &'a Set, options: &IstioOptions, findings: &mut Findings) -> (MeshConfig, Place<'a>) {
    let nowhere = Place { object: None, field: "" };
    let mut maps: Vec<_> = set.of_kind("ConfigMap").iter().filter(|object| is_mesh_config(object)).collect();
    // Of several, the one of the namespace that we know of, and the one without a revision.
    maps.sort_by_key(|object| (*object.id.namespace != *options.root_namespace, &object.id));
    for object in maps {
        let View::ConfigMap(map) = &object.view else { continue };
        let place = Place { object: Some(object), field: "data.mesh" };
        let Some(text) = map.data.get("mesh") else { continue };
        findings.accept(object);
        if let Some(config) = read_text(text, place, findings) {
            return (config, place);
        }
    }
    for object in set.of_kind("IstioOperator") {
        let View::Written(written) = &object.view else { continue };
        let config =
            written.pointer("/spec/meshConfig").or_else(|| written.pointer("/spec/values/meshConfig"));
        let Some(config) = config else { continue };
        let place = Place { object: Some(object), field: "spec.meshConfig" };
        findings.accept(object);
        if let Some(config) = read_value(config, place, findings) {
            return (config, place);
        }
    }
    (MeshConfig::default(), nowhere)
}

fn read_text<T: for<'d> Deserialize<'d>>(text: &str, place: Place<'_>, findings: &mut Findings) -> Option<T> {
    let documents = documents(text);
    let value = match documents.first() {
        None => return read_value(&Value::Object(serde_json::Map::new()), place, findings),
        Some(document) => document.value(),
    };
    match value {
        Ok(value) => read_value(&value, place, findings),
        Err(error) => {
            place.error(error.to_string(), findings);
            None
        }
    }
}

fn read_value<T: for<'d> Deserialize<'d>>(
    value: &Value,
    place: Place<'_>,
    findings: &mut Findings,
) -> Option<T> {
    match T::deserialize(value) {
        Ok(read) => Some(read),
        Err(error) => {
            place.error(error.to_string(), findings);
            None
        }
    }
}

impl Place<'_> {
    fn error(&self, message: String, findings: &mut Findings) {
        if let Some(object) = self.object {
            let fix = "repair it: until then the usual settings hold";
            findings.refuse(object, "bad-mesh-setting", self.field, message, fix);
        }
    }
}

/// The ProxyConfig that our own pods carry: in the template of a Deployment, else on a pod.
fn own_proxy_config<'a>(
    set: &'a Set,
    options: &IstioOptions,
    findings: &mut Findings,
) -> Option<(ProxyConfig, &'a Object)> {
    let is_ours = |labels: &dyn Fn(&str) -> Option<String>| {
        if options.labels.is_empty() {
            return labels(INGRESS_GATEWAY.0).as_deref() == Some(INGRESS_GATEWAY.1);
        }
        options.labels.iter().all(|(key, value)| labels(key).as_ref() == Some(value))
    };
    let near = |object: &&'a std::sync::Arc<Object>| *object.id.namespace == *options.namespace;
    for object in set.of_kind("Deployment").iter().filter(near) {
        let View::Written(written) = &object.view else { continue };
        let label = |key: &str| {
            Some(written.pointer("/spec/template/metadata/labels")?.get(key)?.as_str()?.to_owned())
        };
        let annotations = written.pointer("/spec/template/metadata/annotations");
        let text = annotations.and_then(|all| all.get(PROXY_CONFIG)?.as_str());
        if let Some(text) = text.filter(|_| is_ours(&label)) {
            let place = Place { object: Some(object), field: PROXY_CONFIG };
            return Some((read_text(text, place, findings)?, object));
        }
    }
    for object in set.of_kind("Pod").iter().filter(near) {
        let label = |key: &str| object.meta.labels.get(key).cloned();
        let Some(text) = object.meta.annotations.get(PROXY_CONFIG) else { continue };
        if is_ours(&label) {
            let place = Place { object: Some(object), field: PROXY_CONFIG };
            return Some((read_text(text, place, findings)?, object));
        }
    }
    None
}

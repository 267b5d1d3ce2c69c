//! The services that routes can name: those of Kubernetes, and those that ServiceEntries declare.

use std::collections::BTreeMap;

use plenipo_model::Source;
use plenipo_resources::core;
use plenipo_resources::istio::ServiceEntry;
use plenipo_resources::{Object, Set, View};

use super::mesh::Mesh;
use crate::findings::{Findings, source_of};

/// A Service says with this annotation in which namespaces it is seen.
const EXPORT_TO: &str = "networking.istio.io/exportTo";

/// All services but those of Kubernetes, which are looked up in the set.
#[derive(Debug)]
pub(super) struct Registry<'a> {
    set: &'a Set,
    mesh: &'a Mesh,
    /// By host, those that go before others first.
    entries: BTreeMap<String, Vec<Entry<'a>>>,
}

/// A ServiceEntry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) object: &'a Object,
    pub(super) spec: &'a ServiceEntry,
}

/// A service by its full name.
#[derive(Clone, Debug)]
pub(super) struct Service<'a> {
    pub(super) host: String,
    pub(super) namespace: String,
    pub(super) ports: Vec<Port>,
    pub(super) origin: Declared<'a>,
}

/// Who declares a service.
#[derive(Clone, Debug)]
pub(super) enum Declared<'a> {
    /// Kubernetes; the object is missing where only its endpoints are known.
    Kubernetes { name: String, service: Option<(&'a Object, &'a core::Service)> },
    /// ServiceEntries of one namespace, at least one.
    Entries(Vec<Entry<'a>>),
}

/// A port of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Port {
    pub(super) number: u16,
    pub(super) name: String,
    pub(super) protocol: Protocol,
    /// As a ServiceEntry says.
    pub(super) target: Option<u16>,
}

/// What is spoken on a port, as far as it was declared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http,
    /// `http2`, `grpc`, `grpc-web`, `kubernetes.io/h2c`.
    Http2,
    /// `https` and `tls`: whoever connects brings TLS.
    Tls,
    /// Bytes.
    Tcp,
    /// It was not said.
    Unknown,
}

impl Service<'_> {
    /// Is it another name for something outside, on whatever port?
    pub(super) fn is_elsewhere(&self) -> bool {
        let Declared::Kubernetes { service: Some((_, spec)), .. } = &self.origin else { return false };
        spec.external_name.as_ref().is_some_and(|name| !name.is_empty())
    }

    /// The object that declares it, the first of several.
    pub(super) fn source(&self) -> Source {
        match &self.origin {
            Declared::Kubernetes { service: Some((object, _)), .. } => source_of(object),
            Declared::Entries(entries) if !entries.is_empty() => source_of(entries[0].object),
            _ => Source::new(self.host.clone()),
        }
    }
}

impl Protocol {
    /// From `appProtocol` if there is one, else from the name of the port up to its first dash.
    pub(super) fn of(name: &str, app_protocol: Option<&str>) -> Self {
        let text = app_protocol.filter(|text| !text.is_empty()).unwrap_or(name).to_ascii_lowercase();
        match text.as_str() {
            "kubernetes.io/h2c" => return Self::Http2,
            "kubernetes.io/ws" => return Self::Http,
            "kubernetes.io/wss" => return Self::Tls,
            text if text.starts_with("grpc-web") => return Self::Http2,
            _ => {}
        }
        match text.split('-').next().unwrap_or_default() {
            "http" => Self::Http,
            "http2" | "grpc" => Self::Http2,
            "https" | "tls" => Self::Tls,
            "tcp" | "mongo" | "redis" | "mysql" => Self::Tcp,
            _ => Self::Unknown,
        }
    }
}

impl<'a> Registry<'a> {
    pub(super) fn new(set: &'a Set, mesh: &'a Mesh, findings: &mut Findings) -> Self {
        let mut entries: BTreeMap<String, Vec<Entry<'a>>> = BTreeMap::new();
        for object in set.of_kind("ServiceEntry") {
            let View::ServiceEntry(spec) = &object.view else { continue };
            if !mesh.sees(&spec.export_to, &mesh.config.default_service_export_to, &object.id.namespace) {
                findings.ignore(object);
                continue;
            }
            findings.accept(object);
            super::unknown_fields(object, findings);
            for host in hosts(object, spec, findings) {
                entries.entry(host).or_default().push(Entry { object, spec });
            }
        }
        for (host, list) in &mut entries {
            list.sort_by_key(|entry| {
                (*entry.object.id.namespace != *mesh.namespace, super::chronological(entry.object))
            });
            beaten(host, list, findings);
        }
        Self { set, mesh, entries }
    }

    /// The service with this full name, if our namespace sees one. Those of Kubernetes go before ServiceEntries; of
    /// several ServiceEntries those of our own namespace, else those of the namespace with the oldest.
    ///
    /// A Service of type ExternalName stands for the service of that name, where there is one.
    pub(super) fn service(&self, host: &str) -> Option<Service<'a>> {
        let service = self.kubernetes(host).or_else(|| self.declared(host))?;
        let Declared::Kubernetes { service: Some((_, spec)), .. } = &service.origin else {
            return Some(service);
        };
        let name = spec.external_name.as_deref().filter(|name| !name.is_empty()).map(str::to_ascii_lowercase);
        let meant = name.and_then(|name| self.kubernetes(&name).or_else(|| self.declared(&name)));
        Some(meant.unwrap_or(service))
    }

    /// Name and namespace of what would be a Service of Kubernetes.
    pub(super) fn in_kubernetes<'h>(&self, host: &'h str) -> Option<(&'h str, &'h str)> {
        let rest = host.strip_suffix(self.mesh.cluster_domain.as_str())?.strip_suffix(".svc.")?;
        rest.split_once('.').filter(|(name, namespace)| !name.is_empty() && !namespace.contains('.'))
    }

    fn kubernetes(&self, host: &str) -> Option<Service<'a>> {
        let (name, namespace) = self.in_kubernetes(host)?;
        let object = self.set.get("Service", namespace, name)?;
        let View::Service(service) = &object.view else { return None };
        let written = object.meta.annotations.get(EXPORT_TO).map_or("", String::as_str);
        let export: Vec<String> = written.split(',').map(|part| part.trim().to_owned()).collect();
        let export: Vec<String> = export.into_iter().filter(|part| !part.is_empty()).collect();
        if !self.mesh.sees(&export, &self.mesh.config.default_service_export_to, namespace) {
            return None;
        }
        let is_tcp = |port: &&core::ServicePort| port.protocol.as_deref().is_none_or(|name| name == "TCP");
        let ports = service.ports.iter().filter(is_tcp).filter_map(|port| {
            let name = port.name.clone().unwrap_or_default();
            Some(Port {
                number: u16::try_from(port.port).ok()?,
                protocol: Protocol::of(&name, port.app_protocol.as_deref()),
                name,
                target: None,
            })
        });
        Some(Service {
            host: host.to_owned(),
            namespace: namespace.to_owned(),
            ports: ports.collect(),
            origin: Declared::Kubernetes { name: name.to_owned(), service: Some((object, service)) },
        })
    }

    fn declared(&self, host: &str) -> Option<Service<'a>> {
        let all = self.entries.get(host)?;
        let namespace = &all.first()?.object.id.namespace;
        let list: Vec<Entry<'a>> =
            all.iter().filter(|entry| entry.object.id.namespace == *namespace).copied().collect();
        let mut ports: Vec<Port> = Vec::new();
        for written in list.iter().flat_map(|entry| &entry.spec.ports) {
            let number =
                written.number.and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0);
            let Some(number) = number.filter(|number| ports.iter().all(|port| port.number != *number)) else {
                continue;
            };
            let name = written.name.clone().unwrap_or_default();
            let protocol = Protocol::of(&name, written.protocol.as_deref());
            let target =
                written.target_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            ports.push(Port { number, name, protocol, target });
        }
        let namespace = namespace.to_string();
        Some(Service { host: host.to_owned(), namespace, ports, origin: Declared::Entries(list) })
    }
}

/// The hosts of an entry that can be used.
fn hosts(object: &Object, spec: &ServiceEntry, findings: &mut Findings) -> Vec<String> {
    if spec.hosts.is_empty() {
        findings.refuse(
            object,
            "no-host",
            "spec.hosts",
            "it names no host".to_owned(),
            "write at least one host",
        );
    }
    let usable = |(place, host): (usize, &String)| {
        let host = host.trim().to_ascii_lowercase();
        if host.is_empty() || host == "*" {
            let message = format!("'{host}' would be every host, nothing is declared by it");
            let field = format!("spec.hosts[{place}]");
            findings.error(object, "bad-host", &field, message, "write the name of a host");
            return None;
        }
        Some(host)
    };
    spec.hosts.iter().enumerate().filter_map(usable).collect()
}

/// Tells entries of other namespances that another one has their host.
fn beaten(host: &str, list: &[Entry<'_>], findings: &mut Findings) {
    let Some(first) = list.first() else { return };
    for entry in list.iter().filter(|entry| entry.object.id.namespace != first.object.id.namespace) {
        let message =
            format!("{} declares {host} too, and goes first: this one is not used", first.object.id);
        let fix = "declare a host in one namespace, or limit exportTo";
        findings.warn(entry.object, "host-conflict", "spec.hosts", message, fix);
    }
    for entry in list {
        let protocol = |number: i64| {
            let ports = list.iter().flat_map(|entry| &entry.spec.ports);
            ports.filter(move |port| port.number == Some(number)).map(|port| port.protocol.as_deref()).next()
        };
        let differs = |port: &&plenipo_resources::istio::ServiceEntryPort| {
            let first = port.number.and_then(protocol).flatten();
            first.is_some_and(|first| {
                port.protocol.as_deref().is_some_and(|own| !own.eq_ignore_ascii_case(first))
            })
        };
        if let Some(port) = entry.spec.ports.iter().find(differs) {
            let number = port.number.unwrap_or_default();
            let message =
                format!("another ServiceEntry declares port {number} of {host} with another protocol");
            findings.warn(
                entry.object,
                "port-conflict",
                "spec.ports",
                message,
                "write the same protocol in both",
            );
        }
    }
}

//! VirtualServices: which are for gateways of ours, and what they are for.

use std::collections::BTreeSet;

use plenipo_model::{HostPattern, Source};
use plenipo_resources::istio::VirtualService as Written;
use plenipo_resources::{Object, Set, View};

use super::delegate::{self, Rule};
use super::gateway::host_pattern;
use super::mesh::Mesh;
use super::{chronological, unknown_fields};
use crate::findings::{Findings, Flaw, source_of};

/// The reserved name of all sidecars, which is no gateway.
const MESH: &str = "mesh";

/// A VirtualService for at least one Gateway.
#[derive(Debug)]
pub(super) struct Service<'a> {
    pub(super) object: &'a Object,
    pub(super) written: &'a Written,
    pub(super) source: Source,
    /// At least one, with their places among `hosts`; no two are the same.
    pub(super) hosts: Vec<(usize, HostPattern)>,
    /// With their places among `gateways`.
    pub(super) gateways: Vec<(usize, GatewayName)>,
    /// `http`, with those of delegates in it.
    pub(super) http: Vec<Rule<'a>>,
}

/// Which Gateway is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct GatewayName {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl GatewayName {
    /// `name`, `namespace/name`, `./name`, or the older `name.namespace.svc.cluster.local`, in an object of `namespace`.
    /// None for `mesh`.
    pub(super) fn parse(text: &str, namespace: &str) -> Option<Self> {
        let (namespace, name) = match (text.split_once('/'), text.split_once('.')) {
            _ if text == MESH => return None,
            (Some((".", name)), _) => (namespace, name),
            (Some((other, name)), _) => (other, name),
            (None, Some((name, rest))) => (rest.split('.').next().unwrap_or_default(), name),
            (None, None) => (namespace, text),
        };
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// That of a Gateway.
    pub(super) fn of(gateway: &Object) -> Self {
        Self { namespace: gateway.id.namespace.to_string(), name: gateway.id.name.to_string() }
    }

    /// Is it this Gateway?
    pub(super) fn is(&self, gateway: &Object) -> bool {
        *gateway.id.namespace == *self.namespace && *gateway.id.name == *self.name
    }
}

/// Those that `is_ours` has the Gateways of, in the order in which VirtualServices go before each other.
pub(super) fn read<'a>(
    set: &'a Set,
    mesh: &Mesh,
    ours: &BTreeSet<GatewayName>,
    findings: &mut Findings,
) -> Vec<Service<'a>> {
    let mut all: Vec<(&'a Object, &'a Written)> = Vec::new();
    for object in set.of_kind("VirtualService") {
        if let View::VirtualService(written) = &object.view {
            all.push((object, written));
        }
    }
    all.sort_by(|(a, _), (b, _)| chronological(a).cmp(&chronological(b)));
    let mut used = BTreeSet::new();
    let mut services = Vec::new();
    for (object, written) in &all {
        let reading = Reading { set, mesh, ours, object, written };
        match reading.service(&mut used, findings) {
            Ok(Some(service)) => services.push(service),
            Ok(None) => {}
            Err(flaw) => findings.fatal(object, &flaw),
        }
    }
    // A delegate is ours when somebody delegates to it.
    for (object, written) in all.iter().filter(|(_, written)| written.hosts.is_empty()) {
        if used.contains(&object.id) {
            findings.accept(object);
            unknown_fields(object, findings);
        } else if written.gateways.is_empty() {
            findings.ignore(object);
            let message = "it has no hosts, and no VirtualService delegates to it".to_owned();
            findings.note(object, "unused-delegate", "spec.hosts", message, "write its hosts, or remove it");
        }
    }
    services
}

struct Reading<'r, 'a> {
    set: &'a Set,
    mesh: &'r Mesh,
    ours: &'r BTreeSet<GatewayName>,
    object: &'a Object,
    written: &'a Written,
}

impl<'a> Reading<'_, 'a> {
    /// None when it is not for a Gateway of ours.
    fn service(
        &self,
        used: &mut BTreeSet<plenipo_resources::ObjectId>,
        findings: &mut Findings,
    ) -> Result<Option<Service<'a>>, Flaw> {
        let (object, written) = (self.object, self.written);
        if written.hosts.is_empty() && written.gateways.is_empty() {
            return Ok(None);
        }
        let gateways = self.gateways(findings);
        if gateways.is_empty() {
            findings.ignore(object);
            return Ok(None);
        }
        if !is_exported(object, written, &self.mesh.namespace, self.mesh) {
            findings.ignore(object);
            let message = format!("it is not exported to {}, where the gateway is", self.mesh.namespace);
            let fix = "write '*' or the gateway's namespace into exportTo";
            findings.warn(object, "not-exported", "spec.exportTo", message, fix);
            return Ok(None);
        }
        findings.accept(object);
        unknown_fields(object, findings);
        if written.hosts.is_empty() {
            let message = "one without hosts is for others to delegate to, and may not name gateways";
            let fix = "write its hosts, or remove its gateways";
            return Err(Flaw::new("bad-delegate", "spec.gateways", message, fix));
        }
        if written.http.is_empty() && written.tls.is_empty() && written.tcp.is_empty() {
            let message = "it has no routes";
            return Err(Flaw::new("no-route", "spec", message, "write http, tls or tcp"));
        }
        let hosts = self.hosts(findings)?;
        let http = delegate::rules(self.set, self.mesh, object, written, used, findings);
        Ok(Some(Service { object, written, source: source_of(object), hosts, gateways, http }))
    }

    /// Those of its gateways that are ours. One that nobody wrote is an error, and costs only itself.
    fn gateways(&self, findings: &mut Findings) -> Vec<(usize, GatewayName)> {
        let mut gateways = Vec::new();
        for (place, text) in self.written.gateways.iter().enumerate() {
            let Some(name) = GatewayName::parse(text, &self.object.id.namespace) else { continue };
            if self.ours.contains(&name) {
                gateways.push((place, name));
            } else if self.set.get("Gateway", &name.namespace, &name.name).is_none() {
                let message = format!(
                    "there is no Gateway {}/{}: through it, requests for these hosts are answered 404",
                    name.namespace, name.name
                );
                let fix = "create it, or write namespace/name of one that there is";
                let field = format!("spec.gateways[{place}]");
                findings.error(self.object, "unknown-gateway", &field, message, fix);
            }
        }
        gateways
    }

    fn hosts(&self, findings: &mut Findings) -> Result<Vec<(usize, HostPattern)>, Flaw> {
        let mut hosts: Vec<(usize, HostPattern)> = Vec::new();
        let fix = "write a full name, *.example.com or *";
        for (place, text) in self.written.hosts.iter().enumerate() {
            let field = format!("spec.hosts[{place}]");
            match host_pattern(&self.mesh.full_name(text, &self.object.id.namespace)) {
                Ok(pattern) if hosts.iter().any(|(_, other)| *other == pattern) => {
                    let message = format!("'{pattern}' is there twice");
                    findings.warn(self.object, "duplicate-host", &field, message, "keep one of the two");
                }
                Ok(pattern) => hosts.push((place, pattern)),
                Err(message) => findings.fatal(self.object, &Flaw::new("bad-host", field, message, fix)),
            }
        }
        if hosts.is_empty() {
            return Err(Flaw::new("bad-host", "spec.hosts", "none of its hosts can be used", fix));
        }
        Ok(hosts)
    }
}

/// May objects of `namespace` see it?
pub(super) fn is_exported(object: &Object, written: &Written, namespace: &str, mesh: &Mesh) -> bool {
    let usual = &mesh.config.default_virtual_service_export_to;
    let list = if written.export_to.is_empty() { usual } else { &written.export_to };
    list.is_empty()
        || list.iter().any(|to| match to.as_str() {
            "*" => true,
            "." => *object.id.namespace == *namespace,
            other => other == namespace,
        })
}

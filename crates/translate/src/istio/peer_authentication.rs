//! What workloads demand of those who connect to them.

use std::collections::BTreeMap;

use plenipo_resources::istio::{MutualTls, PeerAuthentication};
use plenipo_resources::{Object, Set, View};

use super::mesh::Mesh;
use super::workloads::Workload;
use crate::findings::Findings;

/// All policies, the oldest first.
#[derive(Debug)]
pub(super) struct PeerAuthentications<'a> {
    root_namespace: &'a str,
    by_namespace: BTreeMap<&'a str, Vec<Policy<'a>>>,
}

#[derive(Debug)]
struct Policy<'a> {
    object: &'a Object,
    spec: &'a PeerAuthentication,
}

/// What a workload takes on a port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Mode {
    /// Clear text only.
    Disable,
    /// Both: what holds where nobody says anything.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

/// A mode, and the policy that says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand<'a> {
    pub(super) mode: Mode,
    pub(super) policy: Option<&'a Object>,
}

impl<'a> PeerAuthentications<'a> {
    pub(super) fn new(set: &'a Set, mesh: &'a Mesh, findings: &mut Findings) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<Policy<'_>>> = BTreeMap::new();
        for object in set.of_kind("PeerAuthentication") {
            let View::PeerAuthentication(spec) = &object.view else { continue };
            findings.accept(object);
            super::unknown_fields(object, findings);
            examine(object, spec, findings);
            by_namespace.entry(&object.id.namespace).or_default().push(Policy { object, spec });
        }
        for (namespace, list) in &mut by_namespace {
            list.sort_by_key(|policy| super::chronological(policy.object));
            beaten(namespace, list, findings);
        }
        Self { root_namespace: &mesh.root_namespace, by_namespace }
    }

    /// What a workload of a namespace demands on its port: by the policy that selects it, else that of its namespace,
    /// else that of the mesh.
    pub(super) fn demand(&self, namespace: &str, workload: &Workload, port: u16) -> Demand<'a> {
        let near = self.by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
        let selecting = near.iter().find(|policy| policy.labels().is_some_and(|labels| workload.has(labels)));
        let port = port.to_string();
        let on_port = selecting.and_then(|policy| policy.says(policy.spec.port_level_mtls.get(&port)));
        let on_all = || selecting.and_then(|policy| policy.says(policy.spec.mtls.as_ref()));
        let wide = |list: &[Policy<'a>]| {
            let policy = list.iter().find(|policy| policy.labels().is_none())?;
            policy.says(policy.spec.mtls.as_ref())
        };
        let root = || wide(self.by_namespace.get(self.root_namespace)?);
        let found = on_port.or_else(on_all).or_else(|| wide(near)).or_else(root);
        found.unwrap_or(Demand { mode: Mode::Permissive, policy: None })
    }
}

impl<'a> Policy<'a> {
    /// Those of the workloads it selects; none = all.
    fn labels(&self) -> Option<&'a BTreeMap<String, String>> {
        Some(&self.spec.selector.as_ref()?.match_labels).filter(|labels| !labels.is_empty())
    }

    fn says(&self, written: Option<&MutualTls>) -> Option<Demand<'a>> {
        let mode = mode(written?)?;
        Some(Demand { mode, policy: Some(self.object) })
    }
}

fn mode(written: &MutualTls) -> Option<Mode> {
    match written.mode.as_deref()? {
        "UNSET" => None,
        "DISABLE" => Some(Mode::Disable),
        "PERMISSIVE" => Some(Mode::Permissive),
        // What is not understood was meant to protect.
        _ => Some(Mode::Strict),
    }
}

fn examine(object: &Object, spec: &PeerAuthentication, findings: &mut Findings) {
    let ports = spec.port_level_mtls.iter().map(|(port, mtls)| (format!("spec.portLevelMtls.{port}"), mtls));
    for (field, mtls) in spec.mtls.iter().map(|mtls| ("spec.mtls".to_owned(), mtls)).chain(ports) {
        let Some(text) = mtls.mode.as_deref() else { continue };
        if !matches!(text, "UNSET" | "DISABLE" | "PERMISSIVE" | "STRICT") {
            let message = format!("'{text}' is not a mode, it is taken for STRICT");
            let fix = "write STRICT, PERMISSIVE or DISABLE";
            findings.error(object, "bad-mtls-mode", &format!("{field}.mode"), message, fix);
        }
    }
    for port in spec.port_level_mtls.keys().filter(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        let message = format!("'{port}' is not a port of a workload, it has no effect");
        findings.error(object, "bad-port", "spec.portLevelMtls", message, "write a number from 1 to 65535");
    }
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
    if !spec.port_level_mtls.is_empty() && !selects {
        let message = "without a selector it has no effect: ports are those of workloads".to_owned();
        findings.warn(object, "port-without-selector", "spec.portLevelMtls", message, "write a selector");
    }
}

/// Of several policies for a whole namespace the oldest holds.
fn beaten(namespace: &str, list: &[Policy<'_>], findings: &mut Findings) {
    let mut wide = list.iter().filter(|policy| policy.labels().is_none());
    let Some(first) = wide.next() else { return };
    for policy in wide {
        let message = format!(
            "{} holds for the namespace {namespace} already, this one has no effect",
            first.object.id
        );
        let fix = "keep one without a selector in each namespace";
        findings.warn(policy.object, "policy-conflict", "spec", message, fix);
    }
}

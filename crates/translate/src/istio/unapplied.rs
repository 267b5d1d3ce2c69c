//! What of Istio's is not applied, object by object: what it would have done, and what does the same here.
//!
//! Envoy is not here, so nothing can be patched into it. What people patch it for mostly has a setting of its own, and the
//! finding (`not-applied`) names it.

mod envoy_filter;

use plenipo_resources::{Object, Set, View};
use serde_json::Value;

use super::options::IstioOptions;
use crate::findings::Findings;

/// Reports every object of a kind that is read and not applied.
pub(super) fn report(set: &Set, options: &IstioOptions, findings: &mut Findings) {
    for (kind, tell) in KINDS {
        for object in set.of_kind(kind) {
            let View::Written(written) = &object.view else { continue };
            findings.ignore(object);
            tell(&Unapplied { object, spec: written.get("spec").unwrap_or(&Value::Null), options }, findings);
        }
    }
}

/// An object that is not applied.
struct Unapplied<'a> {
    object: &'a Object,
    spec: &'a Value,
    options: &'a IstioOptions,
}

type Tell = fn(&Unapplied<'_>, &mut Findings);

const KINDS: [(&str, Tell); 5] = [
    ("EnvoyFilter", envoy_filter::tell),
    ("WasmPlugin", wasm_plugin),
    ("ProxyConfig", proxy_config),
    ("Sidecar", sidecar),
    ("WorkloadGroup", workload_group),
];

fn wasm_plugin(plugin: &Unapplied<'_>, findings: &mut Findings) {
    let url = plugin.spec.get("url").and_then(Value::as_str).unwrap_or("a module");
    let message = |does| format!("{url} would run in Envoy, which is not here: nothing {does} by it");
    if matches!(plugin.spec.get("phase").and_then(Value::as_str), Some("AUTHN" | "AUTHZ")) {
        let fix = "write a RequestAuthentication, or an AuthorizationPolicy with action CUSTOM and a service that decides";
        findings.error(
            plugin.object,
            "not-applied",
            "spec.url",
            message("is decided about who is let in"),
            fix,
        );
    } else {
        let fix = "there is no setting for it: let a service behind the gateway do it";
        findings.warn(plugin.object, "not-applied", "spec.url", message("is done to requests"), fix);
    }
}

/// One finding for each field: they have nothing to do with each other.
fn proxy_config(config: &Unapplied<'_>, findings: &mut Findings) {
    let Some(fields) = config.spec.as_object() else { return };
    for (name, value) in fields {
        let (field, message, fix) = match name.as_str() {
            "concurrency" => (
                "spec.concurrency".to_owned(),
                format!("{value} threads would be Envoy's"),
                "start the gateway with --workers",
            ),
            "environmentVariables" => {
                environment(config.object, value, findings);
                continue;
            }
            "image" => (
                "spec.image".to_owned(),
                "it chooses an image of Envoy".to_owned(),
                "remove it: the gateway is one program",
            ),
            _ => continue,
        };
        findings.warn(config.object, "not-applied", &field, message, fix);
    }
}

fn environment(object: &Object, value: &Value, findings: &mut Findings) {
    for name in value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()) {
        let field = format!("spec.environmentVariables.{name}");
        let fix = match name {
            "ISTIO_META_HTTP10" => "write it into meshConfig.defaultConfig.proxyMetadata, where it is read",
            "TERMINATION_DRAIN_DURATION_SECONDS"
            | "EXIT_ON_ZERO_ACTIVE_CONNECTIONS"
            | "MINIMUM_DRAIN_DURATION" => "start the gateway with --min-drain and --max-drain",
            _ => "remove it: nobody reads it",
        };
        let message = format!("{name} would be set for Envoy's agent, which is not here");
        findings.warn(object, "not-applied", &field, message, fix);
    }
}

fn sidecar(sidecar: &Unapplied<'_>, findings: &mut Findings) {
    let message = "it is for the sidecars of its namespace; a gateway sees what is exported to it".to_owned();
    let fix = "nothing has to be done: what a gateway may see is said by exportTo";
    findings.note(sidecar.object, "not-applied", "", message, fix);
}

fn workload_group(group: &Unapplied<'_>, findings: &mut Findings) {
    let message =
        "it is what istiod makes WorkloadEntries from when a machine registers: nothing registers here";
    let fix = "write a WorkloadEntry for each machine, a ServiceEntry selects them by their labels";
    findings.note(group.object, "not-applied", "", message.to_owned(), fix);
}

//! API versions: AWS-58, -60, -61.

use plenipo_resources::core::IntOrString;
use plenipo_resources::networking::{Ingress, IngressBackend};
use plenipo_resources::{Object, View};
use serde_json::{Value, json};

use super::finding::{Finding, Findings, Operation};
use super::scene::Scene;
use super::unknown::distance;

/// Where kinds live. A group that is not here is not ours to judge.
const VERSIONS: [(&str, &[&str]); 22] = [
    (
        "Ingress",
        &[
            "networking.k8s.io/v1",
            "networking.k8s.io/v1beta1",
            "extensions/v1beta1",
            "config.openshift.io/v1",
        ],
    ),
    ("IngressClass", &["networking.k8s.io/v1", "networking.k8s.io/v1beta1"]),
    ("NetworkPolicy", &["networking.k8s.io/v1"]),
    ("Service", &["v1", "serving.knative.dev/v1"]),
    ("Secret", &["v1"]),
    ("ConfigMap", &["v1"]),
    ("Namespace", &["v1"]),
    ("ServiceAccount", &["v1"]),
    ("Deployment", &["apps/v1"]),
    ("DaemonSet", &["apps/v1"]),
    ("EndpointSlice", &["discovery.k8s.io/v1"]),
    ("TargetGroupBinding", &["elbv2.k8s.aws/v1beta1"]),
    ("IngressClassParams", &["elbv2.k8s.aws/v1beta1"]),
    ("Listener", &GETAMBASSADOR),
    ("Host", &GETAMBASSADOR),
    ("Mapping", &GETAMBASSADOR),
    ("TCPMapping", &GETAMBASSADOR),
    ("TLSContext", &GETAMBASSADOR),
    ("Module", &GETAMBASSADOR),
    ("VirtualService", &ISTIO),
    (
        "Gateway",
        &[
            "networking.istio.io/v1",
            "networking.istio.io/v1beta1",
            "networking.istio.io/v1alpha3",
            "gateway.networking.k8s.io/v1",
            "gateway.networking.k8s.io/v1beta1",
        ],
    ),
    ("IstioOperator", &["install.istio.io/v1alpha1"]),
];
const GETAMBASSADOR: [&str; 4] =
    ["getambassador.io/v3alpha1", "getambassador.io/v2", "getambassador.io/v1", "getambassador.io/v0"];
const ISTIO: [&str; 3] =
    ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for object in scene.set.objects() {
        version(object, found);
        match &object.view {
            View::Ingress(ingress) => gone(object, ingress, found),
            View::Mapping(mapping) => {
                context(scene, object, mapping.tls.as_deref(), mapping.service.as_deref(), found);
            }
            View::TcpMapping(mapping) => {
                context(scene, object, mapping.tls.as_deref(), mapping.service.as_deref(), found);
            }
            _ => {}
        }
    }
}

/// AWS-60: a version that is nearly one.
fn version(object: &Object, found: &mut Findings) {
    let kind = object.id.kind.split('.').next().unwrap_or_default();
    let written = object.meta.api_version.as_str();
    let Some((_, known)) = VERSIONS.iter().find(|(name, _)| *name == kind) else { return };
    let is_old = matches!(
        object.view,
        View::Foreign | View::Inactive | View::Written(_) | View::Gateway(_) | View::VirtualService(_)
    );
    if known.contains(&written) || !is_old {
        return;
    }
    let nearest = known.iter().map(|version| (distance(written, version), version)).min();
    let Some((_, version)) = nearest.filter(|(distance, _)| *distance <= 3) else { return };
    found
        .on(60, object, "/apiVersion", format!("there is no {kind} in {written}: the API server refuses it"))
        .fix(format!("write {version}"))
        .set(*version);
}

/// AWS-61: the first Ingress API ended with Kubernetes 1.22.
fn gone(object: &Object, ingress: &Ingress, found: &mut Findings) {
    let old = object.meta.api_version != "networking.k8s.io/v1";
    let paths = ingress.rules.iter().enumerate().flat_map(|(rule, written)| {
        let paths = written.http.iter().flat_map(|http| &http.paths).enumerate();
        paths.map(move |(path, one)| (format!("/spec/rules/{rule}/http/paths/{path}"), one))
    });
    let paths: Vec<_> = paths.collect();
    let is_old = |backend: &IngressBackend| backend.service.is_none() && backend.service_name.is_some();
    let default = ingress.default_backend.as_ref().filter(|backend| is_old(backend));
    let untyped = |path: &&(String, &plenipo_resources::networking::IngressPath)| {
        path.1.path_type.is_none() || is_old(&path.1.backend)
    };
    if !old && default.is_none() && !paths.iter().any(|path| is_old(&path.1.backend)) {
        return;
    }
    let finding = found.on(
        61,
        object,
        "/apiVersion",
        format!(
            "{} has no such Ingress since Kubernetes 1.22: the API server refuses it",
            if old { object.meta.api_version.as_str() } else { "networking.k8s.io/v1" }
        ),
    );
    finding.fix("write networking.k8s.io/v1, with backend: {service: {name, port}} and a pathType");
    if old {
        finding.set("networking.k8s.io/v1");
    }
    if let Some(backend) = default {
        finding.remove("/spec/backend").add("/spec/defaultBackend", modern(backend));
    }
    for (pointer, path) in paths.iter().filter(untyped) {
        if is_old(&path.backend) {
            finding.replace(format!("{pointer}/backend"), modern(&path.backend));
        }
        if path.path_type.is_none() {
            finding.add(format!("{pointer}/pathType"), "ImplementationSpecific");
        }
    }
}

fn modern(backend: &IngressBackend) -> Value {
    let port = match backend.port() {
        Some(IntOrString::Int(number)) => json!({ "number": number }),
        Some(IntOrString::String(name)) => json!({ "name": name }),
        None => json!({}),
    };
    json!({ "service": { "name": backend.name().unwrap_or_default(), "port": port } })
}

/// AWS-58.
fn context(
    scene: &Scene<'_>,
    object: &Object,
    tls: Option<&str>,
    service: Option<&str>,
    found: &mut Findings,
) {
    let Some(name) = tls.filter(|name| !name.is_empty() && !matches!(*name, "true" | "false")) else {
        return;
    };
    if scene.set.of_kind("TLSContext").iter().any(|context| &*context.id.name == name) {
        return;
    }
    let finding = found.on(
        58,
        object,
        "/spec/tls",
        format!("tls names a TLSContext, and there is none called {name}: it is no word for \"by TLS\""),
    );
    finding.fix("write https:// before the service, or create the TLSContext");
    without_context(finding, service);
}

fn without_context(finding: &mut Finding, service: Option<&str>) {
    finding.unset();
    if let Some(service) = service.filter(|service| !service.contains("://")) {
        let object = finding.object.clone();
        let value = format!("https://{service}").into();
        finding.edit(object, Operation::Replace { path: "/spec/service".to_owned(), value });
    }
}

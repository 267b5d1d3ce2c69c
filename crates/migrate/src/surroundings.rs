//! What stands around the gateway and must be looked after when it changes.

use std::collections::BTreeMap;

use plenipo_resources::{ObjectId, Set, View};
use serde::Serialize;
use serde_json::json;

/// Something to look after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Advice {
    /// What it is about: `external-dns`, `load-balancer`, …
    pub about: &'static str,
    /// The objects that it is about; empty when it is about none that was read.
    pub objects: Vec<ObjectId>,
    /// What is the matter.
    pub message: String,
    /// What to do, a sentence or commands.
    pub todo: String,
}

/// What is around the gateway, as far as the objects show it, and what they never show.
pub(crate) fn surroundings(set: &Set) -> Vec<Advice> {
    let mut advice = Vec::new();
    advice.extend(load_balancer(set));
    advice.extend(environment(set));
    advice.extend(external_dns(set));
    advice.extend(cert_manager(set));
    advice.extend(rollouts(set));
    advice.extend(older_versions(set));
    advice.extend(always());
    advice
}

/// Prefixes of external-dns' annotations: the old one, and the one since its version 0.18.
const EXTERNAL_DNS: [&str; 2] =
    ["external-dns.alpha.kubernetes.io/ambassador-service", "external-dns.kubernetes.io/ambassador-service"];

/// How external-dns finds the addresses of a Host, whatever the prefix.
const AMBASSADOR_SERVICE: &str = "external-dns.ambassador-service";

/// Labels that the two charts fill in each in its own way.
const OWN_LABELS: &str = "app.kubernetes.io/";

/// The Services by which clients reach Emissary.
fn load_balancer(set: &Set) -> Option<Advice> {
    let names_emissary = |text: &str| text.contains("emissary") || text.contains("ambassador");
    let of_emissary = |id: &ObjectId, labels: &BTreeMap<String, String>| {
        let component =
            labels.get("app.kubernetes.io/component").is_some_and(|it| it == "ambassador-service");
        component || names_emissary(&id.name) || labels.values().any(|value| names_emissary(value))
    };
    let found: Vec<ObjectId> = set
        .of_kind("Service")
        .iter()
        .filter(|object| match &object.view {
            View::Service(service) => {
                let outside = matches!(service.type_.as_deref(), Some("LoadBalancer" | "NodePort"));
                outside && of_emissary(&object.id, &object.meta.labels)
            }
            _ => false,
        })
        .map(|object| object.id.clone())
        .collect();
    let first = found.first()?;
    let object = set.get("Service", &first.namespace, &first.name)?;
    let View::Service(service) = &object.view else { return None };
    let labels = &object.meta.labels;
    let before = service.selector.clone().unwrap_or_default();
    let mut after: BTreeMap<String, String> = before
        .iter()
        .filter(|(key, _)| !key.starts_with(OWN_LABELS))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let further: String = after
        .iter()
        .map(|(key, value)| format!(" --set podLabels.{}={value}", key.replace('.', "\\\\.")))
        .collect();
    after.extend(["name", "instance"].map(|key| (format!("{OWN_LABELS}{key}"), "plenipo".to_owned())));
    let patch = |selector: &BTreeMap<String, String>| {
        let selector = json!([{ "op": "replace", "path": "/spec/selector", "value": selector }]);
        format!("kubectl -n {} patch service {} --type=json -p '{selector}'", first.namespace, first.name)
    };
    let release = labels.get("app.kubernetes.io/instance").map_or(&*first.name, String::as_str);
    let todo = format!(
        "keep the Service and move its selector: the load balancer and its DNS name stay (docs/kubernetes.md)\n\
         helm upgrade {1} CHART -n {0} --reuse-values --set service.annotations.helm\\\\.sh/resource-policy=keep\n\
         helm install plenipo charts/plenipo -n {0} --set service.create=false{further}\n{2}\n\
         back again: {3}",
        first.namespace,
        release,
        patch(&after),
        patch(&before)
    );
    let message = "clients come in by this Service, which a cloud has given an address".to_owned();
    Some(Advice { about: "load-balancer", objects: found, message, todo })
}

/// Variables that Plenipo reads as Emissary does (docs/operations.md).
const VARIABLES: [&str; 14] = [
    "AES_LOG_LEVEL",
    "AMBASSADOR_DISABLE_ENDPOINTS",
    "AMBASSADOR_DRAIN_TIME",
    "AMBASSADOR_ENVOY_BIND_ADDRESS",
    "AMBASSADOR_FIELD_SELECTOR",
    "AMBASSADOR_HEALTHCHECK_BIND_ADDRESS",
    "AMBASSADOR_HEALTHCHECK_BIND_PORT",
    "AMBASSADOR_ID",
    "AMBASSADOR_JSON_LOGGING",
    "AMBASSADOR_LABEL_SELECTOR",
    "AMBASSADOR_NAMESPACE",
    "AMBASSADOR_SINGLE_NAMESPACE",
    "DISABLE_STRICT_LABEL_SELECTORS",
    "ENVOY_CONCURRENCY",
];

/// What the Deployments of Emissary have in their environment.
fn environment(set: &Set) -> Vec<Advice> {
    let deployments = set.of_kind("Deployment").iter().chain(set.of_kind("DaemonSet"));
    deployments
        .filter_map(|object| {
            let View::Written(written) = &object.view else { return None };
            let containers = written.pointer("/spec/template/spec/containers")?.as_array()?;
            let of_emissary = containers.iter().find(|container| {
                let image = container["image"].as_str().unwrap_or_default();
                let name = image.rsplit('/').next().unwrap_or_default();
                name.starts_with("emissary") || name.starts_with("ambassador") || name.starts_with("aes")
            })?;
            let names = of_emissary["env"].as_array()?.iter().filter_map(|variable| variable["name"].as_str());
            let (read, other): (Vec<&str>, Vec<&str>) = names.partition(|name| VARIABLES.contains(name));
            let told = match (read.join(", "), other.join(", ")) {
                (read, other) if read.is_empty() && other.is_empty() => return None,
                (read, other) if read.is_empty() => format!("Plenipo reads nothing of its {other}"),
                (read, other) if other.is_empty() => format!("Plenipo reads its {read}, too"),
                (read, other) => format!("Plenipo reads {read}, too; it does not read {other}"),
            };
            Some(Advice {
                about: "environment",
                objects: vec![object.id.clone()],
                message: told,
                todo: "give Plenipo what it reads with the same values (to this command, too, or it looks at the objects of \
                       another gateway); the others have no meaning"
                    .to_owned(),
            })
        })
        .collect()
}

fn external_dns(set: &Set) -> Vec<Advice> {
    let annotated = |keys: &[&str]| -> Vec<ObjectId> {
        let hosts = set.of_kind("Host").iter();
        let found = hosts.filter(|host| keys.iter().any(|key| host.meta.annotations.contains_key(*key)));
        found.map(|host| host.id.clone()).collect()
    };
    let mut advice = Vec::new();
    let plain = annotated(&[AMBASSADOR_SERVICE]);
    if !plain.is_empty() {
        advice.push(Advice {
            about: "external-dns",
            objects: plain,
            message: format!(
                "external-dns takes the addresses from the Service that '{AMBASSADOR_SERVICE}' names"
            ),
            todo: "keep that Service, or name the new one in every Host before the old one goes".to_owned(),
        });
    }
    let prefixed = annotated(&EXTERNAL_DNS);
    if !prefixed.is_empty() {
        advice.push(Advice {
            about: "external-dns",
            objects: prefixed,
            message: "the annotation has external-dns' prefix, under which it is not looked for".to_owned(),
            todo: format!("write it as '{AMBASSADOR_SERVICE}', without the prefix"),
        });
    }
    advice
}

fn cert_manager(set: &Set) -> Vec<Advice> {
    let challenges: Vec<ObjectId> = set
        .of_kind("Mapping")
        .iter()
        .filter(|object| match &object.view {
            View::Mapping(mapping) => mapping
                .prefix
                .as_deref()
                .is_some_and(|prefix| prefix.starts_with("/.well-known/acme-challenge")),
            _ => false,
        })
        .map(|object| object.id.clone())
        .collect();
    if challenges.is_empty() {
        return Vec::new();
    }
    vec![Advice {
        about: "cert-manager",
        objects: challenges,
        message: "a Mapping made by hand lets HTTP-01 challenges through".to_owned(),
        todo: "keep it while Emissary runs; Plenipo needs none: the solver's Ingress is served on a redirecting Host, too"
            .to_owned(),
    }]
}

fn rollouts(set: &Set) -> Option<Advice> {
    let objects: Vec<ObjectId> = set.of_kind("Rollout").iter().map(|object| object.id.clone()).collect();
    (!objects.is_empty()).then(|| Advice {
        about: "argo-rollouts",
        objects,
        message: "Argo Rollouts writes Mappings of getambassador.io/v2".to_owned(),
        todo: "apply Plenipo's CRDs, which serve every version without a webhook; nothing else changes"
            .to_owned(),
    })
}

/// Versions that Emissary's CRDs convert by a webhook.
fn older_versions(set: &Set) -> Option<Advice> {
    let old = |version: &str| version == "getambassador.io/v1" || version == "getambassador.io/v2";
    let objects = set.objects().iter().filter(|object| old(&object.meta.api_version));
    let objects: Vec<ObjectId> = objects.map(|object| object.id.clone()).collect();
    (!objects.is_empty()).then(|| Advice {
        about: "conversion",
        objects,
        message: "Emissary's CRDs ask the webhook 'emissary-apiext' to convert these versions; without it they can \
                  neither be read nor written"
            .to_owned(),
        todo: "leave both while Emissary runs, and change the definitions when it is gone (docs/crds.md):\n\
               plenipo crds | kubectl replace -f -\n\
               then the deployment 'emissary-apiext' can go; the objects stay as they are stored"
            .to_owned(),
    })
}

/// What the objects do not show.
fn always() -> Vec<Advice> {
    let advice = |about, message: &str, todo: &str| Advice {
        about,
        objects: Vec::new(),
        message: message.to_owned(),
        todo: todo.to_owned(),
    };
    vec![
        advice(
            "side-by-side",
            "objects are for the gateway whose AMBASSADOR_ID they name",
            "run Plenipo with Emissary's own AMBASSADOR_ID behind a Service of its own and compare; both only read",
        ),
        advice(
            "metrics",
            "dashboards and alerts ask for envoy_* and ambassador_* metrics",
            "look their names up in docs/metrics.md; the page is the same, :8877/metrics",
        ),
        advice(
            "diagnostics",
            "scripts may ask /ambassador/v0/diag/ for errors",
            "use the conditions of the objects, or :8877/dump/report",
        ),
        advice(
            "probes",
            "/ambassador/v0/check_alive and check_ready answer on port 8877 as before",
            "nothing",
        ),
    ]
}

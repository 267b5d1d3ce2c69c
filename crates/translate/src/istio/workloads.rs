//! Who is behind an address: labels, service account and place of pods.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use plenipo_resources::core::SliceEndpoint;
use plenipo_resources::{Object, Set, View};

use super::options::Locality;

/// Labels of pods and of their templates.
type Labels = BTreeMap<String, String>;

/// The label that injection puts on pods whose sidecar speaks mutual TLS.
const TLS_MODE: &str = "security.istio.io/tlsMode";
/// Of a pod (or its template) that asks for a sidecar, or asks for none.
const INJECT: &str = "sidecar.istio.io/inject";
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";
/// The locality of a pod, whatever its node says.
const LOCALITY: &str = "istio-locality";

/// Pods, and where there are none the templates of Deployments.
#[derive(Debug)]
pub(super) struct Workloads<'a> {
    set: &'a Set,
    by_address: HashMap<IpAddr, &'a Object>,
    templates: Vec<Template>,
}

/// What the pods of a Deployment are like.
#[derive(Debug)]
struct Template {
    namespace: String,
    name: String,
    labels: Labels,
    inject: Option<String>,
    account: String,
}

/// What is known of a workload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Workload {
    /// Those that are known.
    pub(super) labels: Labels,
    /// Are these all, so that one that is not there is not there?
    pub(super) is_known: bool,
    /// Does it speak mutual TLS? None = nobody can tell.
    pub(super) sidecar: Option<bool>,
    pub(super) account: Option<Account>,
    pub(super) locality: Locality,
}

/// A service account.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Account {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Account {
    /// Its SPIFFE ID in a trust domain.
    pub(super) fn id(&self, trust_domain: &str) -> String {
        format!("spiffe://{trust_domain}/ns/{}/sa/{}", self.namespace, self.name)
    }
}

impl Workload {
    /// Does it have all these labels?
    pub(super) fn has(&self, labels: &Labels) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

impl<'a> Workloads<'a> {
    pub(super) fn new(set: &'a Set) -> Self {
        let mut by_address = HashMap::new();
        for object in set.of_kind("Pod") {
            let View::Pod(pod) = &object.view else { continue };
            for address in pod.addresses.iter().filter_map(|text| text.parse().ok()) {
                by_address.insert(address, &**object);
            }
        }
        let templates = set.of_kind("Deployment").iter().filter_map(|object| template(object)).collect();
        Self { set, by_address, templates }
    }

    /// What is behind an address of a Service of Kubernetes whose selector takes `selected`.
    pub(super) fn behind(
        &self,
        namespace: &str,
        selected: &Labels,
        address: IpAddr,
        endpoint: Option<&SliceEndpoint>,
    ) -> Workload {
        let target = endpoint.and_then(|endpoint| endpoint.target_ref.as_ref());
        let target = target.filter(|target| target.kind.as_deref().is_none_or(|kind| kind == "Pod"));
        let pod_name = target.and_then(|target| target.name.as_deref());
        let place = target.and_then(|target| target.namespace.as_deref()).unwrap_or(namespace);
        let pod = pod_name.and_then(|name| self.set.get("Pod", place, name)).map(|object| &**object);
        let pod = pod.or_else(|| self.by_address.get(&address).copied());
        let mut workload = match pod {
            Some(pod) => self.of_pod(pod),
            None => self.of_template(namespace, selected, pod_name),
        };
        if workload.locality.is_empty() {
            workload.locality = self.locality(endpoint);
        }
        workload
    }

    /// The pods of a namespace with these labels, with their addresses.
    pub(super) fn selected(&self, namespace: &str, labels: &Labels) -> Vec<(IpAddr, Workload)> {
        let near = self.set.of_kind("Pod").iter().filter(|object| *object.id.namespace == *namespace);
        let mut found = Vec::new();
        for object in near {
            let View::Pod(pod) = &object.view else { continue };
            if labels.iter().any(|(key, value)| object.meta.labels.get(key) != Some(value)) {
                continue;
            }
            let address = pod.addresses.iter().find_map(|text| text.parse().ok());
            found.extend(address.map(|address| (address, self.of_pod(object))));
        }
        found
    }

    fn of_pod(&self, object: &Object) -> Workload {
        let View::Pod(pod) = &object.view else { return Workload::default() };
        let account = pod.service_account_name.clone().filter(|name| !name.is_empty());
        let labels = object.meta.labels.clone();
        let node = pod.node_name.as_deref().and_then(|name| self.set.get("Node", "", name));
        let locality = labels.get(LOCALITY).map(|text| Locality::parse(text));
        Workload {
            is_known: true,
            sidecar: Some(labels.get(TLS_MODE).is_some_and(|mode| mode == "istio")),
            account: Some(Account {
                namespace: object.id.namespace.to_string(),
                name: account.unwrap_or_else(|| "default".to_owned()),
            }),
            locality: locality.or_else(|| node.map(|node| of_node(node))).unwrap_or_default(),
            labels,
        }
    }

    /// Pods that nobody has seen are as the Deployment says that the Service selects, or as the Service says.
    fn of_template(&self, namespace: &str, selected: &Labels, pod: Option<&str>) -> Workload {
        let unknown = Workload { labels: selected.clone(), ..Workload::default() };
        if selected.is_empty() {
            return unknown;
        }
        let fits = |template: &&Template| {
            template.namespace == namespace
                && selected.iter().all(|(key, value)| template.labels.get(key) == Some(value))
        };
        let fitting: Vec<&Template> = self.templates.iter().filter(fits).collect();
        // Pods are named after the ReplicaSets that are named after Deployments.
        let named = |template: &&&Template| {
            let rest = pod.and_then(|pod| pod.strip_prefix(template.name.as_str())?.strip_prefix('-'));
            rest.is_some_and(|rest| rest.split('-').count() == 2)
        };
        let template = match fitting.as_slice() {
            [] => return unknown,
            [only] => only,
            several => match several.iter().find(named) {
                Some(named) => named,
                None => return Workload { account: same_account(several), ..unknown },
            },
        };
        Workload {
            labels: template.labels.clone(),
            is_known: true,
            sidecar: self.injected(template),
            account: Some(template.account()),
            locality: template.labels.get(LOCALITY).map(|text| Locality::parse(text)).unwrap_or_default(),
        }
    }

    /// Injection labels pods, not templates: it is known where the template has the label itself, or asks for a sidecar
    /// or for none, or its namespace does.
    fn injected(&self, template: &Template) -> Option<bool> {
        if let Some(mode) = template.labels.get(TLS_MODE) {
            return Some(mode == "istio");
        }
        let own = template.inject.as_deref().or_else(|| template.labels.get(INJECT).map(String::as_str));
        if let Some(own) = own {
            return Some(own == "true");
        }
        let namespace = self.set.get("Namespace", "", &template.namespace)?;
        let labels = &namespace.meta.labels;
        match labels.get("istio-injection").map(String::as_str) {
            Some("enabled") => Some(true),
            Some("disabled") => Some(false),
            _ => labels.contains_key("istio.io/rev").then_some(true),
        }
    }

    fn locality(&self, endpoint: Option<&SliceEndpoint>) -> Locality {
        let Some(endpoint) = endpoint else { return Locality::default() };
        let node = endpoint.node_name.as_deref().and_then(|name| self.set.get("Node", "", name));
        let by_node = node.map(|node| of_node(node)).filter(|locality| !locality.is_empty());
        by_node.or_else(|| endpoint.zone.as_deref().map(of_zone)).unwrap_or_default()
    }
}

impl Template {
    fn account(&self) -> Account {
        Account { namespace: self.namespace.clone(), name: self.account.clone() }
    }
}

fn same_account(templates: &[&Template]) -> Option<Account> {
    let account = templates.first()?.account();
    templates.iter().all(|template| template.account == account.name).then_some(account)
}

fn template(object: &Object) -> Option<Template> {
    let View::Written(written) = &object.view else { return None };
    let template = written.pointer("/spec/template")?;
    let labels = template.pointer("/metadata/labels")?.as_object()?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let annotation = template.pointer("/metadata/annotations").and_then(|all| text(all.get(INJECT)?));
    let account = template.pointer("/spec/serviceAccountName").and_then(text).filter(|name| !name.is_empty());
    Some(Template {
        namespace: object.id.namespace.to_string(),
        name: object.id.name.to_string(),
        labels: labels.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect(),
        inject: annotation,
        account: account.unwrap_or_else(|| "default".to_owned()),
    })
}

fn of_node(node: &Object) -> Locality {
    let label = |key: &str| node.meta.labels.get(key).cloned().unwrap_or_default();
    Locality { region: label(REGION), zone: label(ZONE), subzone: label(SUBZONE) }
}

/// The region of a zone is not said by EndpointSlices, but clouds name zones after it: `eu-central-1a`, `europe-west1-b`,
/// `westeurope-1`.
pub(super) fn of_zone(zone: &str) -> Locality {
    let region = match zone.rsplit_once('-') {
        // A letter, or a number after a region that has none at its end.
        Some((region, last)) if last.len() == 1 && last.starts_with(|c: char| c.is_ascii_lowercase()) => {
            region
        }
        Some((region, last)) if last.chars().all(|c| c.is_ascii_digit()) && !region.contains('-') => region,
        _ => zone.trim_end_matches(|c: char| c.is_ascii_lowercase()),
    };
    let region = if region.is_empty() { zone } else { region };
    Locality { region: region.to_owned(), zone: zone.to_owned(), subzone: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_zones() {
        let region = |zone: &str| of_zone(zone).region;
        assert_eq!(region("eu-central-1a"), "eu-central-1");
        assert_eq!(region("europe-west1-b"), "europe-west1");
        assert_eq!(region("westeurope-1"), "westeurope");
        assert_eq!(region("eu-central-1"), "eu-central-1");
        assert_eq!(region("rack"), "rack");
    }
}

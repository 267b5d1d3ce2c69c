//! What one test has in a cluster: a namespace, an ambassador id of the same name, and objects.

use std::borrow::Cow;
use std::time::Instant;

use anyhow::{Context, Result};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use plenipo_testkit::{Cluster, Upstream};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::gateway::output;

/// A namespace with a Listener for clear text at 8080 and a Host for every name; of the gateways with its id only.
pub(crate) struct Site<'c> {
    /// The cluster.
    pub(crate) cluster: &'c Cluster,
    /// The namespace, and the ambassador id of what is in it.
    pub(crate) namespace: String,
    client: kube::Client,
}

impl Site<'static> {
    /// In the cluster that tests share.
    pub(crate) async fn shared() -> Result<Self> {
        static DEFINITIONS: OnceCell<()> = OnceCell::const_new();
        let cluster = Cluster::shared().await;
        DEFINITIONS.get_or_init(|| define(cluster)).await;
        Self::in_cluster(cluster).await
    }
}

impl<'c> Site<'c> {
    /// In a cluster of its own.
    pub(crate) async fn alone(cluster: &'c Cluster) -> Result<Self> {
        define(cluster).await;
        Self::in_cluster(cluster).await
    }

    async fn in_cluster(cluster: &'c Cluster) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        let site = Self { cluster, namespace: cluster.namespace().await, client };
        site.put(listener("http", 8080)).await?;
        site.put(json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": "wildcard"},
            "spec": {"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}},
        }))
        .await?;
        site.put(json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": "KubernetesEndpointResolver",
            "metadata": {"name": "endpoint"}, "spec": {},
        }))
        .await?;
        Ok(site)
    }

    /// Writes an object, of this namespace and for this id unless it says otherwise, and gives the moment before.
    pub(crate) async fn put(&self, object: Value) -> Result<Instant> {
        let object = self.completed(object);
        let begun = Instant::now();
        let name = object["metadata"]["name"].as_str().context("an object has a name")?;
        let (apply, patch) = (PatchParams::apply("test").force(), Patch::Apply(&object));
        self.api(&object)
            .patch(name, &apply, &patch)
            .await
            .with_context(|| format!("{} {name}", object["kind"]))?;
        Ok(begun)
    }

    /// Deletes an object, and gives the moment before.
    pub(crate) async fn remove(&self, object: Value) -> Result<Instant> {
        let object = self.completed(object);
        let begun = Instant::now();
        let name = object["metadata"]["name"].as_str().context("an object has a name")?;
        self.api(&object).delete(name, &DeleteParams::default()).await?;
        Ok(begun)
    }

    fn completed(&self, mut object: Value) -> Value {
        let ours =
            object["apiVersion"].as_str().is_some_and(|version| version.starts_with("getambassador.io/"));
        let metadata = object["metadata"].as_object_mut().expect("an object has metadata");
        metadata.entry("namespace").or_insert(self.namespace.clone().into());
        if ours && let Some(spec) = object["spec"].as_object_mut() {
            spec.entry("ambassador_id").or_insert(json!([self.namespace]));
        }
        object
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let text = |field: &str| object[field].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
        match resource.kind.as_str() {
            "Namespace" | "IngressClass" => Api::all_with(self.client.clone(), &resource),
            _ => {
                let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&self.namespace);
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
        }
    }

    /// A Service with this upstream as its only Pod.
    pub(crate) async fn serve(&self, service: &str, upstream: &Upstream) -> Result<Instant> {
        self.put(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        }))
        .await?;
        self.put(slice(service, service, upstream, true)).await
    }
}

/// An upstream that an EndpointSlice may name.
pub(crate) async fn pod(name: &str) -> Upstream {
    Upstream::http(name).bind((Cluster::pod_address(), 0).into()).start().await
}

/// An EndpointSlice of a Service, with one endpoint.
pub(crate) fn slice(name: &str, service: &str, upstream: &Upstream, ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": upstream.address().port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [upstream.address().ip()], "conditions": {"ready": ready, "serving": ready}}],
    })
}

/// A Listener for everybody's hosts, in clear text and with TLS.
pub(crate) fn listener(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Listener", "metadata": {"name": name},
        "spec": {
            "port": port, "protocol": "HTTPS", "securityModel": "XFP",
            "hostBinding": {"namespace": {"from": "SELF"}},
        },
    })
}

/// A Mapping for every host, straight to the Pods.
pub(crate) fn mapping(name: &str, prefix: &str, service: &str) -> Value {
    json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": name},
        "spec": {"hostname": "*", "prefix": prefix, "service": service, "resolver": "endpoint"},
    })
}

async fn define(cluster: &Cluster) {
    let printed = output(&["crds"]);
    let definitions: Cow<'_, str> = String::from_utf8_lossy(&printed.stdout);
    assert!(printed.status.success(), "plenipo crds: {}", String::from_utf8_lossy(&printed.stderr));
    cluster.apply(&definitions).await;
    cluster
        .wait(&[
            "--for=jsonpath={.status.conditions[?(@.type==\"Established\")].status}=True",
            "crd",
            "--all",
        ])
        .await;
}

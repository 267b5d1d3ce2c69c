//! What is in the cluster, and writing it.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use http::Request;
use plenipo_testkit::client::Target;
use plenipo_testkit::{Cluster, Http, HttpConnection, tls};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::peer::Peer;

/// Mappings, ten a Host.
pub(super) const MAPPINGS: usize = 10_000;
/// Each Host has a Service of its own with an EndpointSlice.
pub(super) const HOSTS: usize = 1_000;
/// In each EndpointSlice.
const ENDPOINTS: usize = 20;

const CUSTOM: &str = "/apis/getambassador.io/v3alpha1/namespaces/default";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
/// Objects written at once.
const WRITERS: usize = 16;

/// A connection to the API server, as somebody who may do everything.
pub(super) struct Api {
    connection: HttpConnection,
    token: String,
}

impl Api {
    pub(super) async fn connect(cluster: &Cluster) -> Result<Self> {
        let kubeconfig: Value = serde_json::from_str(&fs::read_to_string(cluster.kubeconfig())?)?;
        let file = kubeconfig["users"][0]["user"]["tokenFile"].as_str().context("no token")?;
        let address = cluster.url().trim_start_matches("https://").parse()?;
        let server = Target::tls(address, "localhost", tls::trusting_client(&[]));
        Ok(Self { connection: Http::one(server).connect().await?, token: fs::read_to_string(file)? })
    }

    /// Moves the Service of the last Mapping to this pod.
    pub(super) async fn move_last(&mut self, pod: SocketAddr) -> Result<()> {
        let path = format!("{SLICES}/{}", service(HOSTS - 1));
        self.write("PUT", &path, &slice(HOSTS - 1, pod)).await
    }

    async fn write(&mut self, method: &str, path: &str, object: &Value) -> Result<()> {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let answer = self.connection.send(request.body(object.to_string())?).await?;
        ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
        Ok(())
    }
}

/// Writes everything; the last Mapping leads to this pod.
pub(super) async fn populate(cluster: &Cluster, pod: SocketAddr) -> Result<()> {
    let crds = Command::new(Peer::Plenipo.program()).arg("crds").output()?;
    cluster.apply(&String::from_utf8(crds.stdout)?).await;
    cluster.wait(&["--for=condition=Established", "crd", "--all"]).await;
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for first in 0..WRITERS {
        let mut api = Api::connect(cluster).await?;
        writers.spawn(async move {
            for number in (first..MAPPINGS).step_by(WRITERS) {
                for (path, object) in objects(number, pod) {
                    api.write("POST", &path, &object).await?;
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    println!("  objects written within {:.0?}", began.elapsed());
    Ok(())
}

/// What comes with the Mapping of this number.
fn objects(number: usize, pod: SocketAddr) -> Vec<(String, Value)> {
    let custom = |kind: &str, name: &str, spec: Value| {
        let object = json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        (format!("{CUSTOM}/{}s", kind.to_lowercase()), object)
    };
    let mapping = json!({
        "hostname": hostname(number / 10), "prefix": prefix(number),
        "service": service(number / 10), "resolver": "endpoint",
    });
    let mut objects = vec![custom("Mapping", &format!("mapping-{number:05}"), mapping)];
    if number == 0 {
        let quiet = json!({"config": {"envoy_log_path": "/dev/null", "diagnostics": {"enabled": false}}});
        let listener = json!({
            "port": 8080, "protocol": "HTTP", "securityModel": "INSECURE",
            "hostBinding": {"namespace": {"from": "ALL"}},
        });
        objects.push(custom("Module", "ambassador", quiet));
        objects.push(custom("Listener", "clients", listener));
        objects.push(custom("KubernetesEndpointResolver", "endpoint", json!({})));
    }
    if number < HOSTS {
        let host = json!({"hostname": hostname(number), "requestPolicy": {"insecure": {"action": "Route"}}});
        let cluster_service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": service(number)},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        });
        objects.push(custom("Host", &format!("host-{number:04}"), host));
        objects.push(("/api/v1/namespaces/default/services".into(), cluster_service));
        objects.push((SLICES.into(), slice(number, pod)));
    }
    objects
}

/// Of the last Service the first endpoint is a pod that answers, and the only one ready; all others are nowhere.
fn slice(number: usize, pod: SocketAddr) -> Value {
    let last = number == HOSTS - 1;
    let endpoints = (0..ENDPOINTS).map(|index| {
        let of_all = number * ENDPOINTS + index;
        let nowhere = format!("198.19.{}.{}", of_all / 200, of_all % 200 + 1);
        let address = if last && index == 0 { pod.ip().to_string() } else { nowhere };
        let ready = !last || index == 0;
        json!({"addresses": [address], "conditions": {"ready": ready, "serving": ready, "terminating": false}})
    });
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": service(number), "labels": {"kubernetes.io/service-name": service(number)}},
        "ports": [{"name": "http", "port": if last { pod.port() } else { 8080 }, "protocol": "TCP"}],
        "endpoints": endpoints.collect::<Vec<_>>(),
    })
}

pub(super) fn hostname(number: usize) -> String {
    format!("host-{number:04}.bench.test")
}

fn service(number: usize) -> String {
    format!("service-{number:04}")
}

pub(super) fn prefix(number: usize) -> String {
    format!("/svc-{number}/")
}

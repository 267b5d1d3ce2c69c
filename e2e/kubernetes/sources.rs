//! What of a cluster is read: kinds that are not there yet, that we may not read, that we are not to read; and a network that
//! says nothing any more.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use plenipo_testkit::{Cluster, eventually};
use serde_json::{Value, json};

use super::site::{mapping, pod, slice};
use super::{Replica, Site};

/// A kind as `/source` has it.
async fn kind(replica: &Replica, kind: &str) -> Value {
    let answer = replica.ask("/source").await.map(|answer| answer.text()).unwrap_or_default();
    serde_json::from_str::<Value>(&answer).unwrap_or_default()["kinds"][kind].clone()
}

async fn stands(replica: &Replica, name: &str, standing: &str) {
    eventually(&format!("{name} {standing}"), || async {
        let found = kind(replica, name).await;
        if found["standing"] == standing { Ok(()) } else { Err(found) }
    })
    .await;
}

/// The right of the account `gateway` of a namespace to read some resources, there or everywhere.
fn role(account: &str, everywhere: bool, resources: &[&str]) -> String {
    let namespace = (!everywhere).then_some(account);
    let (role, binding) = match namespace {
        Some(_) => ("Role", "RoleBinding"),
        None => ("ClusterRole", "ClusterRoleBinding"),
    };
    let metadata = |namespace: Option<&str>| match namespace {
        Some(namespace) => json!({"name": "gateway", "namespace": namespace}),
        None => json!({"name": "gateway"}),
    };
    let rules = json!([{"apiGroups": ["*"], "resources": resources, "verbs": ["get", "list", "watch"]}]);
    let api = "rbac.authorization.k8s.io";
    let [role, binding] = [
        json!({"apiVersion": format!("{api}/v1"), "kind": role, "metadata": metadata(namespace), "rules": rules}),
        json!({"apiVersion": format!("{api}/v1"), "kind": binding, "metadata": metadata(namespace),
               "roleRef": {"apiGroup": api, "kind": role, "name": "gateway"},
               "subjects": [{"kind": "ServiceAccount", "name": "gateway", "namespace": account}]}),
    ];
    format!("{role}\n---\n{binding}\n")
}

/// As somebody who may only what the role says.
async fn as_gateway(site: &Site<'_>, role: &str) -> PathBuf {
    let metadata = json!({"name": "gateway", "namespace": site.namespace});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    site.cluster.apply(&format!("{account}\n---\n{role}")).await;
    site.cluster.kubeconfig_of(&site.namespace, "gateway").await
}

#[tokio::test]
async fn kinds_that_come_later_are_read_without_a_restart() -> Result<()> {
    let cluster = Cluster::start().await;
    let replica = Replica::launch("default", cluster.kubeconfig(), &[8080], &[])?;
    stands(&replica, "Service", "synced").await;
    assert_eq!(replica.ask("/ready").await?.status, 503);
    // The CRDs, and at once what is to be served.
    let site = Site::alone(&cluster).await?;
    let upstream = pod("quote").await;
    site.serve("quote", &upstream).await?;
    let mut mapping = mapping("quote", "/quote/", "quote");
    mapping["spec"]["ambassador_id"] = json!(["default"]);
    let mut listener = super::site::listener("late", 8080);
    listener["spec"]["ambassador_id"] = json!(["default"]);
    listener["spec"]["hostBinding"]["namespace"]["from"] = "ALL".into();
    site.put(listener).await?;
    let begun = site.put(mapping).await?;
    let took = replica.answers(begun, "a", "/quote/", "200 quote").await;
    println!("{:>6.0} ms  from objects of new kinds to the first answer", took.as_secs_f64() * 1000.0);
    assert_eq!(replica.ask("/ready").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn what_is_forbidden_is_said_and_read_once_it_is_allowed() -> Result<()> {
    let cluster = Cluster::start().await;
    let site = Site::alone(&cluster).await?;
    let most = ["services", "endpointslices", "listeners", "hosts", "mappings", "namespaces", "configmaps"];
    let kubeconfig = as_gateway(&site, &role(&site.namespace, true, &most)).await;
    let upstream = pod("quote").await;
    site.serve("quote", &upstream).await?;
    let begun = site.put(mapping("quote", "/quote/", "quote")).await?;
    let replica = Replica::start_with(&site, &kubeconfig, &[8080], &[]).await?;
    replica.answers(begun, "a", "/quote/", "200 quote").await;
    stands(&replica, "TCPMapping", "lost").await;
    let said = replica.ask("/ready?verbose").await?.text();
    assert!(said.contains("source: TCPMapping not synced") && said.contains("forbidden"), "{said}");
    let metrics = replica.ask("/metrics").await?.text();
    for line in [r#"kind="TCPMapping"} 0"#, r#"kind="Mapping"} 1"#] {
        let line = format!(r#"plenipo_source_synced{{source="cluster",{line}"#);
        assert!(metrics.contains(&line), "no {line}");
    }
    // Losing a right costs nothing that is served, and nothing of what is read besides.
    cluster.apply(&role(&site.namespace, true, &["services", "endpointslices", "mappings", "secrets"])).await;
    site.put(mapping("more", "/more/", "quote")).await?;
    replica.answers(Instant::now(), "a", "/more/", "200 quote").await;
    assert_eq!(replica.ask("/ready").await?.status, 200);
    // A right that is given is used without a restart.
    cluster.apply(&role(&site.namespace, true, &["*"])).await;
    stands(&replica, "TCPMapping", "synced").await;
    Ok(())
}

#[tokio::test]
async fn a_role_in_one_namespace_is_enough() -> Result<()> {
    let site = Site::shared().await?;
    let kubeconfig = as_gateway(&site, &role(&site.namespace, false, &["*"])).await;
    let upstream = pod("quote").await;
    site.serve("quote", &upstream).await?;
    let begun = site.put(mapping("quote", "/quote/", "quote")).await?;
    let arguments = ["--watch-namespace", site.namespace.as_str()];
    let replica = Replica::start_with(&site, &kubeconfig, &[8080], &arguments).await?;
    replica.answers(begun, "a", "/quote/", "200 quote").await;
    stands(&replica, "IngressClass", "left-out").await;
    stands(&replica, "Mapping", "synced").await;
    let metrics = replica.ask("/metrics").await?.text();
    assert!(!metrics.contains(r#"kind="IngressClass""#), "nobody shall be woken for it");
    Ok(())
}

/// Nobody ends the connections; they just carry nothing any more.
#[tokio::test]
async fn a_silent_network_is_noticed_within_a_minute() -> Result<()> {
    let site = Site::shared().await?;
    let network = site.cluster.network();
    let replica = Replica::start_with(&site, &network.kubeconfig(), &[8080], &[]).await?;
    let (one, two) = (pod("one").await, pod("two").await);
    site.serve("quote", &one).await?;
    let begun = site.put(mapping("quote", "/quote/", "quote")).await?;
    replica.answers(begun, "a", "/quote/", "200 one").await;
    network.silence();
    let begun = site.put(slice("quote", "quote", &two, true)).await?;
    // Longer than waiters wait: what is measured is the waiting.
    while kind(&replica, "EndpointSlice").await["standing"] == "synced" {
        assert!(begun.elapsed() < Duration::from_secs(70), "still thought to be synced");
        assert_eq!(replica.answer("a", "/quote/").await, "200 one");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("{:>6.0} ms  until the silence was noticed", begun.elapsed().as_secs_f64() * 1000.0);
    assert_eq!(replica.ask("/ready").await?.status, 200);
    network.restore();
    let took = replica.answers(Instant::now(), "a", "/quote/", "200 two").await;
    println!("{:>6.0} ms  from the network's return to the new endpoint", took.as_secs_f64() * 1000.0);
    Ok(())
}

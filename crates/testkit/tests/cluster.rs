//! The control plane that other tests stand on.

use anyhow::Result;
use plenipo_testkit::{Cluster, eventually};
use serde_json::Value;

fn config_map(namespace: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings, namespace: {namespace}}}\ndata: {{color: {value}}}\n"
    )
}

async fn color(cluster: &Cluster, kubeconfig: &str, namespace: &str) -> Result<String> {
    let get = ["get", "configmap", "settings", "--namespace", namespace, "--output=jsonpath={.data.color}"];
    cluster.try_kubectl(&[&["--kubeconfig", kubeconfig, "--request-timeout=2s"], &get[..]].concat(), "").await
}

#[tokio::test]
async fn objects_are_kept_and_refused() -> Result<()> {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace().await;
    let admin = cluster.kubeconfig().display().to_string();
    cluster.apply(&config_map(&namespace, "blue")).await;
    assert_eq!(color(cluster, &admin, &namespace).await?, "blue");
    cluster
        .wait(&["configmap/settings", "--namespace", &namespace, "--for=jsonpath={.data.color}=blue"])
        .await;
    let refused = cluster.try_kubectl(&["apply", "--filename=-"], "apiVersion: v1\nkind: Nonsense\n").await;
    assert!(refused.is_err_and(|error| error.to_string().contains("Nonsense")));
    cluster.delete(&config_map(&namespace, "blue")).await;
    assert!(color(cluster, &admin, &namespace).await.is_err());
    let version: Value = serde_json::from_str(&cluster.kubectl(&["version", "--output=json"], "").await)?;
    assert_eq!(version["serverVersion"]["gitVersion"], version["clientVersion"]["gitVersion"]);
    assert!(cluster.helm(&["list", "--all-namespaces"]).await.starts_with("NAME"));
    Ok(())
}

#[tokio::test]
async fn a_service_account_may_do_what_its_role_says() -> Result<()> {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace().await;
    cluster.apply(&config_map(&namespace, "blue")).await;
    let in_namespace = ["--namespace", &namespace];
    for make in [
        &["create", "serviceaccount", "reader"][..],
        &["create", "role", "reader", "--verb=get", "--resource=configmaps"],
        &[
            "create",
            "rolebinding",
            "reader",
            "--role=reader",
            &format!("--serviceaccount={namespace}:reader"),
        ],
    ] {
        cluster.kubectl(&[make, &in_namespace].concat(), "").await;
    }
    let reader = cluster.kubeconfig_of(&namespace, "reader").await.display().to_string();
    // The authorizer learns of new rules by a watch.
    eventually("the right", || color(cluster, &reader, &namespace)).await;
    let list = ["--kubeconfig", &reader, "get", "configmaps", "--namespace", &namespace];
    let refused = cluster.try_kubectl(&list, "").await.expect_err("it may not list");
    assert!(refused.to_string().contains("Forbidden"), "{refused:#}");
    Ok(())
}

#[tokio::test]
async fn a_lost_network_is_one_tests_own() -> Result<()> {
    let cluster = Cluster::shared().await;
    let namespace = cluster.namespace().await;
    cluster.apply(&config_map(&namespace, "blue")).await;
    let network = cluster.network();
    let behind = network.kubeconfig().display().to_string();
    let admin = cluster.kubeconfig().display().to_string();
    assert_eq!(color(cluster, &behind, &namespace).await?, "blue");
    network.cut();
    assert!(color(cluster, &behind, &namespace).await.is_err());
    network.silence();
    assert!(color(cluster, &behind, &namespace).await.is_err());
    assert_eq!(color(cluster, &admin, &namespace).await?, "blue");
    network.restore();
    assert_eq!(color(cluster, &behind, &namespace).await?, "blue");
    eventually("no connection", || async { network.connections() == 0 }).await;
    Ok(())
}

#[tokio::test]
async fn what_was_written_outlives_the_apiserver_but_not_its_history() -> Result<()> {
    let cluster = Cluster::start().await;
    let namespace = cluster.namespace().await;
    let admin = cluster.kubeconfig().display().to_string();
    cluster.apply(&config_map(&namespace, "blue")).await;
    let list = format!("/api/v1/namespaces/{namespace}/configmaps");
    let before: Value = serde_json::from_str(&cluster.kubectl(&["get", "--raw", &list], "").await)?;
    let version = before["metadata"]["resourceVersion"].as_str().expect("a list has a version");
    cluster.apply(&config_map(&namespace, "green")).await;
    cluster.kill_apiserver();
    assert!(color(&cluster, &admin, &namespace).await.is_err());
    assert!(cluster.compact().await > version.parse()?);
    cluster.restart_apiserver().await;
    assert_eq!(color(&cluster, &admin, &namespace).await?, "green");
    let watch = format!("{list}?watch=true&timeoutSeconds=1&resourceVersion={version}");
    let gone = cluster.kubectl(&["get", "--raw", &watch], "").await;
    assert!(gone.contains("410") || gone.contains("Expired"), "{gone}");
    Ok(())
}

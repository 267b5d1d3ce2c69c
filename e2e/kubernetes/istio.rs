//! Istio's kinds, defined by whoever runs the cluster, perhaps while we run already.

use std::time::Instant;

use anyhow::Result;
use plenipo_testkit::Cluster;
use serde_json::{Value, json};

use super::site::pod;
use super::{Replica, Site};

/// Definitions as Istio's, as far as it matters here: names, versions, any content.
fn definitions() -> String {
    let kinds = [
        ("networking.istio.io", "Gateway", "gateways"),
        ("networking.istio.io", "VirtualService", "virtualservices"),
        ("networking.istio.io", "DestinationRule", "destinationrules"),
        ("networking.istio.io", "ServiceEntry", "serviceentries"),
        ("security.istio.io", "AuthorizationPolicy", "authorizationpolicies"),
    ];
    let definition = |(group, kind, plural): (&str, &str, &str)| {
        let schema = json!({"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        }});
        let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": schema});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
                "versions": [version("v1", true), version("v1beta1", false)],
            },
        })
    };
    json!({"apiVersion": "v1", "kind": "List", "items": kinds.map(definition)}).to_string()
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    let group = if kind == "AuthorizationPolicy" { "security" } else { "networking" };
    let api = format!("{group}.istio.io/v1");
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
    object["spec"] = spec.clone();
    object
}

fn shop(service: &str, prefix: &str) -> Value {
    object(
        "VirtualService",
        "shop",
        &json!({
            "hosts": ["shop.example.com"], "gateways": ["web"],
            "http": [{"match": [{"uri": {"prefix": prefix}}], "route": [{"destination": {"host": service}}]}],
        }),
    )
}

#[tokio::test]
async fn kinds_that_come_later_are_served_too() -> Result<()> {
    let cluster = Cluster::start().await;
    let site = Site::alone(&cluster).await?;
    let place = ["--istio-namespace", &site.namespace];
    let replica = Replica::start_with(&site, cluster.kubeconfig(), &[8080], &place).await?;
    let (one, two) = (pod("one").await, pod("two").await);
    site.serve("old", &one).await?;
    site.serve("new", &two).await?;
    cluster.apply(&definitions()).await;
    cluster
        .wait(&[
            "--for=jsonpath={.status.conditions[?(@.type==\"Established\")].status}=True",
            "crd",
            "--all",
        ])
        .await;

    let gateway = object(
        "Gateway",
        "web",
        &json!({
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.example.com"]}],
        }),
    );
    let begun = site.put(gateway.clone()).await?;
    site.put(shop("old", "/")).await?;
    let arrives = async |begun: Instant, what: &str, path: &str, answer: &str| {
        let took = replica.answers(begun, "shop.example.com", path, answer).await;
        println!("{:>6.0} ms  {what}: {answer}", took.as_secs_f64() * 1000.0);
    };
    arrives(begun, "kinds defined, Gateway and VirtualService created", "/", "200 one").await;
    arrives(site.put(shop("new", "/")).await?, "VirtualService changed", "/", "200 two").await;
    arrives(site.put(shop("new", "/deep")).await?, "VirtualService changed", "/", "404 ").await;
    arrives(site.put(shop("new", "/")).await?, "VirtualService changed", "/", "200 two").await;

    let nobody = object(
        "AuthorizationPolicy",
        "nobody",
        &json!({"selector": {"matchLabels": {"istio": "ingressgateway"}}}),
    );
    arrives(site.put(nobody.clone()).await?, "AuthorizationPolicy created", "/", "403 ").await;
    arrives(site.remove(nobody).await?, "AuthorizationPolicy deleted", "/", "200 two").await;

    let rule = |subset: &str| {
        let spec = json!({"host": "new", "subsets": [{"name": subset, "labels": {"version": "none"}}]});
        object("DestinationRule", "new", &spec)
    };
    let mut to_subset = shop("new", "/");
    to_subset["spec"]["http"][0]["route"][0]["destination"]["subset"] = json!("none");
    site.put(rule("none")).await?;
    arrives(site.put(to_subset).await?, "VirtualService to a subset without Pods", "/", "503 ").await;
    arrives(site.put(shop("new", "/")).await?, "VirtualService changed back", "/", "200 two").await;
    arrives(site.remove(shop("new", "/")).await?, "VirtualService deleted", "/", "404 ").await;
    Ok(())
}

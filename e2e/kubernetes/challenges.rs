//! What cert-manager makes to answer a challenge (HTTP-01) is reached beside Hosts, without a Mapping written for it.

use anyhow::Result;
use serde_json::json;

use super::site::{mapping, pod};
use super::{Replica, Site};

#[tokio::test]
async fn a_solver_is_reached_on_a_host_that_sends_everybody_to_tls() -> Result<()> {
    let site = Site::shared().await?;
    let (app, solver) = (pod("app").await, pod("solver").await);
    site.serve("app", &app).await?;
    site.put(mapping("app", "/", "app")).await?;
    let host = |name: &str, hostname: &str| {
        json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": name},
            "spec": {"hostname": hostname, "requestPolicy": {"insecure": {"action": "Redirect"}}},
        })
    };
    // One that has no certificate yet, and one for names that none is wanted for.
    let mut first_minute = host("first-minute", "first.example.com");
    first_minute["spec"]["tlsSecret"] = json!({"name": "not-yet"});
    site.put(first_minute).await?;
    site.put(host("any", "*.any.example.com")).await?;
    let replica = Replica::start(&site).await?;
    let names = ["first.example.com", "new.any.example.com"];
    let path = "/.well-known/acme-challenge/token";
    assert_eq!(replica.answer(names[0], path).await, "503 ");
    assert_eq!(replica.answer(names[1], path).await, "301 ");

    // As cert-manager has it: no class, a port of its own, and annotations for whoever may read it.
    site.put(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "cm-acme-http-solver"},
        "spec": {"type": "NodePort", "ports": [{"name": "http", "port": 8089}]},
    }))
    .await?;
    site.put(super::site::slice("cm-acme-http-solver", "cm-acme-http-solver", &solver, true)).await?;
    let paths = json!({"paths": [{
        "path": path, "pathType": "Exact",
        "backend": {"service": {"name": "cm-acme-http-solver", "port": {"number": 8089}}},
    }]});
    let rules = names.map(|name| json!({"host": name, "http": paths}));
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {
            "name": "cm-acme-http-solver",
            "labels": {"acme.cert-manager.io/http01-solver": "true"},
            "annotations": {"nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0"},
        },
        "spec": {"rules": rules},
    });
    let begun = site.put(ingress.clone()).await?;
    for name in names {
        let took = replica.answers(begun, name, path, "200 solver").await;
        println!("{:>6.0} ms  solver reached as {name}", took.as_secs_f64() * 1000.0);
    }
    // Everything else is as it was.
    assert_eq!(replica.answer(names[0], "/").await, "503 ");
    assert_eq!(replica.answer(names[1], "/").await, "301 ");
    let gone = site.remove(ingress).await?;
    replica.answers(gone, names[1], path, "301 ").await;
    Ok(())
}

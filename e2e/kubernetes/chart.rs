//! The chart, rendered and installed by helm.

mod page;
mod takeover;
mod texts;

use std::fs;

use anyhow::Result;
use plenipo_testkit::{Authority, Cluster};

use super::Site;
use crate::gateway::{output, root};

/// Where the chart is.
pub(crate) fn chart() -> String {
    root().join("charts/plenipo").to_string_lossy().into_owned()
}

/// Ways of using it: what `--set` is given.
const USES: [&str; 16] = [
    "replicaCount=1",
    "kind=DaemonSet,service.ports[0].name=http,service.ports[0].port=80,service.ports[0].hostPort=80",
    "daemonSet=true",
    "service.preset=nlb",
    "service.preset=nlb,service.scheme=internal,service.externalTrafficPolicy=Local",
    "service.preset=nlb-ip",
    "service.preset=nlb-ip,service.proxyProtocol=true,createDefaultListeners=true",
    "service.preset=classic,service.proxyProtocol=true,createDefaultListeners=true",
    "service.type=ClusterIP,service.ports[0].name=http,service.ports[0].port=8080,service.ports[0].targetPort=80",
    "scope.singleNamespace=true,rbac.secretNames={tls,default/other}",
    "scope.namespaces={default},serviceAccount.name=edge,admin.tokenSecret.name=token,workers=2",
    "networkPolicy.enabled=true,autoscaling.enabled=true,autoscaling.targetActiveRequests=50",
    "istioLabels.istio=ingressgateway,podLabels.team=edge,commonLabels.tier=front,bindAddress=::",
    "env.AMBASSADOR_NAMESPACE=front,envRaw[0].name=POD_IP,envRaw[0].value=10.0.0.1,rbac.istio=false,status=false",
    "module.x_forwarded_proto_redirect=true,resolvers.endpoint.create=true,listeners.http.create=true",
    "image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123,\
     global.imageRegistry=images.example.com,imagePullSecrets={pull},global.imagePullSecrets[0].name=all,\
     test.enabled=true,hostNetwork=true,podDisruptionBudget.minAvailable=50%,env.AMBASSADOR_LABEL_SELECTOR=a=b,\
     extraArgs={--ingress-class=nginx},topologySpreadConstraints=null,updateStrategy.type=Recreate",
];

/// What it renders for a release `edge` of this namespace.
pub(crate) async fn rendered(cluster: &Cluster, namespace: &str, set: &str) -> String {
    let arguments = ["template", "edge", &chart(), "--namespace", namespace, "--set", set];
    cluster.helm(&arguments).await
}

#[tokio::test]
async fn helm_finds_no_fault_with_it() {
    let cluster = Cluster::shared().await;
    for set in USES {
        let said = cluster.helm(&["lint", "--strict", &chart(), "--set", set]).await;
        assert!(said.contains("0 chart(s) failed"), "{set}: {said}");
    }
}

#[tokio::test]
async fn the_api_server_takes_whatever_it_renders() -> Result<()> {
    // It has defined our kinds.
    let cluster = Site::shared().await?.cluster;
    let namespace = cluster.namespace().await;
    for set in USES {
        let objects = rendered(cluster, &namespace, &format!("crds.install=false,{set}")).await;
        let taken = ["apply", "--server-side", "--dry-run=server", "--filename", "-"];
        cluster.try_kubectl(&taken, &objects).await.map_err(|error| error.context(set))?;
    }
    Ok(())
}

/// What `migrate` makes of the values of Emissary's chart, this chart takes.
#[tokio::test]
async fn the_values_of_emissary_are_taken_when_migrated() -> Result<()> {
    let cluster = Site::shared().await?.cluster;
    let namespace = cluster.namespace().await;
    let emissary = root().join("testdata/migrate/values/emissary.yaml");
    let migrated = output(&["migrate", "values", &emissary.to_string_lossy()]);
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.yaml");
    fs::write(&values, &migrated.stdout)?;
    let values = values.to_string_lossy();
    let within = ["template", "edge", &chart(), "--namespace", &namespace, "--values", &values];
    // The API server of this test has no kinds of Prometheus.
    let set = "crds.install=false,namespaceOverride=,metrics.serviceMonitor.enabled=false";
    let objects = cluster.helm(&[&within[..], &["--set", set]].concat()).await;
    cluster.kubectl(&["apply", "--server-side", "--dry-run=server", "--filename", "-"], &objects).await;
    Ok(())
}

#[tokio::test]
async fn what_is_misspelt_is_refused() {
    let cluster = Cluster::shared().await;
    for (set, said) in [
        ("replicaCounts=3", "'replicaCounts' not allowed"),
        ("service.prest=nlb", "'prest' not allowed"),
        ("service.preset=alb", "value must be one of"),
        ("service.ports[0].name=http,service.ports[0].prot=80", "'prot' not allowed"),
        ("log.format=xml", "value must be one of"),
        ("service.selector.app\\.kubernetes\\.io/name=other", "set nameOverride"),
    ] {
        let refused = cluster.try_helm(&["template", &chart(), "--set", set]).await;
        let error = format!("{:#}", refused.expect_err(set));
        assert!(error.contains(said), "{set}: {error}");
    }
}

/// A Host with TLS, and the namespace that makes updates wait for the load balancer.
const SHOP: &str = r#"
---
apiVersion: v1
kind: Namespace
metadata: {name: edge, labels: {elbv2.k8s.aws/pod-readiness-gate-inject: enabled}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: shop, namespace: edge}
spec: {hostname: shop.example.com, tlsSecret: {name: shop}}
"#;

/// The gateway and the load balancer that each preset asks for fit each other, by our own rules.
#[tokio::test]
async fn every_preset_passes_our_own_checks() -> Result<()> {
    let cluster = Cluster::shared().await;
    let secret = Authority::new("edge").server(&["shop.example.com"]).secret_yaml("shop", "edge");
    let around = format!("---\n{secret}\n{SHOP}");
    for set in ["nlb", "nlb-ip", "classic"] {
        for proxy_protocol in [false, true] {
            let set = format!(
                "service.preset={set},service.proxyProtocol={proxy_protocol},createDefaultListeners=true"
            );
            let objects = rendered(cluster, "edge", &format!("crds.install=false,{set}")).await;
            let folder = tempfile::tempdir()?;
            fs::write(folder.path().join("all.yaml"), objects + &around)?;
            let checked = output(&["check", &folder.path().to_string_lossy(), "--fail-on", "note"]);
            assert!(checked.status.success(), "{set}: {}", String::from_utf8_lossy(&checked.stdout));
        }
    }
    Ok(())
}

/// One life: installed where nothing of ours was, upgraded, uninstalled.
#[tokio::test]
async fn installed_upgraded_and_uninstalled() -> Result<()> {
    let cluster = Cluster::start().await;
    let chart = chart();
    let of = |verb, set| [verb, "edge", &*chart, "--namespace", "edge", "--create-namespace", "--set", set];
    let early = cluster.try_helm(&of("install", "createDefaultListeners=true")).await;
    let error = format!("{:#}", early.expect_err("nobody knows Listeners yet"));
    assert!(error.contains("Install the chart without them first"), "{error}");

    let said = cluster.helm(&of("install", "ingressClass.default=true")).await;
    assert!(said.contains("It binds what Listeners say"), "{said}");
    cluster
        .wait(&[
            "--for=jsonpath={.status.conditions[?(@.type==\"Established\")].status}=True",
            "crd",
            "--all",
        ])
        .await;
    let said = cluster.helm(&of("upgrade", "createDefaultListeners=true")).await;
    assert!(!said.contains("It binds what Listeners say") && !said.contains("were here before"), "{said}");
    let names = ["get", "listeners", "--namespace", "edge", "--output", "name"];
    let listeners = cluster.kubectl(&names, "").await;
    assert_eq!(listeners.lines().count(), 2, "{listeners}");

    let said = cluster.helm(&["uninstall", "edge", "--namespace", "edge"]).await;
    assert!(said.contains("mappings.getambassador.io"), "it says what it leaves: {said}");
    let definitions = cluster.kubectl(&["get", "crd", "--output", "name"], "").await;
    assert!(definitions.contains("mappings.getambassador.io"), "{definitions}");
    // Another release finds them, and leaves them to whoever installed them.
    let said = cluster.helm(&["install", "other", &chart, "--namespace", "edge"]).await;
    assert!(said.contains("were here before"), "{said}");
    Ok(())
}

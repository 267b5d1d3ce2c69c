//! A Service that Emissary's chart made stays the object that it is, and so AWS keeps its load balancer.

use std::fs;

use anyhow::Result;
use plenipo_testkit::Cluster;
use serde_json::Value;

use super::chart;

/// What Emissary's chart says of its Service, as far as it matters here.
const SERVICE: &str = r#"
apiVersion: v1
kind: Service
metadata:
  name: emissary-ingress
  namespace: {{ .Release.Namespace }}
  labels:
    app.kubernetes.io/component: ambassador-service
    product: aes
  {{- with .Values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: LoadBalancer
  ports:
    - {name: http, port: 80, targetPort: 8080}
    - {name: https, port: 443, targetPort: 8443}
  selector:
    app.kubernetes.io/name: emissary-ingress
    app.kubernetes.io/instance: {{ .Release.Name }}
    profile: main
"#;

/// The same object with the same address and node ports, whatever it selects.
async fn facts(cluster: &Cluster, namespace: &str) -> Result<(Vec<Value>, Value)> {
    let service = ["get", "service", "emissary-ingress", "--namespace", namespace, "--output", "json"];
    let service: Value = serde_json::from_str(&cluster.kubectl(&service, "").await)?;
    let same = ["/metadata/uid", "/spec/clusterIP", "/spec/ports/0/nodePort", "/spec/ports/1/nodePort"];
    let same = same.iter().filter_map(|path| service.pointer(path).cloned()).collect();
    Ok((same, service["spec"]["selector"].clone()))
}

#[tokio::test]
async fn the_service_of_emissary_is_taken_over() -> Result<()> {
    let cluster = Cluster::shared().await;
    let namespace = &*cluster.namespace().await;
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("templates"))?;
    fs::write(folder.path().join("Chart.yaml"), "{apiVersion: v2, name: emissary-ingress, version: 8.9.1}")?;
    fs::write(folder.path().join("values.yaml"), "service: {annotations: {}}")?;
    fs::write(folder.path().join("templates/service.yaml"), SERVICE)?;
    let emissary = &*folder.path().to_string_lossy();
    let aws = "service.annotations.service\\.beta\\.kubernetes\\.io/aws-load-balancer-type=nlb";
    let keep = "service.annotations.helm\\.sh/resource-policy=keep";
    let within = ["--namespace", namespace, "--set"];
    cluster.helm(&[&["install", "emissary-ingress", emissary], &within[..], &[aws]].concat()).await;
    let (before, selector) = facts(cluster, namespace).await?;
    assert_eq!((before.len(), &selector["profile"]), (4, &"main".into()));

    let reused = ["--reuse-values", "--namespace", namespace, "--set"];
    cluster.helm(&[&["upgrade", "emissary-ingress", emissary], &reused[..], &[keep]].concat()).await;
    let chart = &*chart();
    let beside = "service.create=false,crds.install=false,ingressClass.create=false,podLabels.profile=main";
    cluster.helm(&[&["install", "plenipo", chart], &within[..], &[beside]].concat()).await;
    assert_eq!(facts(cluster, namespace).await?, (before.clone(), selector));

    let taken = format!("service.create=true,service.nameOverride=emissary-ingress,{aws}");
    cluster
        .helm(&[&["upgrade", "plenipo", chart, "--take-ownership"], &reused[..], &[&taken]].concat())
        .await;
    // Helm leaves the key that it does not know; the pods have it, too.
    let ours = serde_json::json!({
        "app.kubernetes.io/name": "plenipo", "app.kubernetes.io/instance": "plenipo", "profile": "main",
    });
    assert_eq!(facts(cluster, namespace).await?, (before.clone(), ours.clone()));
    let pods = "jsonpath={.spec.template.metadata.labels}";
    let pods = ["get", "deployment", "plenipo", "--namespace", namespace, "--output", pods];
    let pods: Value = serde_json::from_str(&cluster.kubectl(&pods, "").await)?;
    for (key, value) in ours.as_object().into_iter().flatten() {
        assert_eq!(&pods[key], value, "{key}");
    }

    let said = cluster.helm(&["uninstall", "emissary-ingress", "--namespace", namespace]).await;
    assert!(said.contains("kept due to the resource policy"), "{said}");
    assert_eq!(facts(cluster, namespace).await?, (before, ours));
    Ok(())
}

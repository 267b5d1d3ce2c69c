//! Objects of every version, and clusters that had Emissary's definitions before.

use std::time::Instant;

use anyhow::{Result, ensure};
use plenipo_testkit::Cluster;
use serde_json::{Value, json};

use super::crds::merged;
use super::site::{listener, mapping, pod, slice};
use super::{Replica, Site};

/// Nothing is converted, and nothing is lost.
#[tokio::test]
async fn what_is_written_in_any_version_is_read_unchanged_in_every_other() -> Result<()> {
    let site = Site::shared().await?;
    let mapping = json!({
        "ambassador_id": site.namespace, "prefix": "/old/", "service": "old", "host": "old.example.com", "tls": true,
        "headers": {"x-a": true, "x-b": "b"}, "query_parameters": {"q": true}, "remove_request_headers": "x-gone",
        "add_request_headers": {"x-short": "a", "x-none": null, "x-long": {"value": "b", "append": false}},
        "cors": {"origins": "http://a,http://b", "max_age": "60", "unheard": {"of": [1]}},
        "labels": {"ambassador": [{"group": ["remote_address", {"x": {"header": "x"}}]}]},
        "docs": {"path": "/openapi/"}, "v3StatsName": "old", "of_tomorrow": {"deep": [{"er": null}]},
    });
    for (kind, spec) in [
        ("mapping", mapping),
        ("tcpmapping", json!({"port": 9000, "service": "a", "tls": null, "idle_timeout_ms": "500", "x": 1})),
        ("tlscontext", json!({"hosts": ["a"], "secret": "s", "certRequired": true, "v3CRLSecret": "c"})),
        ("ratelimitservice", json!({"service": "a", "domain": "d"})),
        ("tracingservice", json!({"service": "a", "driver": "zipkin", "tag_headers": ["x"]})),
        ("logservice", json!({"service": "a", "driver_config": {"additional_log_headers": []}})),
        ("consulresolver", json!({"address": "consul:8500", "datacenter": "dc1"})),
        ("devportal", json!({"content": {"url": "u"}})),
        ("module", json!({"config": {"defaults": {"a": null}, "xff_num_trusted_hops": 1}})),
    ] {
        for version in ["v1", "v2", "v3alpha1"] {
            let name = format!("{kind}-{version}");
            let object = json!({
                "apiVersion": format!("getambassador.io/{version}"), "kind": proper(kind),
                "metadata": {"name": name, "namespace": site.namespace}, "spec": spec.clone(),
            });
            site.cluster.kubectl(&["create", "-f", "-"], &object.to_string()).await;
            for other in ["v1", "v2", "v3alpha1"] {
                let resource = format!("{kind}s.{other}.getambassador.io/{name}");
                let read =
                    site.cluster.kubectl(&["-n", &site.namespace, "get", &resource, "-o", "json"], "").await;
                let read: Value = serde_json::from_str(&read)?;
                assert_eq!(read["apiVersion"], format!("getambassador.io/{other}"));
                assert_eq!(read["spec"], spec, "{name} as {other}");
            }
        }
    }
    Ok(())
}

fn proper(kind: &str) -> &'static str {
    plenipo_resources::definition::kinds()
        .find(|name| name.eq_ignore_ascii_case(kind))
        .expect("a kind of ours")
}

/// v2 and v3alpha1 mean different things by a missing host, and the cluster does not say in which version an object was
/// written; the gateway finds out.
#[tokio::test]
async fn what_a_version_means_holds_however_it_is_read() -> Result<()> {
    let site = Site::shared().await?;
    let gateway = Replica::start(&site).await?;
    let backend = pod("one").await;
    let begun = site.serve("quote", &backend).await?;
    let write = async |name: &str, version: &str, more: Value| {
        let spec = merged(
            json!({
                "ambassador_id": [site.namespace], "prefix": format!("/{name}/"), "service": "quote", "resolver": "endpoint",
            }),
            more,
        );
        let object = json!({
            "apiVersion": format!("getambassador.io/{version}"), "kind": "Mapping",
            "metadata": {"name": name, "namespace": site.namespace}, "spec": spec,
        });
        site.cluster.kubectl(&["create", "-f", "-"], &object.to_string()).await;
    };
    write("old", "v2", json!({})).await;
    write("old-host", "v2", json!({"host": "*.example.com"})).await;
    write("new", "v3alpha1", json!({})).await;
    // As Emissary's conversion stores what was written in v3alpha1.
    let marked = [format!("--apiVersion-v3alpha1-only--{}", site.namespace)];
    write("stored", "v3alpha1", json!({"ambassador_id": marked, "host": "*.example.com"})).await;
    write("nobody", "v2", json!({"ambassador_id": marked, "host": "_skip_mapping_with_empty_host_"})).await;
    write("last", "v3alpha1", json!({"hostname": "*"})).await;

    gateway.answers(begun, "a.example.com", "/last/", "200 one").await;
    for (host, path, answer) in [
        ("a.example.com", "/old/", "200 one"),
        ("a.example.com", "/old-host/", "200 one"),
        ("a.example.org", "/old-host/", "404 "),
        ("a.example.com", "/new/", "404 "),
        ("a.example.com", "/stored/", "200 one"),
        ("a.example.org", "/stored/", "404 "),
        ("a.example.com", "/nobody/", "404 "),
    ] {
        assert_eq!(gateway.answer(host, path).await, answer, "{host}{path}");
    }
    // `kubectl edit` writes in v2, which it likes best; that makes a Mapping of v3alpha1 no Mapping for every host.
    site.cluster
        .kubectl(
            &[
                "-n",
                &site.namespace,
                "patch",
                "mappings.v2.getambassador.io",
                "new",
                "--type=merge",
                "-p",
                r#"{"spec":{"rewrite":"/edited/"}}"#,
            ],
            "",
        )
        .await;
    let begun = site.put(mapping("later", "/later/", "quote")).await?;
    gateway.answers(begun, "a.example.com", "/later/", "200 one").await;
    assert_eq!(gateway.answer("a.example.com", "/new/").await, "404 ");
    Ok(())
}

/// What Argo Rollouts does to Mappings: reads v2, writes a copy of the spec with another service and a weight, changes the
/// weight, and at the end sets it to 0 before it deletes the copy.
#[tokio::test]
async fn a_canary_as_argo_rollouts_makes_one() -> Result<()> {
    let site = Site::shared().await?;
    let gateway = Replica::start(&site).await?;
    let (stable, canary) = (pod("stable").await, pod("canary").await);
    site.serve("app", &stable).await?;
    site.serve("app-canary", &canary).await?;
    let begun = site.put(mapping("app", "/app/", "app")).await?;
    gateway.answers(begun, "a", "/app/", "200 stable").await;

    let kubectl = async |arguments: &[&str], input: &str| {
        let arguments: Vec<&str> =
            ["-n", &site.namespace].into_iter().chain(arguments.iter().copied()).collect();
        site.cluster.kubectl(&arguments, input).await
    };
    let base = kubectl(&["get", "mappings.v2.getambassador.io", "app", "-o", "json"], "").await;
    let mut copy: Value = serde_json::from_str(&base)?;
    copy["metadata"] = json!({"name": "app-canary", "namespace": site.namespace});
    copy["spec"]["service"] = "app-canary".into();
    copy["spec"]["weight"] = 0.into();
    ensure!(copy["apiVersion"] == "getambassador.io/v2");
    kubectl(&["create", "-f", "-"], &copy.to_string()).await;
    shares(&site, &gateway, 0).await?;
    for weight in [30, 100, 0] {
        let patch = json!({"spec": {"weight": weight}}).to_string();
        kubectl(&["patch", "mappings.v2.getambassador.io", "app-canary", "--type=merge", "-p", &patch], "")
            .await;
        let read = kubectl(&["get", "mapping", "app-canary", "-o", "jsonpath={.spec.weight}"], "").await;
        assert_eq!(read, weight.to_string());
        shares(&site, &gateway, weight).await?;
    }
    kubectl(&["delete", "mapping", "app-canary"], "").await;
    shares(&site, &gateway, 0).await
}

/// Waits until what was written before is served, and counts who answers.
async fn shares(site: &Site<'_>, gateway: &Replica, weight: usize) -> Result<()> {
    let marker = format!("marker-{:?}", Instant::now());
    let marker: String =
        marker.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let begun = site.put(mapping(&marker, &format!("/{marker}/"), "app")).await?;
    gateway.answers(begun, "a", &format!("/{marker}/"), "200 stable").await;
    let mut canaries = 0;
    for _ in 0..100 {
        match gateway.answer("a", "/app/").await.as_str() {
            "200 stable" => {}
            "200 canary" => canaries += 1,
            other => panic!("{other}"),
        }
    }
    // For 30 of 100 by chance: 12 to 48 is four standard deviations.
    let wanted = if weight == 30 { 12..=48 } else { weight..=weight };
    assert!(wanted.contains(&canaries), "{canaries} of 100 with weight {weight}");
    Ok(())
}

/// Emissary's definitions, as far as they matter here: converted by a webhook (of which nothing is there any more), v2
/// stored, everything taken.
fn of_emissary() -> String {
    let mut documents = Vec::new();
    for mut definition in plenipo_resources::definition::definitions() {
        let versions = definition["spec"]["versions"].as_array_mut().expect("versions");
        let converted = versions.len() > 1;
        for version in versions {
            version["storage"] = (!converted || version["name"] == "v2").into();
            version["schema"] = json!({"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }});
        }
        if converted {
            definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
                "conversionReviewVersions": ["v1"],
                "clientConfig": {"service": {"name": "emissary-apiext", "namespace": "emissary-system"}},
            }});
        }
        definition["metadata"]["labels"] = json!({"app.kubernetes.io/part-of": "emissary-apiext"});
        documents.push(definition.to_string());
    }
    documents.join("\n---\n")
}

#[tokio::test]
async fn from_emissarys_definitions_and_back() -> Result<()> {
    let cluster = Cluster::start().await;
    let established =
        ["--for=jsonpath={.status.conditions[?(@.type==\"Established\")].status}=True", "crd", "--all"];
    cluster.kubectl(&["apply", "-f", "-"], &of_emissary()).await;
    cluster.wait(&established).await;
    let namespace = cluster.namespace().await;
    let mapping = json!({
        "apiVersion": "getambassador.io/v2", "kind": "Mapping", "metadata": {"name": "old", "namespace": namespace},
        "spec": {
            "ambassador_id": ["--apiVersion-v3alpha1-only--default"], "host": "*.example.com", "prefix": "/", "service": "a",
        },
    });
    cluster.kubectl(&["create", "-f", "-"], &mapping.to_string()).await;
    let read = async |version: &str| {
        let resource = format!("mappings.{version}.getambassador.io/old");
        cluster.try_kubectl(&["-n", &namespace, "get", &resource, "-o", "jsonpath={.spec.host}"], "").await
    };
    ensure!(read("v3alpha1").await.is_err(), "nobody converts");

    let ours = plenipo_resources::definition::yaml();
    cluster.kubectl(&["replace", "-f", "-"], &ours).await;
    cluster.wait(&established).await;
    for version in ["v1", "v2", "v3alpha1"] {
        assert_eq!(read(version).await?, "*.example.com");
    }
    // Written again by a program that looks at it in v3alpha1, it is stored in that version.
    let patch =
        ["-n", &namespace, "patch", "mappings.v3alpha1.getambassador.io", "old", "--type=merge", "-p"];
    cluster.kubectl(&[&patch[..], &[r#"{"spec":{"weight":0}}"#]].concat(), "").await;
    let stored = ["get", "crd", "mappings.getambassador.io", "-o", "jsonpath={.status.storedVersions}"];
    assert_eq!(cluster.kubectl(&stored, "").await, r#"["v2","v3alpha1"]"#);
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &ours).await;

    cluster.kubectl(&["apply", "-f", "-"], &of_emissary()).await;
    let strategy = ["get", "crd", "mappings.getambassador.io", "-o", "jsonpath={.spec.conversion.strategy}"];
    assert_eq!(cluster.kubectl(&strategy, "").await, "Webhook");
    cluster.kubectl(&["replace", "-f", "-"], &ours).await;
    assert_eq!(read("v3alpha1").await?, "*.example.com");
    Ok(())
}

/// While Emissary's definitions are there and what converts for them is not, and after ours have taken their place.
#[tokio::test]
async fn a_gateway_serves_whatever_definitions_there_are() -> Result<()> {
    let cluster = Cluster::start().await;
    let established =
        ["--for=jsonpath={.status.conditions[?(@.type==\"Established\")].status}=True", "crd", "--all"];
    cluster.kubectl(&["apply", "-f", "-"], &of_emissary()).await;
    cluster.wait(&established).await;
    let namespace = cluster.namespace().await;
    let backend = pod("one").await;
    let create = async |mut object: Value| {
        object["metadata"]["namespace"] = namespace.clone().into();
        if object["apiVersion"].as_str().is_some_and(|version| version.starts_with("getambassador.io")) {
            object["spec"]["ambassador_id"] = json!([namespace]);
        }
        cluster.kubectl(&["create", "-f", "-"], &object.to_string()).await;
    };
    let old = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "getambassador.io/v2", "kind": kind, "metadata": {"name": name}, "spec": spec});
    create(listener("http", 8080)).await;
    create(old("Host", "any", json!({"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}})))
        .await;
    create(old("Mapping", "quote", json!({"prefix": "/quote/", "service": "quote"}))).await;
    create(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "quote"},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }))
    .await;
    create(slice("quote", "quote", &backend, true)).await;

    let first = Replica::launch(&namespace, cluster.kubeconfig(), &[8080], &["--no-status"])?;
    first.ready().await;
    let begun = Instant::now();
    first.answers(begun, "a", "/quote/", "200 one").await;

    cluster.kubectl(&["replace", "-f", "-"], &plenipo_resources::definition::yaml()).await;
    cluster.wait(&established).await;
    assert_eq!(first.answer("a", "/quote/").await, "200 one");
    let mut later = mapping("later", "/later/", "quote");
    later["spec"]["resolver"] = Value::Null;
    create(later).await;
    first.answers(begun, "a", "/later/", "200 one").await;
    assert_eq!(first.answer("a", "/quote/").await, "200 one");
    let second = Replica::launch(&namespace, cluster.kubeconfig(), &[8080], &["--no-status"])?;
    second.ready().await;
    for path in ["/quote/", "/later/"] {
        assert_eq!(second.answer("a", path).await, "200 one", "{path}");
    }
    Ok(())
}

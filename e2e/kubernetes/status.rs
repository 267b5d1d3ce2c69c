//! What is written back: conditions, addresses and Events, by one of the replicas.

use anyhow::{Context, Result};
use plenipo_testkit::{Cluster, eventually};
use serde_json::{Value, json};

use super::site::{mapping, pod};
use super::{Replica, Site};

/// An object as the API server has it.
async fn object(site: &Site<'_>, name: &str) -> Result<Value> {
    let arguments = ["get", name, "--namespace", &site.namespace, "--output", "json"];
    let text = site.cluster.kubectl(&arguments, "").await;
    serde_json::from_str(&text).with_context(|| text)
}

/// `True Accepted@1`, of one condition.
async fn condition(site: &Site<'_>, name: &str, wanted: &str) -> Result<String> {
    let found = object(site, name).await?;
    let all = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let one = all.iter().find(|it| it["type"] == wanted);
    Ok(one.map_or_else(String::new, |it| {
        let text = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
        format!("{} {}@{}", text("status"), text("reason"), it["observedGeneration"])
    }))
}

async fn comes(site: &Site<'_>, name: &str, kind: &str, expected: &str) {
    eventually(&format!("{kind} of {name}: {expected}"), || async {
        match condition(site, name, kind).await {
            Ok(found) if found == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

async fn wait(site: &Site<'_>, condition: &str, name: &str) {
    let wanted = format!("--for=condition={condition}");
    site.cluster.wait(&[&wanted, "--namespace", &site.namespace, "--timeout=20s", name]).await;
}

/// The value of a metric without labels, or with just these.
async fn metric(replica: &Replica, name: &str) -> Result<u64> {
    let page = replica.ask("/metrics").await?.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("{name} is not on the page"))?.parse()?)
}

async fn leads(replica: &Replica) -> bool {
    metric(replica, "plenipo_leader").await.is_ok_and(|leads| leads == 1)
}

const WRITTEN: &str = "plenipo_status_writes_total{result=\"written\"}";

#[tokio::test]
async fn people_can_wait_for_conditions() -> Result<()> {
    let site = Site::shared().await?;
    let upstream = pod("good").await;
    site.serve("good", &upstream).await?;
    site.put(mapping("good", "/good/", "good")).await?;
    let mut others = mapping("others", "/others/", "good");
    others["spec"]["ambassador_id"] = json!(["another"]);
    site.put(others).await?;
    let replica = Replica::start(&site).await?;
    for name in ["mapping/good", "host/wildcard", "listener/http"] {
        for condition in ["Accepted", "ResolvedRefs", "Programmed"] {
            wait(&site, condition, name).await;
        }
    }
    assert_eq!(object(&site, "mapping/good").await?["status"]["state"], "Running");

    // Something that cannot be: nothing of it serves.
    let mut bad = mapping("bad", "/(", "good");
    bad["spec"]["prefix_regex"] = true.into();
    site.put(bad).await?;
    wait(&site, "Accepted=false", "mapping/bad").await;
    comes(&site, "mapping/bad", "Programmed", "False NotAccepted@1").await;
    let told = || async {
        let arguments = ["get", "events.events.k8s.io", "--namespace", &site.namespace, "--output", "json"];
        let events: Value = serde_json::from_str(&site.cluster.kubectl(&arguments, "").await).ok()?;
        let of_bad = events["items"].as_array()?.iter().filter(|it| it["regarding"]["name"] == "bad");
        let reasons: Vec<Value> = of_bad.map(|it| it["reason"].clone()).collect();
        (reasons == ["Invalid"]).then_some(())
    };
    eventually("one Event about it", told).await;

    // A Host that waits for its certificate is no wrong Host.
    site.put(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": "waits"},
        "spec": {"hostname": "waits.example.com", "tlsSecret": {"name": "not-yet"}},
    }))
    .await?;
    comes(&site, "host/waits", "ResolvedRefs", "False RefNotFound@1").await;
    comes(&site, "host/waits", "Accepted", "True Accepted@1").await;
    assert_eq!(object(&site, "host/waits").await?["status"]["state"], "Pending");

    assert_eq!(object(&site, "mapping/others").await?["status"], Value::Null, "it is another gateway's");
    assert!(leads(&replica).await);
    Ok(())
}

#[tokio::test]
async fn what_serves_stays_accepted() -> Result<()> {
    let site = Site::shared().await?;
    let upstream = pod("good").await;
    site.serve("good", &upstream).await?;
    site.put(mapping("good", "/good/", "good")).await?;
    let replica = Replica::start(&site).await?;
    comes(&site, "mapping/good", "Programmed", "True Programmed@1").await;

    // Another controller has something to say about it, too.
    let certified = json!({"status": {"conditions": [{
        "type": "Certified", "status": "True", "reason": "Stamped", "message": "by hand",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    let mut applied = object(&site, "mapping/good").await?;
    applied = json!({
        "apiVersion": applied["apiVersion"], "kind": "Mapping", "status": certified["status"],
        "metadata": {"name": "good", "namespace": site.namespace},
    });
    let arguments =
        ["apply", "--server-side", "--subresource=status", "--field-manager=stamper", "--filename=-"];
    site.cluster.kubectl(&arguments, &applied.to_string()).await;

    let mut bad = mapping("good", "/(", "good");
    bad["spec"]["prefix_regex"] = true.into();
    site.put(bad).await?;
    comes(&site, "mapping/good", "Programmed", "False EarlierVersionServes@2").await;
    comes(&site, "mapping/good", "Accepted", "True EarlierVersionServes@1").await;
    assert_eq!(replica.answer("a", "/good/").await, "200 good");
    site.put(mapping("good", "/better/", "good")).await?;
    comes(&site, "mapping/good", "Programmed", "True Programmed@3").await;
    let found = object(&site, "mapping/good").await?;
    let all = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
    assert!(all.iter().any(|it| it["type"] == "Certified" && it["message"] == "by hand"), "{found}");
    assert_eq!(all.len(), 4);
    Ok(())
}

#[tokio::test]
async fn one_replica_writes_and_another_takes_over() -> Result<()> {
    let site = Site::shared().await?;
    let upstream = pod("good").await;
    site.serve("good", &upstream).await?;
    site.put(mapping("good", "/good/", "good")).await?;
    let first = Replica::start(&site).await?;
    eventually("the first leads", || leads(&first)).await;
    let second = Replica::start(&site).await?;
    comes(&site, "mapping/good", "Programmed", "True Programmed@1").await;
    site.put(mapping("good", "/second/", "good")).await?;
    comes(&site, "mapping/good", "Programmed", "True Programmed@2").await;
    assert!(!leads(&second).await);
    assert_eq!(metric(&second, WRITTEN).await?, 0);

    // It is killed: its lease runs out.
    first.process.signal("KILL")?;
    eventually("the second leads", || leads(&second)).await;
    site.put(mapping("good", "/third/", "good")).await?;
    comes(&site, "mapping/good", "Programmed", "True Programmed@3").await;
    assert_eq!(metric(&second, WRITTEN).await?, 1, "what was written before is not written again");

    // It is told to go: it gives the lease back, and the third need not wait for it to run out.
    let third = Replica::start(&site).await?;
    let begun = std::time::Instant::now();
    second.process.signal("TERM")?;
    eventually("the third leads", || leads(&third)).await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "after {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn many_changes_keep_to_the_budget() -> Result<()> {
    let site = Site::shared().await?;
    let upstream = pod("good").await;
    site.serve("good", &upstream).await?;
    let kubeconfig = site.cluster.kubeconfig();
    let budget = ["--status-rate", "10", "--status-burst", "5"];
    let replica = Replica::start_with(&site, kubeconfig, &[8080], &budget).await?;
    eventually("it leads", || leads(&replica)).await;
    let begun = std::time::Instant::now();
    for at in 0..60 {
        site.put(mapping(&format!("m{at}"), &format!("/m{at}/"), "good")).await?;
    }
    eventually("nothing waits", || async {
        metric(&replica, "plenipo_status_waiting").await.is_ok_and(|waiting| waiting == 0)
            && metric(&replica, WRITTEN).await.is_ok_and(|written| written >= 62)
    })
    .await;
    let (written, seconds) = (metric(&replica, WRITTEN).await?, begun.elapsed().as_secs_f64());
    assert!(written <= 63 && seconds >= 5.0, "{written} writes in {seconds:.1} s");
    for name in ["mapping/m0", "mapping/m59"] {
        assert_eq!(condition(&site, name, "Programmed").await?, "True Programmed@1");
    }
    Ok(())
}

#[tokio::test]
async fn ingresses_get_the_addresses_of_the_service() -> Result<()> {
    let site = Site::shared().await?;
    site.put(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge"},
        "spec": {"type": "LoadBalancer", "ports": [{"name": "http", "port": 80}]},
    }))
    .await?;
    let patch = json!({"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}});
    let arguments =
        ["patch", "service", "edge", "--namespace", &site.namespace, "--subresource=status", "--type=merge"];
    let patch = ["--patch", &patch.to_string()];
    site.cluster.kubectl(&[&arguments[..], &patch[..]].concat(), "").await;
    let ingress = |name: &str, class: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {"ingressClassName": class, "defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}},
        })
    };
    let class = site.namespace.as_str();
    site.put(ingress("ours", class)).await?;
    site.put(ingress("others", "somebody-elses")).await?;
    let service = format!("{}/edge", site.namespace);
    let arguments = ["--publish-service", &service, "--ingress-class", class];
    let replica = Replica::start_with(&site, site.cluster.kubeconfig(), &[8080, 80, 443], &arguments).await?;
    let has = async |name: &str, expected: &Value| match object(&site, name).await {
        Ok(found) if found["status"]["loadBalancer"] == *expected => Ok(()),
        other => Err(format!("{other:?} {}", replica.process.output())),
    };
    let addresses = json!({"ingress": [{"hostname": "lb.example.com"}]});
    eventually("addresses", || has("ingress/ours", &addresses)).await;
    let none = json!({});
    has("ingress/others", &none).await.map_err(anyhow::Error::msg)?;
    // It goes to another class: what was written is taken back.
    site.put(ingress("ours", "somebody-elses")).await?;
    eventually("no addresses", || has("ingress/ours", &none)).await;
    Ok(())
}

/// Emissary's own definition of a Mapping has `state` and `reason`, and nothing else.
#[tokio::test]
async fn what_a_definition_does_not_hold_is_not_written() -> Result<()> {
    let cluster = Cluster::start().await;
    let site = Site::alone(&cluster).await?;
    let name = "mappings.getambassador.io";
    let mut definition: Value =
        serde_json::from_str(&cluster.kubectl(&["get", "crd", name, "--output", "json"], "").await)?;
    let ours = definition.clone();
    for version in definition["spec"]["versions"].as_array_mut().context("it has versions")? {
        version["schema"]["openAPIV3Schema"]["properties"]["status"] = json!({
            "type": "object", "properties": {"state": {"type": "string"}, "reason": {"type": "string"}},
        });
    }
    cluster.kubectl(&["replace", "--filename=-"], &definition.to_string()).await;
    let upstream = pod("good").await;
    site.serve("good", &upstream).await?;
    site.put(mapping("good", "/good/", "good")).await?;
    let _replica = Replica::start(&site).await?;
    let state = async || {
        object(&site, "mapping/good").await.is_ok_and(|it| it["status"] == json!({"state": "Running"}))
    };
    eventually("its state", state).await;

    // Ours take the place of Emissary's: what was missing is written.
    let versions = json!({"spec": {"versions": ours["spec"]["versions"]}}).to_string();
    cluster.kubectl(&["patch", "crd", name, "--type=merge", "--patch", &versions], "").await;
    let wait =
        ["--for=condition=Programmed", "--namespace", &site.namespace, "--timeout=60s", "mapping/good"];
    cluster.wait(&wait).await;
    Ok(())
}

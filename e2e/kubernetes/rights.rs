//! The real binary with the token of the ServiceAccount that the chart makes, and the arguments that the chart gives it.

use anyhow::Result;
use plenipo_testkit::{Authority, eventually};
use serde_json::json;

use super::chart::{chart, rendered};
use super::site::{self, mapping, pod};
use super::{Replica, Site};

/// The chart installed in a site's namespace; the ServiceAccount is called `edge`.
struct Installed<'s> {
    site: &'s Site<'static>,
    values: String,
}

impl<'s> Installed<'s> {
    async fn new(site: &'s Site<'static>, set: &str) -> Self {
        let values = format!(
            "crds.install=false,ingressClass.create=false,fullnameOverride=edge,ambassadorId={},{set}",
            site.namespace
        );
        let namespace = &site.namespace;
        site.cluster.helm(&["install", "edge", &chart(), "--namespace", namespace, "--set", &values]).await;
        Self { site, values }
    }

    /// What the chart's container is given, but for addresses and times, which are the test's.
    async fn arguments(&self) -> Vec<String> {
        let objects = rendered(self.site.cluster, &self.site.namespace, &self.values).await;
        let lines = objects.lines().map(str::trim).skip_while(|line| *line != "args:").skip(1);
        let all = lines.map_while(|line| line.strip_prefix("- ")).map(|word| word.trim_matches('"'));
        let others = ["run", "--kubernetes"];
        let own = ["--bind=", "--admin=", "--min-drain="];
        all.filter(|word| !others.contains(word) && !own.iter().any(|begin| word.starts_with(begin)))
            .map(|word| word.replace("$(POD_NAMESPACE)", &self.site.namespace))
            .collect()
    }

    /// A replica with no other rights.
    async fn replica(&self) -> Result<Replica> {
        let kubeconfig = self.site.cluster.kubeconfig_of(&self.site.namespace, "edge").await;
        let arguments = self.arguments().await;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Replica::start_with(self.site, &kubeconfig, &[8080], &arguments).await
    }

    /// May the account do that? The words are those of `kubectl auth can-i`.
    async fn may(&self, words: &[&str]) -> bool {
        let account = format!("--as=system:serviceaccount:{}:edge", self.site.namespace);
        let arguments = [&["auth", "can-i", &*account, "--quiet"], words].concat();
        self.site.cluster.try_kubectl(&arguments, "").await.is_ok()
    }

    async fn may_all(&self, questions: &[&[&str]]) {
        for words in questions {
            assert!(self.may(words).await, "it may not {words:?}");
        }
    }

    async fn may_none(&self, questions: &[&[&str]]) {
        for words in questions {
            assert!(!self.may(words).await, "it may {words:?}");
        }
    }
}

/// What no level allows.
const NEVER: [&[&str]; 19] = [
    &["create", "secrets", "-A"],
    &["update", "secrets", "-A"],
    &["patch", "secrets", "-A"],
    &["delete", "secrets", "-A"],
    &["create", "pods", "-A"],
    &["create", "pods", "--subresource=exec", "-A"],
    &["delete", "pods", "-A"],
    &["update", "services", "-A"],
    &["patch", "services", "--subresource=status", "-A"],
    &["update", "configmaps", "-A"],
    &["patch", "mappings.getambassador.io", "-A"],
    &["delete", "hosts.getambassador.io", "-A"],
    &["patch", "ingresses.networking.k8s.io", "-A"],
    &["patch", "customresourcedefinitions"],
    &["create", "serviceaccounts", "--subresource=token", "-A"],
    &["create", "rolebindings", "-A"],
    &["escalate", "clusterroles"],
    &["impersonate", "users"],
    &["delete", "leases", "-A"],
];

#[tokio::test]
async fn the_whole_cluster_is_served_with_what_the_chart_allows() -> Result<()> {
    let site = Site::shared().await?;
    let installed = Installed::new(&site, "replicaCount=2").await;
    let upstream = pod("quote").await;
    site.serve("quote", &upstream).await?;
    site.put(mapping("quote", "/quote/", "quote")).await?;
    let replica = installed.replica().await?;
    let begun = std::time::Instant::now();
    replica.answers(begun, "shop.example.com", "/quote/", "200 quote").await;

    everything_is_read(&replica).await?;
    status_is_written(&site).await;
    refusals_are_told(&site).await?;
    installed.may_none(&NEVER).await;
    let namespace = &*site.namespace;
    installed
        .may_all(&[
            &["watch", "secrets", "-A"],
            &["watch", "mappings.getambassador.io", "-A"],
            &["patch", "mappings.getambassador.io", "--subresource=status", "-A"],
            &["create", "leases.coordination.k8s.io", "--namespace", namespace],
            &["create", "events.events.k8s.io", "-A"],
        ])
        .await;
    installed
        .may_none(&[
            &["create", "leases.coordination.k8s.io", "--namespace", "default"],
            &["update", "leases.coordination.k8s.io/another", "--namespace", namespace],
        ])
        .await;
    Ok(())
}

#[tokio::test]
async fn one_namespace_is_served_with_a_role_in_it() -> Result<()> {
    let site = Site::shared().await?;
    let installed = Installed::new(&site, "scope.singleNamespace=true").await;
    let upstream = pod("quote").await;
    site.serve("quote", &upstream).await?;
    site.put(mapping("quote", "/quote/", "quote")).await?;
    let replica = installed.replica().await?;
    let begun = std::time::Instant::now();
    replica.answers(begun, "shop.example.com", "/quote/", "200 quote").await;

    status_is_written(&site).await;
    installed.may_none(&NEVER).await;
    installed
        .may_none(&[
            &["list", "secrets", "-A"],
            &["list", "secrets", "--namespace", "default"],
            &["list", "mappings.getambassador.io", "--namespace", "default"],
            &["list", "namespaces"],
            &["list", "ingressclasses.networking.k8s.io"],
        ])
        .await;
    Ok(())
}

/// Nobody reads a Secret that is not named in the values; the one that is serves, and its renewal, too.
#[tokio::test]
async fn secrets_are_read_by_name() -> Result<()> {
    let site = Site::shared().await?;
    let installed = Installed::new(&site, "rbac.secretNames={shop}").await;
    let namespace = &*site.namespace;
    let authority = Authority::new("shop");
    site.cluster.apply(&authority.server(&["shop.example.com"]).secret_yaml("shop", namespace)).await;
    site.cluster.apply(&authority.server(&["bank.example.com"]).secret_yaml("bank", namespace)).await;
    for name in ["shop", "bank"] {
        site.put(json!({
            "apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": name},
            "spec": {"hostname": format!("{name}.example.com"), "tlsSecret": {"name": name}},
        }))
        .await?;
    }
    let kubeconfig = site.cluster.kubeconfig_of(namespace, "edge").await;
    let arguments = installed.arguments().await;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    site.put(site::listener("https", 8443)).await?;
    let replica = Replica::start_with(&site, &kubeconfig, &[8080, 8443], &arguments).await?;

    eventually("the certificate that may be read", || async {
        let edge = replica.ask("/edge").await.map_err(|error| error.to_string())?.text();
        if edge.contains(&format!("{namespace}/shop")) { Ok(()) } else { Err(edge) }
    })
    .await;
    installed.may_none(&NEVER).await;
    installed
        .may_none(&[
            &["list", "secrets", "-A"],
            &["list", "secrets", "--namespace", namespace],
            &["get", "secrets/bank", "--namespace", namespace],
        ])
        .await;
    installed.may_all(&[&["watch", "secrets/shop", "--namespace", namespace]]).await;
    Ok(())
}

/// Not one kind is forbidden, and changes of all are noticed.
async fn everything_is_read(replica: &Replica) -> Result<()> {
    let told = replica.ask("/ready?verbose").await?.text();
    assert!(told.contains("source: cluster, synced"), "{told}");
    let report = replica.ask("/report").await?.text();
    assert!(!report.contains("forbidden-kind"), "{report}");
    Ok(())
}

/// There is an Event about an object that is refused.
async fn refusals_are_told(site: &Site<'_>) -> Result<()> {
    site.put(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": "broken"},
        "spec": {"hostname": "*", "prefix": "/(", "prefix_regex": true, "service": "quote"},
    }))
    .await?;
    let about = "jsonpath={.items[*].regarding.name}";
    let events = ["get", "events.events.k8s.io", "--namespace", &*site.namespace, "--output", about];
    eventually("an Event", || async {
        let names = site.cluster.kubectl(&events, "").await;
        if names.contains("broken") { Ok(()) } else { Err(names) }
    })
    .await;
    Ok(())
}

/// The Mapping has its conditions, and the Lease a holder.
async fn status_is_written(site: &Site<'_>) {
    let namespace = &*site.namespace;
    site.cluster.wait(&["--for=condition=Programmed", "mapping/quote", "--namespace", namespace]).await;
    let lease = format!("plenipo-{namespace}");
    let holder =
        ["get", "lease", &lease, "--namespace", namespace, "--output", "jsonpath={.spec.holderIdentity}"];
    let holder = site.cluster.kubectl(&holder, "").await;
    assert!(!holder.is_empty(), "nobody holds the Lease");
}

//! The definitions that `plenipo crds` prints, as an API server takes them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use plenipo_resources::documents;
use plenipo_testkit::Cluster;
use serde_json::{Value, json};

use super::Site;
use super::site::mapping;
use crate::gateway::root;

const V3: &str = "getambassador.io/v3alpha1";

/// YAML files, and the YAML of pages, under a directory.
fn texts(directory: &Path, found: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            texts(&path, found)?;
            continue;
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => found.push((path.clone(), fs::read_to_string(path)?)),
            Some("md") => {
                let page = fs::read_to_string(&path)?;
                let blocks = page.split("```").skip(1).step_by(2);
                let yaml = blocks.filter_map(|block| block.strip_prefix("yaml")?.split_once('\n'));
                found.extend(yaml.map(|(_, text)| (path.clone(), text.to_owned())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The objects of our group in them.
fn objects(directories: &[&str]) -> Result<Vec<(PathBuf, Value)>> {
    let mut found = Vec::new();
    for directory in directories {
        texts(&root().join(directory), &mut found)?;
    }
    let values = found.iter().flat_map(|(path, text)| {
        let values = documents(text).into_iter().filter_map(|document| document.value().ok());
        values.map(|value| (path.clone(), value)).collect::<Vec<_>>()
    });
    let ours = |value: &Value| {
        value["apiVersion"].as_str().is_some_and(|version| version.starts_with("getambassador.io/"))
            && value["metadata"]["name"].is_string()
    };
    Ok(values.filter(|(_, value)| ours(value)).collect())
}

async fn client(cluster: &Cluster) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    Ok(Client::try_from(
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?,
    )?)
}

/// Creates an object without keeping it; the API server's words when it refuses.
async fn try_out(client: &Client, namespace: &str, mut object: Value) -> Result<Option<String>> {
    let kind = object["kind"].as_str().context("a kind")?.to_owned();
    let (group, version) =
        object["apiVersion"].as_str().and_then(|it| it.split_once('/')).context("a version")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    object["metadata"]["namespace"] = namespace.into();
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    match api.create(&dry, &serde_json::from_value(object)?).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message)),
        Err(error) => Err(error.into()),
    }
}

/// Tries them all out, and gives the names of those refused.
async fn refused(directories: &[&str]) -> Result<BTreeSet<(PathBuf, String)>> {
    let site = Site::shared().await?;
    let (client, namespace) = (client(site.cluster).await?, site.cluster.namespace().await);
    let objects = objects(directories)?;
    assert!(objects.len() > 50, "{} objects in {directories:?}", objects.len());
    let tried = stream::iter(objects).map(|(path, object)| {
        let (client, namespace) = (client.clone(), namespace.clone());
        async move {
            let text = |at: &str, otherwise| {
                object.pointer(at).and_then(Value::as_str).unwrap_or(otherwise).to_owned()
            };
            let of = text("/metadata/namespace", "default");
            let name = format!("{} {of}/{}", text("/kind", ""), text("/metadata/name", ""));
            anyhow::Ok((path, name, try_out(&client, &namespace, object).await?))
        }
    });
    let tried: Vec<_> = tried.buffer_unordered(8).collect().await;
    let mut found = BTreeSet::new();
    for one in tried {
        let (path, name, refusal) = one?;
        found.extend(refusal.map(|_| (path, name)));
    }
    Ok(found)
}

#[tokio::test]
async fn all_that_is_shown_to_people_is_taken() -> Result<()> {
    let refused =
        refused(&["examples", "docs", "testdata/checks", "testdata/ingress", "testdata/istio"]).await?;
    assert!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

/// A definition may refuse only what the gateway complains of.
#[tokio::test]
async fn of_what_emissary_users_write_only_mistakes_are_refused() -> Result<()> {
    for (path, name) in refused(&["testdata/emissary"]).await? {
        let report = fs::read_to_string(path.with_file_name("report.yaml"))?;
        assert!(report.contains(&format!("\n  {name}:\n")), "{name} of {} is refused", path.display());
    }
    Ok(())
}

#[tokio::test]
async fn rules_say_what_is_wrong() -> Result<()> {
    let site = Site::shared().await?;
    let (client, namespace) = (client(site.cluster).await?, site.namespace.clone());
    let mapping = |more: Value| ("Mapping", merged(json!({"prefix": "/", "service": "a"}), more));
    let listener = |more: Value| {
        let whole = json!({"port": 80, "protocol": "HTTP", "securityModel": "XFP", "hostBinding": {"namespace": {"from": "ALL"}}});
        ("Listener", merged(whole, more))
    };
    for ((kind, spec), word) in [
        (mapping(json!({"weight": 101})), "spec.weight in body should be less than or equal to 100"),
        (mapping(json!({"weight": -1})), "spec.weight in body should be greater than or equal to 0"),
        (mapping(json!({"timeout_ms": -1})), "spec.timeout_ms in body should be greater than or equal to 0"),
        (mapping(json!({"prefix": "app"})), "prefix begins with a slash"),
        (mapping(json!({"prefix": ""})), "spec.prefix in body should be at least 1 chars long"),
        (mapping(json!({"service": null})), "spec.service: Required value"),
        (mapping(json!({"redirect_response_code": 418})), "Unsupported value: 418"),
        (mapping(json!({"load_balancer": {}})), "spec.load_balancer.policy: Required value"),
        (mapping(json!({"health_checks": [{"health_check": {}}]})), "write one of http and grpc"),
        (mapping(json!({"circuit_breakers": [{"priority": "low"}]})), "Unsupported value: \"low\""),
        (listener(json!({"port": 70000})), "spec.port in body should be less than or equal to 65535"),
        (listener(json!({"protocol": null})), "one of protocol and protocolStack is needed"),
        (listener(json!({"protocol": "FTP"})), "Unsupported value: \"FTP\""),
        (listener(json!({"protocol": null, "protocolStack": ["SSH"]})), "Unsupported value: \"SSH\""),
        (listener(json!({"securityModel": null})), "spec.securityModel: Required value"),
        (listener(json!({"hostBinding": {"namespace": null}})), "write which Hosts"),
        (("Host", json!({"tls": {}, "tlsContext": {"name": "a"}})), "keep one of tls and tlsContext"),
        (
            ("Host", json!({"requestPolicy": {"insecure": {"action": "redirect"}}})),
            "Unsupported value: \"redirect\"",
        ),
        (("TLSContext", json!({"min_tls_version": "v3.0"})), "spec.min_tls_version in body should match"),
        (
            ("TCPMapping", json!({"port": 0, "service": "a"})),
            "spec.port in body should be greater than or equal to 1",
        ),
        (("AuthService", json!({"auth_service": "a", "proto": "soap"})), "Unsupported value: \"soap\""),
        (("Module", json!({"config": []})), "spec.config in body must be of type object"),
    ] {
        let object =
            json!({"apiVersion": V3, "kind": kind, "metadata": {"name": "rule"}, "spec": spec.clone()});
        let refusal = try_out(&client, &namespace, object).await?;
        assert!(refusal.as_ref().is_some_and(|text| text.contains(word)), "{kind} {spec}: {refusal:?}");
    }
    let without_spec = json!({"apiVersion": V3, "kind": "Mapping", "metadata": {"name": "rule"}});
    let refusal = try_out(&client, &namespace, without_spec).await?.unwrap_or_default();
    assert!(refusal.contains("spec: Required value"), "{refusal}");
    Ok(())
}

/// The fields of the second over those of the first; null takes away.
pub(super) fn merged(whole: Value, more: Value) -> Value {
    let (Value::Object(mut whole), Value::Object(more)) = (whole, more.clone()) else { return more };
    for (key, value) in more {
        match (value, whole.remove(&key)) {
            (Value::Null, _) => {}
            (inner @ Value::Object(_), Some(under @ Value::Object(_))) => {
                whole.insert(key, merged(under, inner));
            }
            (value, _) => drop(whole.insert(key, value)),
        }
    }
    whole.into()
}

#[tokio::test]
async fn writers_of_conditions_leave_each_others_alone() -> Result<()> {
    let site = Site::shared().await?;
    site.put(mapping("quote", "/quote/", "quote")).await?;
    let condition = |kind: &str, reason: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let write = async |manager: &str, condition: Value| {
        let object = json!({
            "apiVersion": V3, "kind": "Mapping", "metadata": {"name": "quote", "namespace": site.namespace},
            "status": {"conditions": [condition]},
        });
        let manager = format!("--field-manager={manager}");
        let apply = ["apply", "--server-side", "--subresource=status", &manager, "-f", "-"];
        site.cluster.try_kubectl(&apply, &object.to_string()).await
    };
    write("one", condition("example.com/One", "Fine")).await?;
    write("two", condition("example.com/Two", "Fine")).await?;
    write("one", condition("example.com/One", "Finer")).await?;
    let read =
        ["-n", &site.namespace, "get", "mapping", "quote", "-o", "jsonpath={.status.conditions[*].reason}"];
    assert_eq!(site.cluster.kubectl(&read, "").await, "Finer Fine");
    let refused = write("two", condition("example.com/Two", "It went wrong")).await;
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("reason")));
    Ok(())
}

#[tokio::test]
async fn columns_and_words_for_people() -> Result<()> {
    let site = Site::shared().await?;
    site.put(mapping("quote", "/quote/", "quote")).await?;
    let status = json!({"status": {"state": "Running", "conditions": [{
        "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}})
    .to_string();
    let namespace = ["-n", &site.namespace];
    let kubectl = async |arguments: &[&str]| {
        let arguments: Vec<&str> = namespace.iter().chain(arguments).copied().collect();
        site.cluster.kubectl(&arguments, "").await
    };
    kubectl(&["patch", "mapping", "quote", "--subresource=status", "--type=merge", "-p", &status]).await;
    let table = kubectl(&["get", "mappings"]).await;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(
        lines.next().as_deref(),
        Some("NAME HOSTNAME SOURCE PREFIX DEST SERVICE STATE ACCEPTED PROGRAMMED AGE")
    );
    let row = lines.next().context("a row")?;
    assert!(row.starts_with("quote * /quote/ quote Running True"), "{row}");
    let everything = kubectl(&["get", "ambassador-crds"]).await;
    for name in
        ["mapping.getambassador.io/quote", "host.getambassador.io/wildcard", "listener.getambassador.io/http"]
    {
        assert!(everything.contains(name), "{everything}");
    }
    let words = kubectl(&["explain", "mapping.spec.weight"]).await;
    assert!(words.contains("0 is none"), "{words}");
    Ok(())
}

/// What the API server shows is what was applied: whoever compares the two (Argo CD, Flux) finds no difference.
#[tokio::test]
async fn the_api_server_adds_nothing_to_definitions() -> Result<()> {
    let site = Site::shared().await?;
    for definition in plenipo_resources::definition::definitions() {
        let name = definition["metadata"]["name"].as_str().context("a name")?;
        let read: Value =
            serde_json::from_str(&site.cluster.kubectl(&["get", "crd", name, "-o", "json"], "").await)?;
        assert_eq!(read["spec"], definition["spec"], "{name}");
    }
    Ok(())
}

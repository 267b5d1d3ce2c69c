//! Commands that look at a cluster once see what they see in a directory with the same objects, and write nothing.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Site;
use super::site::mapping;
use crate::gateway::{directory, output};

/// What a command says of the site, which is told where to look by `input`.
fn said(site: &Site<'_>, command: &[&str], input: &[&str], rest: &[&str]) -> (String, Option<i32>) {
    let ours = ["--ambassador-id", &site.namespace, "--namespace", &site.namespace];
    let output = output(&[command, input, rest, &ours].concat());
    assert!(output.stderr.is_empty(), "{command:?} {}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[tokio::test]
async fn a_cluster_in_place_of_a_directory() -> Result<()> {
    let site = Site::shared().await?;
    let mut consul = mapping("old", "/old/", "old-app");
    consul["spec"]["resolver"] = json!("consul");
    let objects = [mapping("quote", "/quote/", "quote"), consul];
    for object in &objects {
        site.put(object.clone()).await?;
    }
    let kubeconfig = site.cluster.kubeconfig().to_string_lossy().into_owned();
    // Other tests have Ingresses and Gateways in this cluster, too.
    let cluster = ["--kubernetes", "--kubeconfig", &kubeconfig, "--watch-namespace", &site.namespace];
    let everything = [
        "get",
        "mappings,hosts,listeners,kubernetesendpointresolvers,events",
        "--namespace",
        &site.namespace,
        "--output",
        "json",
    ];
    let before = site.cluster.kubectl(&everything, "").await;

    // The same objects as files, as the API gives them; the status that somebody else wrote is no matter.
    let written: Value = serde_json::from_str(&before)?;
    let documents = written["items"].as_array().context("a list")?.iter().map(ToString::to_string);
    let directory = directory(&documents.collect::<Vec<_>>().join("\n---\n"))?;
    let path = directory.path().to_string_lossy().into_owned();

    let (text, code) = said(&site, &["migrate"], &cluster, &["-o", "json"]);
    let from_cluster: Value = serde_json::from_str(&text)?;
    let from_files: Value = serde_json::from_str(&said(&site, &["migrate"], &[&path], &["-o", "json"]).0)?;
    assert_eq!(code, Some(1), "the Mapping that asks Consul is lost");
    assert_eq!(from_cluster["routes"], from_files["routes"]);
    assert_eq!(from_cluster["differences"], from_files["differences"]);

    let (routes, _) = said(&site, &["routes"], &cluster, &[]);
    assert_eq!(routes, said(&site, &["routes"], &[&path], &[]).0);
    let explained = said(&site, &["explain"], &cluster, &["http://any.example.com:8080/quote/x"]);
    assert!(explained.1 == Some(0) && explained.0.contains("Mapping"), "{explained:?}");
    let (checked, code) = said(&site, &["check"], &cluster, &["-o", "json"]);
    assert!(code == Some(1) && checked.contains("asks Consul"), "{checked}");
    assert_eq!(said(&site, &["audit"], &cluster, &[]).1, Some(0));

    assert_eq!(site.cluster.kubectl(&everything, "").await, before, "nothing was written");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_cannot_be_read_is_code_3() {
    let output = output(&["routes", "--kubernetes", "--kubeconfig", "/nowhere"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

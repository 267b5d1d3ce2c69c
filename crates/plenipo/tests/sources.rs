//! A directory and a cluster with the same objects give the same edge.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use plenipo_model::Edge;
use plenipo_resources::{ObjectId, Set, documents};
use plenipo_source::Directory;
use plenipo_source::cluster::{self, Access, ClusterOptions};
use plenipo_testkit::Apiserver;
use plenipo_translate::{Options, translate};
use serde_json::Value;

/// Kinds that a cluster has and that are not read from it: their work is done by others that are.
const NOT_READ: [&str; 1] = ["Endpoints"];

fn cases() -> Vec<PathBuf> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let mut found = Vec::new();
    for dialect in ["emissary", "istio", "ingress"] {
        for case in fs::read_dir(testdata.join(dialect)).unwrap() {
            let file = case.unwrap().path().join("in.yaml");
            found.extend(file.is_file().then_some(file));
        }
    }
    found.sort();
    found
}

/// The objects of a file that an API server would take: each of them once, with kind and name.
fn objects(text: &str) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let values = documents(text).into_iter().filter_map(|document| document.value().ok());
    let is_one = |value: &Value| {
        let part = |path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let (Some(api_version), Some(kind), Some(name)) =
            (part("/apiVersion"), part("/kind"), part("/metadata/name"))
        else {
            return false;
        };
        let namespace = part("/metadata/namespace").unwrap_or_else(|| "default".to_owned());
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        !NOT_READ.contains(&kind.as_str()) && seen.insert((group, kind, namespace, name))
    };
    values.filter(is_one).collect()
}

/// What the tests of the translation take for given, with the Secrets that objects do not name.
fn options() -> (Options, ClusterOptions) {
    let options = Options { force_directory_endpoints: true, ..Options::default() };
    let cluster = ClusterOptions {
        gateways: vec![options.namespace.clone(), options.istio.namespace.clone()],
        needed: vec![ObjectId::new("Secret", &options.namespace, "fallback-self-signed-cert")],
        whole: true,
        ..ClusterOptions::default()
    };
    (options, cluster)
}

fn from_directory(objects: &[Value]) -> Set {
    let directory = tempfile::tempdir().unwrap();
    // JSON is YAML.
    let text: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
    fs::write(directory.path().join("all.yaml"), text).unwrap();
    Directory::open(directory.path()).unwrap().read()
}

async fn from_cluster(objects: &[Value], options: ClusterOptions) -> Set {
    let server = Apiserver::start().await.unwrap();
    objects.iter().for_each(|object| server.put(object.clone()));
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("config");
    fs::write(&kubeconfig, server.kubeconfig()).unwrap();
    let access = Access { kubeconfig: Some(kubeconfig), context: None };
    cluster::read(cluster::connect(&access).await.unwrap(), options).await.unwrap()
}

/// An edge without the lines of files that it names.
fn plain(edge: &Edge) -> String {
    serde_json::to_string_pretty(edge).unwrap()
}

#[tokio::test]
async fn every_case_gives_the_same_edge() {
    let (options, read) = options();
    let cases = cases();
    assert!(cases.len() > 100, "{} cases", cases.len());
    for case in cases {
        let objects = objects(&fs::read_to_string(&case).unwrap());
        let (here, there) = (from_directory(&objects), from_cluster(&objects, read.clone()).await);
        let [here, there] = [here, there].map(|set| plain(&translate(&set, &options).0));
        assert!(here == there, "{}", difference(&case, &here, &there));
    }
}

fn difference(case: &Path, here: &str, there: &str) -> String {
    let lines = here.lines().zip(there.lines()).enumerate();
    let first = lines.filter(|(_, (here, there))| here != there).take(3);
    let first: Vec<_> =
        first.map(|(at, (here, there))| format!("{at}: {} | {}", here.trim(), there.trim())).collect();
    format!("{}: directory | cluster\n{}", case.display(), first.join("\n"))
}

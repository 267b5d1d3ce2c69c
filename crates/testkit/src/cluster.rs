//! A real control plane: etcd, kube-apiserver and, when asked for, kube-controller-manager, on 127.0.0.1.
//!
//! `cargo xtask kapi` builds the programs (`tools/kapi`). There is no node: nothing runs Pods, and without the controllers
//! nothing makes EndpointSlices of Services, and a deleted Namespace stays `Terminating`. EndpointSlices with addresses of
//! 127.0.0.0/8 are refused by the API server.
//!
//! One control plane serves all tests of a program ([`Cluster::shared`]), each with namespaces of its own; a test that stops
//! it starts its own. All of it ends with the test, however that ends.

mod credentials;
mod network;
mod plane;
mod pod;
mod programs;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use self::credentials::Credentials;
use self::plane::{Ports, Servers};
use crate::Http;

pub use self::network::Network;

/// The control plane. Stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    // First: they are stopped before their folder goes.
    servers: Mutex<Servers>,
    ports: Ports,
    options: ClusterOptions,
    credentials: Credentials,
    kubeconfig: PathBuf,
    namespaces: AtomicUsize,
    folder: TempDir,
}

/// What a control plane shall be.
#[derive(Clone, Default, Debug)]
pub struct ClusterOptions {
    /// Whether kube-controller-manager runs: it makes ServiceAccounts, ReplicaSets, Pods and EndpointSlices, and removes
    /// what is in a deleted namespace. Default: no.
    pub controllers: bool,
    /// Flags for kube-apiserver besides ours.
    pub apiserver_flags: Vec<String>,
}

impl Cluster {
    /// etcd and kube-apiserver, ready.
    ///
    /// # Panics
    /// When a program is missing or does not become ready; the message has its output.
    pub async fn start() -> Self {
        Self::start_with(ClusterOptions::default()).await
    }

    /// As [`Cluster::start`], as the options say.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub async fn start_with(options: ClusterOptions) -> Self {
        let cluster = Self::launch(options).expect("the control plane can be started");
        cluster.ready().await;
        cluster
    }

    /// The control plane that all tests of this program share, without controllers; the first that asks starts it.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// An address of this machine that an EndpointSlice may have, and that upstreams can bind: that of the way out.
    ///
    /// # Panics
    /// When there is none: no network at all, and no right to add an address.
    pub fn pod_address() -> IpAddr {
        pod::address()
    }

    /// Where the API server is.
    pub fn url(&self) -> String {
        format!("https://{}", self.ports.apiserver())
    }

    /// PEM file of the authority that signed the API server's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.credentials.file("ca.crt")
    }

    /// A kubeconfig that may do everything.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig with a token of this ServiceAccount (see [`Cluster::token_file`]).
    ///
    /// # Panics
    /// When there is no such ServiceAccount.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.token_file(namespace, account).await;
        let name = format!("{namespace}-{account}.kubeconfig");
        let written = self.credentials.kubeconfig(&name, &self.url(), &token);
        written.expect("the cluster's folder can be written")
    }

    /// A file with a token of this ServiceAccount, valid for an hour. Asking again writes a new token into the same file,
    /// as a kubelet does. (Tokens end at once, save for ten seconds of caching, when their ServiceAccount is deleted.)
    ///
    /// # Panics
    /// When there is no such ServiceAccount.
    pub async fn token_file(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.kubectl(&["create", "token", account, "--namespace", namespace], "").await;
        let path = self.credentials.file(&format!("{namespace}-{account}.token"));
        let new = path.with_extension("new");
        let written = std::fs::write(&new, token.trim()).and_then(|()| std::fs::rename(&new, &path));
        written.expect("the cluster's folder can be written");
        path
    }

    /// Runs `kubectl` with everything allowed; `input` is its standard input. Gives what it printed.
    ///
    /// # Panics
    /// When it fails; the message is what it said.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        self.try_kubectl(arguments, input).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// As [`Cluster::kubectl`].
    ///
    /// # Errors
    /// When it fails; the message is what it said.
    pub async fn try_kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        programs::output(self.client("kubectl").args(arguments), input).await
    }

    /// Runs `helm`, as [`Cluster::kubectl`] does.
    ///
    /// # Panics
    /// When it fails; the message is what it said.
    pub async fn helm(&self, arguments: &[&str]) -> String {
        self.try_helm(arguments).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// As [`Cluster::helm`].
    ///
    /// # Errors
    /// When it fails; the message is what it said.
    pub async fn try_helm(&self, arguments: &[&str]) -> Result<String> {
        programs::output(self.client("helm").args(arguments), "").await
    }

    /// A client program, away from the configuration of whoever runs the tests.
    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(programs::program(name));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", self.folder.path());
        for folder in ["KUBECACHEDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(folder, self.folder.path().join(folder.to_lowercase()));
        }
        command
    }

    /// Applies these documents (server-side, taking over every field).
    ///
    /// # Panics
    /// When one is refused; the message says which and why.
    pub async fn apply(&self, yaml: &str) {
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", "-"], yaml).await;
    }

    /// Deletes what these documents name, if it is there, and waits until it is gone.
    ///
    /// # Panics
    /// When one cannot be deleted.
    pub async fn delete(&self, yaml: &str) {
        self.kubectl(&["delete", "--ignore-not-found", "--filename", "-"], yaml).await;
    }

    /// `kubectl wait` with these arguments, for a minute unless they say otherwise.
    ///
    /// # Panics
    /// When the time is over.
    pub async fn wait(&self, arguments: &[&str]) {
        let arguments = [&["wait", "--timeout=60s"], arguments].concat();
        self.kubectl(&arguments, "").await;
    }

    /// A new namespace.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn namespace(&self) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name], "").await;
        name
    }

    /// A network of one's own to the API server, which can be lost.
    ///
    /// # Panics
    /// When there is no port or thread for it.
    pub fn network(&self) -> Network<'_> {
        Network::start(self, self.ports.apiserver()).expect("a port and a thread for the network")
    }

    /// Kills the API server (`kill -9`); etcd keeps what it knew.
    pub fn kill_apiserver(&self) {
        self.servers().apiserver = None;
    }

    /// Starts the API server again, at the same address, and waits until it is ready.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub async fn restart_apiserver(&self) {
        self.kill_apiserver();
        let started = self.start_apiserver().expect("kube-apiserver can be started again");
        self.servers().apiserver = Some(started);
        self.ready().await;
    }

    /// Makes etcd forget the past, and gives the revision up to which. An API server that runs answers watches of the last
    /// minutes from its own memory; one started afterwards answers 410.
    ///
    /// # Panics
    /// When etcd refuses.
    pub async fn compact(&self) -> i64 {
        self.try_compact().await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    async fn try_compact(&self) -> Result<i64> {
        let post = async |path: &str, body: Value| -> Result<Value> {
            let request = http::Request::post(path);
            let answer = Http::one(self.ports.etcd()).send_with(request, body.to_string()).await?;
            anyhow::ensure!(answer.status == 200, "etcd: {}: {}", answer.status, answer.text());
            Ok(serde_json::from_slice(&answer.body)?)
        };
        // 64-bit numbers are strings in etcd's JSON, and keys base64.
        let now = post("/v3/kv/range", json!({"key": "AA==", "count_only": true})).await?;
        let revision = now["header"]["revision"].as_str().context("no revision")?.parse()?;
        post("/v3/kv/compaction", json!({"revision": revision, "physical": true})).await?;
        Ok(revision)
    }
}

//! Starting the servers and knowing when they are ready.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http::Request;

use super::credentials::Credentials;
use super::{Cluster, ClusterOptions, programs};
use crate::client::Target;
use crate::{Http, Process, tls};

/// For a machine with everything else to do at the same time; idle it takes 3 s.
const START: Duration = Duration::from_secs(180);

/// What `deployment` and the like need, and what namespaces and ServiceAccounts do.
const CONTROLLERS: &str = "namespace-controller,serviceaccount-controller,deployment-controller,replicaset-controller,\
    endpointslice-controller,garbage-collector-controller,root-ca-certificate-publisher-controller,\
    disruption-controller,horizontal-pod-autoscaler-controller";

/// Ports of the servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    etcd: u16,
    etcd_peers: u16,
    apiserver: u16,
}

impl Ports {
    fn free() -> Self {
        Self { etcd: lasting_port(), etcd_peers: lasting_port(), apiserver: lasting_port() }
    }

    pub(super) fn etcd(self) -> SocketAddr {
        ([127, 0, 0, 1], self.etcd).into()
    }

    pub(super) fn apiserver(self) -> SocketAddr {
        ([127, 0, 0, 1], self.apiserver).into()
    }
}

impl Cluster {
    pub(super) fn launch(mut options: ClusterOptions) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("plenipo-cluster-").tempdir()?;
        let credentials = Credentials::write(folder.path())?;
        let ports = Ports::free();
        let url = format!("https://{}", ports.apiserver());
        let kubeconfig =
            credentials.kubeconfig("admin.kubeconfig", &url, &credentials.file("admin.token"))?;
        let etcd = start_etcd(ports, folder.path())?;
        if !options.controllers {
            // Nobody makes the ServiceAccount that every Pod is asked for.
            options.apiserver_flags.push("--disable-admission-plugins=ServiceAccount".into());
        }
        let cluster = Self {
            servers: Mutex::new(Servers { controllers: None, apiserver: None, etcd }),
            ports,
            options,
            credentials,
            kubeconfig,
            namespaces: AtomicUsize::new(1),
            folder,
        };
        cluster.servers().apiserver = Some(cluster.start_apiserver()?);
        if cluster.options.controllers {
            cluster.servers().controllers = Some(cluster.start_controllers()?);
        }
        Ok(cluster)
    }

    pub(super) fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start_apiserver(&self) -> Result<Process> {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.credentials.file(name).display());
        let mut command = Command::new(programs::program("kube-apiserver"));
        command
            .args([
                format!("--etcd-servers=http://{}", self.ports.etcd()),
                format!("--secure-port={}", self.ports.apiserver),
                file("cert-dir", "apiserver"),
                file("tls-cert-file", "apiserver.crt"),
                file("tls-private-key-file", "apiserver.key"),
                file("client-ca-file", "ca.crt"),
                file("token-auth-file", "tokens.csv"),
                file("service-account-key-file", "accounts.pub"),
                file("service-account-signing-key-file", "accounts.key"),
            ])
            .args([
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--authorization-mode=RBAC",
                "--allow-privileged=true",
                // Only a test that wants it forgets the past.
                "--etcd-compaction-interval=0",
                "--profiling=false",
            ])
            .args(&self.options.apiserver_flags);
        Process::start_guarded(&command, &self.credentials.file("apiserver"))
    }

    fn start_controllers(&self) -> Result<Process> {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.credentials.file(name).display());
        let mut command = Command::new(programs::program("kube-controller-manager"));
        command
            .args([
                file("kubeconfig", "admin.kubeconfig"),
                file("root-ca-file", "ca.crt"),
                file("service-account-private-key-file", "accounts.key"),
                format!("--controllers={CONTROLLERS}"),
            ])
            .args(["--secure-port=0", "--leader-elect=false", "--profiling=false"]);
        Process::start_guarded(&command, &self.credentials.file("controllers"))
    }

    /// Waits until the API server serves and the namespace `default` is there; with controllers, its ServiceAccount too.
    pub(super) async fn ready(&self) {
        let deadline = tokio::time::Instant::now() + START;
        let object = match self.options.controllers {
            true => "/api/v1/namespaces/default/serviceaccounts/default",
            false => "/api/v1/namespaces/default",
        };
        while let Err(error) = self.answers(&["/readyz", object]).await {
            let late = tokio::time::Instant::now() > deadline;
            if let Some(said) = self.servers().failure(late) {
                panic!("the control plane is not ready: {error:#}\n{said}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answers(&self, paths: &[&str]) -> Result<()> {
        let trust = tls::client(&self.credentials.authority, None, &[]);
        let client = Http::one(Target::tls(self.ports.apiserver(), "localhost", trust));
        for path in paths {
            let request =
                Request::get(*path).header("authorization", format!("Bearer {}", self.credentials.admin));
            let answer = client.send(request).await?;
            anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        }
        Ok(())
    }
}

/// The processes, in the order in which they are stopped.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) controllers: Option<Process>,
    pub(super) apiserver: Option<Process>,
    pub(super) etcd: Process,
}

impl Servers {
    /// What they said, once one of them has ended, or it is late.
    fn failure(&mut self, late: bool) -> Option<String> {
        let all = self.controllers.iter_mut().chain(&mut self.apiserver).chain([&mut self.etcd]);
        let running = { all }.all(|server| matches!(server.ended(), Ok(None)));
        (late || !running).then(|| self.said())
    }

    fn said(&self) -> String {
        let all = self.controllers.iter().chain(&self.apiserver).chain([&self.etcd]);
        all.map(Process::output).collect::<Vec<_>>().join("\n---\n")
    }
}

fn start_etcd(ports: Ports, folder: &Path) -> Result<Process> {
    let clients = format!("http://{}", ports.etcd());
    let peers = format!("http://127.0.0.1:{}", ports.etcd_peers);
    let mut command = Command::new(programs::program("etcd"));
    command.arg("--data-dir").arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("default={peers}")]);
    // Nothing of it is wanted after the test.
    command.args(["--unsafe-no-fsync", "--log-level", "warn"]);
    Process::start_guarded(&command, folder)
}

/// A free port that stays free while its server is down for a moment: below those that the kernel gives to whoever connects.
fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 10_000).expect("below ten thousand");
    let next = || 20_000 + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
    let mut ports = std::iter::repeat_with(next).take(10_000);
    ports
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of ten thousand ports is free")
}

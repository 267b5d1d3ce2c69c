//! `plenipo run --kubernetes`: one replica of a gateway.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use http::Request;
use plenipo_testkit::{Http, Process, Response, eventually, free_port};

use super::Site;
use crate::gateway::plenipo;

/// A replica, on ports of its own.
pub(crate) struct Replica {
    /// The process.
    pub(crate) process: Process,
    /// Its admin address.
    pub(crate) admin: SocketAddr,
    ports: Vec<(u16, u16)>,
}

impl Replica {
    /// Runs for a site, with everything allowed, and waits until it is ready.
    pub(crate) async fn start(site: &Site<'_>) -> Result<Self> {
        Self::start_with(site, site.cluster.kubeconfig(), &[8080], &[]).await
    }

    /// Runs for a site with this kubeconfig, free ports for these declared ones and further arguments, and waits until it is
    /// ready.
    pub(crate) async fn start_with(
        site: &Site<'_>,
        kubeconfig: &Path,
        declared: &[u16],
        arguments: &[&str],
    ) -> Result<Self> {
        let replica = Self::launch(&site.namespace, kubeconfig, declared, arguments)?;
        replica.ready().await;
        Ok(replica)
    }

    /// As [`Replica::start_with`], without waiting; the id is the namespace's name.
    pub(crate) fn launch(
        namespace: &str,
        kubeconfig: &Path,
        declared: &[u16],
        arguments: &[&str],
    ) -> Result<Self> {
        let ports: Vec<(u16, u16)> = declared.iter().map(|port| (*port, free_port())).collect();
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = plenipo();
        command.args(["run", "--kubernetes", "--kubeconfig"]).arg(kubeconfig);
        command.args(["--ambassador-id", namespace, "--namespace", namespace]);
        command.args(["--bind", "127.0.0.1", "--workers", "2", "--admin", &admin.to_string()]);
        if !arguments.contains(&"--min-drain") {
            command.args(["--min-drain", "0s"]);
        }
        for (declared, bound) in &ports {
            command.args(["--port-map", &format!("{declared}={bound}")]);
        }
        let process = Process::start(command.args(arguments))?;
        Ok(Self { process, admin, ports })
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        eventually("readiness", || async {
            let answer = self.ask("/ready?verbose").await.map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text() + &self.process.output()) }
        })
        .await;
    }

    /// Asks the admin address.
    pub(crate) async fn ask(&self, path: &str) -> Result<Response> {
        Http::one(self.admin).get(&format!("http://{}{path}", self.admin)).await
    }

    /// Where a declared port is.
    pub(crate) fn address(&self, declared: u16) -> SocketAddr {
        let found = self.ports.iter().find(|(own, _)| *own == declared);
        ([127, 0, 0, 1], found.expect("a port that the test declared").1).into()
    }

    /// GET at 8080 for this host.
    pub(crate) async fn get(&self, host: &str, path: &str) -> Result<Response> {
        Http::one(self.address(8080)).send(Request::get(path).header("host", host)).await
    }

    /// The status at 8080, and which upstream answered, if one did: `"200 quote"`, `"404 "`; or that nobody did.
    pub(crate) async fn answer(&self, host: &str, path: &str) -> String {
        match self.get(host, path).await {
            Ok(response) => {
                let backend = response.echoed().map(|echoed| echoed.backend).unwrap_or_default();
                format!("{} {backend}", response.status.as_u16())
            }
            Err(_) => "nobody".into(),
        }
    }

    /// Waits until that is the answer, and says how long after this moment.
    pub(crate) async fn answers(&self, begun: Instant, host: &str, path: &str, wanted: &str) -> Duration {
        eventually(&format!("{wanted} for {host}{path}"), || async {
            let answer = self.answer(host, path).await;
            if answer == wanted { Ok(()) } else { Err(answer) }
        })
        .await;
        begun.elapsed()
    }
}

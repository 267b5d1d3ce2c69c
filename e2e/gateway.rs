//! The real binary, run by a test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use anyhow::{Context, Result};
use plenipo_testkit::{Http, Process, Response, eventually, free_port};
use tempfile::TempDir;

/// The binary, with an environment of our own.
pub(crate) fn plenipo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plenipo"));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("AMBASSADOR_") {
            command.env_remove(name);
        }
    }
    command
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs the binary to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    plenipo().args(arguments).output().expect("the binary was built for this test")
}

/// A directory with one file.
pub(crate) fn directory(yaml: &str) -> Result<TempDir> {
    let directory = tempfile::tempdir()?;
    fs::write(directory.path().join("gateway.yaml"), yaml)?;
    Ok(directory)
}

/// `plenipo run`, on ports of its own.
pub(crate) struct Gateway {
    /// The process.
    pub(crate) process: Process,
    /// Its directory; what is written there it reads.
    pub(crate) directory: TempDir,
    admin: u16,
    ports: Vec<(u16, u16)>,
}

impl Gateway {
    /// Runs on this YAML, with free ports for these declared ones, and waits until it is ready.
    pub(crate) async fn start(yaml: &str, declared: &[u16], arguments: &[&str]) -> Result<Self> {
        let gateway = Self::launch(yaml, declared, arguments)?;
        eventually("readiness", || async {
            let answer = gateway.admin("/ready?verbose").await.ok();
            answer.filter(|answer| answer.status == 200)
        })
        .await;
        Ok(gateway)
    }

    /// As [`Gateway::start`], without waiting.
    pub(crate) fn launch(yaml: &str, declared: &[u16], arguments: &[&str]) -> Result<Self> {
        let directory = directory(yaml)?;
        let ports: Vec<(u16, u16)> = declared.iter().map(|port| (*port, free_port())).collect();
        let admin = free_port();
        let mut command = plenipo();
        command.arg("run").arg("--config").arg(directory.path());
        command.args(["--bind", "127.0.0.1", "--workers", "2"]);
        if !arguments.contains(&"--min-drain") {
            command.args(["--min-drain", "0s"]);
        }
        command.args(["--admin", &format!("127.0.0.1:{admin}")]);
        for (declared, bound) in &ports {
            command.args(["--port-map", &format!("{declared}={bound}")]);
        }
        let process = Process::start(command.args(arguments))?;
        Ok(Self { process, directory, admin, ports })
    }

    /// The port bound for a declared one.
    pub(crate) fn port(&self, declared: u16) -> u16 {
        let found = self.ports.iter().find(|(own, _)| *own == declared);
        found.map(|(_, bound)| *bound).expect("a port that the test declared")
    }

    /// `127.0.0.1` and that port.
    pub(crate) fn address(&self, declared: u16) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port(declared)).into()
    }

    /// Asks the admin address.
    pub(crate) async fn admin(&self, path: &str) -> Result<Response> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.admin));
        Http::one(address).get(&format!("http://{address}{path}")).await
    }

    /// Where the admin address is.
    pub(crate) fn admin_address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.admin).into()
    }

    /// Replaces its YAML, as an editor does: a new file, renamed into place.
    pub(crate) fn write(&self, yaml: &str) -> Result<()> {
        let path = self.directory.path().join("gateway.yaml");
        let new = self.directory.path().join(".gateway.yaml.new");
        fs::write(&new, yaml)?;
        fs::rename(&new, &path).context("the file cannot be put into place")
    }
}

/// Listeners for clear text on 8080 and a Host for every name.
pub(crate) const CLEAR_TEXT: &str = r#"
apiVersion: getambassador.io/v3alpha1
kind: Listener
metadata: {name: http, namespace: default}
spec:
  port: 8080
  protocol: HTTP
  securityModel: XFP
  hostBinding: {namespace: {from: ALL}}
---
apiVersion: getambassador.io/v3alpha1
kind: Host
metadata: {name: wildcard, namespace: default}
spec:
  hostname: "*"
  requestPolicy: {insecure: {action: Route}}
"#;

/// A Mapping for every host.
pub(crate) fn mapping(name: &str, prefix: &str, service: &str) -> String {
    format!(
        r#"
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {{name: {name}, namespace: default}}
spec:
  hostname: "*"
  prefix: {prefix}
  service: {service}
"#
    )
}

//! The load balancers, run by the real binary, with what stands for ACM beside them.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use plenipo_testkit::{Authority, Issued, Process, free_port};
use tempfile::TempDir;

use crate::gateway::{plenipo, root};

/// The certificate that YAML here names.
pub(crate) const ARN: &str =
    "arn:aws:acm:eu-west-1:481516234299:certificate/2b7e1516-28ae-4d2a-a6ab-f7158809cf4f";

/// `plenipo edge` or `plenipo run --edge`, on ports of its own.
pub(crate) struct Front {
    /// The process.
    pub(crate) process: Process,
    directory: TempDir,
    files: TempDir,
    ports: Vec<(u16, u16)>,
}

/// An answer, as curl tells it.
#[derive(Debug)]
pub(crate) struct Curled {
    /// 0 when there was none.
    pub(crate) status: u16,
    /// Where it redirects to.
    pub(crate) location: String,
    /// Its body.
    pub(crate) body: String,
    /// What curl complains about.
    pub(crate) complaint: String,
}

impl Front {
    /// Both in one process.
    pub(crate) async fn with_gateway(yaml: &str, declared: &[u16], arguments: &[&str]) -> Result<Self> {
        let mut command = plenipo();
        command.args(["run", "--bind", "127.0.0.1", "--min-drain", "0s", "--workers", "1"]);
        command.args(["--admin", &format!("127.0.0.1:{}", free_port()), "--edge"]);
        Self::start(command, yaml, declared, arguments).await
    }

    /// The load balancers alone.
    pub(crate) async fn alone(yaml: &str, declared: &[u16], arguments: &[&str]) -> Result<Self> {
        let mut command = plenipo();
        command.args(["edge", "--workers", "1"]);
        Self::start(command, yaml, declared, arguments).await
    }

    async fn start(mut command: Command, yaml: &str, declared: &[u16], arguments: &[&str]) -> Result<Self> {
        let (directory, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
        fs::write(directory.path().join("gateway.yaml"), yaml)?;
        command.arg(directory.path()).args(arguments);
        let ports: Vec<(u16, u16)> = declared.iter().map(|port| (*port, free_port())).collect();
        for (declared, bound) in &ports {
            command.args(["--port-map", &format!("{declared}={bound}")]);
        }
        let process = Process::start(&mut command)?;
        process.line_with("Everywhere: ").await;
        Ok(Self { process, directory, files, ports })
    }

    /// The port bound for a declared one.
    pub(crate) fn port(&self, declared: u16) -> u16 {
        let found = self.ports.iter().find(|(own, _)| *own == declared);
        found.map(|(_, bound)| *bound).expect("a port that the test declared")
    }

    /// 127.0.0.1 and that port.
    pub(crate) fn address(&self, declared: u16) -> SocketAddr {
        ([127, 0, 0, 1], self.port(declared)).into()
    }

    /// Replaces its YAML.
    pub(crate) fn write(&self, yaml: &str) -> Result<()> {
        let new = self.directory.path().join(".gateway.yaml.new");
        fs::write(&new, yaml)?;
        fs::rename(&new, self.directory.path().join("gateway.yaml"))
            .context("the file cannot be put into place")
    }

    /// Asks as a client that believes this authority and comes from 127.0.0.5; `url` has the declared port, or none.
    pub(crate) fn curl(&self, authority: &Authority, url: &str, arguments: &[&str]) -> Result<Curled> {
        let roots = self.files.path().join("roots.pem");
        fs::write(&roots, authority.pem())?;
        let (scheme, rest) = url.split_once("://").context("no scheme")?;
        let (name, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = match name.split_once(':') {
            Some((name, port)) => (name, port.parse()?),
            None => (name, if scheme == "https" { 443 } else { 80 }),
        };
        let mut command = Command::new("curl");
        command.args(["-sS", "--path-as-is", "--interface", "127.0.0.5", "--max-time", "10", "--cacert"]);
        command.arg(roots);
        // So the URL, and with it `Host` and the server name, have the port that is declared.
        command.args(["--connect-to", &format!("{name}:{port}:127.0.0.1:{}", self.port(port))]);
        command.args(["-w", "\n%{http_code} %{redirect_url}"]).args(arguments);
        let Output { stdout, stderr, .. } =
            command.arg(format!("{scheme}://{name}:{port}/{path}")).output().context("curl")?;
        let text = String::from_utf8(stdout)?;
        let (body, last) = text.rsplit_once('\n').context("curl says nothing")?;
        let (status, location) = last.split_once(' ').context("curl says too little")?;
        Ok(Curled {
            status: status.parse()?,
            location: location.to_owned(),
            body: body.to_owned(),
            complaint: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// What openssl sees on a declared port when it asks for this name (empty: for none): its whole output.
    pub(crate) fn handshake(&self, declared: u16, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &self.address(declared).to_string()]);
        match name {
            "" => command.arg("-noservername"),
            name => command.args(["-servername", name]),
        };
        let Output { stdout, stderr, .. } =
            command.args(arguments).stdin(std::process::Stdio::null()).output().context("openssl")?;
        Ok(String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
    }
}

/// What stands for ACM: files of one certificate, and the argument that names them.
pub(crate) struct Acm {
    _files: TempDir,
    /// `--acm ARN=…`.
    pub(crate) arguments: [String; 2],
}

impl Acm {
    /// For one ARN.
    pub(crate) fn new(arn: &str, certificate: &Issued) -> Result<Self> {
        let files = tempfile::tempdir()?;
        let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        fs::write(&cert, certificate.cert_pem())?;
        fs::write(&key, certificate.key_pem())?;
        let arguments = ["--acm".to_owned(), format!("{arn}={},{}", cert.display(), key.display())];
        Ok(Self { _files: files, arguments })
    }
}

/// `gateway.yaml` of an example.
pub(crate) fn example(name: &str) -> Result<String> {
    let path = root().join("examples").join(name).join("gateway.yaml");
    let yaml = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    ensure!(yaml.contains("kind: "), "{name} is empty");
    Ok(yaml)
}

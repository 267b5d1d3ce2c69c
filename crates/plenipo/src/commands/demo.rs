//! `plenipo demo`: an example with everything around it, in this process.
//!
//! The gateway runs as it always does, on a directory: the example's YAML and Secrets made for this run. The services
//! behind it, and the load balancer in front where the example has one, run beside it.

mod certificates;
mod echo;
mod examples;
mod lesson;
mod load_balancer;

use std::fs;
use std::io::{self, Write, stdout};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plenipo_admin::{Identity, Server};
use plenipo_model::{Edge, PortMap};
use plenipo_proxy::{Proxy, Snapshot};
use plenipo_source::Directory;
use plenipo_translate::Options;

use crate::arguments::{DemoArguments, LogFormat};
use crate::exit::{Ending, Exit};
use crate::settings::{Reading, Settings};
use crate::{app, logging};
use certificates::Certificates;
use examples::{EXAMPLES, Example};
use lesson::Substitutions;
use load_balancer::Ports;

/// The example that runs when none is named.
pub(crate) const DEFAULT_EXAMPLE: &str = "nlb-proxy-protocol";

/// Ports of the gateway in the examples.
const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;
/// Ports of the load balancer in the examples' commands, for its 80 and 443.
const FRONT_HTTP: u16 = 9080;
const FRONT_HTTPS: u16 = 9443;
const ADMIN: u16 = 8877;

/// Runs an example until it is interrupted.
pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<Exit> {
    if arguments.list {
        return list();
    }
    let wanted = arguments.example.as_str();
    let example = EXAMPLES.iter().find(|example| example.name == wanted);
    let example = example
        .ok_or_else(|| Ending::usage(format!("no example is called {wanted:?}; --list lists them")))?;
    let log_level = logging::start(LogFormat::Text, "warn")?;
    app::runtime()?.block_on(async {
        // Removed when it goes out of scope, however the demo ends.
        let directory = tempfile::Builder::new().prefix("plenipo-demo-").tempdir()?;
        let stage = Stage::set(example, arguments, directory.path()).await?;
        let admin = Server::bind(stage.settings.admin).await.context("the admin address")?;
        let settings = stage.settings.clone();
        app::serve(settings, admin, log_level, async |edge| stage.open(edge).await).await
    })
}

fn list() -> anyhow::Result<Exit> {
    let mut out = stdout().lock();
    for example in EXAMPLES {
        writeln!(out, "{:<20} {}", example.name, example.title())?;
    }
    Ok(Exit::Success)
}

/// An example, ready to run.
struct Stage {
    example: &'static Example,
    settings: Settings,
    certificates: Certificates,
    front: Ports,
    substitutions: Substitutions,
}

impl Stage {
    /// Writes the files, starts the services, finds free ports.
    async fn set(
        example: &'static Example,
        arguments: &DemoArguments,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let certificates = Certificates::new()?;
        certificates.write_client_files(directory)?;
        let config = directory.join("config");
        fs::create_dir(&config)?;
        fs::write(config.join("gateway.yaml"), example.yaml)?;
        fs::write(config.join("secrets.yaml"), certificates.secrets())?;

        let options = Options {
            bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            resolve: services(&certificates).await?.into_iter().collect(),
            force_directory_endpoints: true,
            ..Options::default()
        };
        let mut chosen = Chosen { any: arguments.free_ports, held: Vec::new() };
        let mut ports = vec![];
        for declared in declared_ports(&config, &options)? {
            let asked = match declared {
                HTTP => arguments.port,
                HTTPS => arguments.tls_port,
                _ => None,
            };
            ports.push((declared, asked.map_or_else(|| chosen.port(declared), Ok)?));
        }
        let bound = |port: u16| {
            ports.iter().find(|(declared, _)| *declared == port).map_or(port, |(_, bound)| *bound)
        };
        let front = Ports {
            http: chosen.port(FRONT_HTTP)?,
            https: chosen.port(FRONT_HTTPS)?,
            gateway_http: bound(HTTP),
            gateway_https: bound(HTTPS),
        };
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, chosen.port(ADMIN)?));
        let mut map = PortMap::default();
        ports.iter().for_each(|(declared, bound)| map.insert(*declared, *bound));
        ports.extend([(FRONT_HTTP, front.http), (FRONT_HTTPS, front.https)]);
        let settings = settings(&config, Reading { options, ports: map }, admin);
        let substitutions = Substitutions { directory: directory.display().to_string(), ports };
        Ok(Self { example, settings, certificates, front, substitutions })
    }

    /// Starts the load balancer, and tells what there is to try.
    async fn open(self, edge: &Edge) -> anyhow::Result<()> {
        if let Some(kind) = self.example.front {
            let edge = load_balancer::edge(kind, self.front, &self.certificates.server)?;
            let mut proxy = Proxy::start(plenipo_proxy::Settings { workers: 1, ..Default::default() })?;
            if let Some((address, error)) = proxy.publish(Snapshot::build(Arc::new(edge), None)).await.first()
            {
                anyhow::bail!("the load balancer: {}", app::bind_failure(*address, error));
            }
            // It serves as long as the process; there is nothing of it to drain.
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(proxy);
            });
        }
        match self.tell(edge) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    fn tell(&self, edge: &Edge) -> io::Result<()> {
        let mut out = stdout().lock();
        let gateway: Vec<String> = edge.listeners.iter().map(|listener| listener.bind.to_string()).collect();
        writeln!(out, "{}\n", self.example.title())?;
        writeln!(out, "gateway         {}", gateway.join(", "))?;
        if self.example.front.is_some() {
            writeln!(
                out,
                "load balancer   127.0.0.1:{} (80), 127.0.0.1:{} (443)",
                self.front.http, self.front.https
            )?;
        }
        writeln!(out, "admin           http://{}/", self.settings.admin)?;
        let config = self.settings.directory.display();
        writeln!(out, "configuration   {config} (edit it: changes serve at once)\n")?;
        writeln!(out, "Try, in another terminal:\n")?;
        for command in lesson::commands(self.example.readme, &self.substitutions) {
            writeln!(out, "{}", command.text)?;
        }
        writeln!(out, "Ctrl-C stops it and removes its files.")?;
        out.flush()
    }
}

/// Starts the services of all examples: where each name and port is.
async fn services(certificates: &Certificates) -> anyhow::Result<Vec<((String, u16), SocketAddr)>> {
    let services = [
        ("quote", 80, None),
        ("quote-canary", 80, None),
        ("tls-backend", 443, Some(certificates.backend_tls(false)?)),
        ("mtls-backend", 443, Some(certificates.backend_tls(true)?)),
    ];
    let mut found = Vec::new();
    for (name, port, tls) in services {
        let address = echo::start(name, tls).await?;
        found.push(((format!("{name}.default"), port), address));
    }
    Ok(found)
}

fn declared_ports(config: &Path, options: &Options) -> anyhow::Result<Vec<u16>> {
    let set = Directory::open(config)?.read();
    let (edge, _) = plenipo_translate::translate(&set, options);
    Ok(edge.listeners.iter().map(|listener| listener.declared_port).collect())
}

/// The ports of a demo.
struct Chosen {
    /// Take free ones, whatever the README says.
    any: bool,
    /// Bound until all are chosen, so that none is chosen twice.
    held: Vec<TcpListener>,
}

impl Chosen {
    /// The wanted port, or a free one where that is taken.
    fn port(&mut self, wanted: u16) -> io::Result<u16> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = if self.any { bind(0)? } else { bind(wanted).or_else(|_| bind(0))? };
        let port = listener.local_addr()?.port();
        self.held.push(listener);
        Ok(port)
    }
}

fn settings(config: &Path, reading: Reading, admin: SocketAddr) -> Settings {
    Settings {
        directory: config.to_owned(),
        identity: Identity {
            version: env!("CARGO_PKG_VERSION"),
            ambassador_id: reading.options.ambassador_id.clone(),
            namespace: reading.options.namespace.clone(),
            single_namespace: false,
            hostname: "demo".to_owned(),
        },
        reading,
        proxy: plenipo_proxy::Settings {
            workers: 1,
            min_drain: Duration::ZERO,
            max_drain: Duration::from_secs(1),
        },
        admin,
        token: None,
    }
}

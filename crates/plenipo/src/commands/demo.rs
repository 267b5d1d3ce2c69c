//! `plenipo demo`: an example with everything around it, in this process.
//!
//! The gateway runs as it always does, on a directory: the example's YAML and Secrets made for this run. The services
//! behind it run beside it, and the load balancers that the example's Services and Ingresses ask for.

mod certificates;
mod echo;
mod examples;
mod lesson;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write, stdout};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plenipo_admin::{Identity, Server};
use plenipo_model::{Certificate, Edge, PortMap};
use plenipo_source::Directory;
use plenipo_translate::{IstioOptions, Options};

use crate::arguments::{DemoArguments, LogFormat, TrustFiles};
use crate::balancers::{BalancerSettings, Balancers, Files};
use crate::exit::{Ending, Exit};
use crate::settings::{Place, Reading, Settings};
use crate::{app, logging};
use certificates::{Certificates, IDENTITY};
use examples::{EXAMPLES, Example};
use lesson::Substitutions;

/// The example that runs when none is named.
pub(crate) const DEFAULT_EXAMPLE: &str = "nlb-proxy-protocol";

/// Ports of the gateway in the examples.
const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;
/// Ports of the load balancer, and those that the examples' commands have for them.
const FRONT: [(u16, u16); 2] = [(80, 9080), (443, 9443)];
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
        app::serve(settings, admin, log_level, |edge, balancers| stage.tell_all(edge, balancers)).await
    })
}

fn list() -> anyhow::Result<Exit> {
    let mut out = stdout().lock();
    let width = EXAMPLES.iter().map(|example| example.name.len()).max().unwrap_or_default();
    for example in EXAMPLES {
        writeln!(out, "{:<width$}  {}", example.name, example.title())?;
    }
    Ok(Exit::Success)
}

/// An example, ready to run.
struct Stage {
    example: &'static Example,
    settings: Settings,
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
            istio: IstioOptions {
                identity_secret: Some((IDENTITY.0.to_owned(), IDENTITY.1.to_owned())),
                ..IstioOptions::default()
            },
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
        let mut front = Vec::new();
        for (declared, written) in FRONT {
            front.push((declared, written, chosen.port(written)?));
        }
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, chosen.port(ADMIN)?));
        let mut map = PortMap::default();
        ports.iter().for_each(|(declared, bound)| map.insert(*declared, *bound));
        ports.extend(front.iter().map(|(_, written, bound)| (*written, *bound)));
        let mut settings = settings(&config, Reading { options, ports: map, mesh: None }, admin);
        if example.balanced {
            let ports = front.iter().map(|(declared, _, bound)| (*declared, *bound)).collect();
            settings.balancers = Some(balancers(&settings, ports, &certificates, directory)?);
        }
        let substitutions = Substitutions { directory: directory.display().to_string(), ports };
        Ok(Self { example, settings, substitutions })
    }

    /// Tells what there is to try.
    fn tell_all(&self, edge: &Edge, balancers: Option<&Balancers>) -> anyhow::Result<()> {
        match self.tell(edge, balancers) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    fn tell(&self, edge: &Edge, balancers: Option<&Balancers>) -> io::Result<()> {
        let mut out = stdout().lock();
        let gateway: Vec<String> = edge.listeners.iter().map(|listener| listener.bind.to_string()).collect();
        writeln!(out, "{}\n", self.example.title())?;
        writeln!(out, "gateway         {}", gateway.join(", "))?;
        for balancer in balancers.into_iter().flat_map(|balancers| &balancers.local().balancers) {
            let ports = balancer.ports.iter().map(|port| format!("{} ({})", port.bind, port.declared));
            writeln!(out, "load balancer   {}", ports.collect::<Vec<_>>().join(", "))?;
        }
        writeln!(out, "admin           http://{}/", self.settings.admin)?;
        let config = &self.substitutions.directory;
        writeln!(out, "configuration   {config}/config (edit it: changes serve at once)\n")?;
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
        ("shop", 443, None),
    ];
    let in_mesh = [("shop", 80), ("files", 9000)];
    let mut found = Vec::new();
    for (name, port, tls) in services {
        let address = echo::start(name, tls).await?;
        found.push(((format!("{name}.default"), port), address));
    }
    for (name, port) in in_mesh {
        let address = echo::start(name, Some(certificates.sidecar_tls(name)?)).await?;
        found.push(((format!("{name}.web"), port), address));
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

/// The load balancers show the demo's certificate for every ARN, and know one trust store, `clients`.
fn balancers(
    settings: &Settings,
    ports: BTreeMap<u16, u16>,
    certificates: &Certificates,
    directory: &Path,
) -> anyhow::Result<BalancerSettings> {
    let shown = &certificates.server;
    let roots = directory.join("client-ca.crt");
    let trusted = TrustFiles { name: "clients".to_owned(), roots, revocation: None };
    Ok(BalancerSettings {
        gateway_address: None,
        admin: Some(settings.admin.port()),
        ports,
        resolve: settings.reading.options.resolve.clone(),
        files: Files { certificates: Vec::new(), trust_stores: vec![trusted] },
        stand_in: Some(Arc::new(Certificate::from_pem(shown.certificate.as_bytes(), shown.key.as_bytes())?)),
        without_web_acl: false,
        proxy: settings.proxy.clone(),
    })
}

fn settings(config: &Path, reading: Reading, admin: SocketAddr) -> Settings {
    Settings {
        place: Place::Directory(config.to_owned()),
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
        balancers: None,
        status: None,
    }
}

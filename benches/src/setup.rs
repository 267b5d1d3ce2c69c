//! What a proxy shall do in a scenario, and the ports for it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::material::{KeyKind, Material};
use crate::peer::Peer;

/// The side of the clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Front {
    /// HTTP/1.1 in clear text.
    Http,
    /// HTTP/1.1 and HTTP/2 over TLS, with a key of this kind.
    Https(KeyKind),
    /// Bytes.
    Tcp,
    /// Bytes over TLS.
    TlsToTcp(KeyKind),
}

/// The side of the upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Back {
    /// HTTP/1.1 in clear text.
    Clear,
    /// HTTP/1.1 over TLS with a client certificate.
    MutualTls,
    /// The protocol of `Load::Relay`.
    Relay,
}

/// Everything that a peer's configuration is made from.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The side of the clients.
    pub(crate) front: Front,
    /// The side of the upstream.
    pub(crate) back: Back,
    /// Where the upstream is.
    pub(crate) upstream: SocketAddr,
    /// Port for the clients.
    pub(crate) port: u16,
    /// Port for the peer's own interface, where it has one.
    pub(crate) admin: u16,
    /// Port for the gateway behind a load balancer of the peer's own.
    pub(crate) behind: u16,
    /// Where to put configuration files; of this peer alone.
    pub(crate) folder: PathBuf,
    /// Certificates.
    pub(crate) material: Material,
    /// Routes; one that takes everything when 0.
    pub(crate) routes: usize,
    /// Threads that serve (processes, in nginx).
    pub(crate) workers: usize,
    /// Whether everybody runs on every core, instead of the proxy alone on one.
    pub(crate) shared: bool,
    /// Where callgrind shall write what it counted (`%p` stands for the process), when the proxy shall run under it.
    pub(crate) counted: Option<String>,
}

/// The core that the proxy has alone, as `taskset` names it.
const PROXY_CORE: &str = "0";
/// The core of load and upstream.
const LOAD_CORE: &str = "1";
/// Where more workers than one leave no core to the load.
const ALL_CORES: &str = "0,1";

/// Where a comparison keeps its files; gone when dropped.
#[derive(Debug)]
pub(crate) struct Ground {
    folder: TempDir,
    material: Material,
}

impl Ground {
    /// Makes the certificates.
    ///
    /// # Errors
    /// When files cannot be written.
    pub(crate) fn prepare() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let material = Material::create(folder.path())?;
        Ok(Self { folder, material })
    }

    /// A setup for this peer with ports and a folder of its own.
    ///
    /// # Errors
    /// When there is no free port.
    pub(crate) fn setup(&self, peer: Peer, front: Front, back: Back, routes: usize) -> Result<Setup> {
        let folder = self.folder.path().join(format!("{peer}-{routes}").replace(' ', "-"));
        std::fs::create_dir_all(&folder)?;
        let (upstream, port, admin, behind) =
            (loopback(claim_port()?), claim_port()?, claim_port()?, claim_port()?);
        let material = self.material.clone();
        Ok(Setup {
            front,
            back,
            upstream,
            port,
            admin,
            behind,
            folder,
            material,
            routes,
            workers: 1,
            shared: false,
            counted: None,
        })
    }
}

/// Where a proxy runs; alone on its core, and not under callgrind, by default.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Cores, as `taskset` names them.
    pub(crate) cores: &'static str,
    /// See [`Setup::counted`].
    pub(crate) counted: Option<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self { cores: PROXY_CORE, counted: None }
    }
}

/// Where a load goes, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// With TLS.
    pub(crate) tls: bool,
    /// Cores of whoever makes the load, as `taskset` names them.
    pub(crate) cores: &'static str,
}

/// Prefixes of one host in the routes scenario.
const PREFIXES: usize = 10;

impl Setup {
    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// Where the proxy runs.
    pub(crate) fn place(&self) -> Place {
        let cores = if self.shared { ALL_CORES } else { PROXY_CORE };
        Place { cores, counted: self.counted.clone() }
    }

    /// What the load is aimed at.
    pub(crate) fn target(&self) -> Target {
        let tls = matches!(self.front, Front::Https(_) | Front::TlsToTcp(_));
        Target { address: self.address(), tls, cores: self.load_cores() }
    }

    /// Cores of load and upstream.
    pub(crate) fn load_cores(&self) -> &'static str {
        if self.shared { ALL_CORES } else { LOAD_CORE }
    }

    /// Kind of the server's key, if there is TLS for clients.
    pub(crate) fn key(&self) -> Option<KeyKind> {
        match self.front {
            Front::Https(kind) | Front::TlsToTcp(kind) => Some(kind),
            Front::Http | Front::Tcp => None,
        }
    }

    /// Whether it relays bytes.
    pub(crate) fn is_relay(&self) -> bool {
        matches!(self.front, Front::Tcp | Front::TlsToTcp(_))
    }

    /// The routes, host by host, each with its prefixes.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        let routes = self.routes;
        (0..routes.div_ceil(PREFIXES)).map(move |host| {
            let prefixes =
                (host * PREFIXES..routes.min((host + 1) * PREFIXES)).map(|route| format!("/svc-{route}/"));
            (format!("host-{host}.bench.test"), prefixes.collect())
        })
    }
}

/// This port on 127.0.0.1.
fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Finds a port and makes sure that it is free. A listener left over from an earlier run would share the connections
/// through SO_REUSEPORT without an error, and the proxy under test would look cheap.
///
/// # Errors
/// When somebody answers on the port all the same.
fn claim_port() -> Result<u16> {
    let port = TcpListener::bind(loopback(0))?.local_addr()?.port();
    ensure!(TcpStream::connect(loopback(port)).is_err(), "port {port} is occupied");
    Ok(port)
}

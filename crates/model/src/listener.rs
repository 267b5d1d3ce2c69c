//! Where bytes arrive, and what is done with a connection before any request is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::http_server::HttpServer;
use crate::source::Source;
use crate::tls::TlsServer;
use crate::{AccessLog, HostPattern};

/// One bound address and the chains behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Listener {
    /// Unique, stable over changes: names the listener in logs, metrics and dumps.
    pub name: String,
    /// Who asked for it.
    pub source: Source,
    /// The address to bind.
    pub bind: SocketAddr,
    /// The port that users wrote, which headers and redirects speak of; differs from the bound one where a low port is
    /// mapped elsewhere.
    pub declared_port: u16,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// Prefix of this listener's Envoy-style metrics (`ingress_http`).
    pub stats_prefix: String,
    /// Connections at one time, per process; more are closed at once. None = no limit but the file descriptors.
    pub max_connections: Option<u32>,
    /// Tried by [`Accepts`]: the TLS chain with the most specific server name, or the clear-text chain. At most one
    /// chain may claim one name; a connection that none accepts is closed.
    pub chains: Vec<Chain>,
}

/// Whether a connection begins with a PROXY protocol header (v1 or v2, told apart by their signature).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// Never looked for.
    Off,
    /// Every connection must have one; without it the connection is closed.
    Required,
    /// Taken from peers in these networks; from others never looked for.
    AcceptedFrom(Vec<IpNet>),
}

/// What is done with the connections that [`Accepts`] admits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Chain {
    /// Who asked for it.
    pub source: Source,
    /// Which connections.
    pub accepts: Accepts,
    /// What is done with TLS.
    pub tls: ChainTls,
    /// What is behind it.
    pub serve: Serve,
}

/// Which connections a chain takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accepts {
    /// Bytes that are not a TLS ClientHello.
    ClearText,
    /// A ClientHello whose server name matches one of these ([`HostPattern::Any`] also takes one without a name).
    Tls(Vec<HostPattern>),
    /// Every connection, unread. The only chain of its listener but for TLS ones, which go before it.
    Anything,
}

/// What a chain does with TLS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainTls {
    /// Nothing: clear text, or bytes relayed as they are (SNI passthrough when the chain accepts TLS).
    Untouched,
    /// Ends it.
    Terminate(Arc<TlsServer>),
    /// Was asked to end it and cannot; the text says why. The handshake is refused: nothing weaker is served.
    Broken(String),
}

/// What is behind a chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serve {
    /// HTTP/1 and HTTP/2.
    Http(Arc<HttpServer>),
    /// A relay of bytes.
    Tcp(Arc<TcpRoute>),
}

/// Where the bytes of a connection go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TcpRoute {
    /// Unique name, for logs and metrics.
    pub name: String,
    /// Who asked for it.
    pub source: Source,
    /// At least one, with a sum of weights above zero, or none when nothing usable was named (then connections are
    /// closed).
    pub targets: Vec<TcpTarget>,
    /// A connection without a byte in either direction for so long is closed; none = never.
    #[serde(with = "crate::duration::optional")]
    pub idle_timeout: Option<Duration>,
    /// Where connections are reported.
    pub access_log: Option<Arc<AccessLog>>,
}

/// One of the clusters of a [`TcpRoute`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TcpTarget {
    /// Who asked for it.
    pub source: Source,
    /// Share relative to the other targets.
    pub weight: u32,
    /// Name of a cluster of the edge.
    pub cluster: Arc<str>,
}

/// A PROXY header written to an upstream before anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendProxyProtocol {
    /// The text form.
    V1,
    /// The binary form.
    V2,
}

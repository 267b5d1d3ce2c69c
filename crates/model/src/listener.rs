//! Where bytes arrive, and what is done with a connection before any request is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::authorization::Authorization;
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
    /// The address to bind. One TCP and one UDP listener may have the same.
    pub bind: SocketAddr,
    /// What arrives there.
    #[serde(skip_serializing_if = "Transport::is_usual")]
    pub transport: Transport,
    /// The port that users wrote, which headers and redirects speak of; differs from the bound one where a low port is
    /// mapped elsewhere.
    pub declared_port: u16,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// A PROXY header that names a source in these networks is followed by a second one, which tells who that source speaks
    /// for: it sent a header of its own through a load balancer that put another one before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inner_proxy_from: Vec<IpNet>,
    /// Prefix of this listener's Envoy-style metrics (`ingress_http`).
    pub stats_prefix: String,
    /// Connections at one time, per process; more are closed at once. None = no limit but the file descriptors.
    pub max_connections: Option<u32>,
    /// Tried by [`Accepts`]: the TLS chain with the most specific server name, or the clear-text chain. At most one
    /// chain may claim one name; a connection that none accepts is closed.
    pub chains: Vec<Chain>,
}

/// What arrives at a listener.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams. The listener's only chain has [`Accepts::Anything`] and [`Serve::Udp`]; nothing else is looked at.
    Udp,
}

impl Transport {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
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
    /// A relay of datagrams.
    Udp(Arc<UdpRoute>),
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
    /// A connection whose endpoint becomes unhealthy is ended. (One whose endpoint is gone lives on, for the cluster's
    /// `drain` at most.)
    #[serde(skip_serializing_if = "is_false")]
    pub end_unhealthy: bool,
    /// A connection that is ended here, or for which there is no endpoint, is reset (RST), as Network Load Balancers do;
    /// else it is closed.
    #[serde(skip_serializing_if = "is_false")]
    pub reset: bool,
    /// Where connections are reported.
    pub access_log: Option<Arc<AccessLog>>,
    /// Whose connections are relayed; others are closed. None = everybody's. What is known of requests only passes no test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Arc<Authorization>>,
}

/// Where datagrams go. All that come from one address and port are a flow: it has one endpoint and its own socket
/// towards it, whose answers go back to the client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct UdpRoute {
    /// Unique name, for logs and metrics.
    pub name: String,
    /// Who asked for it.
    pub source: Source,
    /// As in [`TcpRoute::targets`]; datagrams without a target are dropped. A cluster that balances by hash keeps all
    /// flows of one client address at one endpoint.
    pub targets: Vec<TcpTarget>,
    /// A flow without a datagram in either direction for so long is forgotten. Default 120 s.
    #[serde(with = "crate::duration")]
    pub idle_timeout: Duration,
    /// Flows at one time, per process; a further one takes the place of the one that has been idle for longest. Default
    /// 65 536.
    pub max_flows: u32,
    /// Where flows are reported, at their end.
    pub access_log: Option<Arc<AccessLog>>,
}

/// One of the clusters of a [`TcpRoute`] or [`UdpRoute`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TcpTarget {
    /// Who asked for it.
    pub source: Source,
    /// Share relative to the other targets.
    pub weight: u32,
    /// Name of a cluster of the edge.
    pub cluster: Arc<str>,
}

/// A PROXY header written to an upstream before anything else. Health checks send one that names nobody (v1 `UNKNOWN`,
/// v2 `LOCAL`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendProxyProtocol {
    /// The text form.
    V1,
    /// The binary form, with these type-length-values.
    V2(ProxyTlvs),
}

/// What follows the addresses of a version 2 PROXY header; by default nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ProxyTlvs {
    /// A checksum (`PP2_TYPE_CRC32C`), first of all.
    #[serde(skip_serializing_if = "is_false")]
    pub crc32c: bool,
    /// Identifier of the VPC endpoint that the connection came through (type 0xEA, subtype 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Padding (`PP2_TYPE_NOOP`) at the end makes the header's length field this, if less would be in it. A `LOCAL` header
    /// so padded names the family TCP4 and has no addresses, as AWS writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padded_length: Option<u16>,
}

impl TcpRoute {
    /// A relay without idle time-out that closes connections in the usual way.
    pub fn new(name: &str, source: Source, targets: Vec<TcpTarget>) -> Self {
        Self {
            name: name.to_owned(),
            source,
            targets,
            idle_timeout: None,
            end_unhealthy: false,
            reset: false,
            access_log: None,
            authorization: None,
        }
    }
}

impl UdpRoute {
    /// Time without a datagram after which Network Load Balancers forget a flow.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
    /// Default of [`UdpRoute::max_flows`].
    pub const MAX_FLOWS: u32 = 65_536;

    /// A relay with the default times and bounds.
    pub fn new(name: &str, source: Source, targets: Vec<TcpTarget>) -> Self {
        Self {
            name: name.to_owned(),
            source,
            targets,
            idle_timeout: Self::IDLE_TIMEOUT,
            max_flows: Self::MAX_FLOWS,
            access_log: None,
        }
    }
}

impl ProxyTlvs {
    /// As Network Load Balancers write them: a checksum, and 84 bytes after the fixed part whatever is in them.
    pub fn network_load_balancer() -> Self {
        Self { crc32c: true, endpoint: None, padded_length: Some(84) }
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

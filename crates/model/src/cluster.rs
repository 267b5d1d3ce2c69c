//! Where requests and connections go.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::balancer::StickyEndpoint;
use crate::health::{FailOpen, HealthCheck, OutlierDetection, SlowStartCurve};
use crate::listener::SendProxyProtocol;
use crate::source::Source;
use crate::tls::TlsClient;

/// A set of endpoints that serve the same thing, and how they are reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cluster {
    /// Unique in the edge.
    pub name: Arc<str>,
    /// Name in Envoy-style metrics (`envoy_cluster_name`): the service with every non-alphanumeric as `_`, unless set.
    pub stats_name: Arc<str>,
    /// Who asked for it.
    pub source: Source,
    /// Where they are.
    pub endpoints: Endpoints,
    /// How one is chosen.
    pub balance: Balance,
    /// Least number of points on the ring of [`Balance::RingHash`] (default 1024), or of slots in the table of
    /// [`Balance::Maglev`], which has to be a prime (default 65,537).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_size: Option<u32>,
    /// What is spoken to them.
    pub protocol: UpstreamProtocol,
    /// Requests that came over HTTP/2 go on over HTTP/2, others over HTTP/1.1, whatever `protocol` says. (Health checks
    /// keep to `protocol`; TLS is [`TlsClient::for_http2`] there.)
    #[serde(skip_serializing_if = "is_false")]
    pub as_client: bool,
    /// TLS towards them; none = clear text.
    pub tls: Option<Arc<TlsClient>>,
    /// PROXY header sent on every new connection.
    pub send_proxy: Option<SendProxyProtocol>,
    /// Relayed connections and datagrams go on from the client's own address, where this machine has it (as it has all of
    /// 127.0.0.0/8 on Linux): what a load balancer that preserves client addresses does for anybody.
    #[serde(skip_serializing_if = "is_false")]
    pub from_client: bool,
    /// Bound on connecting (TCP and TLS together). Default 3 s.
    #[serde(with = "crate::duration")]
    pub connect_timeout: Duration,
    /// An unused connection is closed after so long. Default 1 h.
    #[serde(with = "crate::duration::optional")]
    pub idle_timeout: Option<Duration>,
    /// A connection takes no new request after so long.
    #[serde(with = "crate::duration::optional")]
    pub max_connection_lifetime: Option<Duration>,
    /// A connection takes no new request after so many; none = any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_connection: Option<u32>,
    /// Streams put on one HTTP/2 connection at a time; none = 100. The upstream's own limit holds as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_streams: Option<u32>,
    /// HTTP/2 connections are asked whether they are alive (PING); none = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http2_keepalive: Option<Http2Keepalive>,
    /// A relayed connection on which nothing moves ends after so long, where its route says nothing of that; none = never.
    #[serde(with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub relay_idle_timeout: Option<Duration>,
    /// A relayed connection ends after so long, whatever moves on it; none = never.
    #[serde(with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub max_relay_duration: Option<Duration>,
    /// TCP keepalive probes.
    pub keepalive: Option<TcpKeepalive>,
    /// Circuit breakers.
    pub limits: Limits,
    /// Bounds retries by what is under way, in place of [`LimitSet::retries`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
    /// Endpoints that answer badly are left out for a while; none = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier: Option<OutlierDetection>,
    /// Active health checks; an endpoint is used while all pass.
    pub health_checks: Vec<HealthCheck>,
    /// What becomes of unhealthy endpoints when there are few others.
    #[serde(skip_serializing_if = "FailOpen::is_usual")]
    pub fail_open: FailOpen,
    /// Clients stay at one endpoint by cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<StickyEndpoint>,
    /// An endpoint that joins others, or becomes healthy again, gets its full share only after so long, and linearly more
    /// until then.
    #[serde(with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<Duration>,
    /// How its share grows in that time.
    #[serde(skip_serializing_if = "SlowStartCurve::is_usual")]
    pub slow_start_curve: SlowStartCurve,
    /// What is under way at an endpoint that is gone from `endpoints` is cut after so long; none = never.
    #[serde(with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,
}

/// Where a cluster's endpoints are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoints {
    /// These addresses. Behind its own `Arc`, because they change far more often than anything else.
    Static(Arc<[Endpoint]>),
    /// Whatever this name resolves to.
    Dns(Dns),
}

/// One address.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Endpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// Relative share, at least 1.
    pub weight: u32,
    /// 0 comes first; those of a higher number get requests only as far as too few before them are healthy: of its share
    /// a priority carries 1.4 times the part of it that is healthy (Envoy's overprovisioning factor).
    #[serde(skip_serializing_if = "is_first")]
    pub priority: u32,
    /// It is spoken to in clear text, whatever [`Cluster::tls`] says of the others: a workload outside of the mesh whose
    /// others are in it.
    #[serde(skip_serializing_if = "is_false")]
    pub clear_text: bool,
}

/// A name to resolve, again and again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Dns {
    /// The name.
    pub name: String,
    /// Port of every address found.
    pub port: u16,
    /// All addresses, or one at a time.
    pub kind: DnsKind,
    /// Which addresses are wanted.
    pub family: DnsFamily,
    /// Ask again when the answer's time to live ends, instead of every 5 s.
    pub respect_ttl: bool,
    /// Further names (or addresses) with ports; what they resolve to is used as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<(String, u16)>,
}

/// What is done with an answer of several addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsKind {
    /// Each is an endpoint; those gone from the answer are drained.
    Strict,
    /// New connections go to the first; connections to earlier ones live on.
    Logical,
}

/// Which address families are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsFamily {
    /// A records only.
    V4,
    /// AAAA records only.
    V6,
    /// AAAA if there are any, else A.
    PreferV6,
}

/// How an endpoint is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// In turn, by weight.
    RoundRobin,
    /// By chance, by weight (Istio's `RANDOM`, an Application Load Balancer's `weighted_random`).
    Random,
    /// The one of two random ones with fewer requests under way.
    LeastRequest,
    /// The one with the fewest requests under way; among equals in turn. Looks at all of them for every request.
    LeastOutstanding,
    /// By the hash of the request's key on a ring (weights count).
    RingHash,
    /// By the hash of the request's key in a Maglev table.
    Maglev,
}

/// What is spoken to a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: by prior knowledge in clear text, by ALPN in TLS.
    Http2,
}

/// TCP keepalive; none of a field leaves the kernel's default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TcpKeepalive {
    /// Unanswered probes before the connection is given up.
    pub probes: Option<u32>,
    /// Quiet time before the first probe.
    #[serde(with = "crate::duration::optional")]
    pub idle: Option<Duration>,
    /// Time between probes.
    #[serde(with = "crate::duration::optional")]
    pub interval: Option<Duration>,
}

/// Which of a cluster's two sets of limits a request counts against.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// The ordinary one.
    #[default]
    Default,
    /// The other one.
    High,
}

/// Circuit breakers, per priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Limits {
    /// For [`Priority::Default`].
    pub default: LimitSet,
    /// For [`Priority::High`].
    pub high: LimitSet,
}

/// Circuit breakers of one priority, for the whole process. What exceeds one is answered 503 with
/// `x-envoy-overloaded`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LimitSet {
    /// Open connections. Default 1024.
    pub connections: u32,
    /// Requests waiting for a connection. Default 1024.
    pub pending: u32,
    /// Requests under way. Default 1024.
    pub requests: u32,
    /// Retries under way. Default 3.
    pub retries: u32,
}

impl Default for LimitSet {
    fn default() -> Self {
        Self { connections: 1024, pending: 1024, requests: 1024, retries: 3 }
    }
}

/// How many retries may be under way: a part of what is under way (Envoy's `retry_budget`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct RetryBudget {
    /// Out of 1,000,000 requests under way or waiting for a connection. Envoy's default is 20 %.
    pub part: u32,
    /// So many are allowed in any case. Envoy's default is 3.
    pub least: u32,
}

/// HTTP/2 PINGs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Http2Keepalive {
    /// Time between two.
    #[serde(with = "crate::duration")]
    pub interval: Duration,
    /// A connection that does not answer in this time is closed.
    #[serde(with = "crate::duration")]
    pub timeout: Duration,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_first(priority: &u32) -> bool {
    *priority == 0
}

impl Cluster {
    /// A cluster with the usual settings: round robin, HTTP/1, clear text, 3 s to connect.
    pub fn new(name: &str, source: Source, endpoints: Endpoints) -> Self {
        let stats: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        Self {
            name: name.into(),
            stats_name: stats.into(),
            source,
            endpoints,
            balance: Balance::RoundRobin,
            hash_size: None,
            protocol: UpstreamProtocol::Http1,
            as_client: false,
            tls: None,
            send_proxy: None,
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_lifetime: None,
            max_requests_per_connection: None,
            max_concurrent_streams: None,
            http2_keepalive: None,
            relay_idle_timeout: None,
            max_relay_duration: None,
            keepalive: None,
            limits: Limits::default(),
            retry_budget: None,
            outlier: None,
            health_checks: Vec::new(),
            fail_open: FailOpen::default(),
            sticky: None,
            slow_start: None,
            slow_start_curve: SlowStartCurve::default(),
            drain: None,
            from_client: false,
        }
    }

    /// Are the two equal but for the addresses of their endpoints? Then pools, health and counters live on.
    pub fn differs_only_in_addresses(&self, other: &Self) -> bool {
        let (Endpoints::Static(_), Endpoints::Static(_)) = (&self.endpoints, &other.endpoints) else {
            return self == other;
        };
        Self { endpoints: other.endpoints.clone(), ..self.clone() } == *other
    }
}

impl Endpoint {
    /// An address of weight 1 and the first priority.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, weight: 1, priority: 0, clear_text: false }
    }
}

impl Endpoints {
    /// Addresses given directly, each with weight 1.
    pub fn addresses(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self::Static(addresses.into_iter().map(Endpoint::at).collect())
    }
}

impl DnsFamily {
    /// Is an address of the wanted family?
    pub fn accepts(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
            Self::PreferV6 => true,
        }
    }
}

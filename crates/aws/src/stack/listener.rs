//! Where a load balancer listens.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rule::{Action, Rule};

/// One port of a load balancer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Listener {
    /// As declared, whatever is bound here.
    pub port: u16,
    /// What clients speak.
    pub protocol: ListenerProtocol,
    /// ARNs; the first is the default certificate, the others are chosen by server name.
    pub certificates: Vec<String>,
    /// Security policy of TLS; none where there is no TLS.
    pub ssl_policy: Option<String>,
    /// ALPN of an NLB's TLS listener; none = not said, which is no ALPN.
    pub alpn: Option<AlpnPolicy>,
    /// Client certificates of an ALB's HTTPS listener; none = not said, which is off.
    pub mutual_authentication: Option<MutualAuthentication>,
    /// What happens when no rule takes a request; the only thing that happens on layer 4.
    pub default_actions: Vec<Action>,
    /// In the order of their priority.
    pub rules: Vec<Rule>,
    /// Attributes that are set, in AWS's names.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// What clients speak.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are AWS's")]
pub enum ListenerProtocol {
    Http,
    Https,
    Tcp,
    /// TLS of a classic load balancer's layer 4.
    Ssl,
    Tls,
    Udp,
    TcpUdp,
    Quic,
    TcpQuic,
}

impl ListenerProtocol {
    /// AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
            Self::Ssl => "SSL",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
            Self::Quic => "QUIC",
            Self::TcpQuic => "TCP_QUIC",
        }
    }

    /// Does TLS end here?
    pub fn ends_tls(self) -> bool {
        matches!(self, Self::Https | Self::Ssl | Self::Tls)
    }

    /// Are requests understood here?
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

/// ALPN of an NLB's TLS listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[allow(missing_docs, reason = "the names are AWS's")]
pub enum AlpnPolicy {
    None,
    #[serde(rename = "HTTP1Only")]
    Http1Only,
    #[serde(rename = "HTTP2Only")]
    Http2Only,
    #[serde(rename = "HTTP2Optional")]
    Http2Optional,
    #[serde(rename = "HTTP2Preferred")]
    Http2Preferred,
}

/// Client certificates of an ALB's HTTPS listener.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MutualAuthentication {
    /// Off, passed through or verified.
    pub mode: MutualMode,
    /// Name or ARN of the trust store.
    pub trust_store: Option<String>,
    /// Take certificates that have expired.
    pub ignore_expiry: Option<bool>,
    /// Send the names of the trusted authorities.
    pub advertise_names: Option<bool>,
}

/// What an ALB does with client certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MutualMode {
    /// They are not asked for.
    Off,
    /// They are asked for and handed on, unverified.
    Passthrough,
    /// They are demanded and verified.
    Verify,
}

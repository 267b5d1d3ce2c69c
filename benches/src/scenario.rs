//! What is compared.

use anyhow::Result;
use clap::ValueEnum;

use crate::Effort;
use crate::load::Load;
use crate::material::KeyKind;
use crate::peer::Peer;
use crate::results::Measured;
use crate::setup::{Back, Front};
use crate::{cluster, counted, fairness, idle, lookup, rounds, routes, threads};

/// One line of the comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum)]
pub(crate) enum Scenario {
    /// HTTP/1.1
    A,
    /// HTTPS, HTTP/1.1
    B,
    /// HTTP/2 over TLS, 8 connections with 16 streams
    C,
    /// HTTP/2 over TLS, 64 connections with 1 stream
    C1,
    /// New TLS 1.3 connection per request, P-256
    DEc,
    /// New TLS 1.3 connection per request, RSA-2048
    DRsa,
    /// Resumed TLS 1.3 connection per request
    DResumed,
    /// New clear connection per request
    DClear,
    /// TCP relay, 1 KiB each way
    ESmall,
    /// TCP relay, 1 MiB answers
    EBig,
    /// TLS to TCP, 1 KiB each way
    FSmall,
    /// TLS to TCP, 1 MiB answers
    FBig,
    /// HTTP/1.1 to a mutual-TLS upstream
    G,
    /// Memory of idle connections
    H,
    /// Routes: 1 to 100,000
    I,
    /// Latency at 4,000 requests a second
    J,
    /// HTTP/1.1, 1 MiB answers
    K,
    /// HTTP/1.1 through an Application Load Balancer run by the same process, and through the gateway alone
    Edge,
    /// 10,000 Mappings, 1,000 Hosts and 20,000 endpoints in a real API server
    Cluster,
    /// Instructions in user space per request
    Instructions,
    /// Instructions of one look-up of a route
    Lookup,
    /// One worker and two, on the two cores that load and upstream share with them
    Threads,
    /// Latency of a light client alone, beside 1,000 busy streams, and during a storm of TLS handshakes
    Fairness,
}

impl Scenario {
    /// Every scenario, in order.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// Its name on the command line and in the results.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it does.
    pub(crate) fn title(self) -> String {
        let help = self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
        help.unwrap_or_default()
    }

    /// Rounds when nobody says otherwise: those that most is made of have one more.
    fn usual_rounds(self) -> usize {
        if matches!(self, Self::A | Self::B | Self::C | Self::C1) { 4 } else { 3 }
    }

    /// Runs it.
    ///
    /// # Errors
    /// When a proxy does not start or fails requests.
    pub(crate) fn measure(self, effort: &Effort) -> Result<Measured> {
        let rounds = effort.rounds(self.usual_rounds());
        match self {
            Self::H => Ok(Measured::Idle(idle::measure(effort)?)),
            Self::I => Ok(Measured::Routes(routes::measure(effort, rounds)?)),
            Self::Cluster => Ok(Measured::Cluster(cluster::measure(rounds)?)),
            Self::Instructions => Ok(Measured::Instructions(counted::measure(effort)?)),
            Self::Lookup => Ok(Measured::Lookup(lookup::measure()?)),
            Self::Threads => Ok(Measured::Threads(threads::measure(effort, rounds)?)),
            Self::Fairness => Ok(Measured::Fairness(fairness::measure(effort, rounds)?)),
            Self::Edge => {
                let (front, back, load) = self.parts();
                let effort = Effort { peers: vec![Peer::Plenipo, Peer::PlenipoEdge], ..effort.clone() };
                Ok(Measured::Edge(rounds::measure(&effort, rounds, front, back, load)?))
            }
            _ => {
                let (front, back, load) = self.parts();
                Ok(Measured::Load(rounds::measure(effort, rounds, front, back, load)?))
            }
        }
    }

    fn parts(self) -> (Front, Back, Load) {
        let (ec, rsa) = (KeyKind::EcdsaP256, KeyKind::Rsa2048);
        match self {
            Self::A
            | Self::H
            | Self::I
            | Self::Edge
            | Self::Cluster
            | Self::Instructions
            | Self::Lookup
            | Self::Threads
            | Self::Fairness => (Front::Http, Back::Clear, Load::http(64)),
            Self::B => (Front::Https(ec), Back::Clear, Load::http(64)),
            Self::C => (Front::Https(ec), Back::Clear, Load::Http2 { connections: 8, streams: 16 }),
            Self::C1 => (Front::Https(ec), Back::Clear, Load::Http2 { connections: 64, streams: 1 }),
            Self::DEc => (Front::Https(ec), Back::Clear, Load::Connect { connections: 16, resume: false }),
            Self::DRsa => (Front::Https(rsa), Back::Clear, Load::Connect { connections: 16, resume: false }),
            Self::DResumed => {
                (Front::Https(ec), Back::Clear, Load::Connect { connections: 16, resume: true })
            }
            Self::DClear => (Front::Http, Back::Clear, Load::Connect { connections: 16, resume: false }),
            Self::ESmall => (Front::Tcp, Back::Relay, Load::Relay { answer: 1 << 10 }),
            Self::EBig => (Front::Tcp, Back::Relay, Load::Relay { answer: 1 << 20 }),
            Self::FSmall => (Front::TlsToTcp(ec), Back::Relay, Load::Relay { answer: 1 << 10 }),
            Self::FBig => (Front::TlsToTcp(ec), Back::Relay, Load::Relay { answer: 1 << 20 }),
            Self::G => (Front::Http, Back::MutualTls, Load::http(64)),
            Self::J => (Front::Http, Back::Clear, Load::Paced { connections: 32, rate: 4_000 }),
            Self::K => (Front::Http, Back::Clear, Load::Http1 { connections: 64, path: "/big" }),
        }
    }
}

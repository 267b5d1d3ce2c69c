//! Every way from a client to a backend, hop by hop: what protects it, who knows whom, whose address is believed.
//!
//! *In:* the objects, the load balancers they ask for, and the gateway's edge. *Out:* an [`Audit`], a plain value that
//! is printed as text, JSON or a page, and that can be a gate: [`Audit::failures`].

mod address;
mod doors;
mod page;
mod text;
mod ways;

use std::fmt;

use plenipo_model::Edge;
use plenipo_resources::Set;
use serde::Serialize;

use crate::Stack;

/// Every way from a client to a backend.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Audit {
    /// By host, then by where they begin.
    pub ways: Vec<Way>,
}

/// The way of one host's requests (or of one port's connections) from the client to its backends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Way {
    /// The host as clients call it: a name, a pattern, `*`.
    pub host: String,
    /// What clients speak: `https`, `http`, `tls`, `tcp`, `udp`.
    pub scheme: &'static str,
    /// What becomes of it.
    pub outcome: Outcome,
    /// From the client to the gateway, in order.
    pub hops: Vec<Hop>,
    /// From the gateway (or from a load balancer that goes there directly) to every backend.
    pub backends: Vec<Hop>,
    /// Where the client's address comes from.
    pub client_address: ClientAddress,
    /// The objects that made it.
    pub sources: Vec<String>,
}

/// What becomes of requests that go this way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "why")]
pub enum Outcome {
    /// They reach a backend.
    Served,
    /// They are redirected to https, and nothing else.
    Redirected,
    /// They are refused, for this reason.
    Refused(String),
    /// They are redirected again and again, for this reason.
    Loops(String),
}

/// One connection on the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Hop {
    /// Who opens it.
    pub from: Party,
    /// Who takes it.
    pub to: Party,
    /// What is spoken inside: `HTTP`, `TCP`, `UDP`.
    pub protocol: String,
    /// What protects it; none = clear text.
    pub tls: Option<HopTls>,
}

/// Who stands at an end of a hop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Party {
    /// Client, load balancer, gateway or backend.
    pub role: Role,
    /// `NLB k8s-…`, `gateway`, `quote.default`.
    pub name: String,
    /// Port, as declared; none for clients.
    pub port: Option<u16>,
}

/// Who stands at an end of a hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Role {
    Client,
    LoadBalancer,
    Gateway,
    Backend,
}

/// TLS of a hop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HopTls {
    /// `1.2–1.3`, or the policy of a load balancer.
    pub versions: String,
    /// The certificate that the server shows.
    pub certificate: String,
    /// Is it checked by who connects?
    pub server: Checked,
    /// The certificate that the client of this hop shows.
    pub client: ClientShows,
    /// Whose certificate that is, where it is known: the URI in it (in a mesh a SPIFFE ID), else its names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// It does not end at the hop's end: this hop only carries it.
    pub carried: bool,
}

/// Is the server's certificate checked?
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checked {
    /// As public clients do: against the roots they trust and the name they called.
    ByClient,
    /// Against these roots and names.
    Against(String),
    /// By nobody: the hop is encrypted, but to anybody.
    No,
}

/// The certificate that the client of a hop shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientShows {
    /// None is asked for.
    Nothing,
    /// One may be shown, and is checked by nobody here.
    Unverified,
    /// One may be shown; it must be valid.
    Optional,
    /// One must be shown.
    Required,
}

/// Where the client's address comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClientAddress {
    /// In words.
    pub from: String,
    /// Is it the client's, and can nobody forge it?
    pub trusted: bool,
}

/// What must be true of every way that reaches a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Requirement {
    /// No hop is clear text.
    Encrypted,
    /// On every hop, both ends show a certificate that the other checks.
    Mtls,
}

/// Draws every way through these load balancers and this edge.
#[must_use]
pub fn audit(set: &Set, stacks: &[Stack], edge: &Edge) -> Audit {
    let mut ways = ways::ways(set, stacks, edge);
    ways.sort_by(|a, b| a.key().cmp(&b.key()));
    ways.dedup();
    Audit { ways }
}

impl Audit {
    /// What does not meet a requirement, one sentence for every hop. Ways that reach no backend are left out.
    pub fn failures(&self, requirement: Requirement) -> Vec<String> {
        let served = self.ways.iter().filter(|way| way.outcome == Outcome::Served);
        let hops = served.flat_map(|way| way.all_hops().map(move |hop| (way, hop)));
        let mut failures: Vec<String> = hops
            .filter(|(_, hop)| match requirement {
                Requirement::Encrypted => hop.tls.is_none(),
                Requirement::Mtls => !hop.is_mutual(),
            })
            .map(|(way, hop)| {
                format!("{}://{}: {} → {}: {}", way.scheme, way.host, hop.from, hop.to, hop.weakness())
            })
            .collect();
        failures.dedup();
        failures
    }

    /// For people.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::text(self)
    }

    /// A page that needs nothing else: HTML with a drawing of every way.
    #[must_use]
    pub fn to_page(&self, title: &str) -> String {
        page::page(self, title)
    }
}

impl Way {
    fn key(&self) -> (&str, &str, String) {
        let doors = self.hops.iter().map(|hop| hop.to.to_string());
        (&self.host, self.scheme, doors.collect::<Vec<_>>().join(" "))
    }

    /// All its hops, those to backends included.
    pub fn all_hops(&self) -> impl Iterator<Item = &Hop> {
        self.hops.iter().chain(&self.backends)
    }

    /// Is no hop of it clear text?
    pub fn is_encrypted(&self) -> bool {
        self.all_hops().all(|hop| hop.tls.is_some())
    }
}

impl Hop {
    /// Does each end know who the other is?
    pub fn is_mutual(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.server != Checked::No && tls.client == ClientShows::Required)
    }

    /// Is it encrypted, and does who connects know to whom?
    pub fn is_verified(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.server != Checked::No)
    }

    /// What is weak about it; empty when nothing is.
    pub fn weakness(&self) -> &'static str {
        match &self.tls {
            None => "clear text",
            Some(tls) if tls.server == Checked::No => "encrypted, but nobody checks to whom",
            Some(tls) if tls.client != ClientShows::Required => "encrypted; the client shows no certificate",
            Some(_) => "",
        }
    }
}

impl Party {
    fn client() -> Self {
        Self { role: Role::Client, name: "client".to_owned(), port: None }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.port {
            Some(port) => write!(f, " :{port}"),
            None => Ok(()),
        }
    }
}

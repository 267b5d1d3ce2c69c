//! The gateway's side: which doors a listener has, and where they lead.

use plenipo_model::{
    Accepts, Action, Certificate, Chain, ChainTls, ClientAuth, Cluster, Edge, Endpoints, HostPattern,
    HttpServer, InsecureAction, Listener, Roots, Serve, TcpTarget, TlsClient, TlsServer, TlsVersion, Verify,
    VirtualHost,
};

use super::{Checked, ClientShows, Hop, HopTls, Outcome, Party, Role};

/// How clusters begin that stand for destinations which there are not: nothing is ever sent to them.
const NOWHERE: &str = "missing|";

/// One way into a listener: a chain, and on HTTP one of its hosts.
pub(super) struct Door<'a> {
    pub(super) chain: &'a Chain,
    /// None for bytes and datagrams.
    pub(super) http: Option<(&'a HttpServer, &'a VirtualHost)>,
    /// Name that clients call.
    pub(super) host: String,
}

/// The doors of a listener.
pub(super) fn doors(listener: &Listener) -> Vec<Door<'_>> {
    let mut doors = Vec::new();
    for chain in &listener.chains {
        match &chain.serve {
            Serve::Http(server) => doors.extend(server.hosts.iter().map(|host| Door {
                chain,
                http: Some((server, host)),
                host: host.host.to_string(),
            })),
            Serve::Tcp(_) | Serve::Udp(_) => {
                let host = match &chain.accepts {
                    Accepts::Tls(names) => {
                        names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                    }
                    Accepts::ClearText | Accepts::Anything => "*".to_owned(),
                };
                doors.push(Door { chain, http: None, host });
            }
        }
    }
    doors
}

impl Door<'_> {
    /// Does it open for connections that begin with a ClientHello?
    pub(super) fn takes_tls(&self) -> bool {
        matches!(self.chain.accepts, Accepts::Tls(_) | Accepts::Anything)
    }

    /// Does it open for a ClientHello without a server name?
    pub(super) fn takes_nameless_tls(&self) -> bool {
        match &self.chain.accepts {
            Accepts::Tls(names) => names.contains(&HostPattern::Any),
            Accepts::Anything => true,
            Accepts::ClearText => false,
        }
    }

    /// Does it open for anything else?
    pub(super) fn takes_clear_text(&self) -> bool {
        matches!(self.chain.accepts, Accepts::ClearText | Accepts::Anything)
    }

    /// TLS of who begins it: it ends here, or passes through to the backends.
    pub(super) fn tls(&self) -> Option<HopTls> {
        match &self.chain.tls {
            ChainTls::Terminate(server) => Some(server_tls(server)),
            ChainTls::Untouched if self.takes_tls() && self.http.is_none() => Some(HopTls {
                versions: "as the backend says".to_owned(),
                certificate: "the backend's".to_owned(),
                server: Checked::ByClient,
                client: ClientShows::Nothing,
                client_name: None,
                carried: true,
            }),
            ChainTls::Untouched | ChainTls::Broken(_) => None,
        }
    }

    /// What becomes of requests that are secure, or not.
    pub(super) fn outcome(&self, secure: bool) -> Outcome {
        if let ChainTls::Broken(why) = &self.chain.tls {
            return Outcome::Refused(why.clone());
        }
        let Some((server, host)) = self.http else { return Outcome::Served };
        if let Some(refusal) = server.refuse.as_ref().or(host.refuse.as_ref()) {
            return Outcome::Refused(format!("{}: {}", refusal.status, refusal.reason));
        }
        match host.insecure {
            _ if secure => Outcome::Served,
            InsecureAction::Route => Outcome::Served,
            InsecureAction::Redirect => Outcome::Redirected,
            InsecureAction::Reject => Outcome::Refused("404: the host takes only https".to_owned()),
        }
    }

    /// The hops to its backends, for connections that begin with a ClientHello or not.
    pub(super) fn backends(&self, edge: &Edge, gateway: &Party, tls: bool) -> Vec<Hop> {
        let mut names: Vec<&str> = match &self.chain.serve {
            Serve::Http(_) => self.http.map_or_else(Vec::new, |(_, host)| clusters(host)),
            Serve::Tcp(route) => targets(&route.targets),
            Serve::Udp(route) => targets(&route.targets),
        };
        names.sort_unstable();
        names.dedup();
        let through = self.tls().filter(|end| tls && end.carried);
        let clusters = names.into_iter().filter(|name| !name.starts_with(NOWHERE));
        let clusters = clusters.filter_map(|name| edge.clusters.get(name));
        clusters
            .flat_map(|cluster| {
                let hop = |tls| Hop {
                    from: gateway.clone(),
                    to: backend(cluster),
                    protocol: self.protocol().to_owned(),
                    tls,
                };
                let tls = match &through {
                    Some(tls) => Some(HopTls { carried: false, ..tls.clone() }),
                    None => cluster.tls.as_deref().map(client_tls),
                };
                let also = tls.is_some() && through.is_none() && has_clear_text(cluster);
                std::iter::once(hop(tls)).chain(also.then(|| hop(None)))
            })
            .collect()
    }

    /// What is spoken inside.
    pub(super) fn protocol(&self) -> &'static str {
        match &self.chain.serve {
            Serve::Http(_) => "HTTP",
            Serve::Tcp(_) => "TCP",
            Serve::Udp(_) => "UDP",
        }
    }
}

/// Are some of its endpoints spoken to in clear text, whatever is spoken to the others?
fn has_clear_text(cluster: &Cluster) -> bool {
    matches!(&cluster.endpoints, Endpoints::Static(list) if list.iter().any(|endpoint| endpoint.clear_text))
}

fn clusters(host: &VirtualHost) -> Vec<&str> {
    let forwards = host.routes.iter().filter_map(|route| match &route.action {
        Action::Forward(forward) => Some(forward),
        Action::Redirect(_) | Action::Respond(_) => None,
    });
    forwards
        .flat_map(|forward| {
            let targets = forward.targets.iter().map(|target| &*target.cluster);
            targets.chain(forward.mirrors.iter().map(|mirror| &*mirror.cluster))
        })
        .collect()
}

fn targets(targets: &[TcpTarget]) -> Vec<&str> {
    targets.iter().map(|target| &*target.cluster).collect()
}

fn backend(cluster: &Cluster) -> Party {
    let (name, port) = match &cluster.endpoints {
        Endpoints::Dns(dns) => (dns.name.clone(), Some(dns.port)),
        Endpoints::Static(_) => (cluster.name.to_string(), None),
    };
    Party { role: Role::Backend, name, port }
}

fn server_tls(server: &TlsServer) -> HopTls {
    let certificates = server.certificates.iter().map(|certificate| owner(certificate));
    HopTls {
        versions: versions(server.min_version, server.max_version),
        certificate: certificates.collect::<Vec<_>>().join("; "),
        server: Checked::ByClient,
        client: match &server.client_auth {
            ClientAuth::None => ClientShows::Nothing,
            ClientAuth::Unverified => ClientShows::Unverified,
            ClientAuth::Optional(_) => ClientShows::Optional,
            ClientAuth::Required(_) => ClientShows::Required,
        },
        client_name: None,
        carried: false,
    }
}

fn client_tls(tls: &TlsClient) -> HopTls {
    // In a mesh the name that is asked for says where a connection goes, and is in no certificate.
    let in_mesh = match &tls.verify {
        Verify::Chain { names, .. } if names.iter().any(|name| name.starts_with("spiffe://")) => {
            Some(names.join(", "))
        }
        _ => None,
    };
    let server = match &tls.verify {
        Verify::Nothing => Checked::No,
        Verify::Chain { roots, names } => {
            let roots = match roots {
                Roots::System => "the system's roots".to_owned(),
                Roots::Given(store) => format!("{} given roots", store.certificates().len()),
            };
            let names = if names.is_empty() { "any name".to_owned() } else { names.join(", ") };
            Checked::Against(format!("{roots}, {names}"))
        }
    };
    HopTls {
        versions: versions(tls.min_version, tls.max_version),
        certificate: in_mesh
            .or_else(|| tls.server_name.clone())
            .unwrap_or_else(|| "whatever it shows".to_owned()),
        server,
        client: if tls.certificate.is_some() { ClientShows::Required } else { ClientShows::Nothing },
        client_name: tls.certificate.as_deref().map(owner).filter(|name| !name.is_empty()),
        carried: false,
    }
}

/// Whose certificate it is: the URIs in it, or its names.
fn owner(certificate: &Certificate) -> String {
    match certificate.uris() {
        [] => certificate.names().join(", "),
        uris => uris.join(", "),
    }
}

fn versions(min: TlsVersion, max: TlsVersion) -> String {
    let name = |version: TlsVersion| match version {
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    };
    if min == max { name(min).to_owned() } else { format!("{}–{}", name(min), name(max)) }
}

//! The chains of TLS servers that speak HTTP, each with what may be asked for on its connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plenipo_model::{
    Accepts, Chain, ChainTls, ClientAuth, HostPattern, HttpServer, Refusal, Serve, Source, TlsServer,
    VirtualHost,
};

use super::binding::covers;

/// A chain in the making.
pub(super) struct TlsHttp<'p> {
    pub(super) source: &'p Source,
    /// The server names that it takes; at least one.
    pub(super) names: Vec<HostPattern>,
    pub(super) tls: ChainTls,
    pub(super) hosts: BTreeMap<HostPattern, VirtualHost>,
}

/// The chains. `claimed` are all server names of the listener, those of other chains too.
pub(super) fn finish<'c>(
    mut made: Vec<TlsHttp<'_>>,
    claimed: impl Iterator<Item = &'c HostPattern>,
    http: &HttpServer,
) -> Vec<Chain> {
    let owners = Owners::new(claimed, &made);
    keep_apart(&mut made, &owners);
    let mut names: BTreeSet<HostPattern> = owners.0.keys().map(|name| (*name).clone()).collect();
    for (place, chain) in made.iter().enumerate() {
        names.extend(chain.hosts.keys().filter(|host| owners.of(host) == Some(place)).cloned());
    }
    let elsewhere: Arc<[HostPattern]> = names.into_iter().collect();
    let chain = |one: TlsHttp<'_>| {
        let hosts = one.hosts.into_values().collect();
        let elsewhere = Arc::clone(&elsewhere);
        let server = HttpServer { source: one.source.clone(), hosts, elsewhere, ..http.clone() };
        Chain {
            source: one.source.clone(),
            accepts: Accepts::Tls(one.names),
            tls: one.tls,
            serve: Serve::Http(Arc::new(server)),
        }
    };
    made.into_iter().map(chain).collect()
}

/// Every server name of a listener, with the place of the chain that has its connections; none when they are passed on to
/// somebody behind.
struct Owners<'c>(BTreeMap<&'c HostPattern, Option<usize>>);

impl<'c> Owners<'c> {
    fn new(claimed: impl Iterator<Item = &'c HostPattern>, made: &[TlsHttp<'_>]) -> Self {
        let mut places: BTreeMap<&HostPattern, usize> = BTreeMap::new();
        for (place, chain) in made.iter().enumerate() {
            places.extend(chain.names.iter().map(|name| (name, place)));
        }
        Self(claimed.map(|name| (name, places.get(name).copied())).collect())
    }

    /// The chain that has the connections of a host: that of the most specific name over it.
    fn of(&self, host: &HostPattern) -> Option<usize> {
        let mut wider = vec![host.clone()];
        if let HostPattern::Exact(text) | HostPattern::Suffix(text) = host {
            wider.extend(text.match_indices('.').map(|(at, _)| HostPattern::Suffix(text[at..].to_owned())));
        }
        wider.push(HostPattern::Any);
        let found = wider.iter().filter_map(|name| self.0.get_key_value(name));
        found.filter(|(name, _)| covers(name, host)).map(|(_, place)| *place).next().flatten()
    }
}

/// Keeps one chain from being a way around another. A host whose TLS connections belong to a chain with other terms is not
/// served on this one (421), and where those terms protect it, not even to clients that name no server.
fn keep_apart(made: &mut [TlsHttp<'_>], owners: &Owners<'_>) {
    let mut guarded: Vec<(usize, HostPattern, VirtualHost)> = Vec::new();
    for (place, chain) in made.iter().enumerate() {
        let Some(refusal) = protection(&chain.tls) else { continue };
        for (host, served) in chain.hosts.iter().filter(|(host, _)| owners.of(host) == Some(place)) {
            let refuse = Some(refusal.clone());
            guarded.push((
                place,
                host.clone(),
                VirtualHost { refuse, routes: Arc::from([]), ..served.clone() },
            ));
        }
    }
    let terms: Vec<ChainTls> = made.iter().map(|chain| chain.tls.clone()).collect();
    for (place, chain) in made.iter_mut().enumerate() {
        let stays = |host: &HostPattern| {
            owners.of(host).is_some_and(|other| other == place || same_terms(&terms[other], &terms[place]))
        };
        chain.hosts.retain(|host, _| stays(host));
        let open = |host: &HostPattern| {
            chain.names.iter().any(|name| !matches!(name, HostPattern::Exact(_)) && name.overlaps(host))
        };
        for (other, host, closed) in &guarded {
            if *other != place && open(host) && !same_terms(&terms[*other], &terms[place]) {
                chain.hosts.insert(host.clone(), closed.clone());
            }
        }
    }
}

/// What a request is answered that got past the protection of a chain.
fn protection(tls: &ChainTls) -> Option<Refusal> {
    match tls {
        ChainTls::Broken(reason) => Some(Refusal { status: 503, reason: reason.clone() }),
        ChainTls::Terminate(server) if matches!(server.client_auth, ClientAuth::Required(_)) => {
            let reason =
                format!("{} requires client certificates on connections for its own names", server.source);
            Some(Refusal { status: 421, reason })
        }
        ChainTls::Terminate(_) | ChainTls::Untouched => None,
    }
}

/// Is a client let in by `other` on the terms of `own`? Who asks nobody for a certificate lets in who may come without.
fn same_terms(own: &ChainTls, other: &ChainTls) -> bool {
    match (own, other) {
        (ChainTls::Terminate(a), ChainTls::Terminate(b)) => {
            let TlsServer { client_auth, min_version, max_version, cipher_suites, .. } = &**a;
            let optional =
                matches!(client_auth, ClientAuth::Optional(_)) && b.client_auth == ClientAuth::None;
            (optional || *client_auth == b.client_auth)
                && (min_version, max_version, cipher_suites)
                    == (&b.min_version, &b.max_version, &b.cipher_suites)
        }
        (a, b) => a == b,
    }
}

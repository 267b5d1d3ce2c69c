//! The chains of one address.

use std::sync::Arc;

use plenipo_model::{
    Accepts, Chain, ChainTls, ClientAuth, HostPattern, HttpServer, Listener, Refusal, Serve, TlsServer,
    VirtualHost,
};

use super::conflict::Conflicts;
use super::names::common;
use super::unite::Lists;
use super::{demands, hosts};

/// Puts chains behind an address that is another's already.
pub(super) fn join(mine: &mut Listener, theirs: &Listener, conflicts: &mut Conflicts<'_>, lists: &mut Lists) {
    let bind = mine.bind;
    let own = mine.chains.len();
    for chain in &theirs.chains {
        let mut site = Site { chains: &mut mine.chains, own, conflicts: &mut *conflicts, lists: &mut *lists };
        match &chain.accepts {
            Accepts::ClearText | Accepts::Anything => site.clear_text(chain, &bind.to_string()),
            Accepts::Tls(names) => site.tls(chain, names, &bind.to_string()),
        }
    }
    if !theirs.chains.is_empty() {
        close_ways_around(&mut mine.chains);
        tell_elsewhere(&mut mine.chains);
    }
}

/// The chains of an address, of which the first `own` were there before.
struct Site<'s, 'f> {
    chains: &'s mut Vec<Chain>,
    own: usize,
    conflicts: &'s mut Conflicts<'f>,
    lists: &'s mut Lists,
}

impl Site<'_, '_> {
    fn clear_text(&mut self, theirs: &Chain, bind: &str) {
        let clear = |chain: &Chain| !matches!(chain.accepts, Accepts::Tls(_));
        let Some(mine) = self.chains[..self.own].iter_mut().find(|chain| clear(chain)) else {
            self.chains.push(theirs.clone());
            return;
        };
        match (&mut mine.serve, &theirs.serve) {
            (Serve::Http(server), Serve::Http(other)) if mine.accepts == theirs.accepts => {
                let all = other.hosts.clone();
                hosts::join(Arc::make_mut(server), other, all, self.conflicts, self.lists);
            }
            _ => {
                let message = format!(
                    "clear-text connections to {bind} are {}'s, which serves {} there",
                    mine.source,
                    served(&mine.serve)
                );
                self.conflicts.lost(&theirs.source, message, "use a port of its own for one of the two");
            }
        }
    }

    fn tls(&mut self, theirs: &Chain, names: &[HostPattern], bind: &str) {
        let (mut free, mut taken) = (Vec::new(), Vec::new());
        for name in names {
            let claims =
                |chain: &Chain| matches!(&chain.accepts, Accepts::Tls(names) if names.contains(name));
            match self.chains[..self.own].iter().position(claims) {
                Some(at) => taken.push((name, at)),
                None => free.push(name.clone()),
            }
        }
        if taken.is_empty() {
            self.chains.push(theirs.clone());
            return;
        }
        for (name, at) in taken {
            self.share(name, at, theirs, bind);
        }
        if !free.is_empty() {
            let mut rest = theirs.clone();
            if let Serve::Http(server) = &mut rest.serve {
                let kept = |host: &VirtualHost| free.iter().any(|name| common(&host.host, name).is_some());
                Arc::make_mut(server).hosts.retain(kept);
            }
            rest.accepts = Accepts::Tls(free);
            self.chains.push(rest);
        }
    }

    /// A name that has a chain already.
    fn share(&mut self, name: &HostPattern, at: usize, theirs: &Chain, bind: &str) {
        let mine = &mut self.chains[at];
        let winner = mine.source.clone();
        let (Serve::Http(server), Serve::Http(other)) = (&mut mine.serve, &theirs.serve) else {
            let message = format!(
                "TLS connections for {name} to {bind} are {winner}'s, which serves {} there",
                served(&mine.serve)
            );
            self.conflicts.lost(&theirs.source, message, "use another name or a port of its own");
            return;
        };
        let weaker = match (&mine.tls, &theirs.tls) {
            (ChainTls::Terminate(mine), ChainTls::Terminate(theirs)) => demands::of_tls(mine, theirs),
            (ChainTls::Broken(_), _) => Some("cannot end TLS"),
            (_, ChainTls::Broken(_)) => Some("has a certificate of its own"),
            _ => Some("leaves TLS to whoever is behind it"),
        };
        let under = restricted(other, name);
        if let Some(weaker) = weaker {
            let message = format!("TLS connections for {name} to {bind} are {winner}'s, which {weaker}");
            let fix = "ask for the same TLS in both, or use another name";
            let refusal = Refusal { status: 503, reason: message.clone() };
            self.conflicts.lost(&theirs.source, message, fix);
            hosts::close(Arc::make_mut(server), under, &refusal, self.lists);
            return;
        }
        if let (ChainTls::Terminate(mine), ChainTls::Terminate(theirs)) = (&mine.tls, &theirs.tls)
            && let Some(what) = other_tls(mine, theirs)
        {
            let message = format!("clients that ask for {name} at {bind} get the {what} of {}", mine.source);
            self.conflicts.changed(&theirs.source, message, "write the same in both");
        }
        hosts::join(Arc::make_mut(server), other, under, self.conflicts, self.lists);
    }
}

fn served(serve: &Serve) -> &'static str {
    match serve {
        Serve::Http(_) => "HTTP",
        Serve::Tcp(_) => "TCP",
        Serve::Udp(_) => "UDP",
    }
}

/// The hosts of a server as far as they are behind this name. Of several that come to the same, the closest.
fn restricted(server: &HttpServer, name: &HostPattern) -> Vec<VirtualHost> {
    let mut found: Vec<VirtualHost> = Vec::new();
    for host in &server.hosts {
        let Some(pattern) = common(&host.host, name) else { continue };
        if found.iter().all(|other| other.host != pattern) {
            found.push(VirtualHost { host: pattern, ..host.clone() });
        }
    }
    found
}

/// What of the later TLS settings is another's, though no weaker.
fn other_tls(mine: &TlsServer, theirs: &TlsServer) -> Option<&'static str> {
    if mine.certificates != theirs.certificates {
        return Some("certificate");
    }
    let same = TlsServer { source: mine.source.clone(), ..theirs.clone() };
    (*mine != same).then_some("TLS settings")
}

/// Keeps the chain of a wildcard from being a way around a name under it that has a chain of its own, which requires
/// client certificates or has no certificate: a client that sends no server name could get in otherwise.
fn close_ways_around(chains: &mut [Chain]) {
    let mut closed: Vec<(Vec<HostPattern>, VirtualHost)> = Vec::new();
    for chain in chains.iter() {
        let (Accepts::Tls(names), Serve::Http(server)) = (&chain.accepts, &chain.serve) else { continue };
        let Some(refuse) = protection(&chain.tls) else { continue };
        for host in &server.hosts {
            let host = VirtualHost { refuse: Some(refuse.clone()), routes: Arc::from([]), ..host.clone() };
            closed.push((names.clone(), host));
        }
    }
    for chain in chains {
        let (Accepts::Tls(names), Serve::Http(server)) = (&chain.accepts, &mut chain.serve) else { continue };
        if protection(&chain.tls).is_some() || names.iter().all(|name| matches!(name, HostPattern::Exact(_)))
        {
            continue;
        }
        let missing: Vec<VirtualHost> = closed
            .iter()
            .filter(|(under, host)| {
                under.iter().any(|under| names.iter().any(|name| under != name && under.overlaps(name)))
                    && server.hosts.iter().all(|other| other.host != host.host)
            })
            .map(|(_, host)| host.clone())
            .collect();
        if !missing.is_empty() {
            let server = Arc::make_mut(server);
            for host in missing {
                hosts::insert(&mut server.hosts, host);
            }
        }
    }
}

fn protection(tls: &ChainTls) -> Option<Refusal> {
    match tls {
        ChainTls::Broken(reason) => Some(Refusal { status: 503, reason: reason.clone() }),
        ChainTls::Terminate(server) if matches!(server.client_auth, ClientAuth::Required(_)) => {
            let reason =
                format!("{} requires client certificates on connections for its own name", server.source);
            Some(Refusal { status: 421, reason })
        }
        ChainTls::Terminate(_) | ChainTls::Untouched => None,
    }
}

/// Every TLS chain knows the names of all ([`HttpServer::elsewhere`]).
fn tell_elsewhere(chains: &mut [Chain]) {
    let mut names: Vec<HostPattern> = Vec::new();
    for chain in chains.iter() {
        if let (Accepts::Tls(_), Serve::Http(server)) = (&chain.accepts, &chain.serve) {
            names.extend(server.elsewhere.iter().cloned());
            names.extend(server.hosts.iter().map(|host| host.host.clone()));
        }
    }
    names.sort_unstable();
    names.dedup();
    let names: Arc<[HostPattern]> = names.into();
    for chain in chains {
        if let (Accepts::Tls(_), Serve::Http(server)) = (&chain.accepts, &mut chain.serve)
            && server.elsewhere != names
        {
            Arc::make_mut(server).elsewhere = Arc::clone(&names);
        }
    }
}

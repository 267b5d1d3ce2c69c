//! Certificates and trust stores: which are asked for, and how a listener ends TLS with them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plenipo_model::{ChainTls, ClientAuth, ClientRoots, Edge, HostPattern, Serve, Source, TlsServer};
use plenipo_resources::{Set, View};

use super::{Builder, Remarks, Site, policies};
use crate::stack::{AlpnPolicy, Condition, Kind, Listener, MutualMode, Stack, Values};

/// A certificate that a listener names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wanted {
    /// Its ARN.
    pub arn: String,
    /// Names that clients will ask for, as far as the objects say (`*.example.com` among them).
    pub hosts: Vec<String>,
}

/// The certificates that load balancers name, once each, with the hosts that they are probably for: those of the rules
/// and `tls` blocks of the Ingresses, and those that external-dns is told to publish a Service under; where these say
/// nothing, the gateway's.
pub fn wanted_certificates(stacks: &[Stack], set: &Set, gateway: &Edge) -> Vec<Wanted> {
    let mut hosts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for stack in all(stacks) {
        let mut named = hosts_of(stack, set);
        if named.is_empty() {
            named = hosts_of_gateway(gateway);
        }
        for arn in stack.listeners.iter().flat_map(|listener| &listener.certificates) {
            hosts.entry(arn).or_default().extend(named.iter().cloned());
        }
    }
    let wanted = |(arn, hosts): (&str, BTreeSet<String>)| Wanted {
        arn: arn.to_owned(),
        hosts: hosts.into_iter().collect(),
    };
    hosts.into_iter().map(wanted).collect()
}

/// The trust stores that listeners name.
pub fn wanted_trust_stores(stacks: &[Stack]) -> BTreeSet<String> {
    let mutual =
        all(stacks).flat_map(|stack| &stack.listeners).filter_map(|one| one.mutual_authentication.as_ref());
    mutual.filter_map(|mutual| mutual.trust_store.clone()).collect()
}

fn all(stacks: &[Stack]) -> impl Iterator<Item = &Stack> {
    stacks.iter().flat_map(|stack| std::iter::once(stack).chain(stack.frontend.as_deref()))
}

fn hosts_of(stack: &Stack, set: &Set) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    let conditions = stack.listeners.iter().flat_map(|one| &one.rules).flat_map(|rule| &rule.conditions);
    for condition in conditions {
        if let Condition::Host(Values::Wildcards(names)) = condition {
            hosts.extend(names.iter().cloned());
        }
    }
    for member in &stack.members {
        let Some(object) = set.get(&member.kind, &member.namespace, &member.name) else { continue };
        if let View::Ingress(ingress) = &object.view {
            hosts.extend(ingress.tls.iter().flat_map(|tls| tls.hosts.iter().cloned()));
        }
        let published = object.meta.annotations.get("external-dns.alpha.kubernetes.io/hostname");
        hosts.extend(
            published.into_iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()),
        );
    }
    // What a certificate can be for: one star, as the first label.
    let certifiable = |host: &String| {
        let rest = host.strip_prefix("*.").unwrap_or(host);
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    hosts.into_iter().filter(certifiable).collect()
}

fn hosts_of_gateway(gateway: &Edge) -> BTreeSet<String> {
    let chains = gateway.listeners.iter().flat_map(|listener| &listener.chains);
    let servers = chains.filter_map(|chain| match &chain.serve {
        Serve::Http(server) => Some(server),
        Serve::Tcp(_) | Serve::Udp(_) => None,
    });
    let patterns = servers.flat_map(|server| &server.hosts).map(|host| host.host.without_port());
    let names = patterns.filter_map(|pattern| match pattern {
        HostPattern::Exact(name) => Some(name),
        HostPattern::Suffix(suffix) | HostPattern::OneLabel(suffix) if suffix.starts_with('.') => {
            Some(format!("*{suffix}"))
        }
        _ => None,
    });
    names.collect()
}

impl Builder<'_> {
    /// How a listener ends TLS.
    pub(super) fn terminate(
        &mut self,
        site: Site<'_>,
        listener: &Listener,
        remarks: &mut Remarks,
    ) -> ChainTls {
        let known = &self.options.certificates;
        let certificates: Vec<_> =
            listener.certificates.iter().filter_map(|arn| known.get(arn)).cloned().collect();
        // Without its default certificate a listener would show another one in its place.
        let first = listener.certificates.first();
        if certificates.is_empty() || first.is_some_and(|arn| !known.contains_key(arn)) {
            let missing = first.map_or("", String::as_str);
            let message =
                format!("port {}: there is no certificate for {missing:?}: handshakes fail", listener.port);
            let fix = format!("give --acm {missing}=cert.pem,key.pem");
            self.refuse("edge-certificate", site.member(), message.clone(), &fix);
            return ChainTls::Broken(message);
        }
        let client_auth = match self.client_auth(site, listener) {
            Ok(client_auth) => client_auth,
            Err(why) => return ChainTls::Broken(why),
        };
        let policy = listener.ssl_policy.as_deref().unwrap_or(policies::DEFAULT);
        let spoken = policies::spoken(policy);
        remarks.deviations.extend(spoken.deviations);
        ChainTls::Terminate(Arc::new(TlsServer {
            source: Source::new(site.listener_name(listener.port)),
            certificates,
            client_auth,
            min_version: spoken.min,
            max_version: spoken.max,
            cipher_suites: spoken.suites,
            alpn: alpn(site, listener).iter().map(|name| (*name).to_owned()).collect(),
        }))
    }

    fn client_auth(&mut self, site: Site<'_>, listener: &Listener) -> Result<ClientAuth, String> {
        let Some(mutual) = &listener.mutual_authentication else { return Ok(ClientAuth::None) };
        match mutual.mode {
            MutualMode::Off => Ok(ClientAuth::None),
            MutualMode::Passthrough => Ok(ClientAuth::Unverified),
            MutualMode::Verify => {
                let name = mutual.trust_store.as_deref().unwrap_or_default();
                let Some(store) = self.options.trust_stores.get(name) else {
                    let port = listener.port;
                    let message = format!("port {port}: there is no trust store {name:?}: handshakes fail");
                    let fix = format!("give --trust-store {name}=ca.pem");
                    self.refuse("edge-trust-store", site.member(), message.clone(), &fix);
                    return Err(message);
                };
                let roots = ClientRoots::new(Arc::clone(&store.roots), store.revocation.clone());
                Ok(ClientAuth::Required(ClientRoots {
                    advertise_names: mutual.advertise_names == Some(true),
                    ignore_expiry: mutual.ignore_expiry == Some(true),
                    ..roots
                }))
            }
        }
    }
}

/// Protocols in the load balancer's order of preference, which decides.
fn alpn(site: Site<'_>, listener: &Listener) -> &'static [&'static str] {
    match site.stack.load_balancer.kind {
        Kind::Application if site.attributes().switch("routing.http2.enabled") == Some(false) => {
            &["http/1.1"]
        }
        Kind::Application => &["h2", "http/1.1"],
        Kind::Classic => &[],
        Kind::Network => match listener.alpn {
            None | Some(AlpnPolicy::None) => &[],
            Some(AlpnPolicy::Http1Only) => &["http/1.1", "http/1.0"],
            Some(AlpnPolicy::Http2Only) => &["h2"],
            Some(AlpnPolicy::Http2Optional) => &["http/1.1", "http/1.0", "h2"],
            Some(AlpnPolicy::Http2Preferred) => &["h2", "http/1.1", "http/1.0"],
        },
    }
}

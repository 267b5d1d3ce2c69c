//! May this one ask for this? Rules that are decided here, without a word to anybody.
//!
//! Pure, and without allocation for what requests usually look like. Whatever is not known passes no test.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderName, HeaderValue, header};
use ipnet::IpNet;
use plenipo_jwt::Claims;
use plenipo_model::{AccessPolicy, AccessRule, AccessTest, Authorization, Fact, Source, TextMatch};

use crate::exchange::{Connection, Exchange, Shown};
use crate::fields::Fields;
use crate::message::RequestHead;

/// How certificates of a mesh name their owners (SPIFFE-ID §2).
const SPIFFE: &str = "spiffe://";

/// Who wants something, and what.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    connection: &'a Connection,
    /// The trusted address of the client.
    client: IpAddr,
    shown: Option<Shown<'a>>,
    /// None for a connection that carries no HTTP.
    request: Option<Wish<'a>>,
}

#[derive(Clone, Copy)]
struct Wish<'a> {
    parts: &'a RequestHead,
    claims: Option<&'a Claims>,
}

/// What the rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    Allowed,
    /// By this object; none when nothing allows it.
    Denied(Option<&'a Source>),
}

impl<'a> Subject<'a> {
    /// A request.
    pub(crate) fn request(
        exchange: &'a Exchange,
        parts: &'a RequestHead,
        claims: Option<&'a Claims>,
    ) -> Self {
        Self {
            connection: &exchange.connection,
            client: exchange.client,
            // Who somebody believed tells of, or who proved it to us.
            shown: exchange.shown().filter(|shown| shown.verified),
            request: Some(Wish { parts, claims }),
        }
    }

    /// A connection whose bytes are relayed.
    pub(crate) fn connection(connection: &'a Connection) -> Self {
        Self {
            connection,
            client: connection.peer.ip(),
            shown: connection.shown().filter(|shown| shown.verified),
            request: None,
        }
    }

    /// Is it denied, and is it allowed? (What is asked of others comes before.)
    pub(crate) fn judged<'r>(&self, rules: &'r Authorization) -> Verdict<'r> {
        if rules.refuse.is_some() {
            return Verdict::Denied(None);
        }
        if let Some(policy) = rules.deny.iter().find(|policy| self.is_taken_by(policy)) {
            return Verdict::Denied(Some(&policy.source));
        }
        match &rules.allow {
            Some(allowed) if !allowed.iter().any(|policy| self.is_taken_by(policy)) => Verdict::Denied(None),
            _ => Verdict::Allowed,
        }
    }

    /// Does one of the policy's rules take it?
    pub(crate) fn is_taken_by(&self, policy: &AccessPolicy) -> bool {
        policy.rules.iter().any(|rule| self.fits(rule))
    }

    fn fits(&self, rule: &AccessRule) -> bool {
        let alternative = |tests: &Vec<AccessTest>| tests.iter().all(|test| self.passes(test));
        rule.groups.iter().all(|group| group.iter().any(alternative))
    }

    fn passes(&self, test: &AccessTest) -> bool {
        if self.request.is_none() && !test.fact.is_of_connection() {
            return false;
        }
        self.is(&test.fact) != test.not
    }

    fn is(&self, fact: &Fact) -> bool {
        let within = |networks: &[IpNet], address: IpAddr| {
            let address = address.to_canonical();
            networks.iter().any(|network| network.contains(&address))
        };
        match fact {
            Fact::Anything => true,
            Fact::Peer(networks) => within(networks, self.connection.peer.ip()),
            Fact::Client(networks) => within(networks, self.client),
            Fact::Local(networks) => within(networks, self.connection.local.ip()),
            Fact::LocalPort(ports) => {
                let Connection { declared_port, local, .. } = self.connection;
                ports.contains(declared_port) || ports.contains(&local.port())
            }
            Fact::Principal(texts) => self.principals().any(|principal| one_of(texts, principal)),
            Fact::ServerName(texts) => {
                let tls = self.connection.tls.as_ref();
                tls.and_then(|tls| tls.server_name.as_deref()).is_some_and(|name| one_of(texts, name))
            }
            of_request => self.request.is_some_and(|wish| wish.is(of_request)),
        }
    }

    fn principals(&self) -> impl Iterator<Item = &'a str> {
        let uris = self.shown.map(|shown| &*shown.client.uris).unwrap_or_default();
        uris.iter().filter_map(|uri| uri.strip_prefix(SPIFFE))
    }
}

impl Wish<'_> {
    fn is(&self, fact: &Fact) -> bool {
        let headers = &self.parts.headers;
        match fact {
            Fact::Host(texts) => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                host.map(rootless)
                    .is_some_and(|host| texts.iter().any(|text| text.matches_ignoring_case(&host)))
            }
            Fact::Method(texts) => one_of(texts, self.parts.method.as_str()),
            Fact::Path(texts) => one_of(texts, self.parts.uri.path()),
            Fact::Header(name, texts) => value(headers, name).is_some_and(|value| one_of(texts, &value)),
            Fact::TokenPrincipal(texts) => {
                self.claims.and_then(Claims::principal).is_some_and(|principal| one_of(texts, principal))
            }
            Fact::Claim(path, texts) => {
                self.claims.is_some_and(|claims| claims.any(path, |claim| one_of(texts, claim)))
            }
            _ => false,
        }
    }
}

/// Without the dot that stands for the root of the DNS: the name is the same (RFC 3986 §3.2.2).
fn rootless(host: &str) -> Cow<'_, str> {
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    match name.strip_suffix('.') {
        Some(name) => Cow::Owned(format!("{name}{port}")),
        None => Cow::Borrowed(host),
    }
}

fn one_of(texts: &[TextMatch], value: &str) -> bool {
    texts.iter().any(|text| text.matches(value))
}

/// A field: of several lines, the values joined by `,` (RFC 9110 §5.3).
fn value<'a>(headers: &'a Fields, name: &HeaderName) -> Option<Cow<'a, str>> {
    let text = |value: &'a HeaderValue| String::from_utf8_lossy(value.as_bytes());
    let mut values = headers.get_all(name).iter();
    let first = text(values.next()?);
    Some(values.fold(first, |joined, next| Cow::Owned(format!("{joined},{}", text(next)))))
}

#[cfg(test)]
mod tests;

//! Certificates of hosts, and client certificates. What is asked for and cannot be had is refused, never done without.

use std::sync::Arc;

use plenipo_model::{Certificate, ClientAuth, HostPattern, Source, TlsServer, TlsVersion};
use plenipo_resources::networking::IngressTls;

use super::class::Flavour;
use super::{Entry, World};
use crate::findings::{Findings, Flaw};
use crate::secrets::{SecretName, Secrets};

/// What a host's TLS came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum HostTls {
    /// None was asked for.
    None,
    /// It works.
    Terminate(Arc<TlsServer>),
    /// It was asked for and cannot be had.
    Broken(String),
}

impl HostTls {
    /// Is it asked for, whatever came of it?
    pub(super) fn is_asked(&self) -> bool {
        *self != Self::None
    }
}

/// Looks for certificates.
pub(super) struct Reader<'r, 'a> {
    pub(super) world: World<'a>,
    pub(super) secrets: &'r mut Secrets<'a>,
    pub(super) findings: &'r mut Findings,
}

/// One of `spec.tls`.
struct Item<'e, 'a> {
    entry: &'e Entry<'a>,
    tls: &'a IngressTls,
    place: usize,
}

const CREATE: &str = "create the Secret, or repair its content";

impl<'a> Reader<'_, 'a> {
    /// The TLS of a host that these Ingresses, oldest first, have rules for.
    pub(super) fn host(&mut self, host: &HostPattern, entries: &[&Entry<'a>]) -> HostTls {
        let items: Vec<Item<'_, 'a>> = entries.iter().flat_map(|entry| items(entry)).collect();
        // A name that is listed itself goes before a wildcard over it.
        let itself = items.iter().any(|item| item.lists(host));
        let mut listing =
            items.iter().filter(|item| if itself { item.lists(host) } else { item.covers(host) });
        let outcome = match listing.next() {
            Some(item) => {
                for other in listing {
                    self.contradiction(item, other, host);
                }
                self.certificate(item)
            }
            // One that lists other names, or none, but has a certificate for this one.
            None => match items.iter().find_map(|item| self.fitting(item, host)) {
                Some(certificate) => Ok(certificate),
                None => {
                    self.unasked(host, entries);
                    return HostTls::None;
                }
            },
        };
        let source = entries.first().map_or_else(|| Source::new("Ingress"), |entry| entry.source.clone());
        let certificate = match outcome {
            Ok(certificate) => certificate,
            Err(reason) => return HostTls::Broken(reason),
        };
        let mut server = server(source, certificate);
        match client_auth(entries, self.findings) {
            Ok(asked) => server.client_auth = asked,
            Err(reason) => return HostTls::Broken(reason),
        }
        HostTls::Terminate(Arc::new(server))
    }

    /// Client certificates where there is no TLS that could ask for them.
    fn unasked(&mut self, host: &HostPattern, entries: &[&Entry<'a>]) {
        for entry in entries.iter().filter(|entry| matches!(entry.policy.client_auth, Some(Ok(_)))) {
            let message =
                format!("{host} has no TLS, where nobody shows a certificate: its requests are answered 503");
            let field = "metadata.annotations[nginx.ingress.kubernetes.io/auth-tls-secret]";
            let fix = "write spec.tls for this host";
            self.findings.error(entry.object, "client-certificates-without-tls", field, message, fix);
        }
    }

    /// The TLS of names that no Ingress has a certificate for.
    pub(super) fn fallback(&mut self) -> Option<HostTls> {
        let (namespace, name, chosen) = match &self.world.options.ingress.default_certificate {
            Some((namespace, name)) => (namespace.as_str(), name.as_str(), true),
            None => (self.world.options.namespace.as_str(), "fallback-self-signed-cert", false),
        };
        if !chosen && !self.secrets.exists(namespace, name) {
            return None;
        }
        let source = Source::new(["Secret ", namespace, "/", name].concat());
        let secret = SecretName::Secret { namespace: namespace.to_owned(), name: name.to_owned() };
        Some(match self.secrets.certificate(&secret, self.findings) {
            Ok(certificate) => HostTls::Terminate(Arc::new(server(source, certificate))),
            Err(reason) => HostTls::Broken(reason),
        })
    }

    fn certificate(&mut self, item: &Item<'_, 'a>) -> Result<Arc<Certificate>, String> {
        let Some(name) = item.secret() else {
            return match self.fallback() {
                Some(HostTls::Terminate(server)) => Ok(Arc::clone(&server.certificates[0])),
                Some(HostTls::Broken(reason)) => Err(reason),
                _ => {
                    let message = "it names no Secret, and there is no default certificate".to_owned();
                    let fix = "write secretName, or create the Secret fallback-self-signed-cert in the gateway's namespace";
                    let field = item.field("secretName");
                    self.findings.error(
                        item.entry.object,
                        "missing-tls-secret",
                        &field,
                        message.clone(),
                        fix,
                    );
                    Err(message)
                }
            };
        };
        let secret = self.place(item, name);
        self.secrets.certificate(&secret, self.findings).map_err(|reason| {
            let message = format!("{reason}: connections for its hosts are refused");
            self.findings.error(
                item.entry.object,
                "bad-tls-secret",
                &item.field("secretName"),
                message,
                CREATE,
            );
            reason
        })
    }

    /// In the Ingress' own namespace. Istio looks only in the gateway's, where one of that name is taken for its Ingresses;
    /// cert-manager writes it beside the Ingress.
    fn place(&mut self, item: &Item<'_, 'a>, name: &str) -> SecretName {
        let own = &*item.entry.object.id.namespace;
        let gateway = self.world.options.istio.namespace.as_str();
        let is_istio = item.entry.flavour == Flavour::Istio && own != gateway;
        let namespace = if is_istio && self.secrets.exists(gateway, name) { gateway } else { own };
        if is_istio && namespace == own && self.secrets.exists(own, name) {
            let message =
                format!("the Secret is read from {own}, where Istio would look for it in {gateway} only");
            self.findings.note(
                item.entry.object,
                "secret-beside-ingress",
                &item.field("secretName"),
                message,
                "nothing needs to be done",
            );
        }
        SecretName::Secret { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn fitting(&mut self, item: &Item<'_, 'a>, host: &HostPattern) -> Option<Arc<Certificate>> {
        let name = match host {
            HostPattern::Exact(name) => name.clone(),
            HostPattern::OneLabel(suffix) => format!("any{suffix}"),
            HostPattern::Any if item.tls.hosts.is_empty() => return self.certificate(item).ok(),
            _ => return None,
        };
        let secret = self.place(item, item.secret()?);
        let found = self.secrets.certificate(&secret, &mut Findings::default()).ok()?;
        found.is_valid_for(&name).then_some(found)
    }

    fn contradiction(&mut self, first: &Item<'_, 'a>, other: &Item<'_, 'a>, host: &HostPattern) {
        let same = first.secret() == other.secret()
            && first.entry.object.id.namespace == other.entry.object.id.namespace;
        if !same {
            let message =
                format!("{} has another certificate for {host}, and was there first", first.entry.object.id);
            let fix = "name one Secret for one host";
            self.findings.warn(other.entry.object, "duplicate-tls-host", &other.field("hosts"), message, fix);
        }
    }
}

impl Item<'_, '_> {
    fn lists(&self, host: &HostPattern) -> bool {
        self.hosts().any(|pattern| pattern == *host)
    }

    fn covers(&self, host: &HostPattern) -> bool {
        let HostPattern::Exact(name) = host else { return false };
        self.hosts().any(|pattern| pattern.matches(name))
    }

    fn hosts(&self) -> impl Iterator<Item = HostPattern> {
        self.tls.hosts.iter().filter_map(|text| HostPattern::parse_one_label(text).ok())
    }

    fn secret(&self) -> Option<&str> {
        self.tls.secret_name.as_deref().filter(|name| !name.is_empty())
    }

    fn field(&self, name: &str) -> String {
        format!("spec.tls[{}].{name}", self.place)
    }
}

fn items<'e, 'a>(entry: &'e Entry<'a>) -> impl Iterator<Item = Item<'e, 'a>> {
    entry.spec.tls.iter().enumerate().map(move |(place, tls)| Item { entry, tls, place })
}

fn server(source: Source, certificate: Arc<Certificate>) -> TlsServer {
    TlsServer {
        source,
        certificates: vec![certificate],
        client_auth: ClientAuth::None,
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        cipher_suites: Vec::new(),
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
    }
}

/// Whether clients of a host show a certificate: what the oldest Ingress says that says anything. One that says something
/// else cannot be served beside it.
fn client_auth(entries: &[&Entry<'_>], findings: &mut Findings) -> Result<ClientAuth, String> {
    let mut asking = entries.iter().filter_map(|entry| Some((entry, entry.policy.client_auth.as_ref()?)));
    let Some((first, auth)) = asking.next() else { return Ok(ClientAuth::None) };
    for (other, _) in asking.filter(|(_, other)| *other != auth) {
        let message = format!(
            "{} asks for other client certificates for the same host, and was there first",
            first.object.id
        );
        let field = "metadata.annotations[nginx.ingress.kubernetes.io/auth-tls-secret]";
        let fix = "write the same annotations in both";
        findings.flaw(other.object, &Flaw::new("tls-mismatch", field, message, fix));
    }
    auth.clone()
}

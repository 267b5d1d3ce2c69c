//! The TLS of a Host. Whatever is asked for and cannot be had is an error, never less protection.

use std::sync::Arc;

use plenipo_model::{Certificate, ClientAuth, HostPattern, Source, TlsServer};
use plenipo_resources::Object;
use plenipo_resources::ambassador::{Host, TlsConfig, TlsContext};
use serde_json::Value;

use super::super::module::Settings;
use super::super::ours::{Of, source_of};
use super::super::tls::{Contexts, LegacyTls, Terms, terminate};
use super::HostTls;
use crate::findings::{Findings, Flaw};
use crate::options::Options;
use crate::secrets::{SecretName, Secrets};

/// Everything that reading a Host's TLS needs.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) contexts: &'r Contexts<'a>,
    pub(crate) settings: &'r Settings<'a>,
    pub(crate) secrets: &'r mut Secrets<'a>,
    pub(crate) findings: &'r mut Findings,
}

const REPAIR: &str = "create the Secret, or repair it";
const NAME_IT: &str = "name the Secret with the certificate in tlsSecret";

impl<'a> Reader<'_, 'a> {
    /// The TLS server of a Host; none when it asks for none.
    pub(super) fn read(
        &mut self,
        host: Of<'a, Host>,
        pattern: &HostPattern,
    ) -> Result<Option<TlsServer>, Flaw> {
        let linked = self.linked(host)?;
        let naming = self.contexts.for_host(pattern).to_vec();
        let inline = host.spec.tls.as_ref();
        let own = self.own_secret(host);
        let edge_stack = edge_stack(host, self.findings);
        let asked = own.is_some()
            || linked.is_some()
            || inline.is_some()
            || !naming.is_empty()
            || edge_stack.is_some();
        if !asked {
            return Ok(None);
        }
        // A context that names the host counts as linked when the Host says nothing else.
        let linked = linked.or_else(|| naming.first().copied().filter(|_| own.is_none() && inline.is_none()));
        let merged = edge_stack.map(|mtls| merge(inline.or(linked.map(|context| &context.spec.tls)), mtls));
        let inline = merged.as_ref().or(inline);
        let terms = match (inline, linked) {
            (Some(tls), _) => Some(Terms {
                object: host.object,
                field: "spec.tls",
                tls,
                namespacing: self.settings.tls_secret_namespacing,
            }),
            (None, Some(context)) => Some(self.terms(context)),
            (None, None) => None,
        };
        let certificate = self.certificate(own, terms.as_ref(), linked)?;
        covers(host.object, pattern, &certificate, self.findings);
        let source = source_of(host.object);
        let mut server = terminate(&source, vec![certificate], terms.as_ref(), self.secrets, self.findings)
            .map_err(|flaw| located(flaw, terms.as_ref(), host.object))?;
        if server.client_auth == ClientAuth::None {
            self.legacy_client_auth(&mut server)?;
        }
        for context in naming.iter().filter(|context| linked.is_none_or(|l| l.object.id != context.object.id))
        {
            self.add(*context, &mut server)?;
        }
        Ok(Some(server))
    }

    /// `tlsContext`, else the context with the Host's name and `-context` behind it (which Emissary once made itself).
    fn linked(&mut self, host: Of<'a, Host>) -> Result<Option<Of<'a, TlsContext>>, Flaw> {
        let namespace = &*host.object.id.namespace;
        let named = host.spec.tls_context.as_ref().and_then(|reference| reference.name.as_deref());
        let Some(name) = named.filter(|name| !name.is_empty()) else {
            if host.spec.tls_secret.is_none() || host.spec.tls.is_some() {
                return Ok(None);
            }
            let implicit = format!("{}-context", host.object.id.name);
            return Ok(self.contexts.named(&implicit, namespace));
        };
        if host.spec.tls.is_some() {
            let message = "tls and tlsContext are both there";
            return Err(Flaw::new("tls-and-tls-context", "spec.tlsContext", message, "keep one of the two"));
        }
        let context = self.contexts.named(name, namespace).ok_or_else(|| {
            let message = format!("there is no TLSContext '{name}'");
            Flaw::new("unknown-tls-context", "spec.tlsContext.name", message, "create it, or name another")
        })?;
        let hosts = &context.spec.hosts;
        let hostname = host.spec.hostname.as_deref().unwrap_or("*");
        let listed = |name: &&String| name.eq_ignore_ascii_case(hostname) || ***name == *host.object.id.name;
        if !hosts.is_empty() && !hosts.iter().any(|name| listed(&name)) {
            let message = format!(
                "the TLSContext '{name}' is for {}, not for this host; it is used all the same",
                hosts.join(", ")
            );
            let field = "spec.tlsContext.name";
            self.findings.warn(
                host.object,
                "tls-context-for-others",
                field,
                message,
                "add the hostname to its hosts",
            );
        }
        Ok(Some(context))
    }

    /// `tlsSecret`, in its own namespace or the one it names; a dot in the name stays a dot when a namespace is written.
    fn own_secret(&self, host: Of<'a, Host>) -> Option<SecretName> {
        let reference = host.spec.tls_secret.as_ref()?;
        let name = reference.name.as_deref().filter(|name| !name.is_empty())?;
        Some(match reference.namespace.as_deref().filter(|namespace| !namespace.is_empty()) {
            Some(namespace) => SecretName::Secret { namespace: namespace.to_owned(), name: name.to_owned() },
            None => {
                let namespace = &host.object.id.namespace;
                let plain = SecretName::Secret { namespace: namespace.to_string(), name: name.to_owned() };
                if self.secrets.exists(namespace, name) {
                    plain
                } else {
                    SecretName::parse(name, namespace, self.settings.tls_secret_namespacing)
                }
            }
        })
    }

    fn terms(&self, context: Of<'a, TlsContext>) -> Terms<'a> {
        let namespacing = context.spec.secret_namespacing.unwrap_or(self.settings.tls_secret_namespacing);
        Terms { object: context.object, field: "spec", tls: &context.spec.tls, namespacing }
    }

    fn context_secret(&self, context: Of<'a, TlsContext>) -> Option<SecretName> {
        let terms = self.terms(context);
        let named = context.spec.secret.as_deref().filter(|text| !text.is_empty());
        named.map(|text| terms.secret(text)).or_else(|| terms.files())
    }

    fn certificate(
        &mut self,
        own: Option<SecretName>,
        terms: Option<&Terms<'_>>,
        linked: Option<Of<'a, TlsContext>>,
    ) -> Result<Arc<Certificate>, Flaw> {
        let theirs = linked.and_then(|context| self.context_secret(context));
        if let (Some(own), Some(theirs)) = (&own, &theirs)
            && own != theirs
        {
            let message = format!("the Host names the {own}, its TLSContext the {theirs}");
            return Err(Flaw::new(
                "tls-secret-mismatch",
                "spec.tlsSecret",
                message,
                "name the same Secret in both",
            ));
        }
        let files = terms.and_then(Terms::files);
        let module = || self.settings.tls?.server(self.settings.tls_secret_namespacing);
        let field = match (&own, &theirs) {
            (None, None) if files.is_some() => "spec.tls.cert_chain_file",
            (None, Some(_)) => "spec.tlsContext",
            _ => "spec.tlsSecret",
        };
        let name = own.or(theirs).or(files).or_else(module).ok_or_else(|| {
            Flaw::new(
                "missing-tls-secret",
                "spec.tlsSecret",
                "TLS is asked for, but no certificate is named",
                NAME_IT,
            )
        })?;
        self.secrets
            .certificate(&name, self.findings)
            .map_err(|reason| Flaw::new("bad-tls-secret", field, reason, REPAIR))
    }

    /// A further TLSContext that names the host: its certificate beside the Host's (another key type, say), and its
    /// demand for client certificates when the Host has none.
    fn add(&mut self, context: Of<'a, TlsContext>, server: &mut TlsServer) -> Result<(), Flaw> {
        let terms = self.terms(context);
        let further = match self.context_secret(context) {
            Some(name) => self.secrets.certificate(&name, self.findings).map(Some),
            None => Ok(None),
        };
        match further {
            Ok(Some(certificate)) if !server.certificates.contains(&certificate) => {
                server.certificates.push(certificate);
            }
            Ok(_) => {}
            Err(reason) => {
                self.findings.error(context.object, "bad-tls-secret", "spec.secret", reason, REPAIR);
            }
        }
        if server.client_auth == ClientAuth::None {
            let theirs = terminate(&server.source, Vec::new(), Some(&terms), self.secrets, self.findings)
                .map_err(|flaw| located(flaw, Some(&terms), terms.object))?;
            server.client_auth = theirs.client_auth;
        }
        Ok(())
    }

    /// Client certificates that a Module asks for hold for every Host that says nothing of its own.
    fn legacy_client_auth(&mut self, server: &mut TlsServer) -> Result<(), Flaw> {
        let Some(legacy) = self.settings.tls else { return Ok(()) };
        let Some(tls) = legacy.client() else { return Ok(()) };
        let terms = legacy_terms(legacy, &tls);
        let theirs = terminate(&server.source, Vec::new(), Some(&terms), self.secrets, self.findings)
            .map_err(|flaw| located(flaw, None, legacy.object))?;
        server.client_auth = theirs.client_auth;
        Ok(())
    }
}

/// The certificate of a TLSContext for a TCPMapping's host, on the context's terms.
pub(crate) fn certificate_for(
    context: Of<'_, TlsContext>,
    settings: &Settings<'_>,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Result<TlsServer, Flaw> {
    let namespacing = context.spec.secret_namespacing.unwrap_or(settings.tls_secret_namespacing);
    let terms = Terms { object: context.object, field: "spec", tls: &context.spec.tls, namespacing };
    let named = context.spec.secret.as_deref().filter(|text| !text.is_empty());
    let name = named.map(|text| terms.secret(text)).or_else(|| terms.files()).ok_or_else(|| {
        let message = format!("{} names no certificate", context.object.id);
        Flaw::new("missing-tls-secret", "spec.host", message, "name the Secret in the TLSContext's 'secret'")
    })?;
    let certificate = secrets
        .certificate(&name, findings)
        .map_err(|reason| Flaw::new("bad-tls-secret", "spec.host", reason, REPAIR))?;
    let source = source_of(context.object);
    terminate(&source, vec![certificate], Some(&terms), secrets, findings)
}

/// The flaw as one of the Host: what is wrong may stand in another object.
fn located(flaw: Flaw, terms: Option<&Terms<'_>>, host: &Object) -> Flaw {
    match terms {
        Some(terms) if terms.object.id == host.id => flaw,
        Some(terms) => Flaw {
            message: format!("{} {}: {}", terms.object.id, flaw.field, flaw.message),
            field: "spec.tlsContext".to_owned(),
            ..flaw
        },
        None => Flaw {
            message: format!("{} {}: {}", host.id, flaw.field, flaw.message),
            field: "spec.tls".to_owned(),
            ..flaw
        },
    }
}

fn covers(object: &Object, pattern: &HostPattern, certificate: &Certificate, findings: &mut Findings) {
    let name = match pattern.without_port() {
        HostPattern::Exact(name) => name,
        // Some name that the pattern accepts; a wildcard certificate covers one label.
        HostPattern::Suffix(suffix) if suffix.starts_with('.') => format!("any{suffix}"),
        _ => return,
    };
    if !certificate.is_valid_for(&name) {
        let names = certificate.names().join(", ");
        let message =
            format!("the certificate is for {names}: clients that check it will not accept it for {pattern}");
        findings.warn(
            object,
            "certificate-for-others",
            "spec.tlsSecret",
            message,
            "use a certificate for this name",
        );
    }
}

/// Edge Stack's `authentication.mTLS`, as the settings that Emissary's `tls` block would have.
fn edge_stack(host: Of<'_, Host>, findings: &mut Findings) -> Option<TlsConfig> {
    let mtls = host.spec.authentication.as_ref()?.mtls.as_ref()?;
    let message =
        "this is Edge Stack's spelling of tls.ca_secret and tls.cert_required; it is understood".to_owned();
    let fix = "write tls: {ca_secret: …, cert_required: …}";
    findings.note(host.object, "edge-stack-field", "spec.authentication.mTLS", message, fix);
    let ca_secret = match &mtls.ca_secret {
        Some(Value::String(name)) => Some(name.clone()),
        Some(Value::Object(reference)) => {
            let part = |key: &str| reference.get(key).and_then(Value::as_str);
            part("name").map(|name| match part("namespace") {
                Some(namespace) => format!("{name}.{namespace}"),
                None => name.to_owned(),
            })
        }
        _ => None,
    };
    // Nothing named is a demand that cannot be met: `missing-ca` says so.
    let cert_required = mtls.cert_required.or(ca_secret.is_none().then_some(true));
    Some(TlsConfig { ca_secret, cert_required, ..TlsConfig::default() })
}

fn merge(base: Option<&TlsConfig>, mtls: TlsConfig) -> TlsConfig {
    let base = base.cloned().unwrap_or_default();
    TlsConfig {
        ca_secret: base.ca_secret.clone().or(mtls.ca_secret),
        cert_required: base.cert_required.or(mtls.cert_required),
        ..base
    }
}

/// The TLS that a Module asks for, for when nobody wrote a Host.
pub(super) fn of_module(
    settings: &Settings<'_>,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Option<HostTls> {
    let legacy = settings.tls?;
    let name = legacy.server(settings.tls_secret_namespacing)?;
    let source = source_of(legacy.object);
    let client = legacy.client();
    let terms = client.as_ref().map(|tls| legacy_terms(legacy, tls));
    let made = secrets
        .certificate(&name, findings)
        .map_err(|reason| {
            Flaw::new("bad-tls-secret", format!("{}.server.secret", legacy.field), reason, REPAIR)
        })
        .and_then(|certificate| terminate(&source, vec![certificate], terms.as_ref(), secrets, findings));
    Some(match made {
        Ok(server) => HostTls::Terminate(Arc::new(server)),
        Err(flaw) => {
            findings.flaw(legacy.object, &flaw);
            HostTls::Broken(format!("{} {}: {}", legacy.object.id, flaw.field, flaw.message))
        }
    })
}

fn legacy_terms<'t>(legacy: LegacyTls<'t>, tls: &'t TlsConfig) -> Terms<'t> {
    Terms { object: legacy.object, field: "spec.config.tls.client", tls, namespacing: true }
}

/// TLS with `fallback-self-signed-cert` of our namespace, if that Secret is there.
pub(super) fn fallback(
    source: &Source,
    options: &Options,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> HostTls {
    const FALLBACK: &str = "fallback-self-signed-cert";
    if !secrets.exists(&options.namespace, FALLBACK) {
        return HostTls::None;
    }
    let name = SecretName::Secret { namespace: options.namespace.clone(), name: FALLBACK.to_owned() };
    let made =
        secrets.certificate(&name, findings).map_err(|reason| Flaw::new("bad-tls-secret", "", reason, ""));
    match made.and_then(|certificate| terminate(source, vec![certificate], None, secrets, findings)) {
        Ok(server) => HostTls::Terminate(Arc::new(server)),
        Err(flaw) => HostTls::Broken(flaw.message),
    }
}

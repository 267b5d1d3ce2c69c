//! TLS towards clients.

use std::sync::Arc;

use plenipo_model::{Certificate, ClientAuth, ClientRoots, Source, TlsServer};
use plenipo_resources::Object;
use plenipo_resources::ambassador::TlsConfig;

use super::{alpn, unsupported, versions};
use crate::ciphers;
use crate::findings::{Findings, Flaw};
use crate::secrets::{SecretName, Secrets, flaw};

/// What is asked of a TLS server, and by which part of which object.
#[derive(Clone, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) object: &'a Object,
    /// `spec`, `spec.tls`.
    pub(crate) field: &'static str,
    pub(crate) tls: &'a TlsConfig,
    /// Do names of secrets carry a namespace?
    pub(crate) namespacing: bool,
}

impl Terms<'_> {
    /// The secret that a text of these terms names.
    pub(crate) fn secret(&self, text: &str) -> SecretName {
        SecretName::parse(text, &self.object.id.namespace, self.namespacing)
    }

    /// The certificate that these terms name by files.
    pub(crate) fn files(&self) -> Option<SecretName> {
        let chain = self.tls.cert_chain_file.clone()?;
        Some(SecretName::Files { chain, key: self.tls.private_key_file.clone() })
    }

    /// Roots for the other side's certificate: a secret or a file.
    pub(crate) fn roots(&self) -> Option<(String, SecretName)> {
        if let Some(text) = self.tls.ca_secret.as_deref().filter(|text| !text.is_empty()) {
            return Some((format!("{}.ca_secret", self.field), self.secret(text)));
        }
        let chain = self.tls.cacert_chain_file.clone()?;
        Some((format!("{}.cacert_chain_file", self.field), SecretName::Files { chain, key: None }))
    }

    fn revocation(&self) -> Option<(String, SecretName)> {
        if let Some(text) = self.tls.crl_secret.as_deref().filter(|text| !text.is_empty()) {
            return Some((format!("{}.crl_secret", self.field), self.secret(text)));
        }
        let chain = self.tls.crl_file.clone()?;
        Some((format!("{}.crl_file", self.field), SecretName::Files { chain, key: None }))
    }
}

/// A TLS server with these certificates on these terms (none = nothing but the certificates was asked for).
///
/// # Errors
/// When any part cannot be had as asked: nothing weaker is made instead.
pub(crate) fn terminate(
    source: &Source,
    certificates: Vec<Arc<Certificate>>,
    terms: Option<&Terms<'_>>,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Result<TlsServer, Flaw> {
    let none = TlsConfig::default();
    let Some(terms) = terms else {
        return Ok(TlsServer {
            source: source.clone(),
            certificates,
            client_auth: ClientAuth::None,
            min_version: plenipo_model::TlsVersion::V1_2,
            max_version: plenipo_model::TlsVersion::V1_3,
            cipher_suites: Vec::new(),
            alpn: alpn(&none),
        });
    };
    let (min_version, max_version) = versions(terms.tls, terms.field, terms.object, findings)?;
    let written = terms.tls.cipher_suites.as_ref();
    let cipher_suites = ciphers::suites(written, terms.field, terms.object, findings)?;
    unsupported(terms.tls, terms.field, terms.object, findings);
    Ok(TlsServer {
        source: source.clone(),
        certificates,
        client_auth: client_auth(terms, secrets, findings)?,
        min_version,
        max_version,
        cipher_suites,
        alpn: alpn(terms.tls),
    })
}

/// `ca_secret` alone: a certificate is optional but must be good; with `cert_required` there must be one.
fn client_auth(
    terms: &Terms<'_>,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Result<ClientAuth, Flaw> {
    let required = terms.tls.cert_required == Some(true);
    let Some((field, name)) = terms.roots() else {
        if required {
            let message = "client certificates are required, but nothing says which are good";
            let field = format!("{}.cert_required", terms.field);
            return Err(Flaw::new("missing-ca", field, message, "name the roots in ca_secret"));
        }
        if let Some((field, _)) = terms.revocation() {
            let message = "a revocation list without ca_secret has nothing to check";
            return Err(Flaw::new("missing-ca", field, message, "name the roots in ca_secret"));
        }
        return Ok(ClientAuth::None);
    };
    let roots = secrets.roots(&name, findings).map_err(|reason| flaw(&field, reason))?;
    let revocation = match terms.revocation() {
        None => None,
        Some((field, name)) => {
            Some(secrets.revocation(&name, findings).map_err(|reason| flaw(&field, reason))?)
        }
    };
    let roots = ClientRoots::new(roots, revocation);
    Ok(if required { ClientAuth::Required(roots) } else { ClientAuth::Optional(roots) })
}

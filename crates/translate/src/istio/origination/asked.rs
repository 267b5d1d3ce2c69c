//! `tls` of a DestinationRule with mode SIMPLE or MUTUAL.

use std::sync::Arc;

use plenipo_model::{Roots, TlsClient, Verify};
use plenipo_resources::istio::ClientTls;

use super::super::destination_rule::Part;
use super::super::destinations::{Carries, Missing};
use super::super::registry::Declared;
use super::Hop;
use crate::findings::{Findings, source_of};
use crate::secrets::{SecretName, Secrets};

/// `tls` of a rule that is neither for the mesh nor clear text.
pub(super) struct Reading<'r, 'h, 'a, 's> {
    pub(super) hop: &'r Hop<'h, 'a>,
    pub(super) part: &'r Part<'a, ClientTls>,
    pub(super) secrets: &'r mut Secrets<'s>,
    pub(super) findings: &'r mut Findings,
}

impl Reading<'_, '_, '_, '_> {
    fn refuse(&mut self, code: &'static str, field: &str, message: &str, fix: &str) -> Missing {
        let message = format!("{message}: nothing is sent");
        self.findings.error(self.part.object, code, &self.part.field(field), message, fix);
        Missing
    }

    /// # Errors
    /// When something it asks for cannot be had.
    pub(super) fn originate(&mut self, mutual: bool) -> Result<TlsClient, Missing> {
        let tls = self.part.spec;
        let credential = self.credential()?;
        if credential.is_some() && (tls.client_certificate.is_some() || tls.ca_certificates.is_some()) {
            let fix = "write one or the other";
            return Err(self.refuse(
                "bad-credential",
                "credentialName",
                "credentialName and files exclude each other",
                fix,
            ));
        }
        if tls.ca_crl.is_some() {
            let fix = "remove it, or let the service's certificates be short-lived";
            return Err(self.refuse(
                "not-supported",
                "caCrl",
                "certificates of services are not looked up in revocation lists",
                fix,
            ));
        }
        let certificate = if mutual { Some(self.certificate(credential.as_ref())?) } else { None };
        let written = tls.sni.clone().filter(|name| !name.is_empty());
        let name_by_host = written.is_none() && self.hop.carries == Carries::Http;
        let server_name = written.or_else(|| self.own_name());
        let verify = self.verify(credential.as_ref(), server_name.as_ref(), name_by_host)?;
        let plain = TlsClient::unverified(source_of(self.part.object));
        Ok(TlsClient { server_name, name_by_host, verify, certificate, ..plain })
    }

    /// The name of the service, where that is the name of a host.
    fn own_name(&self) -> Option<String> {
        let host = &self.hop.service.host;
        (!host.starts_with('*')).then(|| host.clone())
    }

    fn credential(&mut self) -> Result<Option<SecretName>, Missing> {
        let Some(text) = self.part.spec.credential_name.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        const FIX: &str = "name a Secret of the gateway's namespace";
        let name = match text.split_once("://") {
            None => text,
            Some(("kubernetes", name)) => name,
            Some((scheme, _)) => {
                let message = format!("credentials by {scheme}:// are not supported");
                return Err(self.refuse("bad-credential", "credentialName", &message, FIX));
            }
        };
        let own = self.hop.mesh.namespace.clone();
        let (namespace, name) = match name.split_once('/') {
            None => (own, name.to_owned()),
            Some((namespace, name)) if namespace == own => (own, name.to_owned()),
            Some((namespace, _)) => {
                let message = format!("a Secret of {namespace} may not be used by a gateway in {own}");
                return Err(self.refuse("bad-credential", "credentialName", &message, FIX));
            }
        };
        let separate = format!("{name}-cacert");
        let beside = &*self.part.object.id.namespace;
        let there = |place: &str| self.secrets.exists(place, &name) || self.secrets.exists(place, &separate);
        if there(&namespace) || !there(beside) {
            return Ok(Some(SecretName::Credential { namespace, name }));
        }
        let message = format!(
            "there is no Secret {name} in {namespace}, where an Istio gateway looks; that of {beside} is used"
        );
        let fix = "say which namespace the gateway is in (--istio-namespace), or move the Secret there";
        let namespace = beside.to_owned();
        self.findings.note(
            self.part.object,
            "secret-elsewhere",
            &self.part.field("credentialName"),
            message,
            fix,
        );
        Ok(Some(SecretName::Credential { namespace, name }))
    }

    fn certificate(
        &mut self,
        credential: Option<&SecretName>,
    ) -> Result<Arc<plenipo_model::Certificate>, Missing> {
        let tls = self.part.spec;
        let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let files = named(&tls.client_certificate).zip(named(&tls.private_key));
        let (field, name) = match (credential, files) {
            (Some(credential), _) => ("credentialName", credential.clone()),
            (None, Some((chain, key))) => ("clientCertificate", SecretName::Files { chain, key: Some(key) }),
            (None, None) => {
                let message = "MUTUAL needs a certificate to show";
                let fix = "name a Secret in credentialName, or files in clientCertificate and privateKey";
                return Err(self.refuse("missing-certificate", "mode", message, fix));
            }
        };
        self.secrets.certificate(&name, self.findings).map_err(|reason| {
            let fix = "create the Secret, or repair its content";
            self.refuse("bad-tls-secret", field, &reason, fix)
        })
    }

    fn verify(
        &mut self,
        credential: Option<&SecretName>,
        server_name: Option<&String>,
        name_by_host: bool,
    ) -> Result<Verify, Missing> {
        let tls = self.part.spec;
        if tls.insecure_skip_verify == Some(true) {
            let message =
                "the service's certificate is not checked: the connection is encrypted, but to anybody";
            let fix = "remove it, and name the roots in caCertificates or credentialName";
            let field = self.part.field("insecureSkipVerify");
            self.findings.warn(self.part.object, "upstream-not-verified", &field, message.to_owned(), fix);
            return Ok(Verify::Nothing);
        }
        let mut names = tls.subject_alt_names.clone();
        if let (true, Declared::Entries(entries)) = (names.is_empty(), &self.hop.service.origin) {
            names = entries.iter().flat_map(|entry| entry.spec.subject_alt_names.iter().cloned()).collect();
        }
        let roots = self.roots(credential)?;
        if names.is_empty() && name_by_host {
            return Ok(Verify::Chain { roots, names });
        }
        // A public root signs for everybody: without names that would be no check at all.
        let written = tls.sni.as_ref().is_some_and(|sni| !sni.is_empty());
        if names.is_empty() && (roots == Roots::System || !written) {
            names.extend(server_name.cloned());
        }
        if names.is_empty() && roots == Roots::System {
            let message = "nothing says which name the service's certificate must have";
            return Err(self.refuse(
                "no-name-to-verify",
                "subjectAltNames",
                message,
                "write sni or subjectAltNames",
            ));
        }
        Ok(Verify::Chain { roots, names })
    }

    /// Those named, else the system's (as since Istio 1.22).
    fn roots(&mut self, credential: Option<&SecretName>) -> Result<Roots, Missing> {
        let (field, name) = match (credential, &self.part.spec.ca_certificates) {
            (Some(SecretName::Credential { namespace, name }), _) => {
                let separate = format!("{name}-cacert");
                let name = if self.secrets.exists(namespace, &separate) { separate } else { name.clone() };
                ("credentialName", SecretName::Credential { namespace: namespace.clone(), name })
            }
            (_, Some(path)) if path == "system" => return Ok(Roots::System),
            (_, Some(path)) if !path.is_empty() => {
                ("caCertificates", SecretName::Files { chain: path.clone(), key: None })
            }
            _ => return Ok(Roots::System),
        };
        match self.secrets.roots(&name, self.findings) {
            Ok(roots) => Ok(Roots::Given(roots)),
            Err(reason) => {
                let fix =
                    "put the roots into ca.crt of the Secret, or into a Secret whose name ends in -cacert";
                Err(self.refuse("bad-tls-secret", field, &reason, fix))
            }
        }
    }
}

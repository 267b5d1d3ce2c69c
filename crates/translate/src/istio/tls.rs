//! TLS towards clients, as the servers of Gateways ask for it.

use std::sync::Arc;

use plenipo_model::{
    Certificate, ChainTls, ClientAuth, ClientRoots, MeshIdentity, Pin, RevocationList, RootStore, TlsServer,
    TlsVersion,
};
use plenipo_resources::istio::{ServerTls, TlsDefaults};

use super::gateway::{Kind, Server};
use crate::ciphers;
use crate::findings::{Findings, Flaw};
use crate::options::Options;
use crate::secrets::{SecretName, Secrets, flaw};

const NAME_A_SECRET: &str = "name a Secret of the gateway's namespace in credentialName";

/// What the mesh says about TLS towards clients.
#[derive(Clone, Copy)]
pub(super) struct Identified<'m> {
    /// Who the gateway is there.
    pub(super) identity: Option<&'m MeshIdentity>,
    /// What holds where a server says nothing.
    pub(super) defaults: Option<&'m TlsDefaults>,
}

/// What the chain of a server does with TLS. What cannot be had as asked closes it: nothing weaker is served.
pub(super) fn chain_tls(
    server: &Server<'_>,
    mesh: Identified<'_>,
    options: &Options,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> ChainTls {
    let Some(tls) = server.tls().filter(|_| server.kind != Kind::Passthrough) else {
        return ChainTls::Untouched;
    };
    let terms = Terms { server, tls, mesh, options, secrets, findings: &mut *findings };
    match terms.terminate() {
        Ok(terminate) => ChainTls::Terminate(Arc::new(terminate)),
        Err(flaw) => {
            findings.flaw(server.gateway, &flaw);
            ChainTls::Broken(flaw.message)
        }
    }
}

struct Terms<'t, 's> {
    server: &'t Server<'t>,
    tls: &'t ServerTls,
    mesh: Identified<'t>,
    options: &'t Options,
    secrets: &'t mut Secrets<'s>,
    findings: &'t mut Findings,
}

/// What client certificates are checked against.
type Authorities = (Arc<RootStore>, Option<Arc<RevocationList>>);

/// A name of `credentialName`, taken apart.
enum Credential {
    /// Read in a namespace.
    Secret(SecretName),
    /// The gateway's own certificate in the mesh.
    Own,
}

impl Terms<'_, '_> {
    fn field(&self, name: &str) -> String {
        self.server.field(&format!("tls.{name}"))
    }

    fn terminate(mut self) -> Result<TlsServer, Flaw> {
        if let Some(unknown) = super::unknown_within(self.server.gateway, &self.server.field("tls")) {
            let message = "it may be what clients must show: no client can connect";
            return Err(Flaw::new("bad-tls", unknown.clone(), message, "check the spelling, or remove it"));
        }
        let (min_version, max_version) = self.versions()?;
        let object = self.server.gateway;
        let of_mesh = self.mesh.defaults.map(|defaults| &defaults.cipher_suites);
        let written = Some(&self.tls.cipher_suites).filter(|suites| !suites.is_empty()).or(of_mesh);
        let cipher_suites = ciphers::suites(written, &self.server.field("tls"), object, self.findings)?;
        if !self.tls.ecdh_curves.is_empty() {
            let message =
                "the curves of the TLS stack are offered (X25519, P-256, P-384), whatever is written";
            self.findings.warn(
                object,
                "not-supported",
                &self.field("ecdhCurves"),
                message.to_owned(),
                "remove it",
            );
        }
        let is_own = self.tls.mode.as_deref() == Some("ISTIO_MUTUAL");
        let (certificates, client_auth) = if is_own {
            self.no_credentials()?;
            let identity = self.identity()?;
            let roots = self.checked(Arc::clone(&identity.1))?;
            (vec![identity.0], ClientAuth::Required(roots))
        } else {
            (self.certificates()?, self.client_auth()?)
        };
        let alpn = ["h2", "http/1.1"].map(str::to_owned).to_vec();
        Ok(TlsServer {
            source: self.server.source.clone(),
            certificates,
            client_auth,
            min_version,
            max_version,
            cipher_suites,
            alpn,
        })
    }

    fn versions(&mut self) -> Result<(TlsVersion, TlsVersion), Flaw> {
        let own = self.tls.min_protocol_version.as_deref().filter(|version| *version != "TLS_AUTO");
        let of_mesh = self.mesh.defaults.and_then(|defaults| defaults.min_protocol_version.as_deref());
        let min = self.version("minProtocolVersion", own.or(of_mesh))?;
        let max = self.version("maxProtocolVersion", self.tls.max_protocol_version.as_deref())?;
        let (min, max) = (min.unwrap_or(TlsVersion::V1_2), max.unwrap_or(TlsVersion::V1_3));
        if min > max {
            let message = "the lowest version is above the highest: no client could connect";
            let fix = "write a minProtocolVersion that is not above maxProtocolVersion";
            return Err(Flaw::new("bad-tls-version", self.field("minProtocolVersion"), message, fix));
        }
        Ok((min, max))
    }

    /// Of a lowest version that is not spoken the next one that is; of a highest one there is none.
    fn version(&mut self, field: &str, written: Option<&str>) -> Result<Option<TlsVersion>, Flaw> {
        match written {
            None | Some("TLS_AUTO") => Ok(None),
            Some("TLSV1_2") => Ok(Some(TlsVersion::V1_2)),
            Some("TLSV1_3") => Ok(Some(TlsVersion::V1_3)),
            Some(old @ ("TLSV1_0" | "TLSV1_1")) if field == "minProtocolVersion" => {
                let message = format!("{old} is not spoken, clients need TLS 1.2 or later");
                let field = self.field(field);
                self.findings.warn(self.server.gateway, "old-tls-version", &field, message, "write TLSV1_2");
                Ok(Some(TlsVersion::V1_2))
            }
            Some(other) => Err(Flaw::new(
                "bad-tls-version",
                self.field(field),
                format!("'{other}' is not a version that is spoken"),
                "write TLSV1_2 or TLSV1_3",
            )),
        }
    }

    /// `name`, `kubernetes://[namespace/]name`, `builtin://`.
    fn credential(&self, field: &str, text: &str) -> Result<Credential, Flaw> {
        let bad = |message: String| Flaw::new("bad-credential", self.field(field), message, NAME_A_SECRET);
        let ours = self.options.istio.namespace.as_str();
        let name = match text.split_once("://") {
            None => text,
            Some(("kubernetes", name)) => name,
            Some(("builtin", _)) => return Ok(Credential::Own),
            Some((scheme, _)) => return Err(bad(format!("credentials by {scheme}:// are not supported"))),
        };
        let (namespace, name) = match name.split_once('/') {
            None => (ours, name),
            Some((namespace, name)) if namespace == ours => (namespace, name),
            Some((namespace, _)) => {
                return Err(bad(format!("a Secret of {namespace} may not be used by a gateway in {ours}")));
            }
        };
        Ok(Credential::Secret(SecretName::Credential {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }))
    }

    /// The same name beside the Gateway, where it is only there.
    fn beside(&mut self, field: &str, name: SecretName) -> SecretName {
        let SecretName::Credential { namespace, name: secret } = &name else { return name };
        let own = &*self.server.gateway.id.namespace;
        if own == namespace || self.secrets.exists(namespace, secret) || !self.secrets.exists(own, secret) {
            return name;
        }
        let message = format!(
            "there is no Secret {secret} in {namespace}, where an Istio gateway looks; that of {own} is used"
        );
        let fix = "say which namespace the gateway is in (--istio-namespace), or move the Secret there";
        self.findings.note(self.server.gateway, "secret-elsewhere", &self.field(field), message, fix);
        SecretName::Credential { namespace: own.to_owned(), name: secret.clone() }
    }

    fn certificates(&mut self) -> Result<Vec<Arc<Certificate>>, Flaw> {
        let tls = self.tls;
        let several = tls.credential_names.iter().map(String::as_str);
        let names: Vec<&str> = tls.credential_name.as_deref().into_iter().chain(several).collect();
        let field = if tls.credential_name.is_some() { "credentialName" } else { "credentialNames" };
        let mut certificates = Vec::new();
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            certificates.push(match self.credential(field, name)? {
                Credential::Own => self.identity()?.0,
                Credential::Secret(name) => {
                    let name = self.beside(field, name);
                    self.certificate(field, &name)?
                }
            });
        }
        if certificates.is_empty() {
            let single = (tls.server_certificate.clone(), tls.private_key.clone());
            let files = tls.tls_certificates.iter();
            let files = files.map(|one| (one.server_certificate.clone(), one.private_key.clone()));
            for (chain, key) in std::iter::once(single).chain(files) {
                if let (Some(chain), Some(key)) = (chain, key) {
                    let name = SecretName::Files { chain, key: Some(key) };
                    certificates.push(self.certificate("serverCertificate", &name)?);
                }
            }
        }
        if certificates.is_empty() {
            let message = "there is no certificate to show: no client can connect";
            return Err(Flaw::new(
                "missing-certificate",
                self.field("credentialName"),
                message,
                NAME_A_SECRET,
            ));
        }
        Ok(certificates)
    }

    fn certificate(&mut self, field: &str, name: &SecretName) -> Result<Arc<Certificate>, Flaw> {
        let field = self.field(field);
        self.secrets.certificate(name, self.findings).map_err(|reason| flaw(&field, reason))
    }

    fn client_auth(&mut self) -> Result<ClientAuth, Flaw> {
        let required = match self.tls.mode.as_deref() {
            Some("MUTUAL") => true,
            Some("OPTIONAL_MUTUAL") => false,
            _ => {
                if self.tls.ca_crl.is_some() || self.tls.ca_certificates.is_some() {
                    let message =
                        "no client is asked for a certificate, so that nothing is checked against it";
                    let (field, fix) = (self.field("mode"), "write mode: MUTUAL");
                    self.findings.warn(self.server.gateway, "no-effect", &field, message.to_owned(), fix);
                }
                return Ok(ClientAuth::None);
            }
        };
        let (roots, revocation) = self.authorities()?;
        let mut roots = self.checked(roots)?;
        roots.revocation = revocation;
        Ok(if required { ClientAuth::Required(roots) } else { ClientAuth::Optional(roots) })
    }

    /// The roots for clients: those named for it, else `<credentialName>-cacert`, else beside the certificate.
    fn authorities(&mut self) -> Result<Authorities, Flaw> {
        let tls = self.tls;
        let first = tls.credential_name.as_deref().or(tls.credential_names.first().map(String::as_str));
        let named = tls.ca_cert_credential_name.as_deref().filter(|name| !name.is_empty());
        let first = first.filter(|name| !name.is_empty());
        if tls.ca_crl.is_some() && named.or(first).is_some() {
            let message = "it stands beside a credential, whose Secret has the list in ca.crl";
            let fix = "put the list into the Secret, and remove it here";
            return Err(Flaw::new("bad-credential", self.field("caCrl"), message, fix));
        }
        let (field, name) = match (named, first) {
            (Some(name), _) => match self.credential("caCertCredentialName", name)? {
                Credential::Secret(name) => {
                    ("caCertCredentialName", self.beside("caCertCredentialName", name))
                }
                Credential::Own => return Ok((self.identity()?.1, None)),
            },
            (None, Some(name)) => match self.credential("credentialName", name)? {
                Credential::Secret(name) => ("credentialName", self.authority_of(name)),
                Credential::Own => return Ok((self.identity()?.1, None)),
            },
            (None, None) => return self.authority_files(),
        };
        let place = self.field(field);
        let roots = self.secrets.roots(&name, self.findings).map_err(|reason| flaw(&place, reason))?;
        let revocation = match self.secrets.has_revocation(&name) {
            false => None,
            true => {
                let found = self.secrets.revocation(&name, self.findings);
                Some(found.map_err(|reason| flaw(&place, reason))?)
            }
        };
        Ok((roots, revocation))
    }

    fn authority_of(&mut self, name: SecretName) -> SecretName {
        let SecretName::Credential { namespace, name: secret } = &name else { return name };
        let separate = format!("{secret}-cacert");
        let own = &*self.server.gateway.id.namespace;
        for place in [namespace.as_str(), own] {
            if self.secrets.exists(place, &separate) {
                return SecretName::Credential { namespace: place.to_owned(), name: separate };
            }
        }
        self.beside("credentialName", name)
    }

    fn authority_files(&mut self) -> Result<Authorities, Flaw> {
        let file = |chain: &String| SecretName::Files { chain: chain.clone(), key: None };
        let of_pairs = self.tls.tls_certificates.iter().find_map(|one| one.ca_certificates.as_ref());
        let Some(path) = self.tls.ca_certificates.as_ref().or(of_pairs) else {
            let message = "clients are asked for a certificate, but nothing says which are good";
            let fix = "put the roots into ca.crt of the Secret, or into a Secret whose name ends in -cacert";
            return Err(Flaw::new("missing-ca", self.field("caCertificates"), message, fix));
        };
        let place = self.field("caCertificates");
        let roots = self.secrets.roots(&file(path), self.findings).map_err(|reason| flaw(&place, reason))?;
        let Some(path) = &self.tls.ca_crl else { return Ok((roots, None)) };
        let place = self.field("caCrl");
        let list = self.secrets.revocation(&file(path), self.findings);
        Ok((roots, Some(list.map_err(|reason| flaw(&place, reason))?)))
    }

    /// What else is checked of client certificates.
    fn checked(&self, roots: Arc<RootStore>) -> Result<ClientRoots, Flaw> {
        let tls = self.tls;
        let pins = |texts: &[String], field: &str, read: fn(&str) -> Option<Pin>| {
            let pins = texts.iter().map(|text| {
                read(text).ok_or_else(|| {
                    let message = format!("'{text}' is not a SHA-256");
                    Flaw::new("bad-pin", self.field(field), message, "write what openssl dgst -sha256 says")
                })
            });
            pins.collect::<Result<Vec<Pin>, Flaw>>()
        };
        Ok(ClientRoots {
            subject_alt_names: tls.subject_alt_names.clone(),
            spki_pins: pins(&tls.verify_certificate_spki, "verifyCertificateSpki", Pin::from_base64)?,
            hash_pins: pins(&tls.verify_certificate_hash, "verifyCertificateHash", Pin::from_hex)?,
            accept_untrusted: tls.insecure_skip_verify == Some(true),
            ..ClientRoots::new(roots, None)
        })
    }

    fn identity(&self) -> Result<(Arc<Certificate>, Arc<RootStore>), Flaw> {
        let identity = self.mesh.identity.ok_or_else(|| {
            let message = "the gateway has no identity in the mesh: no client can connect";
            let fix = "give it one (--mesh-identity), or write mode: SIMPLE with credentialName";
            Flaw::new("missing-mesh-identity", self.field("mode"), message, fix)
        })?;
        Ok((Arc::clone(&identity.certificate), Arc::clone(&identity.roots)))
    }

    /// ISTIO_MUTUAL shows the identity in the mesh and nothing else.
    fn no_credentials(&self) -> Result<(), Flaw> {
        let tls = self.tls;
        let fields = [
            ("credentialName", tls.credential_name.is_some()),
            ("credentialNames", !tls.credential_names.is_empty()),
            ("serverCertificate", tls.server_certificate.is_some()),
            ("privateKey", tls.private_key.is_some()),
            ("caCertificates", tls.ca_certificates.is_some()),
            ("caCrl", tls.ca_crl.is_some()),
        ];
        match fields.into_iter().find(|(_, written)| *written) {
            None => Ok(()),
            Some((field, _)) => {
                let message = "ISTIO_MUTUAL uses the gateway's identity in the mesh and no other certificate";
                Err(Flaw::new(
                    "bad-credential",
                    self.field(field),
                    message,
                    "remove it, or write mode: MUTUAL",
                ))
            }
        }
    }
}

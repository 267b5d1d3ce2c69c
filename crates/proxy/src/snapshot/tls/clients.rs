//! Who checks the certificates of clients.

use std::net::IpAddr;
use std::sync::Arc;

use plenipo_model::{ClientAuth, ClientRoots, Pin};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{TlsError, root_store};

/// Who checks them for a listener.
pub(super) fn of_listener(
    auth: &ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    match auth {
        ClientAuth::None => Ok(WebPkiClientVerifier::no_client_auth()),
        ClientAuth::Optional(roots) => verifier(roots, provider, false),
        ClientAuth::Required(roots) => verifier(roots, provider, true),
        ClientAuth::Unverified => Ok(Arc::new(Anybody(provider.signature_verification_algorithms))),
    }
}

/// Checks certificates against these roots.
pub(super) fn verifier(
    roots: &ClientRoots,
    provider: &Arc<CryptoProvider>,
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let store = Arc::new(root_store(&roots.roots)?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(store, Arc::clone(provider));
    if let Some(lists) = &roots.revocation {
        // As Envoy does: the list speaks of the certificates that clients show, not of the CAs above them.
        builder = builder.with_crls(lists.lists().iter().cloned()).only_check_end_entity_revocation();
    }
    if !required {
        builder = builder.allow_unauthenticated();
    }
    if !roots.advertise_names {
        builder = builder.clear_root_hint_subjects();
    }
    let mut verifier = builder.build()?;
    if roots.ignore_expiry {
        verifier = Arc::new(IgnoringExpiry(verifier));
    }
    let judged = roots.accept_untrusted
        || [roots.subject_alt_names.len(), roots.spki_pins.len(), roots.hash_pins.len()] != [0; 3];
    Ok(if judged { Arc::new(Judged { verifier, rules: roots.clone() }) } else { verifier })
}

/// Asks for more than roots that vouch for a certificate, or for less.
#[derive(Debug)]
struct Judged {
    verifier: Arc<dyn ClientCertVerifier>,
    rules: ClientRoots,
}

impl Judged {
    /// Is the certificate one of those that the names and pins let in?
    fn admits(&self, leaf: &CertificateDer<'_>) -> bool {
        let ClientRoots { subject_alt_names, spki_pins, hash_pins, .. } = &self.rules;
        let Ok((_, read)) = X509Certificate::from_der(leaf) else { return false };
        let named = subject_alt_names.is_empty()
            || alternative_names(&read).iter().any(|name| subject_alt_names.contains(name));
        let unpinned = spki_pins.is_empty() && hash_pins.is_empty();
        named
            && (unpinned
                || spki_pins.contains(&Pin::of(read.public_key().raw))
                || hash_pins.contains(&Pin::of(leaf)))
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.into_iter().flat_map(|extension| &extension.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(text) | GeneralName::URI(text) | GeneralName::RFC822Name(text) => {
                Some((*text).to_owned())
            }
            GeneralName::IPAddress(bytes) => {
                let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
            }
            _ => None,
        })
        .collect()
}

impl ClientCertVerifier for Judged {
    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A client that looks for one by the names of roots would not show what is let in without any.
        if self.rules.accept_untrusted { &[] } else { self.verifier.root_hint_subjects() }
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.verifier.verify_client_cert(leaf, intermediates, now);
        if verified.is_err() && !self.rules.accept_untrusted {
            return verified;
        }
        if self.admits(leaf) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Takes every certificate whose key the client has, and clients without one.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Looks at a certificate that has expired as if it were its last second. (Those above it usually live longer; if not,
/// they have expired, and that is not forgiven.)
#[derive(Debug)]
struct IgnoringExpiry(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for IgnoringExpiry {
    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let last = X509Certificate::from_der(leaf)
            .ok()
            .and_then(|(_, read)| u64::try_from(read.validity().not_after.timestamp()).ok());
        let at = last.map_or(now, |last| {
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(last.min(now.as_secs())))
        });
        self.0.verify_client_cert(leaf, intermediates, at)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

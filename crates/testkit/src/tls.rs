//! rustls configurations for both sides of a test.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme, SupportedProtocolVersion};

use crate::certs::{Authority, Issued};

/// The one crypto provider of the project.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A server with this certificate that asks nobody for theirs; `alpn` in order of preference, empty for none.
pub fn server(certificate: &Issued, alpn: &[&str]) -> Arc<ServerConfig> {
    showing(certificate, alpn, WebPkiClientVerifier::no_client_auth())
}

/// A server that requires a client certificate of `clients`.
pub fn mutual_server(certificate: &Issued, clients: &Authority, alpn: &[&str]) -> Arc<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(clients.roots()), provider());
    showing(certificate, alpn, verifier.build().expect("there is one root"))
}

fn showing(certificate: &Issued, alpn: &[&str], clients: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.2 and 1.3")
        .with_client_cert_verifier(clients)
        .with_single_cert(certificate.chain(), certificate.key())
        .expect("we issued key and certificate together");
    config.alpn_protocols = protocols(alpn);
    Arc::new(config)
}

/// A client that trusts `servers` and shows `certificate` when asked.
pub fn client(servers: &Authority, certificate: Option<&Issued>, alpn: &[&str]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.2 and 1.3")
        .with_root_certificates(servers.roots());
    let mut config = match certificate {
        Some(issued) => builder
            .with_client_auth_cert(issued.chain(), issued.key())
            .expect("we issued key and certificate together"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols(alpn);
    Arc::new(config)
}

/// A client that takes any server certificate: for tests that look at which one was shown.
pub fn trusting_client(alpn: &[&str]) -> Arc<ClientConfig> {
    let mut config = trusting_client_with(provider(), rustls::ALL_VERSIONS);
    config.alpn_protocols = protocols(alpn);
    Arc::new(config)
}

/// As [`trusting_client`], with what the handshake may use narrowed down.
///
/// # Panics
/// When the provider has no cipher suite for one of the versions.
pub fn trusting_client_with(
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider speaks these versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustsAnybody(provider)))
        .with_no_client_auth()
}

fn protocols(alpn: &[&str]) -> Vec<Vec<u8>> {
    alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

/// Takes any certificate, but still checks that the server holds its key.
#[derive(Debug)]
struct TrustsAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustsAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

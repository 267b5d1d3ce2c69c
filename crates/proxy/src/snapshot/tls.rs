//! TLS configurations, made once from the model and shared by all data threads.

mod clients;
mod originated;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use plenipo_model::{
    Certificate, ClientRoots, RootStore, Roots, TlsClient, TlsServer, TlsVersion, UpstreamProtocol, Verify,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::exchange::ClientCertificate;
pub(crate) use originated::OriginatedTls;

/// How a listener ends TLS.
pub(crate) struct TerminatedTls {
    pub(crate) model: Arc<TlsServer>,
    config: Arc<ServerConfig>,
    /// For clients that offer protocols we do not have: the handshake goes on without one (as Envoy does), where the TLS
    /// stack alone would end it.
    without_alpn: Arc<ServerConfig>,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("client certificates cannot be checked: {0}")]
    ClientVerifier(#[from] rustls::server::VerifierBuilderError),
    #[error("no TLS version is left between {0:?} and {1:?}")]
    Versions(TlsVersion, TlsVersion),
    #[error("none of the cipher suites {0:?} is known to the TLS stack")]
    Suites(Vec<String>),
    #[error("'{0}' cannot be a TLS server name")]
    ServerName(String),
    #[error("the system has no trusted roots")]
    NoSystemRoots,
}

/// The configurations of a snapshot, found by who asked for them.
#[derive(Default)]
pub(crate) struct TlsConfigs(HashMap<String, Vec<Arc<TerminatedTls>>>);

impl TlsConfigs {
    /// The configuration for this model: made here already, taken over from before, or new.
    pub(crate) fn terminate(
        &mut self,
        model: &Arc<TlsServer>,
        before: Option<&Self>,
    ) -> Result<Arc<TerminatedTls>, TlsError> {
        let known = [Some(&*self), before].into_iter().flatten().find_map(|configs| configs.find(model));
        let config = match known {
            Some(config) => config,
            None => Arc::new(TerminatedTls::new(model)?),
        };
        self.0.entry(model.source.as_str().to_owned()).or_default().push(Arc::clone(&config));
        Ok(config)
    }

    fn find(&self, model: &TlsServer) -> Option<Arc<TerminatedTls>> {
        self.0.get(model.source.as_str())?.iter().find(|config| *config.model == *model).cloned()
    }
}

impl TerminatedTls {
    fn new(model: &Arc<TlsServer>) -> Result<Self, TlsError> {
        let provider = provider(&model.cipher_suites)?;
        let versions = versions(model.min_version, model.max_version)?;
        let certificates = Certificates::new(&model.certificates, &provider)?;
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions)?;
        let clients = clients::of_listener(&model.client_auth, &provider)?;
        let builder = builder.with_client_cert_verifier(clients);
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        // Tickets keep the session at the client: nothing is stored here, and any data thread can resume.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        let without_alpn = Arc::new(config.clone());
        config.alpn_protocols = model.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { model: Arc::clone(model), config: Arc::new(config), without_alpn })
    }

    /// The configuration for a client that offers these protocols.
    pub(crate) fn config(&self, offered: &[Vec<u8>]) -> &Arc<ServerConfig> {
        let common = |name: &Vec<u8>| self.config.alpn_protocols.contains(name);
        if offered.iter().any(common) { &self.config } else { &self.without_alpn }
    }
}

/// The certificates of one chain. Among those that the client can check, one that is valid for the name asked for goes
/// first.
struct Certificates(Vec<(Arc<Certificate>, Arc<CertifiedKey>)>);

impl Certificates {
    fn new(certificates: &[Arc<Certificate>], provider: &CryptoProvider) -> Result<Self, rustls::Error> {
        let keys = certificates.iter().map(|certificate| {
            let key = provider.key_provider.load_private_key(certificate.key())?;
            let certified = Arc::new(CertifiedKey::new(certificate.chain().to_vec(), key));
            Ok((Arc::clone(certificate), certified))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let usable = self.0.iter().filter(|(_, key)| key.key.choose_scheme(schemes).is_some());
        let wanted = |certificate: &Certificate| match hello.server_name() {
            Some(name) if self.0.len() > 1 => certificate.is_valid_for(name),
            _ => true,
        };
        let mut first = None;
        for (certificate, key) in usable {
            if wanted(certificate) {
                return Some(Arc::clone(key));
            }
            first.get_or_insert(key);
        }
        // No certificate fits the client's algorithms: the handshake says so itself.
        first.or(self.0.first().map(|(_, key)| key)).cloned()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(certificate, _)| certificate)).finish()
    }
}

/// Checks client certificates that were shown to somebody else.
pub(crate) fn client_verifier(roots: &ClientRoots) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    clients::verifier(roots, &provider(&[])?, true)
}

fn root_store(roots: &RootStore) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for root in roots.certificates() {
        store.add(root.clone())?;
    }
    Ok(store)
}

fn versions(min: TlsVersion, max: TlsVersion) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let known = [(TlsVersion::V1_3, &TLS13), (TlsVersion::V1_2, &TLS12)];
    let versions: Vec<_> = known
        .into_iter()
        .filter(|(version, _)| (min..=max).contains(version))
        .map(|(_, wire)| wire)
        .collect();
    if versions.is_empty() { Err(TlsError::Versions(min, max)) } else { Ok(versions) }
}

/// The provider with only the named suites of TLS 1.2 (those of 1.3 cannot be chosen in any of the dialects' own
/// implementations either, unless they are named).
fn provider(suites: &[String]) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    if !suites.is_empty() {
        let all = aws_lc_rs::ALL_CIPHER_SUITES;
        let names_1_3 =
            suites.iter().any(|name| name.starts_with("TLS_AES") || name.starts_with("TLS_CHACHA20"));
        provider.cipher_suites = all
            .iter()
            .filter(|suite| {
                let (iana, openssl) = suite_names(suite.suite());
                let named = suites.iter().any(|name| name == iana || name == openssl);
                named || (suite.tls13().is_some() && !names_1_3)
            })
            .copied()
            .collect();
        if provider.cipher_suites.is_empty() {
            return Err(TlsError::Suites(suites.to_vec()));
        }
    }
    Ok(Arc::new(provider))
}

/// IANA's and OpenSSL's name of a suite that the stack has.
pub(crate) fn suite_names(suite: rustls::CipherSuite) -> (&'static str, &'static str) {
    use rustls::CipherSuite as S;
    match suite {
        S::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        S::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
        S::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
        S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => {
            ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256")
        }
        S::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => {
            ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384")
        }
        S::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305")
        }
        S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => {
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256")
        }
        S::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => {
            ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "ECDHE-RSA-AES256-GCM-SHA384")
        }
        S::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => {
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305")
        }
        _ => ("-", "-"),
    }
}

/// Makes the configuration of connections to a cluster.
pub(crate) fn originate(
    model: &TlsClient,
    protocol: UpstreamProtocol,
) -> Result<Arc<OriginatedTls>, TlsError> {
    let provider = provider(&model.cipher_suites)?;
    let versions = versions(model.min_version, model.max_version)?;
    let verifier = Arc::new(UpstreamVerifier::new(model, provider.signature_verification_algorithms)?);
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&versions)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &model.certificate {
        Some(certificate) => {
            builder.with_client_auth_cert(certificate.chain().to_vec(), certificate.key())?
        }
        None => builder.with_no_client_auth(),
    };
    config.enable_sni = model.server_name.is_some() || model.name_by_host;
    config.alpn_protocols = match (model.alpn.as_slice(), protocol) {
        ([], UpstreamProtocol::Http2) => vec![b"h2".to_vec()],
        ([], UpstreamProtocol::Http1) => Vec::new(),
        (names, _) => names.iter().map(|name| name.as_bytes().to_vec()).collect(),
    };
    let server_name = model
        .server_name
        .as_ref()
        .map(|name| ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name.clone())))
        .transpose()?;
    Ok(Arc::new(OriginatedTls::new(config, server_name, model.name_by_host)))
}

/// Checks what the model says of an upstream's certificate: the chain, and any of the accepted names. (The stack's own
/// verifier always checks the one name that was sent, which is another question.)
#[derive(Debug)]
struct UpstreamVerifier {
    roots: Option<RootCertStore>,
    names: Vec<String>,
    /// Nobody is named: the certificate must be valid for the name that was sent.
    by_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl UpstreamVerifier {
    fn new(model: &TlsClient, algorithms: WebPkiSupportedAlgorithms) -> Result<Self, TlsError> {
        let (roots, names) = match &model.verify {
            Verify::Nothing => (None, Vec::new()),
            Verify::Chain { roots: Roots::Given(roots), names } => (Some(root_store(roots)?), names.clone()),
            Verify::Chain { roots: Roots::System, names } => (Some(system_roots()?), names.clone()),
        };
        let by_name = model.name_by_host && names.is_empty();
        Ok(Self { roots, names, by_name, algorithms })
    }

    fn name_accepted(&self, leaf: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> bool {
        let uris = || ClientCertificate::read(leaf).map(|read| read.uris).unwrap_or_default();
        self.names.iter().any(|name| match (name.contains("://"), name.strip_prefix("*.")) {
            (true, _) => uris().contains(name),
            // A wildcard among the accepted names: one label in its place, or the same wildcard in the certificate.
            (false, Some(parent)) => ClientCertificate::read(leaf).is_some_and(|read| {
                read.dns
                    .iter()
                    .any(|dns| dns == name || dns.split_once('.').is_some_and(|(_, rest)| rest == parent))
            }),
            (false, None) => ServerName::try_from(name.as_str())
                .is_ok_and(|name| rustls::client::verify_server_name(parsed, &name).is_ok()),
        })
    }
}

/// For questions of our own to public servers: the system's roots, HTTP/1.1.
pub(crate) fn public_client() -> Result<Arc<ClientConfig>, &'static str> {
    let roots = system_roots().map_err(|_| "there are none")?;
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|_| "no TLS version")?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(store) }
}

impl ServerCertVerifier for UpstreamVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(leaf)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        if self.by_name {
            rustls::client::verify_server_name(&parsed, server_name)?;
        }
        if self.names.is_empty() || self.name_accepted(leaf, &parsed) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

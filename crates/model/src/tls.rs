//! TLS on both sides: certificates, who must show one, and which versions are spoken.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use serde::{Serialize, Serializer};

use crate::client_auth::ClientAuth;
use crate::source::{Fingerprint, Source};

/// How a listener ends TLS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TlsServer {
    /// Who asked for it.
    pub source: Source,
    /// At least one. Several for one name differ in key type; the client's signature algorithms choose.
    pub certificates: Vec<Arc<Certificate>>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// Lowest version; at least 1.2 (older ones are not implemented by the TLS stack).
    pub min_version: TlsVersion,
    /// Highest version.
    pub max_version: TlsVersion,
    /// IANA or OpenSSL names as written; empty = the stack's own list. Names the stack does not know are left out by the
    /// translator with a problem.
    pub cipher_suites: Vec<String>,
    /// Protocols offered by ALPN, in order of preference, which decides over the client's; empty = ALPN is not answered.
    /// With none in common the handshake goes on without one (as Envoy and AWS's load balancers do).
    pub alpn: Vec<String>,
}

/// How a connection to an upstream starts TLS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TlsClient {
    /// Who asked for it.
    pub source: Source,
    /// Server name to send; none sends none.
    pub server_name: Option<String>,
    /// The host that a request goes upstream with is sent in its place, and where `verify` names nobody the certificate
    /// must be valid for what is sent. Relayed connections have no host.
    #[serde(skip_serializing_if = "is_false")]
    pub name_by_host: bool,
    /// What of the upstream's certificate is checked.
    pub verify: Verify,
    /// Certificate shown when the upstream asks.
    pub certificate: Option<Arc<Certificate>>,
    /// Lowest version.
    pub min_version: TlsVersion,
    /// Highest version.
    pub max_version: TlsVersion,
    /// As in [`TlsServer::cipher_suites`].
    pub cipher_suites: Vec<String>,
    /// Protocols offered; empty = chosen by what the cluster speaks.
    pub alpn: Vec<String>,
}

impl TlsClient {
    /// Encrypted, to anybody: nothing is sent by which the upstream could know whom it is asked for, and nothing of its
    /// certificate is checked.
    pub fn unverified(source: Source) -> Self {
        Self {
            source,
            server_name: None,
            name_by_host: false,
            verify: Verify::Nothing,
            certificate: None,
            min_version: TlsVersion::V1_2,
            max_version: TlsVersion::V1_3,
            cipher_suites: Vec::new(),
            alpn: Vec::new(),
        }
    }

    /// The same for HTTP/2: names offered that end in `http/1.1` end in `h2` there.
    #[must_use]
    pub fn for_http2(&self) -> Self {
        let name = |name: &String| match name.strip_suffix("http/1.1") {
            Some(before) => format!("{before}h2"),
            None => name.clone(),
        };
        Self { alpn: self.alpn.iter().map(name).collect(), ..self.clone() }
    }
}

/// What of an upstream's certificate is checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Nothing: the connection is encrypted, but to anybody. Shown as such wherever the hop is shown.
    Nothing,
    /// The chain ends in one of these roots and, when names are given, the certificate is valid for one of them.
    Chain {
        /// Trusted roots.
        roots: Roots,
        /// Accepted DNS names (exact or `*.suffix`) or URIs; empty = any name under these roots.
        names: Vec<String>,
    },
}

/// Which roots are trusted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Roots {
    /// Those of the operating system.
    System,
    /// Those given.
    Given(Arc<RootStore>),
}

/// TLS versions that the stack speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Why PEM text is not usable as what it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No such block in the text.
    #[error("no {0} block found in the PEM text")]
    Missing(&'static str),
    /// A block that does not decode.
    #[error("the {0} is not valid PEM or DER: {1}")]
    Malformed(&'static str, String),
    /// A key of a type that the TLS stack cannot use.
    #[error(
        "the private key is of a type that cannot be used (RSA 2048–8192, ECDSA P-256/P-384/P-521, Ed25519 can)"
    )]
    UnsupportedKey,
    /// Key and certificate do not belong together.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
}

/// A certificate chain with its key, checked to belong together.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    chain: Vec<CertificateDer<'static>>,
    key: SecretKey,
    names: Vec<String>,
    uris: Vec<String>,
    not_before: i64,
    not_after: i64,
}

impl Certificate {
    /// Reads a chain (leaf first) and a key (PKCS#8, PKCS#1 or SEC1) and checks that they match.
    ///
    /// # Errors
    /// When either is missing or malformed, the key type is not supported, or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls_pki_types::pem::Error::NoItemsFound => CertificateError::Missing("PRIVATE KEY"),
            other => CertificateError::Malformed("private key", other.to_string()),
        })?;
        let signer =
            aws_lc_rs::sign::any_supported_type(&key).map_err(|_| CertificateError::UnsupportedKey)?;
        match rustls::sign::CertifiedKey::new(chain.clone(), signer).keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                return Err(CertificateError::KeyMismatch);
            }
            // `Unknown`: the key type does not expose its public half; the handshake will tell.
            Err(rustls::Error::InconsistentKeys(_)) => {}
            Err(error) => return Err(CertificateError::Malformed("certificate", error.to_string())),
        }
        let LeafFacts { names, uris, not_before, not_after } = leaf_facts(&chain[0])?;
        Ok(Self { chain, key: SecretKey(Arc::new(key)), names, uris, not_before, not_after })
    }

    /// Leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The key; the one way out, for the TLS stack.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.0.clone_key()
    }

    /// DNS names of the leaf (subject alternative names, else the common name), lower case.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// URIs among the leaf's subject alternative names, as they stand there (`spiffe://cluster.local/ns/a/sa/b`).
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Beginning of the leaf's validity, seconds since 1970.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// End of the leaf's validity, seconds since 1970.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Fingerprint of the leaf.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.chain[0])
    }

    /// Is the leaf valid for this DNS name (RFC 6125 wildcard rules)?
    pub fn is_valid_for(&self, name: &str) -> bool {
        let Ok(server_name) = ServerName::try_from(name) else { return false };
        rustls::server::ParsedCertificate::try_from(&self.chain[0])
            .and_then(|leaf| rustls::client::verify_server_name(&leaf, &server_name))
            .is_ok()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::Malformed("certificate", error.to_string()))?;
    if chain.is_empty() {
        return Err(CertificateError::Missing("CERTIFICATE"));
    }
    Ok(chain)
}

struct LeafFacts {
    names: Vec<String>,
    uris: Vec<String>,
    not_before: i64,
    not_after: i64,
}

fn leaf_facts(leaf: &CertificateDer<'_>) -> Result<LeafFacts, CertificateError> {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
    let (_, leaf) = X509Certificate::from_der(leaf)
        .map_err(|error| CertificateError::Malformed("certificate", error.to_string()))?;
    let (mut names, mut uris) = (Vec::new(), Vec::new());
    let extension = leaf.subject_alternative_name().ok().flatten();
    for name in extension.into_iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(dns) => names.push(dns.to_ascii_lowercase()),
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            _ => {}
        }
    }
    if names.is_empty() {
        let common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    let validity = leaf.validity();
    let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Ok(LeafFacts { names, uris, not_before, not_after })
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({:?}, {})", self.names, self.fingerprint())
    }
}

impl Serialize for Certificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Certificate", 3)?;
        fields.serialize_field("names", &self.names)?;
        fields.serialize_field("not_after", &self.not_after)?;
        fields.serialize_field("fingerprint", &self.fingerprint())?;
        fields.end()
    }
}

/// A private key. It can be compared and named, never shown.
#[derive(Clone)]
pub struct SecretKey(Arc<PrivateKeyDer<'static>>);

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.secret_der() == other.0.secret_der()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// Trusted root certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct RootStore(Vec<CertificateDer<'static>>);

impl RootStore {
    /// Reads one or more certificates.
    ///
    /// # Errors
    /// When there is none or one does not decode.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let roots = certificates(pem)?;
        for root in &roots {
            leaf_facts(root)?;
        }
        Ok(Self(roots))
    }

    /// The certificates, in the order given.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

impl fmt::Debug for RootStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|root| Fingerprint::of(root))).finish()
    }
}

impl Serialize for RootStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|root| Fingerprint::of(root)))
    }
}

/// Certificate revocation lists.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationList(Vec<CertificateRevocationListDer<'static>>);

impl RevocationList {
    /// Reads one or more lists. A list that revokes nothing is fine.
    ///
    /// # Errors
    /// When there is no list or one does not decode.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CertificateError::Malformed("revocation list", error.to_string()))?;
        if lists.is_empty() {
            return Err(CertificateError::Missing("X509 CRL"));
        }
        Ok(Self(lists))
    }

    /// The lists, in the order given.
    pub fn lists(&self) -> &[CertificateRevocationListDer<'static>] {
        &self.0
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|list| Fingerprint::of(list))).finish()
    }
}

impl Serialize for RevocationList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|list| Fingerprint::of(list)))
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

//! A certificate authority that lives as long as the test.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevocationReason, RevokedCertParams, RsaKeySize, SanType, SerialNumber,
};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// Type of a private key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyKind {
    /// ECDSA on P-256: fast to make, what most tests want.
    #[default]
    EcdsaP256,
    /// Ed25519.
    Ed25519,
    /// RSA with 2048 bits; takes some tens of milliseconds to make.
    Rsa2048,
    /// RSA with 4096 bits; takes a second or so to make, and milliseconds for every signature.
    Rsa4096,
}

impl KeyKind {
    fn generate(self) -> KeyPair {
        let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
        let pair = match self {
            Self::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            Self::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            Self::Rsa2048 => rsa(RsaKeySize::_2048),
            Self::Rsa4096 => rsa(RsaKeySize::_4096),
        };
        pair.expect("aws-lc makes keys of all these kinds")
    }
}

/// A certificate authority; roots are self-signed, intermediates are made by [`Authority::intermediate`].
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    /// Intermediates between the issued leaf and the root, leaf side first.
    chain: Vec<String>,
    next_serial: AtomicU64,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

impl Authority {
    /// A root with an ECDSA key.
    pub fn new(common_name: &str) -> Self {
        Self::with_key(common_name, KeyKind::EcdsaP256)
    }

    /// A root with a key of this kind.
    pub fn with_key(common_name: &str, key: KeyKind) -> Self {
        let key = key.generate();
        let params = authority_params(common_name);
        let certificate = params.self_signed(&key).expect("the parameters are valid");
        Self {
            issuer: Issuer::new(params, key),
            certificate,
            chain: Vec::new(),
            next_serial: AtomicU64::new(1),
        }
    }

    /// An authority below this one; what it issues carries its certificate in the chain.
    pub fn intermediate(&self, common_name: &str) -> Self {
        let key = KeyKind::EcdsaP256.generate();
        let mut params = authority_params(common_name);
        params.serial_number = Some(self.serial());
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are valid");
        let chain = std::iter::once(certificate.pem()).chain(self.chain.iter().cloned()).collect();
        Self { issuer: Issuer::new(params, key), certificate, chain, next_serial: AtomicU64::new(1) }
    }

    /// The authority's own certificate: what goes into `ca.crt`.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A store that trusts this authority only.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("our own certificate parses");
        roots
    }

    /// A server certificate for these DNS names (`*.` allowed) and IP addresses.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue(&Leaf::server(names))
    }

    /// A client certificate with this common name.
    pub fn client(&self, common_name: &str) -> Issued {
        self.issue(&Leaf::client(common_name))
    }

    /// Issues a certificate as described.
    pub fn issue(&self, leaf: &Leaf) -> Issued {
        let key = leaf.key.generate();
        let serial = self.serial();
        let mut params = leaf.params.clone();
        params.serial_number = Some(serial.clone());
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are valid");
        let chain = std::iter::once(certificate.pem()).chain(self.chain.iter().cloned()).collect();
        Issued { chain, key: key.serialize_pem(), serial }
    }

    /// Signs a request (PEM) for whoever has this URI, whatever else the request asks for; the chain, leaf first.
    ///
    /// # Errors
    /// When the text is no request, or is not signed with its key.
    pub fn sign(&self, request: &str, uri: &str, lifetime: Duration) -> Result<Vec<String>, rcgen::Error> {
        let mut request = CertificateSigningRequestParams::from_pem(request)?;
        request.params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        let now = OffsetDateTime::now_utc();
        request.params.not_before = now - Duration::minutes(2);
        request.params.not_after = now + lifetime;
        request.params.serial_number = Some(self.serial());
        let certificate = request.signed_by(&self.issuer)?;
        Ok(std::iter::once(certificate.pem()).chain(self.chain.iter().cloned()).collect())
    }

    /// A revocation list, valid now, that names these certificates (none is allowed).
    pub fn revocation_list(&self, revoked: &[&Issued]) -> String {
        let now = OffsetDateTime::now_utc();
        self.revocation_list_between(revoked, now - Duration::hours(1), now + Duration::days(30))
    }

    /// A revocation list whose next update is overdue.
    pub fn stale_revocation_list(&self, revoked: &[&Issued]) -> String {
        let now = OffsetDateTime::now_utc();
        self.revocation_list_between(revoked, now - Duration::days(30), now - Duration::days(1))
    }

    fn revocation_list_between(
        &self,
        revoked: &[&Issued],
        this: OffsetDateTime,
        next: OffsetDateTime,
    ) -> String {
        let revoked_certs = revoked
            .iter()
            .map(|issued| RevokedCertParams {
                serial_number: issued.serial.clone(),
                revocation_time: this,
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: this,
            next_update: next,
            crl_number: self.serial(),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("the authority may sign revocation lists");
        list.pem().expect("a revocation list has a PEM form")
    }

    fn serial(&self) -> SerialNumber {
        SerialNumber::from(self.next_serial.fetch_add(1, Ordering::Relaxed))
    }

    /// An `Opaque` Secret with the authority's certificate as `ca.crt` and, when given, a revocation list as `crl.pem`.
    pub fn secret_yaml(&self, name: &str, namespace: &str, revocation_list: Option<&str>) -> String {
        let pem = self.pem();
        let mut data = vec![("ca.crt", pem.as_str())];
        data.extend(revocation_list.map(|list| ("crl.pem", list)));
        secret_yaml(name, namespace, "Opaque", &data)
    }
}

/// What a certificate shall say.
#[derive(Clone, Debug)]
pub struct Leaf {
    params: CertificateParams,
    key: KeyKind,
}

impl Leaf {
    /// For a server with these DNS names and IP addresses; the first one is also the common name.
    pub fn server(names: &[&str]) -> Self {
        let mut params = leaf_params(names.first().copied().unwrap_or("server"));
        params.subject_alt_names = names.iter().map(|name| subject_name(name)).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Self { params, key: KeyKind::default() }
    }

    /// For a client with this common name.
    pub fn client(common_name: &str) -> Self {
        let mut params = leaf_params(common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Self { params, key: KeyKind::default() }
    }

    /// For clients besides, as workloads of a mesh are both.
    #[must_use]
    pub fn client_too(mut self) -> Self {
        self.params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        self
    }

    /// Adds a URI name, such as a SPIFFE id.
    #[must_use]
    pub fn uri(mut self, uri: &str) -> Self {
        self.params.subject_alt_names.push(SanType::URI(uri.try_into().expect("a URI is ASCII")));
        self
    }

    /// Uses a key of this kind.
    #[must_use]
    pub fn key(mut self, key: KeyKind) -> Self {
        self.key = key;
        self
    }

    /// Ended yesterday.
    #[must_use]
    pub fn expired(mut self) -> Self {
        let now = OffsetDateTime::now_utc();
        self.params.not_before = now - Duration::days(30);
        self.params.not_after = now - Duration::days(1);
        self
    }

    /// Begins tomorrow.
    #[must_use]
    pub fn not_yet_valid(mut self) -> Self {
        let now = OffsetDateTime::now_utc();
        self.params.not_before = now + Duration::days(1);
        self.params.not_after = now + Duration::days(30);
        self
    }
}

/// A certificate with its chain and key.
#[derive(Clone)]
pub struct Issued {
    chain: Vec<String>,
    key: String,
    serial: SerialNumber,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl Issued {
    /// The chain, leaf first, root left out: what goes into `tls.crt`.
    pub fn cert_pem(&self) -> String {
        self.chain.concat()
    }

    /// The PKCS#8 key: what goes into `tls.key`.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        let parse = |pem: &String| CertificateDer::from_pem_slice(pem.as_bytes()).expect("we wrote this PEM");
        self.chain.iter().map(parse).collect()
    }

    /// The key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("we wrote this PEM")
    }

    /// A `kubernetes.io/tls` Secret as one YAML document.
    pub fn secret_yaml(&self, name: &str, namespace: &str) -> String {
        let chain = self.cert_pem();
        secret_yaml(name, namespace, "kubernetes.io/tls", &[("tls.crt", &chain), ("tls.key", &self.key)])
    }

    /// As [`Issued::secret_yaml`], with `ca.crt` besides: the certificate and those it trusts in one Secret.
    pub fn secret_yaml_with_ca(&self, name: &str, namespace: &str, authority: &Authority) -> String {
        let (chain, ca) = (self.cert_pem(), authority.pem());
        let data = [("tls.crt", chain.as_str()), ("tls.key", &self.key), ("ca.crt", &ca)];
        secret_yaml(name, namespace, "kubernetes.io/tls", &data)
    }
}

/// A Secret as one YAML document (ending in a separator-free newline); values are base64-encoded here.
pub fn secret_yaml(name: &str, namespace: &str, kind: &str, data: &[(&str, &str)]) -> String {
    let mut yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {namespace}\ntype: {kind}\ndata:\n"
    );
    for (key, value) in data {
        yaml.push_str(&format!("  {key}: {}\n", STANDARD.encode(value)));
    }
    yaml
}

fn authority_params(common_name: &str) -> CertificateParams {
    let mut params = leaf_params(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn leaf_params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    // A day of slack for a test that moves the clock; well below the 398 days that browsers accept.
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(90);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "plenipo tests");
    params.use_authority_key_identifier_extension = true;
    params
}

fn subject_name(name: &str) -> SanType {
    match name.parse::<IpAddr>() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_) => SanType::DnsName(name.try_into().expect("a DNS name is ASCII")),
    }
}

#[cfg(test)]
mod tests;

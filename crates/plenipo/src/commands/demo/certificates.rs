//! Certificates for a demo, made when it starts and gone when it ends.
//!
//! Every example uses the same Secrets, in namespace `default`:
//! `example-tls` (what the gateway shows), `client-ca` (who signs its clients), `backend-ca` (who signs its backends),
//! `gateway-client` (what the gateway shows to backends).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Names in the certificate that the gateway (or the load balancer in front of it) shows.
const SERVER_NAMES: &[&str] = &["example.com", "*.example.com", "my-host-1", "my-host-2"];
/// Names in the certificate of the backends.
const BACKEND_NAMES: &[&str] = &["tls-backend.default", "mtls-backend.default"];

/// A certificate and its key, as PEM.
pub(super) struct Pair {
    /// The certificate.
    pub(super) certificate: String,
    /// The key.
    pub(super) key: String,
}

/// Everything a demo shows and checks.
pub(super) struct Certificates {
    servers: Authority,
    clients: Authority,
    backends: Authority,
    /// What the gateway, or the load balancer, shows.
    pub(super) server: Pair,
    client: Pair,
    stranger: Pair,
    gateway_client: Pair,
    backend: Pair,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    fn issue(&self, name: &str, dns: &[&str], usage: ExtendedKeyUsagePurpose) -> anyhow::Result<Pair> {
        let key = KeyPair::generate()?;
        let mut params = params(name, dns)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

fn params(name: &str, dns: &[&str]) -> anyhow::Result<CertificateParams> {
    let dns: Vec<String> = dns.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(dns)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(7);
    Ok(params)
}

impl Certificates {
    /// Makes them all: three authorities and what they sign.
    pub(super) fn new() -> anyhow::Result<Self> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let servers = Authority::new("demo servers")?;
        let clients = Authority::new("demo clients")?;
        let backends = Authority::new("demo backends")?;
        Ok(Self {
            server: servers.issue("example.com", SERVER_NAMES, ServerAuth)?,
            client: clients.issue("demo-client", &[], ClientAuth)?,
            stranger: Authority::new("somebody else")?.issue("stranger", &[], ClientAuth)?,
            gateway_client: clients.issue("gateway", &[], ClientAuth)?,
            backend: backends.issue("backend", BACKEND_NAMES, ServerAuth)?,
            servers,
            clients,
            backends,
        })
    }

    /// The files that clients need: `ca.crt`, `client.crt`, `client.key`, and a certificate that nobody trusts.
    pub(super) fn write_client_files(&self, directory: &Path) -> anyhow::Result<()> {
        let files = [
            ("ca.crt", &self.servers.certificate),
            ("backend-ca.crt", &self.backends.certificate),
            ("client-ca.crt", &self.clients.certificate),
            ("client.crt", &self.client.certificate),
            ("client.key", &self.client.key),
            ("stranger.crt", &self.stranger.certificate),
            ("stranger.key", &self.stranger.key),
        ];
        for (name, content) in files {
            let path = directory.join(name);
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// The Secrets that the examples name, as YAML.
    pub(super) fn secrets(&self) -> String {
        let pair = |pair: &Pair| [("tls.crt", pair.certificate.clone()), ("tls.key", pair.key.clone())];
        let authority = |authority: &Authority| [("ca.crt", authority.certificate.clone())];
        [
            secret("example-tls", "kubernetes.io/tls", &pair(&self.server)),
            secret("gateway-client", "kubernetes.io/tls", &pair(&self.gateway_client)),
            secret("client-ca", "Opaque", &authority(&self.clients)),
            secret("backend-ca", "Opaque", &authority(&self.backends)),
        ]
        .join("---\n")
    }

    /// How the backends end TLS; `mutual`: only for who shows a certificate of the clients' authority.
    pub(super) fn backend_tls(&self, mutual: bool) -> anyhow::Result<Arc<ServerConfig>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(self.clients.certificate.as_bytes())?)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(self.backend.certificate.as_bytes())?];
        let mut config =
            builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(self.backend.key.as_bytes())?)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// A Secret whose values are block scalars of `stringData`.
fn secret(name: &str, kind: &str, values: &[(&str, String)]) -> String {
    let mut yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: default\ntype: {kind}\nstringData:\n"
    );
    for (key, value) in values {
        yaml.push_str(&format!("  {key}: |\n"));
        for line in value.lines() {
            yaml.push_str(&format!("    {line}\n"));
        }
    }
    yaml
}

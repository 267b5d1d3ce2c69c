//! Certificates for a demo, made when it starts and gone when it ends.
//!
//! Every example uses the same Secrets, in namespace `default`:
//! `example-tls` (what the gateway shows), `client-ca` (who signs its clients), `backend-ca` (who signs its backends),
//! `gateway-client` (what the gateway shows to backends). Those of a mesh have two in `istio-system`: `example-tls` again, and
//! `gateway-identity` (who the gateway is in the mesh).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
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

/// Who the gateway is in the mesh.
const GATEWAY: &str = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway";
/// Where the objects of a mesh are.
const MESH: &str = "istio-system";
/// The Secret in [`MESH`] with the gateway's identity.
pub(super) const IDENTITY: (&str, &str) = (MESH, "gateway-identity");

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
    mesh: Authority,
    /// What the gateway, or the load balancer, shows.
    pub(super) server: Pair,
    client: Pair,
    stranger: Pair,
    gateway_client: Pair,
    backend: Pair,
    identity: Pair,
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
        self.sign(params, &key)
    }

    /// For a workload of a mesh: its name is a URI and nothing else, and it is client and server.
    fn identify(&self, id: &str) -> anyhow::Result<Pair> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let key = KeyPair::generate()?;
        let mut params = params("", &[])?;
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(id.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ServerAuth, ClientAuth];
        self.sign(params, &key)
    }

    fn sign(&self, mut params: CertificateParams, key: &KeyPair) -> anyhow::Result<Pair> {
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer)?.pem();
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
    /// Makes them all: four authorities and what they sign.
    pub(super) fn new() -> anyhow::Result<Self> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let servers = Authority::new("demo servers")?;
        let clients = Authority::new("demo clients")?;
        let backends = Authority::new("demo backends")?;
        let mesh = Authority::new("demo mesh")?;
        Ok(Self {
            server: servers.issue("example.com", SERVER_NAMES, ServerAuth)?,
            client: clients.issue("demo-client", &[], ClientAuth)?,
            stranger: Authority::new("somebody else")?.issue("stranger", &[], ClientAuth)?,
            gateway_client: clients.issue("gateway", &[], ClientAuth)?,
            backend: backends.issue("backend", BACKEND_NAMES, ServerAuth)?,
            identity: mesh.identify(GATEWAY)?,
            servers,
            clients,
            backends,
            mesh,
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
        let identity = [&pair(&self.identity)[..], &authority(&self.mesh)[..]].concat();
        let here = "default";
        [
            secret(here, "example-tls", "kubernetes.io/tls", &pair(&self.server)),
            secret(here, "gateway-client", "kubernetes.io/tls", &pair(&self.gateway_client)),
            secret(here, "client-ca", "Opaque", &authority(&self.clients)),
            secret(here, "backend-ca", "Opaque", &authority(&self.backends)),
            secret(MESH, "example-tls", "kubernetes.io/tls", &pair(&self.server)),
            secret(IDENTITY.0, IDENTITY.1, "kubernetes.io/tls", &identity),
        ]
        .join("---\n")
    }

    /// How the backends end TLS; `mutual`: only for who shows a certificate of the clients' authority.
    pub(super) fn backend_tls(&self, mutual: bool) -> anyhow::Result<Arc<ServerConfig>> {
        let mut config = server(&self.backend, mutual.then_some(&self.clients))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// How the sidecar of a service account of namespace `web` ends TLS: only for workloads of the mesh.
    pub(super) fn sidecar_tls(&self, account: &str) -> anyhow::Result<Arc<ServerConfig>> {
        let own = self.mesh.identify(&format!("spiffe://cluster.local/ns/web/sa/{account}"))?;
        let mut config = server(&own, Some(&self.mesh))?;
        config.alpn_protocols =
            ["istio-http/1.1", "istio-h2", "istio", "h2", "http/1.1"].map(Into::into).to_vec();
        Ok(Arc::new(config))
    }
}

/// TLS with a certificate; with `clients`, only for who shows a certificate of that authority.
fn server(own: &Pair, clients: Option<&Authority>) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes())?)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes())?];
    Ok(builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(own.key.as_bytes())?)?)
}

/// A Secret whose values are block scalars of `stringData`.
fn secret(namespace: &str, name: &str, kind: &str, values: &[(&str, String)]) -> String {
    let mut yaml = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {namespace}\ntype: {kind}\nstringData:\n"
    );
    for (key, value) in values {
        yaml.push_str(&format!("  {key}: |\n"));
        for line in value.lines() {
            yaml.push_str(&format!("    {line}\n"));
        }
    }
    yaml
}

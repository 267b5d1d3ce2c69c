//! Who the gateway is in a service mesh.

use std::sync::Arc;

use serde::Serialize;

use crate::tls::{Certificate, CertificateError, RootStore};

/// An X.509 SVID (SPIFFE "X509-SVID" §2) with the roots of its trust domain: what the gateway shows to workloads of the
/// mesh, and what it checks theirs against.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MeshIdentity {
    /// The chain with its key.
    pub certificate: Arc<Certificate>,
    /// Roots of the mesh.
    pub roots: Arc<RootStore>,
    /// The only URI of the certificate: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
    pub id: String,
}

/// Why certificates are no identity in a mesh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeshIdentityError {
    /// They are not usable at all.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An SVID has exactly one URI, and it begins with `spiffe://`.
    #[error(
        "the certificate has {0} where exactly one SPIFFE ID (a URI that begins with spiffe://) is expected"
    )]
    Id(String),
}

impl MeshIdentity {
    /// From PEM text: a chain (leaf first), its key, and the roots of the mesh.
    ///
    /// # Errors
    /// When a part is missing or malformed, or the leaf does not have exactly one SPIFFE ID.
    pub fn from_pem(chain: &[u8], key: &[u8], roots: &[u8]) -> Result<Self, MeshIdentityError> {
        let roots = RootStore::from_pem(roots)?;
        Self::new(Arc::new(Certificate::from_pem(chain, key)?), Arc::new(roots))
    }

    /// From what was read already.
    ///
    /// # Errors
    /// When the leaf does not have exactly one SPIFFE ID.
    pub fn new(certificate: Arc<Certificate>, roots: Arc<RootStore>) -> Result<Self, MeshIdentityError> {
        let id = match certificate.uris() {
            [id] if id.starts_with("spiffe://") => id.clone(),
            [] => return Err(MeshIdentityError::Id("no URI".to_owned())),
            [other] => return Err(MeshIdentityError::Id(format!("'{other}'"))),
            several => return Err(MeshIdentityError::Id(format!("{} URIs", several.len()))),
        };
        Ok(Self { certificate, roots, id })
    }

    /// `cluster.local` of `spiffe://cluster.local/ns/…`.
    pub fn trust_domain(&self) -> &str {
        let rest = self.id.strip_prefix("spiffe://").unwrap_or_default();
        rest.split('/').next().unwrap_or_default()
    }
}

//! Who the gateway is in a service mesh.
//!
//! *In:* where an identity comes from ([`Origin`]): files that somebody else rotates, or istiod's certificate authority.
//! *Out:* a watch channel with the [`MeshIdentity`] that is valid now; a new one appears there before the old one ends.
//!
//! What cannot be had is tried again and said in the log; the last good identity stays until it expires. Keys are made here
//! and never leave the process. (An identity in a Kubernetes Secret needs none of this: it is translated like any other.)

mod authority;
mod files;
mod keeper;

use std::path::PathBuf;
use std::time::Duration;

use plenipo_model::{MeshIdentity, MeshIdentityError};

pub use keeper::{Identity, keep};

/// Where an identity comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A directory with `cert-chain.pem`, `key.pem` and `root-cert.pem` (what Istio's agent writes with
    /// `OUTPUT_CERTS`) or `tls.crt`, `tls.key` and `ca.crt` (what cert-manager's CSI driver writes), looked at every few
    /// seconds.
    Files(PathBuf),
    /// istiod's certificate authority.
    Authority(AuthorityAddress),
}

/// How istiod's certificate authority is reached, and who we are to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthorityAddress {
    /// `https://istiod.istio-system.svc:15012`. Its host is the name that istiod's certificate must be valid for.
    pub url: String,
    /// PEM file with the roots that istiod's certificate is checked against (ConfigMap `istio-ca-root-cert`).
    pub roots: PathBuf,
    /// File with the service-account token, audience `istio-ca`; read anew for every request, for it is rotated.
    pub token: PathBuf,
    /// Name of the cluster, sent as `ClusterID` (`Kubernetes` where there is one cluster).
    pub cluster: String,
    /// The identity asked for. The authority decides by the token, and may give another.
    pub id: String,
    /// How long a certificate shall be valid.
    pub lifetime: Duration,
}

/// Why there is no (new) identity.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    Identity(#[from] MeshIdentityError),
    #[error("{path} has neither cert-chain.pem, key.pem and root-cert.pem nor tls.crt, tls.key and ca.crt")]
    NoFiles { path: PathBuf },
    #[error("{url} is not an address that can be used: {why}")]
    Address { url: String, why: String },
    #[error("{url} cannot be reached: {why}")]
    Unreachable { url: String, why: String },
    #[error("{url} refused to sign: {why}")]
    Refused { url: String, why: String },
    #[error("{url} answered with {found} certificates, where a leaf and a root are expected")]
    Answer { url: String, found: usize },
    #[error("no key can be made: {0}")]
    Key(#[from] rcgen::Error),
}

/// The identity as it can be had at once, by reading alone; none where somebody would have to be asked for it.
///
/// # Errors
/// When it is in files, and they cannot be used.
pub fn look(origin: &Origin) -> Option<Result<MeshIdentity, Error>> {
    match origin {
        Origin::Files(directory) => Some(files::read(directory)),
        Origin::Authority(_) => None,
    }
}

impl Error {
    fn read(path: &std::path::Path) -> Result<Vec<u8>, Self> {
        std::fs::read(path).map_err(|error| Self::File { path: path.to_owned(), error })
    }
}

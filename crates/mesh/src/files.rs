//! An identity in files that somebody else rotates.

use std::path::Path;

use plenipo_model::MeshIdentity;

use crate::Error;

/// Chain, key and roots, by those who write them.
const NAMES: [[&str; 3]; 2] =
    [["cert-chain.pem", "key.pem", "root-cert.pem"], ["tls.crt", "tls.key", "ca.crt"]];

/// Reads the identity as it is now.
pub(crate) fn read(directory: &Path) -> Result<MeshIdentity, Error> {
    let there = NAMES.iter().find(|names| names.iter().all(|name| directory.join(name).exists()));
    let [chain, key, roots] = there.ok_or_else(|| Error::NoFiles { path: directory.to_owned() })?;
    let read = |name: &str| Error::read(&directory.join(name));
    Ok(MeshIdentity::from_pem(&read(chain)?, &read(key)?, &read(roots)?)?)
}

//! Who the gateway is in the mesh.

use std::sync::Arc;

use plenipo_model::MeshIdentity;
use plenipo_resources::Set;

use super::options::IstioOptions;
use crate::findings::Findings;
use crate::secrets::{SecretName, Secrets};

/// The identity that was given, else the one in the Secret that was named.
pub(crate) fn read(
    options: &IstioOptions,
    set: &Set,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Option<Arc<MeshIdentity>> {
    if let Some(given) = &options.identity {
        return Some(Arc::clone(given));
    }
    let (namespace, secret) = options.identity_secret.as_ref()?;
    let name = SecretName::Secret { namespace: namespace.clone(), name: secret.clone() };
    let certificate = secrets.certificate(&name, findings).ok()?;
    let roots = secrets.roots(&name, findings).ok()?;
    match MeshIdentity::new(certificate, roots) {
        Ok(identity) => Some(Arc::new(identity)),
        Err(error) => {
            // Refused, so that its last good content can serve on.
            let object = set.get("Secret", namespace, secret)?;
            let fix = "put a certificate of the mesh there, with its key and the roots of the mesh (ca.crt)";
            findings.refuse(object, "bad-mesh-identity", "data.tls.crt", error.to_string(), fix);
            None
        }
    }
}

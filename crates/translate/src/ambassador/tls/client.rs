//! TLS towards upstreams.

use std::sync::Arc;

use plenipo_model::{Roots, TlsClient, Verify};
use plenipo_resources::ambassador::TlsContext;

use super::super::ours::{Of, source_of};
use super::{Terms, alpn, unsupported, versions};
use crate::ciphers;
use crate::findings::{Findings, Flaw};
use crate::secrets::{SecretName, Secrets, flaw};

/// TLS to `host` as a TLSContext says: its secret is the certificate to show, its CA the roots.
///
/// # Errors
/// When a part cannot be had as asked.
pub(crate) fn origination(
    context: Of<'_, TlsContext>,
    host: &str,
    namespacing: bool,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Result<TlsClient, Flaw> {
    let spec = context.spec;
    let namespacing = spec.secret_namespacing.unwrap_or(namespacing);
    let terms = Terms { object: context.object, field: "spec", tls: &spec.tls, namespacing };
    let (min_version, max_version) = versions(&spec.tls, "spec", context.object, findings)?;
    let cipher_suites = ciphers::suites(spec.tls.cipher_suites.as_ref(), "spec", context.object, findings)?;
    unsupported(&spec.tls, "spec", context.object, findings);
    let shown = match spec.secret.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => Some(("spec.secret", terms.secret(text))),
        None => terms.files().map(|files| ("spec.cert_chain_file", files)),
    };
    let certificate = match shown {
        None => None,
        Some((field, name)) => {
            Some(secrets.certificate(&name, findings).map_err(|reason| flaw(field, reason))?)
        }
    };
    let names = spec.tls.verify_subject_alt_names.clone().filter(|names| !names.is_empty());
    let system = spec.tls.verify_system_roots == Some(true);
    let named = spec.tls.sni.clone().filter(|name| !name.is_empty());
    let roots = match terms.roots() {
        Some((field, name)) => Some(given(&field, &name, secrets, findings)?),
        None => (system || names.is_some()).then_some(Roots::System),
    };
    // Where names are checked, the upstream must be able to tell which of its certificates is wanted.
    let server_name = named.or_else(|| (system || names.is_some()).then(|| host.to_owned()));
    let verify = match roots {
        None => Verify::Nothing,
        Some(Roots::System) => {
            // A public root signs for everybody: without names that would be no check at all.
            let names = names.unwrap_or_else(|| server_name.iter().cloned().collect());
            Verify::Chain { roots: Roots::System, names }
        }
        Some(roots) => Verify::Chain { roots, names: names.unwrap_or_default() },
    };
    Ok(TlsClient {
        source: source_of(context.object),
        server_name,
        name_by_host: false,
        verify,
        certificate,
        min_version,
        max_version,
        cipher_suites,
        alpn: alpn(&spec.tls),
    })
}

fn given(
    field: &str,
    name: &SecretName,
    secrets: &mut Secrets<'_>,
    findings: &mut Findings,
) -> Result<Roots, Flaw> {
    let roots = secrets.roots(name, findings).map_err(|reason| flaw(field, reason))?;
    Ok(Roots::Given(Arc::clone(&roots)))
}

//! TLS: what Hosts and TLSContexts ask for, resolved to certificates and roots, or to the reason why it cannot be.

mod client;
mod legacy;
mod server;

use std::collections::BTreeMap;

use plenipo_model::{HostPattern, TlsVersion};
use plenipo_resources::Object;
use plenipo_resources::ambassador::{TlsConfig, TlsContext};

use super::ours::{Of, Ours};
use crate::findings::{Findings, Flaw};

pub(crate) use client::origination;
pub(crate) use legacy::LegacyTls;
pub(crate) use server::{Terms, terminate};

/// TLSContexts by name. A reference to one is by name alone, whatever the namespace; the one of the referrer's own
/// namespace goes first.
#[derive(Debug, Default)]
pub(crate) struct Contexts<'a> {
    by_name: BTreeMap<&'a str, Vec<Of<'a, TlsContext>>>,
    by_host: BTreeMap<String, Vec<Of<'a, TlsContext>>>,
}

impl<'a> Contexts<'a> {
    pub(crate) fn new(ours: &Ours<'a>) -> Self {
        let mut contexts = Self::default();
        for context in &ours.contexts {
            contexts.by_name.entry(&*context.object.id.name).or_default().push(*context);
            for host in &context.spec.hosts {
                contexts.by_host.entry(host.trim().to_ascii_lowercase()).or_default().push(*context);
            }
        }
        contexts
    }

    /// The context of that name, also when its namespace is written after it (`name.namespace`).
    pub(crate) fn named(&self, name: &str, namespace: &str) -> Option<Of<'a, TlsContext>> {
        let pick = |name: &str, namespace: &str| {
            let list = self.by_name.get(name)?;
            list.iter().find(|context| &*context.object.id.namespace == namespace).or(list.first()).copied()
        };
        pick(name, namespace).or_else(|| {
            let (name, namespace) = name.rsplit_once('.')?;
            pick(name, namespace).filter(|context| &*context.object.id.namespace == namespace)
        })
    }

    /// The contexts whose `hosts` hold this very text.
    pub(crate) fn for_host(&self, host: &HostPattern) -> &[Of<'a, TlsContext>] {
        if self.by_host.is_empty() {
            return &[];
        }
        self.by_host.get(&host.to_string().to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// Every host that a context names, with the contexts.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&str, &[Of<'a, TlsContext>])> {
        self.by_host.iter().map(|(host, contexts)| (host.as_str(), contexts.as_slice()))
    }
}

/// The versions asked for. 1.0 and 1.1 cannot be spoken: as a floor they are 1.2, as a ceiling nothing is left.
///
/// # Errors
/// When a text is no version or the ceiling is below the floor.
pub(crate) fn versions(
    tls: &TlsConfig,
    field: &str,
    object: &Object,
    findings: &mut Findings,
) -> Result<(TlsVersion, TlsVersion), Flaw> {
    let min_field = format!("{field}.min_tls_version");
    let max_field = format!("{field}.max_tls_version");
    let min = match tls.min_tls_version.as_deref().map(version) {
        None => TlsVersion::V1_2,
        Some(Some(Written::Spoken(version))) => version,
        Some(Some(Written::Older)) => {
            let message = "versions below 1.2 are not spoken (RFC 8996), 1.2 is the lowest".to_owned();
            findings.warn(object, "old-tls-version", &min_field, message, "write v1.2");
            TlsVersion::V1_2
        }
        Some(None) => return Err(no_version(&min_field, tls.min_tls_version.as_deref())),
    };
    let max = match tls.max_tls_version.as_deref().map(version) {
        None => TlsVersion::V1_3,
        Some(Some(Written::Spoken(version))) => version,
        Some(Some(Written::Older)) => {
            let message = "versions below 1.2 are not spoken (RFC 8996), so that none is left";
            return Err(Flaw::new("old-tls-version", max_field, message, "write v1.2 or v1.3"));
        }
        Some(None) => return Err(no_version(&max_field, tls.max_tls_version.as_deref())),
    };
    if max < min {
        let message = "the highest version is below the lowest";
        return Err(Flaw::new("bad-tls-version", max_field, message, "raise it, or lower min_tls_version"));
    }
    Ok((min, max))
}

enum Written {
    Spoken(TlsVersion),
    Older,
}

fn version(text: &str) -> Option<Written> {
    let text = text.trim().to_ascii_lowercase();
    match text.trim_start_matches("tls").trim_start_matches('v').replace('_', ".").as_str() {
        "1.3" => Some(Written::Spoken(TlsVersion::V1_3)),
        "1.2" => Some(Written::Spoken(TlsVersion::V1_2)),
        "1.0" | "1.1" => Some(Written::Older),
        _ => None,
    }
}

fn no_version(field: &str, text: Option<&str>) -> Flaw {
    let message = format!("'{}' is not a version of TLS", text.unwrap_or_default());
    Flaw::new("bad-tls-version", field, message, "write v1.2 or v1.3")
}

/// Protocols of `alpn_protocols`, each trimmed (`h2, http/1.1` is what people write).
pub(crate) fn alpn(tls: &TlsConfig) -> Vec<String> {
    let list = tls.alpn_protocols.as_deref().unwrap_or_default().split(',').map(str::trim);
    list.filter(|protocol| !protocol.is_empty()).map(str::to_owned).collect()
}

/// Reports settings of a TLS block that have no effect here.
pub(crate) fn unsupported(tls: &TlsConfig, field: &str, object: &Object, findings: &mut Findings) {
    if tls.ecdh_curves.as_ref().is_some_and(|list| !list.is_empty()) {
        let message =
            "the key exchange groups cannot be chosen: X25519, P-256 and P-384 are offered".to_owned();
        findings.warn(object, "not-supported", &format!("{field}.ecdh_curves"), message, "remove it");
    }
}

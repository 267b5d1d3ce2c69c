//! Whose certificates clients must show.

use std::sync::Arc;

use serde::Serialize;

use crate::source::Pin;
use crate::tls::{RevocationList, RootStore};

/// Whether clients must show a certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// Not asked for.
    None,
    /// Asked for; one that is shown must be valid.
    Optional(ClientRoots),
    /// Without a valid one the handshake fails.
    Required(ClientRoots),
    /// Asked for, without naming authorities; none, expired and untrusted ones are all let in, for somebody behind to
    /// judge. Only that the client has the key is made sure of.
    Unverified,
}

/// Against what client certificates are checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClientRoots {
    /// Trusted roots.
    pub roots: Arc<RootStore>,
    /// Revocation lists; a certificate named in one is refused.
    pub revocation: Option<Arc<RevocationList>>,
    /// Name the roots in the request for a certificate, so that clients choose one by them. Usual.
    #[serde(skip_serializing_if = "is_true")]
    pub advertise_names: bool,
    /// Take client certificates that have expired.
    #[serde(skip_serializing_if = "is_false")]
    pub ignore_expiry: bool,
    /// Names (DNS, URI, address or mail) of which the certificate must have one, letter for letter; empty = any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<String>,
    /// SHA-256 of public keys (`SubjectPublicKeyInfo`). With these or `hash_pins`, the certificate must be among one of
    /// the two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spki_pins: Vec<Pin>,
    /// SHA-256 of certificates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hash_pins: Vec<Pin>,
    /// Certificates that no root vouches for are let in, for somebody behind to judge; names and pins hold all the same.
    #[serde(skip_serializing_if = "is_false")]
    pub accept_untrusted: bool,
}

impl ClientRoots {
    /// The usual checks against these roots.
    pub fn new(roots: Arc<RootStore>, revocation: Option<Arc<RevocationList>>) -> Self {
        Self {
            roots,
            revocation,
            advertise_names: true,
            ignore_expiry: false,
            subject_alt_names: Vec::new(),
            spki_pins: Vec::new(),
            hash_pins: Vec::new(),
            accept_untrusted: false,
        }
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !*value
}

//! Public keys.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The public keys of an issuer: a JSON Web Key Set (RFC 7517 §5).
#[derive(Clone, Debug)]
pub struct Keys {
    keys: Vec<Key>,
    skipped: usize,
}

/// One key, and what it is for.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: Option<String>,
    pub(crate) key: DecodingKey,
    kind: Kind,
    /// The only algorithm it is for; none = any of its kind.
    algorithm: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// Why a text is no set of keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// No JSON, or other JSON.
    #[error("it is no JSON Web Key Set: {0}")]
    Malformed(#[source] serde_json::Error),
    /// Nothing in it can verify a signature.
    #[error(
        "none of its {0} keys is a public key for signatures that is supported (RSA, P-256, P-384, Ed25519)"
    )]
    NothingUsable(usize),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// What an OpenID provider says about itself (OpenID Connect Discovery 1.0 §3), as far as it is needed.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Metadata {
    /// URL of its key set.
    pub jwks_uri: String,
}

impl Metadata {
    /// Reads the document at `/.well-known/openid-configuration`.
    ///
    /// # Errors
    /// When it is no JSON, or names no key set.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

impl Keys {
    /// Reads a set. Keys that are not for signatures, or of a kind that is not supported, are passed over (RFC 7517 §5).
    ///
    /// # Errors
    /// When it is no set, or nothing in it can be used.
    pub fn parse(text: &[u8]) -> Result<Self, KeysError> {
        let set: Set = serde_json::from_slice(text).map_err(KeysError::Malformed)?;
        let all = set.keys.len();
        let keys: Vec<Key> = set.keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(KeysError::NothingUsable(all));
        }
        Ok(Self { skipped: all - keys.len(), keys })
    }

    /// How many can be used.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: such a set is refused.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many were passed over.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Those that may have made a signature by this algorithm under this name. A key without a name may be anybody's.
    pub(crate) fn fitting<'a>(
        &'a self,
        algorithm: Algorithm,
        name: &'a str,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Key> {
        self.keys.iter().filter(move |key| {
            let named = match (id, key.id.as_deref()) {
                (Some(wanted), Some(id)) => wanted == id,
                _ => true,
            };
            named && key.makes(algorithm) && key.algorithm.as_deref().is_none_or(|only| only == name)
        })
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        // The library's names of algorithms are those it knows; a key for another one is of no use anyway.
        let algorithm = value.get("alg").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let common = &jwk.common;
        if matches!(&common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
            return None;
        }
        if common.key_operations.as_ref().is_some_and(|list| !list.contains(&KeyOperations::Verify)) {
            return None;
        }
        let kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Kind::Rsa,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Kind::P256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Kind::P384,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Kind::Ed25519,
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id.clone(), key, kind, algorithm })
    }

    fn makes(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self.kind {
            Kind::Rsa => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
            Kind::P256 => algorithm == ES256,
            Kind::P384 => algorithm == ES384,
            Kind::Ed25519 => algorithm == EdDSA,
        }
    }
}

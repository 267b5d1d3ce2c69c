//! A token, read and then verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, crypto};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claims::Claims;
use crate::keys::Keys;

/// Clocks may differ by so much: seconds, as Envoy has it.
pub const SKEW: u64 = 60;

/// A token that nobody has verified yet.
#[derive(Debug)]
pub struct Token<'a> {
    /// Header and payload, as they are signed.
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    /// The algorithm as written.
    name: String,
    key_id: Option<String>,
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Why a token is worth nothing. The texts are Envoy's, which clients see in the body of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub enum Refused {
    /// Not three parts.
    Form,
    /// Its header is no base64url, or no JSON object with `alg`.
    Header,
    /// `none`, a shared secret, or unknown.
    Algorithm,
    /// It asks for something that we do not know (RFC 7515 §4.1.11).
    Critical,
    /// Its payload is no base64url, or no JSON object.
    Payload,
    /// `exp` or `nbf` is no number.
    Times,
    /// No rule for its `iss`.
    Issuer,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is meant for somebody else.
    Audience,
    /// There are no keys to verify it with.
    NoKeys,
    /// No key has the name and the kind.
    NoSuchKey,
    /// The signature is another's.
    Signature,
}

impl Refused {
    /// What clients are told.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Form => "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
            Self::Header => "Jwt header is an invalid JSON",
            Self::Algorithm => "Jwt header [alg] is not supported",
            Self::Critical => "Jwt header [crit] is not supported",
            Self::Payload => "Jwt payload is an invalid JSON",
            Self::Times => "Jwt payload field [exp] or [nbf] is not a number",
            Self::Issuer => "Jwt issuer is not configured",
            Self::Expired => "Jwt is expired",
            Self::NotYetValid => "Jwt not yet valid",
            Self::Audience => "Audiences in Jwt are not allowed",
            Self::NoKeys => "Jwks remote fetch is failed",
            Self::NoSuchKey => "Jwks doesn't have key to match kid or alg from Jwt",
            Self::Signature => "Jwt verification fails",
        }
    }
}

impl<'a> Token<'a> {
    /// Reads a token without believing it.
    ///
    /// # Errors
    /// When it is none, or is signed in a way that is never accepted.
    pub fn parse(text: &'a str) -> Result<Self, Refused> {
        let (message, signature) = text.rsplit_once('.').ok_or(Refused::Form)?;
        let (header, payload) = message.split_once('.').ok_or(Refused::Form)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(Refused::Form);
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refused::Header)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| Refused::Header)?;
        if header.crit.is_some() {
            return Err(Refused::Critical);
        }
        let algorithm = public_algorithm(&header.alg).ok_or(Refused::Algorithm)?;
        let claims = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refused::Payload)?;
        let claims: Map<String, Value> = serde_json::from_slice(&claims).map_err(|_| Refused::Payload)?;
        Ok(Self { message, payload, signature, algorithm, name: header.alg, key_id: header.kid, claims })
    }

    /// Who it says has made it.
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Which key it says it is signed with.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Is it worth something at this time (seconds since 1970), to one of these audiences (none = whoever)?
    ///
    /// # Errors
    /// When it is not.
    pub fn is_for(&self, audiences: &[String], now: u64) -> Result<(), Refused> {
        let expires = self.time("exp")?;
        if expires.is_some_and(|expires| expires.saturating_add(SKEW) <= now) {
            return Err(Refused::Expired);
        }
        if self.time("nbf")?.is_some_and(|begins| begins > now.saturating_add(SKEW)) {
            return Err(Refused::NotYetValid);
        }
        let meant =
            |audience: &Value| audience.as_str().is_some_and(|one| audiences.iter().any(|own| own == one));
        let fits = audiences.is_empty()
            || match self.claims.get("aud") {
                Some(Value::Array(list)) => list.iter().any(meant),
                Some(one) => meant(one),
                None => false,
            };
        if fits { Ok(()) } else { Err(Refused::Audience) }
    }

    /// Was it signed by one of these keys? The one whose name it says, if it says one.
    ///
    /// # Errors
    /// When it was not.
    pub fn is_signed_by(&self, keys: &Keys) -> Result<(), Refused> {
        let mut tried = false;
        for key in keys.fitting(self.algorithm, &self.name, self.key_id()) {
            tried = true;
            if crypto::verify(self.signature, self.message.as_bytes(), &key.key, self.algorithm)
                .unwrap_or(false)
            {
                return Ok(());
            }
        }
        Err(if tried { Refused::Signature } else { Refused::NoSuchKey })
    }

    /// What it says. `spaced` are claims whose text is a list separated by spaces, besides `scope` and `permission`.
    pub fn into_claims(self, spaced: &[String]) -> Claims {
        Claims::new(self.claims, self.payload, spaced)
    }

    /// A time in a claim: seconds since 1970. Fractions are cut; before 1970 is 0.
    fn time(&self, claim: &str) -> Result<Option<u64>, Refused> {
        match self.claims.get(claim) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => {
                let seconds = number.as_u64().or_else(|| number.as_f64().map(|float| float.max(0.0) as u64));
                seconds.map(Some).ok_or(Refused::Times)
            }
            Some(_) => Err(Refused::Times),
        }
    }
}

/// The algorithms of public keys (RFC 7518 §3.1, RFC 8037 §3.1), and no others.
fn public_algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}

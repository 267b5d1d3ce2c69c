//! JSON Web Tokens (RFC 7519) as a gateway reads them: signed by public keys (RFC 7515, RFC 7517), judged by the rules of
//! RFC 8725.
//!
//! Pure: no clock, no network. Signatures are verified by `jsonwebtoken` over AWS-LC. Algorithms are those of public keys
//! only (`RS`, `PS`, `ES256`, `ES384`, `EdDSA`); `none` and the `HS` family are refused whatever a key set says.

mod claims;
mod keys;
mod token;

pub use claims::Claims;
pub use keys::{Keys, KeysError, Metadata};
pub use token::{Refused, SKEW, Token};

#[cfg(test)]
mod tests;

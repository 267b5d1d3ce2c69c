//! Header compression (RFC 7541): blocks of fields as the client sends them, and as they are sent to it.
//!
//! What a client sends comes with a table of fields it refers to again; the fields of the table are kept as the types that
//! requests are made of, so that a field that comes again costs a reference. What is sent refers to the table that
//! everybody has (appendix A) and adds nothing to the client's, as other gateways do: there is no state, and no memory, of
//! what was sent before.

mod decode;
mod encode;
mod field;
mod table;

pub(super) use decode::{Compression, Decoder};
pub(super) use encode::encode;
pub(super) use field::Field;

#[cfg(test)]
mod tests;

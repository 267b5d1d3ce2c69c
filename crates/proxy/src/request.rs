//! Normalises a request: one canonical path, one host, one believed client, and no field that only a trusted proxy may
//! set. What comes out is what is routed on, authorised on and sent upstream.
//!
//! Pure functions over the `http` types: no sockets, no clock, no state. Each refuses with the status to answer and a
//! word for the log; after a refusal nothing of the request reaches an upstream.

use http::StatusCode;

mod cookie;
mod fields;
mod forwarded;
mod host;
mod path;
mod query;

pub use cookie::{cookie, join_cookies};
pub use fields::{check_headers, check_length, check_limits, strip_hop_by_hop};
pub use forwarded::{Client, Peer, client, forward};
pub use host::{Host, authority, parse_authority};
pub use path::canonical_path;
pub use query::parameter;

/// Why a request goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {details}")]
pub struct Refused {
    /// What is answered.
    pub status: StatusCode,
    /// Response code details for the access log, one word.
    pub details: &'static str,
}

impl Refused {
    /// 400.
    pub(crate) const fn bad_request(details: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, details }
    }
}

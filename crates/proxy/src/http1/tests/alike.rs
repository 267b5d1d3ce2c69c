//! What the fuzzer asks.

use http::Method;
use plenipo_model::Desync;

use super::client::{hypers, ours};
use super::run;
use super::server::{Strictness, Who, fate};

/// How strictly clients are read.
#[derive(Debug, Clone, Copy)]
pub enum Reading {
    /// As a gateway does.
    Strict,
    /// As a gateway does that takes a length beside chunks.
    ChunkedLength,
    /// As a load balancer does in this mode.
    Balancer(Desync),
}

/// Both codecs read these bytes of a client's, cut like this, and make the same of them.
///
/// # Panics
/// When they do not.
pub fn requests(reading: Reading, bytes: &[u8], cuts: &[usize]) {
    let strictness = match reading {
        Reading::Strict => Strictness::Gateway,
        Reading::ChunkedLength => Strictness::ChunkedLength,
        Reading::Balancer(mode) => Strictness::Balancer(mode),
    };
    for cuts in [&[], cuts] {
        let (ours, hypers) = run(async {
            (fate(Who::Ours, strictness, bytes, cuts).await, fate(Who::Hyper, strictness, bytes, cuts).await)
        });
        assert_eq!(ours.loosened(), hypers.loosened(), "{} cut at {cuts:?}", bytes.escape_ascii());
    }
}

/// Both codecs read this answer to a GET, of which ours gets it cut like this, and make the same of it.
///
/// # Panics
/// When they do not.
pub fn responses(bytes: &[u8], cuts: &[usize]) {
    for cuts in [&[], cuts] {
        let (ours, hypers) =
            run(async { (ours(&Method::GET, bytes, cuts).await, hypers(&Method::GET, bytes).await) });
        // A body that breaks off, breaks off: whether for its bytes or for their end may be a question of which came first.
        assert_eq!(ours.cut(), hypers.cut(), "{} cut at {cuts:?}", bytes.escape_ascii());
    }
}

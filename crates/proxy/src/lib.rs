//! The data plane: sockets to sockets.
//!
//! *In:* a [`Snapshot`], compiled from the model's `Edge`. *Out:* traffic, and [`Measurements`]. Called by the binary (and
//! by tests), read by the admin. It never sees a configuration dialect, a file or a cluster: what it is not told by the
//! model it does not do.

pub mod access_log;
mod alarm;
mod authentication;
mod authorization;
mod balancer;
mod body;
mod client_certificate;
mod client_identity;
mod codec;
mod conn;
mod date;
pub mod exchange;
pub mod explain;
mod external;
mod failure;
pub mod fields;
pub mod framing;
mod gate;
pub mod headers;
mod http1;
mod http2;
mod input;
mod io;
mod listen;
pub mod message;
pub mod metrics;
mod output;
mod pipe;
pub mod proxy_protocol;
mod random;
mod refusal;
pub mod render;
pub mod request;
#[cfg(test)]
mod sample;
mod serve;
pub mod snapshot;
pub mod sniff;
mod start;
mod tcp;
mod turns;
mod udp;
mod upstream;
mod worker;
pub mod xfcc;

pub use metrics::Measurements;
pub use snapshot::Snapshot;
pub use start::{Handle, Proxy, Settings};
/// The codec of HTTP/1 beside hyper's, and what holds of that of HTTP/2, for the fuzzer.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use {http1::tests::alike, http2::promises};

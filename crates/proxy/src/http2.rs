//! HTTP/2 towards clients (RFC 9113), on the bytes of a connection.
//!
//! *In:* a connection and what answers a request. *Out:* answers; those that are ready at one time go out in one write (and
//! one TLS record).
//!
//! # What is whose
//!
//! | file | what it knows |
//! |---|---|
//! | [`frame`] | frames as bytes |
//! | [`hpack`] | blocks of fields as bytes (RFC 7541) |
//! | [`block`] | a block's fields, made a head or trailers |
//! | [`receive`] | what each frame of a client means |
//! | [`stream`] | one stream's state |
//! | [`connection`] | what streams share: windows, turns, the end |
//! | [`budget`] | how much a client may do that is cheap for it only |
//! | [`server`] | the connection's task: reads, and writes |
//! | [`body`], [`reply`] | a request's body and its answer, for whoever serves it |
//! | [`outbox`] | towards upstreams, whose frames hyper keeps: what is written, collected |
//!
//! # Who polls
//!
//! The connection's task reads frames and writes what there is to write; each stream is a task of its own, which puts what
//! it says directly behind what is to be written and wakes the other. Both share the connection's state
//! (`Rc<RefCell<_>>`, borrowed for one poll and never across one). The connection's task runs after those it was woken by,
//! so that what they said goes out together.
//!
//! # Memory
//!
//! Of an answer one piece is held for each stream, until windows and the socket have room; a body that comes is bounded by
//! the windows. While what is to be written waits for the client, nothing more is read. A connection at rest has no buffers.

mod block;
pub(crate) mod body;
mod budget;
mod connection;
mod frame;
mod hpack;
pub(crate) mod outbox;
mod receive;
pub(crate) mod reply;
pub(crate) mod server;
mod stream;

use std::io;

pub(crate) use stream::Over;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// With its streams.
    #[error(transparent)]
    Over(#[from] Over),
    /// It failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(feature = "fuzzing"), allow(unreachable_pub, reason = "the fuzzer reaches it"))]
pub mod promises;
#[cfg(test)]
mod tests;

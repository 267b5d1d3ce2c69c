//! HTTP/2 towards clients: the `h2` crate keeps the frames, this module is what stands around it.
//!
//! *In:* a connection and what answers a request. *Out:* answers, those that are ready at one time in one write (and one TLS
//! record). Each stream is a task; what it needs while it waits is in one allocation of its own, so that nothing large is
//! ever moved.
//!
//! [`body`] is a request's body, [`outbox`] collects what is written, [`reply`] sends one answer.

pub(crate) mod body;
mod outbox;
pub(crate) mod reply;
pub(crate) mod server;

use std::io;

/// Why a connection, or a stream of it, came to no good end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// One side broke the rules, or broke off.
    #[error(transparent)]
    Protocol(#[from] h2::Error),
    /// The connection below it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests;

//! HTTP/2 towards clients: the `h2` crate keeps the frames, this module is what stands around it.
//!
//! *In:* a connection and what answers a request. *Out:* answers, those that are ready at one time in one write (and one TLS
//! record). Each stream is a task; what it needs while it waits is in one allocation of its own, so that nothing large is
//! ever moved.
//!
//! [`body`] is a request's body, [`outbox`] collects what is written, [`reply`] sends one answer.

pub(crate) mod body;
pub(crate) mod outbox;
pub(crate) mod reply;
pub(crate) mod server;

#[cfg(test)]
mod tests;

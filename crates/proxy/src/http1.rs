//! HTTP/1.1 on the wire, towards clients ([`server`]) and towards upstreams ([`client`]): heads in, heads out, bodies
//! passed on as slices of what was read.
//!
//! # What is whose
//!
//! | file | what it knows |
//! |---|---|
//! | [`crate::input`] | bytes read and not yet understood, in buffers of the thread's pool |
//! | [`crate::output`] | bytes to be written: heads, chunk lines and slices of bodies, in one vectored write |
//! | [`parse`] | a head's bytes, made types |
//! | [`decode`] | where a body ends (RFC 9112 §6, §7) |
//! | [`encode`] | heads and bodies as bytes |
//! | [`client`] | a connection to an upstream: one exchange at a time, and rest between them |
//! | [`server`] | a connection of a client: one request after the other |
//!
//! The strict judgement of what clients send stays in [`crate::framing`], under the server: whatever two readers could
//! read differently never gets here. Upstreams are read as leniently as RFC 9112 lets a recipient be (lines that end with
//! LF alone, white space behind a chunk's size), but what leaves open where a message ends is an error, and ends the
//! connection.
//!
//! # Who polls
//!
//! No connection has a task that passes messages through channels. A request is sent, and its response read, by
//! whoever wants the response, on the connection itself, which all its holders share (`Rc<RefCell<_>>`, borrowed for one
//! poll and never across one). Two tasks remain. A connection to an upstream has a *keeper*, which is only woken when
//! something happens while nobody uses the connection (it ended, or there are bytes that nobody asked for), and then
//! closes it. And where a response begins before its request has been sent, the rest of the request is sent by a task of
//! its own, as its reader may be waiting for just that.
//!
//! # Memory
//!
//! A connection at rest has no buffer: reads take one from the thread's pool and give it back when there was nothing to
//! read, writes when all is written. Frames of bodies are slices of a buffer and keep it alive; it serves again
//! when the last of them is gone.

pub(crate) mod client;
mod decode;
pub(crate) mod encode;
mod parse;
pub(crate) mod server;

use std::io;

use http::{HeaderName, StatusCode};

use crate::fields::Fields;

/// Why a message came to no good end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The peer broke the rules.
    #[error("{0}")]
    Malformed(&'static str),
    /// The head has more fields than allowed.
    #[error("the head has too many fields")]
    TooManyFields,
    /// The target is longer than its type can hold.
    #[error("the URI is too long")]
    TargetTooLong,
    /// The head is longer than allowed.
    #[error("the head is too long")]
    HeadTooLong,
    /// The connection ended before the message did.
    #[error("the connection ended before the message was complete")]
    Ended,
    /// The connection was closed before anything was sent.
    #[error("the connection was closed")]
    Closed,
    /// The body to be sent came to no end.
    #[error("the body to be sent broke off")]
    Aborted,
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// Is it that the peer broke the rules (and not that the connection ended)?
    pub(crate) fn is_malformed(&self) -> bool {
        self.status().is_some()
    }

    /// What a client is told whose head this is.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Malformed(_) => Some(StatusCode::BAD_REQUEST),
            Self::TargetTooLong => Some(StatusCode::URI_TOO_LONG),
            Self::TooManyFields | Self::HeadTooLong => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::Ended | Self::Closed | Self::Aborted | Self::Io(_) => None,
        }
    }
}

/// Does a field that is a list have this member?
fn says(headers: &Fields, name: &HeaderName, member: &[u8]) -> bool {
    let mut members =
        headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    members.any(|found| found.trim_ascii().eq_ignore_ascii_case(member))
}

#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, unused_imports, reason = "the fuzzer asks for the oracle only"))]
pub(crate) mod tests;

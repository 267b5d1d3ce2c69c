//! What the codecs have in common: bodies as they come, and why they end before their end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::http1;
use crate::http1::server::Upgraded;
use crate::io::{Prefixed, Stream};

/// The body of a message, as it comes.
pub(crate) enum Incoming {
    /// Of a response over HTTP/1.
    Answer(http1::client::Body),
    /// Of a request over HTTP/1.
    Request(http1::server::Body),
    /// Of a message that hyper reads.
    Hyper(hyper::body::Incoming),
}

/// Why an exchange came to no good end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Over HTTP/1.
    #[error(transparent)]
    Http1(#[from] http1::Error),
    /// Where hyper is the codec.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

impl Incoming {
    /// The connection behind the head of a 101, with what was read of it; none for any other response.
    pub(crate) fn into_upgraded(self) -> Option<Prefixed<Stream>> {
        match self {
            Self::Answer(body) => body.into_upgraded(),
            Self::Request(_) | Self::Hyper(_) => None,
        }
    }

    /// The connection of a request, once that is answered with 101; none where there is no such answer.
    pub(crate) fn on_upgrade(&self) -> Option<oneshot::Receiver<Upgraded>> {
        match self {
            Self::Request(body) => Some(body.on_upgrade()),
            Self::Answer(_) | Self::Hyper(_) => None,
        }
    }
}

impl Error {
    /// Is it that the peer broke the rules (and not that its connection ended)?
    pub(crate) fn is_malformed(&self) -> bool {
        match self {
            Self::Http1(error) => error.is_malformed(),
            Self::Hyper(error) => error.is_parse() || broken_framing(error),
        }
    }

    /// Why the peer reset the stream (and not the connection).
    pub(crate) fn reset(&self) -> Option<h2::Reason> {
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            if let Some(h2) = cause.downcast_ref::<h2::Error>() {
                return h2.is_reset().then(|| h2.reason()).flatten();
            }
            source = cause.source();
        }
        None
    }
}

/// Was it the framing that was wrong, and not the connection that ended?
fn broken_framing(error: &hyper::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let Some(cause) = std::error::Error::source(error) else { return false };
    let io = cause.downcast_ref::<std::io::Error>();
    let io = io.or_else(|| cause.downcast_ref::<h2::Error>().and_then(h2::Error::get_io));
    // An alert is told as invalid data too.
    let alert = |cause: &std::io::Error| cause.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    io.is_some_and(|cause| matches!(cause.kind(), InvalidData | InvalidInput) && !alert(cause))
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Answer(body) => body.poll_frame(cx).map_err(Error::Http1),
            Self::Request(body) => body.poll_frame(cx).map_err(Error::Http1),
            Self::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(Error::Hyper),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Answer(body) => body.is_end_stream(),
            Self::Request(body) => body.is_end_stream(),
            Self::Hyper(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Answer(body) => body.size_hint(),
            Self::Request(body) => body.size_hint(),
            Self::Hyper(body) => body.size_hint(),
        }
    }
}

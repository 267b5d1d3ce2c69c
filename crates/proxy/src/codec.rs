//! What the codecs have in common: bodies as they come, and why they end before their end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::http1::server::Upgraded;
use crate::io::{Prefixed, Stream};
use crate::pipe::Pipe;
use crate::{http1, http2};

/// The body of a message, as it comes.
pub(crate) enum Incoming {
    /// Of a response over HTTP/1.
    Answer(http1::client::Body),
    /// Of a request over HTTP/1.
    Request(http1::server::Body),
    /// Of a request over HTTP/2.
    Http2(http2::body::Body),
    /// Of a message that hyper reads.
    Hyper(hyper::body::Incoming),
}

/// The body of an answer, as the stages give it to a codec.
pub(crate) trait AnswerBody: Body<Data = Bytes, Error: std::error::Error + 'static> + Unpin {
    /// The next piece of it, at most so long, on its way from socket to socket; none where frames have to be asked for: there
    /// is nothing yet, or it does not come in bulk, or from no socket in clear text, or to its end.
    fn pipe(&mut self, most: u64) -> Option<Pipe> {
        let _ = most;
        None
    }

    /// For so long the client may take nothing of what is sent; none = for ever. Asked where the connection cannot tell, as it
    /// serves others too.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// The client has taken nothing for that long: nothing more is sent.
    fn abandon(&mut self) {}
}

/// Why an exchange came to no good end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Over HTTP/1.
    #[error(transparent)]
    Http1(#[from] http1::Error),
    /// Over HTTP/2, of a client.
    #[error(transparent)]
    Http2(#[from] http2::Error),
    /// Where hyper is the codec.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

impl Incoming {
    /// The next piece of it, at most so long, on its way from socket to socket; none where frames have to be asked for.
    pub(crate) fn pipe(&mut self, most: u64) -> Option<Pipe> {
        match self {
            Self::Answer(body) => body.pipe(most),
            Self::Request(body) => body.pipe(most),
            Self::Http2(_) | Self::Hyper(_) => None,
        }
    }

    /// The connection behind the head of a 101, with what was read of it; none for any other response.
    pub(crate) fn into_upgraded(self) -> Option<Prefixed<Stream>> {
        match self {
            Self::Answer(body) => body.into_upgraded(),
            Self::Request(_) | Self::Http2(_) | Self::Hyper(_) => None,
        }
    }

    /// The connection of a request, once that is answered with 101; none where there is no such answer.
    pub(crate) fn on_upgrade(&self) -> Option<oneshot::Receiver<Upgraded>> {
        match self {
            Self::Request(body) => Some(body.on_upgrade()),
            Self::Answer(_) | Self::Http2(_) | Self::Hyper(_) => None,
        }
    }
}

impl Error {
    /// Is it that the peer broke the rules (and not that its connection ended)?
    pub(crate) fn is_malformed(&self) -> bool {
        match self {
            Self::Http1(error) => error.is_malformed(),
            Self::Http2(error) => matches!(error, http2::Error::Over(http2::Over::Broken(_))),
            Self::Hyper(error) => error.is_parse() || broken_framing(error),
        }
    }

    /// Why the peer reset the stream (and not the connection).
    pub(crate) fn reset(&self) -> Option<h2::Reason> {
        let told = |error: &h2::Error| error.is_reset().then(|| error.reason()).flatten();
        if let Self::Http2(http2::Error::Over(http2::Over::Reset(reason))) = self {
            return Some(*reason);
        }
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            if let Some(error) = cause.downcast_ref::<h2::Error>() {
                return told(error);
            }
            source = cause.source();
        }
        None
    }
}

/// Was it the framing that was wrong, and not the connection that ended?
fn broken_framing(error: &hyper::Error) -> bool {
    let Some(cause) = std::error::Error::source(error) else { return false };
    let io = cause.downcast_ref::<std::io::Error>();
    let io = io.or_else(|| cause.downcast_ref::<h2::Error>().and_then(h2::Error::get_io));
    io.is_some_and(breaks_rules)
}

fn breaks_rules(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    // An alert is told as invalid data too.
    let alert = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    matches!(error.kind(), InvalidData | InvalidInput) && !alert
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Self::Answer(body) => body.poll_frame(cx).map_err(Error::Http1),
            Self::Request(body) => body.poll_frame(cx).map_err(Error::Http1),
            Self::Http2(body) => body.poll_frame(cx).map_err(|over| Error::Http2(over.into())),
            Self::Hyper(body) => Pin::new(body).poll_frame(cx).map_err(Error::Hyper),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Answer(body) => body.is_end_stream(),
            Self::Request(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Hyper(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Answer(body) => body.size_hint(),
            Self::Request(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Hyper(body) => body.size_hint(),
        }
    }
}

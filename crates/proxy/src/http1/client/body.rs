//! The body of a response, read from its connection by whoever polls it.

use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::super::Error;
use super::super::decode::Decoder;
use super::{Connection, Wire};
use crate::io::{Prefixed, Stream};
use crate::pipe::Pipe;

/// The body of a response. With its end the connection is free for another exchange; dropped before, it closes it.
pub(crate) struct Body {
    /// None when nothing more is to be done with it.
    connection: Option<Connection>,
    decoder: Decoder,
}

impl Body {
    pub(super) fn new(connection: &Connection, decoder: Decoder) -> Self {
        // A connection that serves this exchange no more is either free already, or becomes something else.
        let needed = connection.wire.borrow().receiving;
        Self { connection: needed.then(|| connection.clone()), decoder }
    }

    /// The connection behind the head of a 101, with what was read of it.
    pub(crate) fn into_upgraded(mut self) -> Option<Prefixed<Stream>> {
        let connection = self.connection.take().filter(|_| self.decoder.is_done())?;
        connection.wire.borrow_mut().surrender()
    }

    /// The next frame; none at the end.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(connection) = self.connection.as_ref().filter(|_| !self.decoder.is_done()) else {
            return Poll::Ready(None);
        };
        let frame = ready!(connection.wire.borrow_mut().poll_frame(&mut self.decoder, cx));
        if self.decoder.is_done() || frame.as_ref().is_none_or(Result::is_err) {
            (self.connection, self.decoder) = (None, Decoder::Done);
        }
        Poll::Ready(frame)
    }

    /// The next piece, at most so long, on its way from socket to socket; none where [`Body::poll_frame`] has to be asked.
    pub(crate) fn pipe(&mut self, most: u64) -> Option<Pipe> {
        let connection = self.connection.as_ref()?;
        let pipe = connection.wire.borrow_mut().pipe(&mut self.decoder, most)?;
        if self.decoder.is_done() {
            self.connection = None;
        }
        Some(pipe)
    }

    /// Has everything been read?
    pub(crate) fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    /// How much is to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}

impl Drop for Body {
    /// What has come already may be all that was missing.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let wire = &mut *connection.wire.borrow_mut();
            if !self.decoder.is_done() {
                let _ = wire.poll_frame(&mut self.decoder, &mut Context::from_waker(Waker::noop()));
            }
            if wire.receiving {
                wire.close();
            }
        }
    }
}

impl Wire {
    fn poll_frame(
        &mut self,
        decoder: &mut Decoder,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = self.poll_decoded(decoder, cx);
        if polled.is_pending() && self.sending {
            self.reader = Some(cx.waker().clone());
        }
        let frame = ready!(polled);
        match &frame {
            Err(_) => self.close(),
            Ok(_) if decoder.is_done() => {
                self.receiving = false;
                self.settle();
            }
            Ok(_) => {}
        }
        Poll::Ready(frame.transpose())
    }

    fn pipe(&mut self, decoder: &mut Decoder, most: u64) -> Option<Pipe> {
        let pipe = decoder.pipe(&mut self.input, self.stream.as_mut()?, most)?;
        if decoder.is_done() {
            self.receiving = false;
            self.settle();
        }
        Some(pipe)
    }

    fn poll_decoded(
        &mut self,
        decoder: &mut Decoder,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        let polled = decoder.poll_frame(&mut self.input, self.stream.as_mut(), cx);
        // What closed the connection says more than that it is closed.
        polled.map_err(|error| match error {
            Error::Closed => self.failure.take().unwrap_or(error),
            error => error,
        })
    }
}

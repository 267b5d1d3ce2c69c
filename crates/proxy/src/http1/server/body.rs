//! The body of a request, read from its connection by whoever polls it.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use super::super::Error;
use super::super::decode::Decoder;
use super::Upgraded;
use super::wire::Wire;
use crate::pipe::Pipe;

/// The body of a request. Who waits to be told that it is wanted is told when it is first asked for.
pub(crate) struct Body {
    wire: Rc<RefCell<Wire>>,
    decoder: Decoder,
}

impl Body {
    pub(super) fn new(wire: &Rc<RefCell<Wire>>, decoder: Decoder) -> Self {
        Self { wire: Rc::clone(wire), decoder }
    }

    /// The connection, once the request is answered with 101.
    pub(crate) fn on_upgrade(&self) -> oneshot::Receiver<Upgraded> {
        let (sender, receiver) = oneshot::channel();
        self.wire.borrow_mut().upgrade = Some(sender);
        receiver
    }

    /// The next frame; none at the end.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.decoder.is_done() {
            return Poll::Ready(None);
        }
        let frame = ready!(self.wire.borrow_mut().poll_frame(&mut self.decoder, cx));
        if frame.as_ref().is_none_or(Result::is_err) {
            self.decoder = Decoder::Done;
        }
        Poll::Ready(frame)
    }

    /// The next piece, at most so long, on its way from socket to socket; none where [`Body::poll_frame`] has to be asked.
    pub(crate) fn pipe(&mut self, most: u64) -> Option<Pipe> {
        self.wire.borrow_mut().pipe(&mut self.decoder, most)
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
    fn drop(&mut self) {
        if !self.decoder.is_done() {
            self.wire.borrow_mut().pass_over(&mut self.decoder);
        }
    }
}

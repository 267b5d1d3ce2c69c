//! The body of a request over HTTP/2.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::connection;
use super::stream::{self, Over};

/// The body of a request, as it comes. What was taken of it may be sent again (RFC 9113 §5.2).
#[derive(Debug)]
pub(crate) struct Body {
    connection: connection::Shared,
    stream: stream::Shared,
    /// Something was asked of it, or its end came with the head. Of any other nobody is told that it is empty before its end is
    /// passed on: there are servers that wait for an end of its own where the client sent one.
    begun: bool,
}

impl Body {
    pub(super) fn new(connection: &connection::Shared, stream: &stream::Shared) -> Self {
        let begun = stream.borrow().heard_all;
        Self { connection: Rc::clone(connection), stream: Rc::clone(stream), begun }
    }

    /// As [`http_body::Body::poll_frame`].
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Over>>> {
        self.begun = true;
        let stream = &mut *self.stream.borrow_mut();
        if let Some(over) = stream.over {
            return Poll::Ready(Some(Err(over)));
        }
        if !stream.data.is_empty() {
            let data = stream.data.split().freeze();
            self.connection.borrow_mut().took(stream, data.len());
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(trailers) = stream.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if stream.heard_all {
            return Poll::Ready(None);
        }
        stream.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// As [`http_body::Body::is_end_stream`].
    pub(crate) fn is_end_stream(&self) -> bool {
        let stream = self.stream.borrow();
        self.begun && stream.heard_all && stream.data.is_empty() && stream.trailers.is_none()
    }

    /// As [`http_body::Body::size_hint`].
    pub(crate) fn size_hint(&self) -> SizeHint {
        let stream = self.stream.borrow();
        match stream.length {
            Some(length) => SizeHint::with_exact(length + stream.data.len() as u64),
            None if self.is_end_stream() => SizeHint::with_exact(0),
            None => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.connection.borrow_mut().leave_unread(&mut self.stream.borrow_mut());
    }
}

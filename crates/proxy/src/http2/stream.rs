//! One stream: what came of a request and was not taken yet, and what of its answer waits.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use h2::Reason;
use http::HeaderMap;

/// Why a stream ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Over {
    /// The client broke the rules, and was told.
    #[error("the client broke the rules: {0}")]
    Broken(Reason),
    /// The client reset it.
    #[error("the client reset the stream: {0}")]
    Reset(Reason),
    /// The connection ended, or we gave it up.
    #[error("the connection has ended")]
    Ended,
}

/// A stream, as its connection and those who serve it share it.
pub(super) type Shared = Rc<RefCell<Stream>>;

/// A piece of an answer.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Nothing comes behind it.
    pub(super) last: bool,
}

/// A stream. Windows are bytes (RFC 9113 §5.2), and can be below zero.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    /// Came, and was not taken.
    pub(super) data: BytesMut,
    pub(super) trailers: Option<HeaderMap>,
    /// Bytes to come, where the request said how many there are.
    pub(super) length: Option<u64>,
    /// The request has come to its end.
    pub(super) heard_all: bool,
    /// So much may come.
    pub(super) window: i64,
    /// So much was taken, and not told to the client.
    pub(super) taken: u32,
    /// Nobody reads the body.
    pub(super) unread: bool,
    pub(super) reader: Option<Waker>,
    /// So much the client takes.
    pub(super) room: i64,
    /// What is to be sent next.
    pub(super) pending: Option<Piece>,
    /// Some of an answer was written since somebody last looked.
    pub(super) moved: bool,
    /// It is among those that wait for room in the connection.
    pub(super) queued: bool,
    /// The answer has come to its end.
    pub(super) said_all: bool,
    /// Who serves it has begun.
    pub(super) begun: bool,
    pub(super) writer: Option<Waker>,
    pub(super) over: Option<Over>,
}

impl Stream {
    pub(super) fn new(id: u32, length: Option<u64>, heard_all: bool, window: i64, room: i64) -> Self {
        Self {
            id,
            data: BytesMut::new(),
            trailers: None,
            length,
            heard_all,
            window,
            taken: 0,
            unread: false,
            reader: None,
            room,
            pending: None,
            moved: false,
            queued: false,
            said_all: false,
            begun: false,
            writer: None,
            over: None,
        }
    }

    /// Ends it, whatever it waits for.
    pub(super) fn end(&mut self, over: Over) {
        self.over.get_or_insert(over);
        self.pending = None;
        self.wake_reader();
        self.wake_writer();
    }

    pub(super) fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Ready when it has ended before its end; else whoever answers it is woken, then or when what waits has gone.
    pub(super) fn wait(&mut self, cx: &Context<'_>) -> Poll<Over> {
        if let Some(over) = self.over {
            return Poll::Ready(over);
        }
        match &mut self.writer {
            Some(writer) => writer.clone_from(cx.waker()),
            writer => *writer = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Could something go, were there room in the connection?
    pub(super) fn is_ready(&self) -> bool {
        self.pending.as_ref().is_some_and(|piece| piece.bytes.is_empty() || self.room > 0)
    }
}

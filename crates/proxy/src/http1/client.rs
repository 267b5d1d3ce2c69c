//! A connection to an upstream.
//!
//! One exchange at a time: [`Connection::send`] writes a request and reads the head of its response, [`Body`] reads the
//! rest. A connection whose exchange came to its proper end rests, and may serve another; any other end closes it.

mod body;
mod exchange;

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::io::AsyncWrite as _;

use super::Error;
use crate::input::Input;
use crate::io::{Prefixed, Stream};
use crate::output::Output;

pub(crate) use body::Body;
pub(crate) use exchange::SendError;

/// A connection to an upstream, as each of its holders has it.
#[derive(Clone)]
pub(crate) struct Connection {
    wire: Rc<RefCell<Wire>>,
}

/// What all holders share.
struct Wire {
    /// None when it is closed.
    stream: Option<Stream>,
    /// Dropped when the connection is closed.
    open: Option<Box<dyn Any>>,
    input: Input,
    output: Output,
    /// A request is not sent to its end.
    sending: bool,
    /// A response is not read to its end.
    receiving: bool,
    /// The connection may serve another exchange.
    keep_alive: bool,
    /// Why a request could not be sent to its end, for who reads the response.
    failure: Option<Error>,
    /// Who is woken by what happens while the connection is at rest.
    keeper: Option<Waker>,
    /// Who reads the response, and waits.
    reader: Option<Waker>,
    /// Who sends the rest of a request whose response has begun, and waits.
    sender: Option<Waker>,
}

impl Connection {
    /// Takes over a connection; `open` is kept as long as it is open. To be called in a task of the thread.
    pub(crate) fn new(stream: Stream, open: impl Any) -> Self {
        let wire = Rc::new(RefCell::new(Wire {
            stream: Some(stream),
            open: Some(Box::new(open)),
            input: Input::new(),
            output: Output::default(),
            sending: false,
            receiving: false,
            keep_alive: true,
            failure: None,
            keeper: None,
            reader: None,
            sender: None,
        }));
        tokio::task::spawn_local(keep(Rc::downgrade(&wire)));
        Self { wire }
    }

    /// Will it never serve another exchange?
    pub(crate) fn is_closed(&self) -> bool {
        self.wire.borrow().stream.is_none()
    }

    /// Would another exchange begin at once?
    pub(crate) fn is_ready(&self) -> bool {
        let wire = self.wire.borrow();
        wire.stream.is_some() && !wire.is_busy()
    }

    /// The exchange under way, if there is one, is the last.
    pub(crate) fn retire(&self) {
        let mut wire = self.wire.borrow_mut();
        wire.keep_alive = false;
        wire.settle();
    }
}

/// Watches a connection while it is at rest, until it is closed or gone.
async fn keep(wire: Weak<RefCell<Wire>>) {
    poll_fn(|cx| match wire.upgrade() {
        Some(wire) => wire.borrow_mut().poll_keep(cx),
        None => Poll::Ready(()),
    })
    .await;
}

impl Wire {
    fn is_busy(&self) -> bool {
        self.sending || self.receiving
    }

    fn poll_keep(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.keeper.get_or_insert_with(|| cx.waker().clone());
        match self.stream {
            None => Poll::Ready(()),
            Some(_) if self.is_busy() => Poll::Pending,
            Some(_) => self.poll_rest(cx),
        }
    }

    /// At rest nothing comes: the end of the stream is the connection's end, and bytes that nobody asked for would be
    /// taken for the answer to the next request.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        let _ = ready!(self.input.poll_fill(stream, cx));
        self.close();
        Poll::Ready(())
    }

    /// A request has been sent, or a response read, to its end. When both have, the connection rests.
    fn settle(&mut self) {
        if self.is_busy() || self.stream.is_none() {
            return;
        }
        if !self.keep_alive || !self.input.bytes.is_empty() {
            self.close();
            return;
        }
        self.input.settle();
        // From here on the keeper is woken; without one yet, it will look by itself.
        if let Some(keeper) = self.keeper.take() {
            let _ = self.poll_rest(&mut Context::from_waker(&keeper));
            self.keeper = Some(keeper);
        }
    }

    fn close(&mut self) {
        if let Some(mut stream) = self.stream.take()
            && !self.is_busy()
        {
            // The peer is told, as far as that is possible without waiting.
            let _ = Pin::new(&mut stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
        self.open = None;
        self.output.clear();
        drop(self.input.take());
        for waker in [self.keeper.take(), self.reader.take(), self.sender.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    /// The stream, and what was read of it too early, for somebody who speaks something else on it.
    fn surrender(&mut self) -> Option<Prefixed<Stream>> {
        let early: BytesMut = self.input.take();
        let stream = self.stream.take()?;
        self.close();
        Some(Prefixed::new(early, stream))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.close();
    }
}

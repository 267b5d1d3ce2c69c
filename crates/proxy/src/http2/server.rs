//! The task of a connection: what comes is read, what is to be said is written, as much at a time as there is.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::Reason;
use tokio::io::AsyncWrite;

use super::Error;
use super::body::Body;
use super::connection::{self, Connection, Leaving};
use super::frame;
use super::receive::{Received, Receiver};
use super::reply::Respond;
use super::stream::Over;
use crate::codec::Incoming;
use crate::input::Input;
use crate::io::Source;
use crate::message::Request;

/// Times that a turn reads, or writes all it may, before other connections have theirs.
const ROUNDS: usize = 8;

/// What a client may use, in streams and bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Streams at one time.
    pub(crate) streams: u32,
    /// Bytes of a head, as RFC 9113 §10.5.1 counts them.
    pub(crate) head: u32,
    /// Bytes of a body before the first are taken, for one stream and for all.
    pub(crate) window: (u32, u32),
    /// Resets before a request was seen, and resets that were provoked, in half a minute.
    pub(crate) resets: (usize, usize),
}

/// Hands every request to `start` until the connection ends, or `leave` does and nothing is under way.
///
/// # Errors
/// When the client broke the rules or the connection broke off.
pub(crate) async fn serve<S: Source + AsyncWrite>(
    stream: S,
    rules: Rules,
    leave: impl Future<Output = ()>,
    mut start: impl FnMut(Request<Incoming>, Respond),
) -> Result<(), Error> {
    let mut task = Task {
        stream,
        connection: Rc::new(RefCell::new(Connection::new(rules))),
        receiver: Receiver::new(),
        input: Input::new(),
        outcome: None,
    };
    let mut leave = pin!(leave);
    poll_fn(|cx| {
        task.connection.borrow_mut().begin_turn(cx);
        if task.connection.borrow().leaving == Leaving::No && leave.as_mut().poll(cx).is_ready() {
            task.connection.borrow_mut().leave();
        }
        let polled = task.poll(cx, &mut start);
        task.connection.borrow_mut().end_turn();
        polled
    })
    .await
}

struct Task<S> {
    stream: S,
    connection: connection::Shared,
    receiver: Receiver,
    input: Input,
    /// How the connection ended: once what is written has gone, it is closed.
    outcome: Option<Result<(), Error>>,
}

/// Whoever shares the connection finds it ended.
impl<S> Drop for Task<S> {
    fn drop(&mut self) {
        let mut connection = self.connection.borrow_mut();
        connection.end(Over::Ended);
        connection.output.clear();
    }
}

impl<S: Source + AsyncWrite> Task<S> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        start: &mut impl FnMut(Request<Incoming>, Respond),
    ) -> Poll<Result<(), Error>> {
        for _ in 0..ROUNDS {
            let read = match self.outcome {
                None => self.poll_read(cx, start),
                Some(_) => Poll::Pending,
            };
            let flushed = {
                let connection = &mut *self.connection.borrow_mut();
                connection.carry_queue();
                connection.output.poll_flush(&mut self.stream, cx)
            };
            match flushed {
                // Why may be what there is to read.
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(self.outcome.take().unwrap_or(Err(error.into())));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
            }
            if self.outcome.is_none() && self.connection.borrow().is_done() {
                self.outcome = Some(Ok(()));
            }
            if self.outcome.is_some() {
                // That it ended is known; what closing it comes to is not.
                let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
                return Poll::Ready(self.outcome.take().unwrap_or(Ok(())));
            }
            if read.is_pending() && !self.connection.borrow().has_waiting() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads what there is, as long as what it calls for can be written. Pending when there is nothing more.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        start: &mut impl FnMut(Request<Incoming>, Respond),
    ) -> Poll<()> {
        loop {
            if let Err(reason) = self.receive(start) {
                self.break_off(reason);
                return Poll::Pending;
            }
            if !self.connection.borrow().output.has_room() {
                return Poll::Ready(());
            }
            match ready!(self.input.poll_fill(&mut self.stream, cx)) {
                Ok(1..) => {}
                Ok(0) => {
                    let open = self.connection.borrow().open() > 0;
                    self.ended(if open { Err(Over::Ended.into()) } else { Ok(()) });
                    return Poll::Pending;
                }
                Err(error) => {
                    if error.kind() == io::ErrorKind::TimedOut {
                        self.say_goodbye(cx);
                    }
                    self.ended(Err(error.into()));
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes the frames that came.
    fn receive(&mut self, start: &mut impl FnMut(Request<Incoming>, Respond)) -> Result<(), Reason> {
        loop {
            let received = self.receiver.next(&mut self.connection.borrow_mut(), &mut self.input.bytes)?;
            let Some(Received { head, stream }) = received else { return Ok(()) };
            let body = Incoming::Http2(Body::new(&self.connection, &stream));
            start(Request { head, body }, Respond::new(&self.connection, stream));
        }
    }

    /// The client broke the rules, and is told (RFC 9113 §5.4.1).
    fn break_off(&mut self, reason: Reason) {
        let connection = &mut *self.connection.borrow_mut();
        connection.end(Over::Broken(reason));
        frame::goaway(connection.last, reason, connection.output.text());
        self.outcome = Some(Err(Over::Broken(reason).into()));
    }

    /// Nothing comes any more, and nothing is to be said.
    fn ended(&mut self, outcome: Result<(), Error>) {
        let connection = &mut *self.connection.borrow_mut();
        connection.end(Over::Ended);
        connection.output.clear();
        self.outcome = Some(outcome);
    }

    /// A client that was silent for too long learns which requests were served, if it listens (RFC 9113 §9.1).
    fn say_goodbye(&mut self, cx: &mut Context<'_>) {
        let connection = &mut *self.connection.borrow_mut();
        frame::goaway(connection.last, Reason::NO_ERROR, connection.output.text());
        let _ = connection.output.poll_flush(&mut self.stream, cx);
    }
}

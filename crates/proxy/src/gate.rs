//! The strict gate under HTTP: only bytes of well-framed messages get through, and silence has an end.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

use crate::framing::unfold::unfold;
use crate::framing::{Framing, Rest, Violation};
use crate::io::{MaybeSocket, Source, Stream};
use crate::pipe::Pipe;
use crate::refusal::RefusedRequest;

mod activity;
mod linger;
mod stand_in;
mod writing;
pub(crate) use activity::Activity;
use stand_in::{REFUSAL, REFUSED_HEAD, oversized_head};
pub(crate) use stand_in::{REFUSED_METHOD, SLOW_HEAD};

/// Times that a gate keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// From the first byte of a head to its last.
    pub(crate) head: Duration,
    /// Without any request.
    pub(crate) idle: Duration,
    /// Without a byte in either direction while a request is under way, unless its route bears more.
    pub(crate) stalled: Duration,
}

/// What stands between a connection and the HTTP codec: only bytes of well-framed messages get through, and silence has
/// an end.
pub(crate) struct Gate {
    stream: Stream,
    framing: Option<Framing>,
    /// Read, not yet passed on. Empty (and without memory) while nothing is in flight.
    held: BytesMut,
    /// So many bytes of `held` are in order.
    passable: usize,
    refused: bool,
    activity: Rc<Activity>,
    times: Times,
    /// Last time that a byte moved.
    moved: Instant,
    /// When the head that is being read began.
    head_since: Option<Instant>,
    /// Since when the client has taken nothing of what waits to be written.
    unread_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// Whom the timer wakes.
    waits: Option<Waker>,
    /// Where the stages answer what the gate refuses, the answer to a head that does not come to its end.
    stages_answer: Option<Bytes>,
    /// Fields over several lines are made several fields.
    unfolds: bool,
    /// The answers are out, and for so long is read what nobody wants any more.
    lingers_until: Option<Instant>,
}

impl Gate {
    /// Lets a connection through to an HTTP/1 codec (with `framing`) or any other.
    pub(crate) fn new(
        stream: Stream,
        framing: Option<Framing>,
        activity: Rc<Activity>,
        times: Times,
    ) -> Self {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(now + times.head));
        Self {
            stream,
            framing,
            held: BytesMut::new(),
            passable: 0,
            refused: false,
            activity,
            times,
            moved: now,
            // A connection that never says anything is treated like one that is slow to say it.
            head_since: Some(now),
            unread_since: None,
            timer,
            waits: None,
            stages_answer: None,
            unfolds: false,
            lingers_until: None,
        }
    }

    /// Fields over several lines pass as load balancers pass them.
    #[must_use]
    pub(crate) fn unfolding(mut self, unfolds: bool) -> Self {
        self.unfolds = unfolds;
        self
    }

    /// What is refused is answered by the stages, in their own form; a head that does not come to its end by this.
    #[must_use]
    pub(crate) fn answered_by_stages(mut self, slow_head: Bytes) -> Self {
        self.stages_answer = Some(slow_head);
        self
    }

    /// Until when the connection may stay as quiet as it is.
    fn deadline(&mut self) -> Instant {
        if self.activity.settled.replace(false) {
            // The time between two requests begins now, however long the last one was silent.
            self.moved = Instant::now();
        }
        let in_flight = self.activity.in_flight.get() > 0;
        let quiet = match self.head_since {
            Some(since) if !in_flight => since + self.times.head,
            _ if in_flight => self.moved + self.times.stalled.max(self.activity.borne()),
            _ => self.moved + self.times.idle,
        };
        self.unread_until().map_or(quiet, |unread| unread.min(quiet))
    }

    /// Until when the client must take something. What is carried after an upgrade has its own times.
    fn unread_until(&self) -> Option<Instant> {
        let since = self.unread_since.filter(|_| !self.activity.opaque.get())?;
        Some(since + self.activity.unread().unwrap_or(self.times.stalled))
    }

    /// Ready when the connection has been quiet for too long. The timer is only set again when it fires, or to fire
    /// earlier, so that ordinary requests hardly ever touch it.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = self.deadline();
            let told = self.waits.as_ref().is_some_and(|waits| waits.will_wake(cx.waker()));
            if self.timer.deadline() > deadline {
                self.timer.as_mut().reset(deadline);
            } else if told && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
            // Without budget the task is only put off, and the timer told nothing.
            let heard = coop::has_budget_remaining();
            if self.timer.as_mut().poll(cx).is_pending() {
                self.waits = heard.then(|| cx.waker().clone());
                return Poll::Pending;
            }
            let deadline = self.deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            // What has fired forgets whom it woke.
            self.waits = None;
            self.timer.as_mut().reset(deadline);
        }
    }

    /// The connection has been quiet for too long.
    fn over(&self) -> io::Error {
        if self.unread_until().is_some_and(|end| end <= Instant::now()) {
            self.activity.abandon();
        }
        io::ErrorKind::TimedOut.into()
    }

    /// Is what is written to it written to a socket as it is?
    pub(crate) fn writes_to_socket(&self) -> bool {
        self.stream.socket().is_some()
    }

    fn opaque(&self) -> bool {
        self.framing.is_none() || self.activity.opaque.get()
    }

    /// Hands out bytes that are in order.
    fn pass(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.passable.min(buf.remaining());
        buf.put_slice(&self.held[..length]);
        self.held.advance(length);
        self.passable -= length;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// Looks at what is held beyond what is known to be in order.
    fn inspect_held(&mut self) {
        if let Some(framing) = &mut self.framing {
            let progress = framing.advance(&self.held[self.passable..]);
            self.passable += progress.passed;
            self.note(progress.rest);
        }
    }

    /// Looks at bytes just read into the codec's buffer from `start` on; what is not in order yet is held back.
    fn inspect_read(&mut self, buf: &mut ReadBuf<'_>, start: usize) {
        if let Some(framing) = &mut self.framing {
            let fresh = &buf.filled()[start..];
            let progress = framing.advance(fresh);
            self.held.extend_from_slice(&fresh[progress.passed..]);
            buf.set_filled(start + progress.passed);
            self.note(progress.rest);
        }
    }

    /// After a refusal the codec hears nothing more, not even the end of the stream, so that its answer gets out. What the
    /// client still sends is thrown away: closing a socket with unread bytes would reset the answer.
    fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [std::mem::MaybeUninit::uninit(); 4096];
        let mut buf = ReadBuf::uninit(&mut space);
        while let Poll::Ready(Ok(())) = Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            if buf.filled().is_empty() {
                break;
            }
            buf.clear();
        }
        ready!(self.poll_quiet(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Tells a client that its head took too long; the codec, which has seen nothing of it, cannot. Whether that still gets
    /// out is not waited for.
    fn answer_slow_head(&mut self, cx: &mut Context<'_>) {
        let alone = self.activity.in_flight.get() == 0;
        let Some(since) = self.head_since.filter(|_| alone && !self.held.is_empty()) else { return };
        let answer = self.stages_answer.as_deref().unwrap_or(SLOW_HEAD);
        if Pin::new(&mut self.stream).poll_write(cx, answer).is_ready() {
            self.activity.written.set(self.activity.written.get() + answer.len() as u64);
            let _ = Pin::new(&mut self.stream).poll_flush(cx);
        }
        let _ = self.activity.refused.set(RefusedRequest::slow(since));
    }

    fn in_head(&self) -> bool {
        self.framing.as_ref().is_some_and(Framing::between_requests)
    }

    fn note(&mut self, rest: Rest) {
        if let Some(last) = self.framing.as_ref().and_then(Framing::last) {
            self.activity.last.set(last);
        }
        match rest {
            Rest::Nothing | Rest::IncompleteLine => self.head_since = None,
            Rest::IncompleteHead => {
                self.head_since.get_or_insert(self.moved);
            }
            Rest::Over => {
                self.refused = true;
                self.head_since = None;
                self.held.truncate(self.passable);
            }
            Rest::Violation(Violation::Folded) if self.unfolds && self.in_head() => {
                let folded = self.held.split_off(self.passable);
                self.held.extend_from_slice(&unfold(&folded));
                self.inspect_held();
            }
            Rest::Violation(violation) => {
                tracing::debug!(?violation, "the framing of a client's request was refused");
                self.refused = true;
                let since = *self.head_since.insert(self.moved);
                // Only the first: there is no second.
                let by_stages = self.in_head() && self.stages_answer.is_some();
                let _ = self.activity.refused.set(RefusedRequest::by_framing(violation, since, by_stages));
                self.held.truncate(self.passable);
                match violation {
                    _ if by_stages => self.held.extend_from_slice(REFUSED_HEAD),
                    Violation::HeadTooLarge => self.held.extend_from_slice(&oversized_head()),
                    _ => self.held.extend_from_slice(REFUSAL),
                }
                self.passable = self.held.len();
            }
        }
    }
}

impl Source for Gate {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.held.is_empty() || self.refused || self.stream.poll_readable(cx).is_ready() {
            return Poll::Ready(());
        }
        // If it has been quiet for too long, that is what there is to read.
        self.poll_quiet(cx)
    }

    /// Of a body that is framed by its length: everything else is looked at.
    fn fill(&mut self, pipe: &mut Pipe, most: u64) -> io::Result<usize> {
        let framing = self.framing.as_mut().filter(|_| self.held.is_empty() && !self.refused);
        let left = framing.as_ref().and_then(|framing| framing.uninterrupted());
        let Some((framing, left)) = framing.zip(left) else { return Err(io::ErrorKind::WouldBlock.into()) };
        let moved = self.stream.fill(pipe, most.min(left))?;
        framing.pass(moved as u64);
        if moved > 0 {
            self.moved = Instant::now();
            self.activity.read.set(self.activity.read.get() + moved as u64);
        }
        Ok(moved)
    }
}

impl MaybeSocket for Gate {
    /// None: it counts, and keeps its times.
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl AsyncRead for Gate {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buf.filled().len();
        loop {
            if this.opaque() && !this.refused {
                this.passable = this.held.len();
            }
            if this.passable > 0 {
                this.pass(buf);
            }
            if buf.filled().len() > start {
                return Poll::Ready(Ok(()));
            }
            if this.refused {
                return this.poll_refused(cx);
            }
            let read = match this.held.is_empty() {
                // The usual case: the bytes go where the codec wants them and are looked at there.
                true => Pin::new(&mut this.stream).poll_read(cx, buf),
                false => poll_append(&mut this.stream, cx, &mut this.held, &this.activity.read),
            };
            if read.is_pending() {
                ready!(this.poll_quiet(cx));
                this.answer_slow_head(cx);
                return Poll::Ready(Err(this.over()));
            }
            ready!(read)?;
            this.moved = Instant::now();
            if !this.held.is_empty() {
                this.inspect_held();
                continue;
            }
            let fresh = buf.filled().len() - start;
            this.activity.read.set(this.activity.read.get() + fresh as u64);
            if fresh == 0 || this.opaque() {
                // Only HTTP/1 has heads that are looked at here.
                this.head_since = None;
                return Poll::Ready(Ok(()));
            }
            this.inspect_read(buf, start);
        }
    }
}

/// Reads what there is, up to 16 KiB, to the end of `held`. At the end of the stream nothing is added and the caller
/// is told by an error.
fn poll_append(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    held: &mut BytesMut,
    count: &Cell<u64>,
) -> Poll<io::Result<()>> {
    let mut space = [std::mem::MaybeUninit::uninit(); 16 * 1024];
    let mut buf = ReadBuf::uninit(&mut space);
    ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
    if buf.filled().is_empty() {
        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    held.extend_from_slice(buf.filled());
    count.set(count.get() + buf.filled().len() as u64);
    Poll::Ready(Ok(()))
}

//! What HTTP/2 writes, collected.
//!
//! The framing layer writes (and flushes) whenever a piece of a body does not fit its own buffer: with answers longer than a
//! kilobyte that would be a write, and a TLS record, for each. Here they wait until the connection's task has seen to all
//! of its streams, and go out together. Nothing waits longer than that task runs, and nothing is held at rest.
//!
//! Towards upstreams the connection's task is hyper's, and known by its reading and writing.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is collected: what fits one TLS record (RFC 8446 §5.1). A longer piece is not copied.
pub(super) const MOST: usize = 16 * 1024;
/// Pieces that are written with what waits: the framing layer has two at most.
const PIECES: usize = 4;

thread_local! {
    /// Connections write one after another: one buffer does for all that have nothing to wait for.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection whose writes are collected: one end for the framing layer, another for the task that runs it.
pub(crate) struct Outbox<S> {
    inner: Rc<RefCell<Inner<S>>>,
}

struct Inner<S> {
    stream: S,
    waiting: Vec<u8>,
    /// So much of `waiting` has gone.
    gone: usize,
    /// Something was written since the last flush.
    unflushed: bool,
    /// There was nothing to read in this turn.
    dry: bool,
    /// Somebody read or wrote in this turn.
    used: bool,
    /// Why what was collected did not get out.
    broken: Option<io::Error>,
}

impl<S> Clone for Outbox<S> {
    fn clone(&self) -> Self {
        Self { inner: Rc::clone(&self.inner) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outbox<S> {
    pub(crate) fn new(stream: S) -> Self {
        let inner = Inner {
            stream,
            waiting: Vec::new(),
            gone: 0,
            unflushed: false,
            dry: false,
            used: false,
            broken: None,
        };
        Self { inner: Rc::new(RefCell::new(inner)) }
    }

    /// Is nothing held?
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.inner.borrow().waiting.capacity() == 0
    }

    /// One turn of the connection's task: what it wrote goes out at the end. Where that fails the task has another turn, in
    /// which it reads why.
    pub(super) fn turn<T>(
        &self,
        cx: &mut Context<'_>,
        mut run: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        (self.inner.borrow_mut().dry, self.inner.borrow_mut().used) = (false, false);
        let ran = run(cx);
        let mut inner = self.inner.borrow_mut();
        if !inner.used {
            return ran;
        }
        match inner.poll_send(cx) {
            Poll::Ready(Err(error)) if ran.is_pending() => (inner.broken, inner.dry) = (Some(error), false),
            _ => return ran,
        }
        drop(inner);
        run(cx)
    }
}

/// Runs what hyper starts for a connection to an upstream: the connection's task, and those that hand it bodies.
impl<S, F> hyper::rt::Executor<F> for Outbox<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        let (outbox, mut future) = (self.clone(), Box::pin(future));
        tokio::task::spawn_local(async move {
            poll_fn(|cx| outbox.turn(cx, |cx| future.as_mut().poll(cx).map(drop))).await;
        });
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    /// Sends what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.waiting.len() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting[self.gone..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gone += sent;
        }
        self.empty();
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what waits with these pieces behind it; tells how much of them went.
    fn poll_through(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.unflushed = true;
        loop {
            let waiting = &self.waiting[self.gone..];
            let mut all = [IoSlice::new(&[]); PIECES + 1];
            all[0] = IoSlice::new(waiting);
            let pieces = &pieces[..pieces.len().min(PIECES)];
            all[1..=pieces.len()].copy_from_slice(pieces);
            let first = usize::from(waiting.is_empty());
            let stream = Pin::new(&mut self.stream);
            let sent = ready!(stream.poll_write_vectored(cx, &all[first..=pieces.len()]))?;
            let before = waiting.len().min(sent);
            self.gone += before;
            if self.gone == self.waiting.len() {
                self.empty();
            }
            if sent == 0 || sent > before {
                return Poll::Ready(Ok(sent - before));
            }
        }
    }

    fn collect(&mut self, pieces: &[IoSlice<'_>]) {
        self.unflushed = true;
        if self.waiting.capacity() == 0 {
            self.waiting = SPARE.take();
            self.waiting.reserve_exact(MOST);
        }
        pieces.iter().for_each(|piece| self.waiting.extend_from_slice(piece));
    }

    /// Everything has gone: the buffer is somebody else's.
    fn empty(&mut self) {
        let mut buffer = std::mem::take(&mut self.waiting);
        if buffer.capacity() > 0 {
            buffer.clear();
            SPARE.set(buffer);
        }
        self.gone = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outbox<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        inner.used = true;
        if let Some(error) = inner.broken.take() {
            return Poll::Ready(Err(error));
        }
        // The framing layer asks again for every stream that it hands out.
        if inner.dry {
            return Poll::Pending;
        }
        let read = Pin::new(&mut inner.stream).poll_read(cx, buf);
        inner.dry = read.is_pending();
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outbox<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner.borrow_mut();
        inner.used = true;
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        if inner.waiting.len() + length > MOST {
            return inner.poll_through(cx, pieces);
        }
        inner.collect(pieces);
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The task's turn does that.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner.borrow_mut();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

//! The answers on their way through the gate, and clients that do not take them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::Gate;
use crate::io::MaybeSocket as _;
use crate::pipe::Pipe;

impl AsyncWrite for Gate {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_flush(cx) {
            Poll::Pending => this.poll_stuck(cx),
            flushed => {
                this.unread_since = None;
                // The last request under way may just have ended, and the codec need not read again before it waits.
                // (Whoever lingers has set the timer for that, and a timer set to the past would wake us at once.)
                if this.lingers_until.is_none() && this.timer.deadline() > this.deadline() {
                    // It cannot be over now; this is to be woken when it is.
                    let _ = this.poll_quiet(cx);
                }
                flushed
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingers_until.is_none() {
            match Pin::new(&mut this.stream).poll_shutdown(cx) {
                Poll::Pending => return this.poll_stuck(cx),
                Poll::Ready(shut) => shut?,
            }
            if !this.leaves_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_linger(cx).map(Ok)
    }
}

impl Gate {
    /// Moves what is in a pipe to the client's socket, where it is written to as it is; tells how much.
    pub(crate) fn poll_drain(&mut self, pipe: &mut Pipe, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(socket) = self.stream.socket() else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let written = pipe.poll_drain(socket, cx);
        self.wrote(cx, written)
    }

    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_pending() {
            return self.poll_stuck(cx);
        }
        if let Poll::Ready(Ok(bytes)) = &written {
            self.moved = Instant::now();
            // Of what ended before, this is the end.
            self.activity.settled.set(false);
            self.unread_since = None;
            self.activity.written.set(self.activity.written.get() + *bytes as u64);
        }
        written
    }

    /// A codec that cannot write may not read either: then only this sees that the client takes nothing.
    fn poll_stuck<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.unread_since.get_or_insert_with(Instant::now);
        ready!(self.poll_quiet(cx));
        Poll::Ready(Err(self.over()))
    }
}

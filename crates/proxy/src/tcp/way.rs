//! One direction of a relay: bytes as they are read, written, until the end of the stream.
//!
//! A message that fits a small buffer is read and written, which is cheapest for it. A read that fills the buffer is taken
//! for the first of many: what follows goes through a [`Pipe`] where both sides are sockets in clear text, else through a large buffer,
//! until it has come in small pieces for a while. Neither buffer nor pipe is held while nothing is in it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::io::MaybeSocket;
use crate::pipe::{Pipe, Turn, is_refusal, poll_io};

/// What is read at once while messages are small.
const SMALL: usize = 16 * 1024;
/// And in bulk, where it is not spliced.
const LARGE: usize = 256 * 1024;
/// In bulk, less than so much at once is a small piece,
const PIECE: usize = 4 * 1024;
/// and after so many of them in a row it is bulk no more.
const PIECES: u8 = 4;
/// Buffers of each size that a thread keeps.
const KEPT: usize = 8;

thread_local! {
    static SMALL_ONES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static LARGE_ONES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// One direction of a relay.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// Read and not yet written; without memory while there is nothing in it.
    buffer: Vec<u8>,
    /// What of `buffer` that is.
    held: std::ops::Range<usize>,
    /// Bytes spliced and not yet written, if there are any.
    pipe: Option<Pipe>,
    stage: Stage,
    /// Bytes written so far.
    carried: u64,
    /// Much is coming.
    bulk: bool,
    /// Small pieces in a row.
    pieces: u8,
    /// splice(2) does not serve here.
    unspliceable: bool,
    /// Written, and perhaps kept back by TLS.
    unflushed: bool,
    turn: Turn,
    /// Why no more can be read, once what was read before is written. (A socket tells its error only once.)
    failed: Option<io::Error>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// There is nothing more to read.
    Ending,
    /// And that has been told.
    Ended,
}

impl Way {
    /// Bytes written so far.
    pub(super) fn carried(&self) -> u64 {
        self.carried
    }

    /// Carries what can be carried now. Ready when the stream has come to its end, and that has been told to whoever it was
    /// written to.
    pub(super) fn poll(
        &mut self,
        from: &mut impl MaybeSocket,
        to: &mut impl MaybeSocket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.stage == Stage::Open {
            let moved = match (from.socket(), to.socket()) {
                (Some(from), Some(to)) if self.splices() => self.poll_splice(from, to, cx),
                _ => self.poll_copy(from, to, cx),
            };
            self.release();
            ready!(moved)?;
            ready!(self.turn.poll_count(cx));
        }
        if self.stage == Stage::Ending {
            ready!(Pin::new(to).poll_shutdown(cx))?;
            self.stage = Stage::Ended;
        }
        Poll::Ready(Ok(()))
    }

    fn splices(&self) -> bool {
        self.pipe.is_some() || (self.bulk && self.held.is_empty() && !self.unspliceable && !self.unflushed)
    }

    /// One pipe full from socket to socket.
    fn poll_splice(
        &mut self,
        from: &TcpStream,
        to: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(pipe) = self.pipe.take().or_else(Pipe::take) else {
            self.unspliceable = true;
            return Poll::Ready(Ok(()));
        };
        let pipe = self.pipe.insert(pipe);
        if pipe.is_empty() {
            let filled = poll_io(from, Interest::READABLE, |socket| pipe.fill(socket, u64::MAX), cx);
            match ready!(filled) {
                Err(error) if is_refusal(&error) => self.unspliceable = true,
                filled => self.arrived(filled?, usize::MAX),
            }
        }
        while let Some(pipe) = self.pipe.as_mut().filter(|pipe| !pipe.is_empty()) {
            let moved = ready!(pipe.poll_drain(to, cx))?;
            self.written(moved);
        }
        Poll::Ready(Ok(()))
    }

    /// One buffer full from stream to stream.
    fn poll_copy(
        &mut self,
        from: &mut impl MaybeSocket,
        to: &mut impl MaybeSocket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.held.is_empty() && !self.unflushed {
            ready!(self.poll_read(from, cx))?;
        }
        while !self.held.is_empty() {
            let bytes = &self.buffer[self.held.clone()];
            let written = ready!(Pin::new(&mut *to).poll_write(cx, bytes))?;
            self.held.start += written;
            self.unflushed = true;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written(written);
        }
        ready!(Pin::new(to).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Reads into an empty buffer: once while messages are small, else what there is. (TLS gives one record at a time.)
    fn poll_read(&mut self, from: &mut impl MaybeSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        self.buffer = buffer(self.bulk);
        self.held = 0..0;
        let length = self.buffer.len();
        while self.held.end < length {
            let mut room = ReadBuf::new(&mut self.buffer[self.held.end..]);
            let read = Pin::new(&mut *from).poll_read(cx, &mut room);
            let fresh = room.filled().len();
            if fresh == 0 && !self.held.is_empty() {
                if let Poll::Ready(Err(error)) = read {
                    self.failed = Some(error);
                }
                break;
            }
            ready!(read)?;
            self.held.end += fresh;
            if fresh == 0 || !self.bulk {
                break;
            }
        }
        self.arrived(self.held.end, length);
        Poll::Ready(Ok(()))
    }

    /// So many bytes came in when there was room for that many.
    fn arrived(&mut self, bytes: usize, room: usize) {
        self.pieces = if bytes < PIECE { self.pieces.saturating_add(1) } else { 0 };
        self.bulk = bytes == room || (self.bulk && self.pieces < PIECES);
        if bytes == 0 {
            self.stage = Stage::Ending;
        }
    }

    fn written(&mut self, bytes: usize) {
        self.carried += bytes as u64;
        self.turn.moved(bytes);
    }

    /// Gives back what is empty.
    fn release(&mut self) {
        if self.held.is_empty() && !self.buffer.is_empty() {
            keep(std::mem::take(&mut self.buffer));
        }
        if let Some(pipe) = self.pipe.take_if(|pipe| pipe.is_empty()) {
            pipe.give_back();
        }
    }
}

/// A buffer of the thread's, or a new one.
fn buffer(large: bool) -> Vec<u8> {
    let (kept, size) = if large { (&LARGE_ONES, LARGE) } else { (&SMALL_ONES, SMALL) };
    kept.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; size])
}

/// Keeps a buffer for the next.
fn keep(buffer: Vec<u8>) {
    let kept = if buffer.len() == LARGE { &LARGE_ONES } else { &SMALL_ONES };
    kept.with_borrow_mut(|kept| {
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests;

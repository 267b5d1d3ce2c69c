//! Bytes read and not yet understood.
//!
//! A buffer is taken from the pool of the thread when something is to be read, and goes back when nothing is left in it:
//! a connection at rest has none. Its size follows what comes: reads that fill it make the next one larger.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio_util::io::poll_read_buf;

use crate::io::Source;
use crate::pipe::{Pipe, is_refusal};

/// What is read at once at first. Reads that fill more than that are of what comes in bulk.
const SMALLEST: usize = 16 * 1024;
/// And at most.
const LARGEST: usize = 256 * 1024;
/// Fewer bytes than these are not worth a pipe.
const BULK: u64 = 64 * 1024;
/// With less room than this a read is not worth its system call.
const ROOM: usize = 4 * 1024;
/// Buffers of [`SMALLEST`] bytes that a thread keeps.
const KEPT: usize = 128;
/// Of these so many are looked at for one that is free.
const TRIED: usize = 4;

thread_local! {
    static POOL: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Bytes read and not yet understood.
#[derive(Debug)]
pub(crate) struct Input {
    /// Without capacity while there is nothing in it.
    pub(crate) bytes: BytesMut,
    /// What is read at once.
    size: usize,
    /// It is no socket, or splice(2) does not serve here.
    unspliceable: bool,
}

impl Input {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self { bytes: BytesMut::new(), size: SMALLEST, unspliceable: false }
    }

    /// What is there, for somebody else.
    pub(crate) fn take(&mut self) -> BytesMut {
        std::mem::take(&mut self.bytes)
    }

    /// Reads what there is to read, behind what is there; tells how much, 0 at the end of the stream. With nothing to
    /// read, and nothing held, no buffer is kept.
    pub(crate) fn poll_fill(
        &mut self,
        stream: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(stream.poll_readable(cx));
        self.make_room();
        let room = self.bytes.capacity() - self.bytes.len();
        let polled = poll_read_buf(Pin::new(stream), cx, &mut self.bytes);
        if self.bytes.is_empty() {
            self.release();
        }
        let read = ready!(polled)?;
        if read == room {
            self.size = (self.size * 2).min(LARGEST);
        }
        Poll::Ready(Ok(read))
    }

    /// What there is to read, but no more than `most` bytes, in a pipe, if it comes in bulk and from a socket. None when there
    /// is nothing, or it has to be read; whoever reads then learns why.
    pub(super) fn pipe(&mut self, from: &mut impl Source, most: u64) -> Option<Pipe> {
        let in_bulk = self.size > SMALLEST && self.bytes.is_empty() && most >= BULK;
        if !in_bulk || self.unspliceable {
            return None;
        }
        let mut pipe = Pipe::take()?;
        match from.fill(&mut pipe, most) {
            Ok(1..) => {
                self.release();
                if pipe.held() < ROOM {
                    self.size = SMALLEST;
                }
                return Some(pipe);
            }
            Ok(0) => {}
            Err(error) => self.unspliceable = is_refusal(&error),
        }
        pipe.give_back();
        None
    }

    /// The next message begins as small as the first.
    pub(crate) fn settle(&mut self) {
        self.size = SMALLEST;
        if self.bytes.is_empty() {
            self.release();
        }
    }

    fn make_room(&mut self) {
        if self.bytes.capacity() - self.bytes.len() >= ROOM.max(self.size / 2) {
            return;
        }
        match (self.bytes.is_empty(), self.size) {
            (true, SMALLEST) => {
                self.release();
                self.bytes = pooled();
            }
            (true, size) if !self.bytes.try_reclaim(size) => self.bytes = BytesMut::with_capacity(size),
            (true, _) => {}
            (false, size) => self.bytes.reserve(size),
        }
    }

    fn release(&mut self) {
        let buffer = std::mem::take(&mut self.bytes);
        if (1..=SMALLEST * 2).contains(&buffer.capacity()) {
            POOL.with_borrow_mut(|pool| {
                if pool.len() < KEPT {
                    pool.push(buffer);
                }
            });
        }
    }
}

/// A buffer of the pool, if there is one that nobody holds a slice of any more; else a new one.
fn pooled() -> BytesMut {
    let free = POOL.with_borrow_mut(|pool| {
        // Those used last are in the processor's caches.
        let tried = pool.len().saturating_sub(TRIED);
        let free = pool[tried..].iter_mut().rposition(|buffer| buffer.try_reclaim(SMALLEST))?;
        Some(pool.swap_remove(tried + free))
    });
    free.unwrap_or_else(|| BytesMut::with_capacity(SMALLEST))
}

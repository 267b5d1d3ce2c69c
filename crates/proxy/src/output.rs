//! Bytes to be written: text that is made here (heads, lines of chunks) and slices of bodies, in their order, by as few
//! system calls as the peer lets us.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWrite;

/// Beyond this nothing more is gathered before it is written.
const ENOUGH: usize = 64 * 1024;
/// Slices given to one write.
const SLICES: usize = 32;
/// A slice of a body that is shorter than this is cheaper copied than told of.
const SHORT: usize = 256;

/// A buffer for text larger than this is not kept.
const LARGEST_SPARE: usize = 16 * 1024;

thread_local! {
    /// A buffer for text that nobody needs now: what is written is mostly written at once, and the next writer takes the same.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes to be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Text made here.
    text: Vec<u8>,
    /// So much of it has been written.
    written: usize,
    /// Slices of bodies, each with the length of the text before it.
    slices: VecDeque<(usize, Bytes)>,
    /// Bytes of slices that wait.
    waiting: usize,
    /// Something was written that the stream may still hold.
    unflushed: bool,
}

impl Output {
    /// Is there nothing to be written, or flushed?
    pub(crate) fn is_empty(&self) -> bool {
        self.is_written() && !self.unflushed
    }

    fn is_written(&self) -> bool {
        self.written == self.text.len() && self.slices.is_empty()
    }

    /// May more be gathered?
    pub(crate) fn has_room(&self) -> bool {
        self.text.len() - self.written + self.waiting < ENOUGH && self.slices.len() < SLICES / 2
    }

    /// Where text is appended.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        if self.text.capacity() == 0 {
            self.text = SPARE.take();
        }
        &mut self.text
    }

    /// Appends a slice of a body.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SHORT {
            self.text().extend_from_slice(&bytes);
        } else {
            self.waiting += bytes.len();
            self.slices.push_back((self.text.len(), bytes));
        }
    }

    /// Forgets what is not written yet.
    pub(crate) fn clear(&mut self) {
        let Self { mut text, .. } = std::mem::take(self);
        if (1..=LARGEST_SPARE).contains(&text.capacity()) {
            text.clear();
            SPARE.set(text);
        }
    }

    /// Writes everything, and flushes the stream; then it holds no memory.
    pub(crate) fn poll_flush(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_written() {
            self.unflushed = true;
            let written = match self.slices.is_empty() {
                true => ready!(Pin::new(&mut *stream).poll_write(cx, &self.text[self.written..]))?,
                false => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = self.gather(&mut slices);
                    ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// What is to be written, as far as it fits; tells how many slices there are.
    fn gather<'a>(&'a self, into: &mut [IoSlice<'a>; SLICES]) -> usize {
        let (mut count, mut at) = (0, self.written);
        for (before, bytes) in &self.slices {
            if count + 2 > SLICES {
                return count;
            }
            if at < *before {
                into[count] = IoSlice::new(&self.text[at..*before]);
                (count, at) = (count + 1, *before);
            }
            into[count] = IoSlice::new(bytes);
            count += 1;
        }
        if at < self.text.len() && count < SLICES {
            into[count] = IoSlice::new(&self.text[at..]);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut written: usize) {
        while let Some((before, bytes)) = self.slices.front_mut() {
            let text = written.min(*before - self.written);
            (self.written, written) = (self.written + text, written - text);
            if written < bytes.len() {
                bytes.advance(written);
                self.waiting -= written;
                return;
            }
            written -= bytes.len();
            self.waiting -= bytes.len();
            self.slices.pop_front();
        }
        self.written += written;
    }
}

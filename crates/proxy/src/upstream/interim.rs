//! Interim responses (1xx) of upstreams over HTTP/2, counted. The codec passes over them, as many as there are: an upstream
//! that sends them without end would keep a request, and us, busy with nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustc_hash::FxHashMap;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::Stream;

/// Interim responses to one request; one more ends the connection.
const MOST: u32 = 8;
/// Streams whose responses are counted at one time. Those that were reset by us are never heard of again.
const MOST_STREAMS: usize = 1024;
/// RFC 9113 §4.1.
const FRAME_HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const END_STREAM: u8 = 1;

/// A connection to an upstream whose interim responses are counted.
pub(super) struct Answers {
    stream: Stream,
    frames: Frames,
}

impl Answers {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, frames: Frames::default() }
    }
}

/// The frames of an HTTP/2 connection.
#[derive(Default)]
struct Frames {
    /// The head of a frame that has not come to its end, and how much of it has come.
    head: [u8; FRAME_HEAD],
    held: usize,
    /// What is to come of the payload.
    payload: usize,
    /// Heads by stream, until it ends.
    heads: FxHashMap<u32, u32>,
}

impl Frames {
    /// Looks at bytes just read; false when they are too much.
    fn look(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let taken = (FRAME_HEAD - self.held).min(bytes.len());
            self.head[self.held..self.held + taken].copy_from_slice(&bytes[..taken]);
            self.held += taken;
            bytes = &bytes[taken..];
            if self.held == FRAME_HEAD {
                self.held = 0;
                let [a, b, c, kind, flags, stream @ ..] = self.head;
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                // RFC 9113 §4.1: the first bit is to be ignored.
                if !self.frame(kind, flags, u32::from_be_bytes(stream) & !(1 << 31)) {
                    return false;
                }
            }
        }
        true
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32) -> bool {
        match kind {
            HEADERS | DATA if flags & END_STREAM != 0 => {
                self.heads.remove(&stream);
            }
            RESET => {
                self.heads.remove(&stream);
            }
            HEADERS => {
                if self.heads.len() >= MOST_STREAMS {
                    self.heads.clear();
                }
                let heads = self.heads.entry(stream).or_insert(0);
                *heads += 1;
                // One of them is the response's own; which one, only its status would tell.
                return *heads <= MOST + 1;
            }
            _ => {}
        }
        true
    }
}

impl AsyncRead for Answers {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let fresh = &buf.filled()[start..];
        match this.frames.look(fresh) {
            true => Poll::Ready(Ok(())),
            false => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "too many interim responses")))
            }
        }
    }
}

impl AsyncWrite for Answers {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_one_whatever_its_reserved_bit() {
        let mut frames = Frames::default();
        let head = frame(HEADERS, 4, 1, &[]);
        let mut reserved = head.clone();
        reserved[5] = 0x80;
        assert!(frames.look(&head.repeat(9)));
        assert!(!frames.look(&reserved));
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn heads_of_streams_are_counted_however_they_are_cut() {
        let head = |stream, flags| frame(HEADERS, flags, stream, &[HEADERS; 20]);
        let mut bytes = Vec::new();
        for stream in [1, 3, 5] {
            (0..9).for_each(|_| bytes.extend(head(stream, 4)));
            bytes.extend(frame(DATA, 0, stream, &[0; 200]));
            bytes.extend(head(stream, END_STREAM | 4));
        }
        bytes.extend(head(7, 4));
        for size in 1..100 {
            let mut frames = Frames::default();
            assert!(bytes.chunks(size).all(|piece| frames.look(piece)), "by {size}");
            assert_eq!(frames.heads.len(), 1);
            let flood = head(7, 4).repeat(9);
            assert!(!flood.chunks(size).all(|piece| frames.look(piece)), "by {size}");
        }
    }
}

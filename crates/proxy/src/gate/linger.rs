//! An end that does not take the last answer with it.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::Gate;

/// For so long is thrown away what a client still sends, once it was told that nothing more is taken.
const LINGER: Duration = Duration::from_secs(5);

impl Gate {
    /// Is something of what the client sends not read yet, as far as it is known?
    pub(super) fn leaves_unread(&self) -> bool {
        let in_body = || self.framing.as_ref().is_some_and(|framing| !framing.between_requests());
        !self.opaque() && (self.refused || !self.held.is_empty() || in_body())
    }

    /// Throws away what the client still sends until it closes, too: a socket that is closed with unread bytes resets the
    /// answer before it, which the client may not have read (RFC 9112 §9.6).
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = *self.lingers_until.get_or_insert_with(|| Instant::now() + LINGER);
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut buf = ReadBuf::uninit(&mut space);
        while let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
            if read.is_err() || buf.filled().is_empty() || end <= Instant::now() {
                return Poll::Ready(());
            }
            buf.clear();
        }
        if self.timer.deadline() != end {
            self.timer.as_mut().reset(end);
        }
        self.timer.as_mut().poll(cx)
    }
}

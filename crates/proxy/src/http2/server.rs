//! HTTP/2 with one client: requests as they come, each answered by a task of its own.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Body;
use super::outbox::Outbox;
use crate::codec::Incoming;

/// A stream's side of the connection, for whoever answers it.
pub(crate) type Respond = SendResponse<Bytes>;

/// What a client may use, in streams and bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Streams at one time.
    pub(crate) streams: u32,
    /// Bytes of a head, as RFC 9113 §10.5.1 counts them.
    pub(crate) head: u32,
    /// Bytes of a body before the first are taken, for one stream and for all.
    pub(crate) window: (u32, u32),
    /// Bytes of an answer that wait for the client.
    pub(crate) send_buffer: usize,
    /// Resets before a request was seen, and resets that were provoked, before the connection ends.
    pub(crate) resets: (usize, usize),
}

impl Rules {
    fn builder(self) -> Builder {
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(self.streams)
            .max_header_list_size(self.head)
            .initial_window_size(self.window.0)
            .initial_connection_window_size(self.window.1)
            .max_send_buffer_size(self.send_buffer)
            .max_pending_accept_reset_streams(self.resets.0)
            .max_local_error_reset_streams(Some(self.resets.1));
        builder
    }
}

/// Hands every request to `start` until the connection ends, or `leave` does and nothing is under way.
///
/// # Errors
/// When either side broke the rules or the connection broke off.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    rules: Rules,
    leave: impl Future<Output = ()>,
    mut start: impl FnMut(Request<Incoming>, Respond),
) -> Result<(), h2::Error> {
    let outbox = Outbox::new(stream);
    let mut handshake = rules.builder().handshake::<_, Bytes>(outbox.clone());
    let mut connection = poll_fn(|cx| outbox.turn(cx, |cx| Pin::new(&mut handshake).poll(cx))).await?;
    let (mut leave, mut leaving) = (pin!(leave), false);
    poll_fn(|cx| {
        if !leaving && leave.as_mut().poll(cx).is_ready() {
            leaving = true;
            connection.graceful_shutdown();
        }
        outbox.turn(cx, |cx| {
            while let Poll::Ready(accepted) = connection.poll_accept(cx) {
                let Some(accepted) = accepted else { return Poll::Ready(Ok(())) };
                let (request, respond) = accepted?;
                let (parts, stream) = request.into_parts();
                let body = Body::new(stream, &parts.headers);
                start(Request::from_parts(parts, Incoming::Http2(body)), respond);
            }
            Poll::Pending
        })
    })
    .await
}

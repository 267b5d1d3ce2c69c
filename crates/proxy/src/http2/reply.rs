//! One answer over HTTP/2.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::{Instant, Sleep};

use super::connection;
use super::hpack;
use super::stream::{self, Over};
use crate::codec::AnswerBody;
use crate::date;
use crate::fields::Fields;
use crate::message::{Response, ResponseHead};

/// A stream's side of the connection, for whoever answers it. One that is dropped before its end resets the stream.
pub(crate) struct Respond {
    connection: connection::Shared,
    stream: stream::Shared,
}

/// Why an answer ended early: the client knows that itself, or is told this.
type Broken = Option<Reason>;

/// Waits for the answer and sends it. A client that resets the stream ends that; an answer that breaks off resets it.
pub(crate) async fn reply<F, B>(mut answer: Pin<Box<F>>, respond: Respond)
where
    F: Future<Output = Response<B>>,
    B: AnswerBody,
{
    let answered = poll_fn(|cx| match respond.poll_over(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => answer.as_mut().poll(cx).map(Some),
    });
    let Some(Response { head, mut body }) = answered.await else { return };
    // What made it is large, and the body may take its time.
    drop(answer);
    let ended = body.is_end_stream();
    respond.send_head(&head, body.size_hint().exact().filter(|_| !ended), ended);
    drop(head);
    if !ended && let Err(Some(reason)) = send_body(&mut body, &respond).await {
        respond.reset(reason);
    }
}

async fn send_body(body: &mut impl AnswerBody, respond: &Respond) -> Result<(), Broken> {
    let mut unread = Unread::default();
    loop {
        let frame = poll_fn(|cx| {
            ready!(poll_room(body, respond, &mut unread, cx))?;
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending => respond.poll_over(cx).map(|_| Err(None)),
            }
        });
        let last = match frame.await?.transpose().map_err(|error| Some(reason(&error)))? {
            None => respond.send(Bytes::new(), true),
            Some(frame) => match frame.into_data() {
                Ok(data) => respond.send(data, body.is_end_stream()),
                Err(frame) => match frame.into_trailers() {
                    Ok(trailers) => respond.send_trailers(&trailers),
                    Err(_) => false,
                },
            },
        };
        if last {
            return poll_fn(|cx| poll_room(body, respond, &mut unread, cx)).await;
        }
    }
}

/// Ready when everything that was to be sent has been written.
fn poll_room(
    body: &mut impl AnswerBody,
    respond: &Respond,
    unread: &mut Unread,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Broken>> {
    match respond.poll_sent(cx) {
        Poll::Ready(sent) => {
            unread.since = None;
            Poll::Ready(sent.map_err(|_| None))
        }
        Poll::Pending => {
            ready!(unread.poll(body.patience(), respond.has_moved(), cx));
            body.abandon();
            Poll::Ready(Err(Some(Reason::CANCEL)))
        }
    }
}

/// A client that takes nothing. The timer is only made when there is something to wait for.
#[derive(Default)]
struct Unread {
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Unread {
    /// Ready when it has been so for longer than it may.
    fn poll(&mut self, limit: Option<Duration>, moved: bool, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = limit else { return Poll::Pending };
        if moved {
            self.since = None;
        }
        let end = *self.since.get_or_insert_with(Instant::now) + limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        loop {
            if timer.is_elapsed() {
                if end <= Instant::now() {
                    return Poll::Ready(());
                }
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl Respond {
    pub(super) fn new(connection: &connection::Shared, stream: stream::Shared) -> Self {
        Self { connection: Rc::clone(connection), stream }
    }

    /// Ready when the stream has ended before its end.
    fn poll_over(&self, cx: &Context<'_>) -> Poll<Over> {
        let stream = &mut *self.stream.borrow_mut();
        stream.begun = true;
        stream.wait(cx)
    }

    /// Ready when everything that was to be sent has been written.
    fn poll_sent(&self, cx: &Context<'_>) -> Poll<Result<(), Over>> {
        let stream = &mut *self.stream.borrow_mut();
        match (stream.over, &stream.pending) {
            (Some(_), _) if stream.said_all => Poll::Ready(Ok(())),
            (Some(over), _) => Poll::Ready(Err(over)),
            (None, None) => Poll::Ready(Ok(())),
            (None, Some(_)) => stream.wait(cx).map(Err),
        }
    }

    /// Sends the head: without what belongs to connections of HTTP/1 (RFC 9113 §8.2.2), with the date and, where it is
    /// known, the length of the body.
    fn send_head(&self, head: &ResponseHead, length: Option<u64>, ended: bool) {
        let connection = &mut *self.connection.borrow_mut();
        let stream = &mut *self.stream.borrow_mut();
        if stream.over.is_some() {
            return;
        }
        connection.send_block(stream.id, ended, |text| encode(head, length, text));
        if ended {
            connection.said_all(stream);
        }
    }

    /// Has the client taken something since it was last asked?
    fn has_moved(&self) -> bool {
        std::mem::take(&mut self.stream.borrow_mut().moved)
    }

    /// Sends a piece of the body, the last one perhaps, which it tells. There must be none that waits.
    fn send(&self, bytes: Bytes, last: bool) -> bool {
        if !bytes.is_empty() || last {
            self.connection.borrow_mut().send(&self.stream, bytes, last);
        }
        last
    }

    /// Ends the body with trailers: they are the last of it.
    fn send_trailers(&self, trailers: &HeaderMap) -> bool {
        let connection = &mut *self.connection.borrow_mut();
        let stream = &mut *self.stream.borrow_mut();
        if stream.over.is_some() {
            return true;
        }
        let fields = trailers.iter().map(|(name, value)| (name, value.as_bytes()));
        connection.send_block(stream.id, true, |text| hpack::encode(None, fields, text));
        connection.said_all(stream);
        true
    }

    fn reset(&self, reason: Reason) {
        self.connection.borrow_mut().reset(&mut self.stream.borrow_mut(), reason, Over::Ended);
    }
}

impl Drop for Respond {
    fn drop(&mut self) {
        // Behind a whole answer the request may still be on its way to whoever reads it.
        if !self.stream.borrow().said_all {
            self.reset(Reason::CANCEL);
        }
    }
}

/// Writes the fields of an answer's head.
fn encode(head: &ResponseHead, length: Option<u64>, text: &mut Vec<u8>) {
    let nominates = head.headers.contains_key(header::CONNECTION);
    let (mut dated, mut measured) = (false, false);
    let fields = head.headers.iter().filter(|(name, _)| {
        dated |= **name == header::DATE;
        measured |= **name == header::CONTENT_LENGTH;
        !(belongs_to_connections(name) || (nominates && is_nominated(&head.headers, name)))
    });
    hpack::encode(Some(head.status), fields.map(|(name, value)| (name, value.as_bytes())), text);
    if !dated {
        date::with_now(|date| hpack::encode(None, std::iter::once((&header::DATE, date)), text));
    }
    if let Some(length) = length.filter(|_| !measured) {
        let length = HeaderValue::from(length);
        hpack::encode(None, std::iter::once((&header::CONTENT_LENGTH, length.as_bytes())), text);
    }
}

fn belongs_to_connections(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "transfer-encoding" | "upgrade"
    )
}

/// Does `connection` name this field?
fn is_nominated(headers: &Fields, name: &HeaderName) -> bool {
    let mut names = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    names.any(|nominated| nominated.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// What a client is told of a body that broke off: what the upstream told us, where that spoke HTTP/2 too.
fn reason(error: &(dyn Error + 'static)) -> Reason {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(reason) = error.downcast_ref::<h2::Error>().and_then(h2::Error::reason) {
            return reason;
        }
        cause = error.source();
    }
    Reason::INTERNAL_ERROR
}

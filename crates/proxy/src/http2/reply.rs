//! One answer over HTTP/2.

use std::cell::RefCell;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::Body;

use super::server::Respond;
use crate::http1::encode::date;

/// What belongs to HTTP/1 (RFC 9113 §8.2.2), beside `connection` and what that names.
const OF_CONNECTIONS: [HeaderName; 5] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Why an answer ended early: the client knows that itself, or is told this.
type Broken = Option<Reason>;

/// Waits for the answer and sends it. A client that resets the stream ends that; an answer that breaks off resets it.
pub(crate) async fn reply<F, B>(mut answer: Pin<Box<F>>, mut respond: Respond)
where
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Error + 'static,
{
    let answered = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => respond.poll_reset(cx).map(|_| None),
    });
    let Some(answered) = answered.await else { return };
    // What made it is large, and the body may take its time.
    drop(answer);
    let (mut parts, mut body) = answered.into_parts();
    let ended = body.is_end_stream();
    let length = body.size_hint().exact().filter(|_| !ended);
    complete(&mut parts.headers, length);
    match respond.send_response(Response::from_parts(parts, ()), ended) {
        Ok(_) if ended => {}
        Ok(mut stream) => {
            if let Err(Some(reason)) = send_body(&mut body, &mut stream).await {
                stream.send_reset(reason);
            }
        }
        Err(error) => {
            tracing::debug!(%error, "an answer that cannot be sent over HTTP/2");
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// Makes a head one of HTTP/2, with the date and, where it is known, the length of the body.
fn complete(headers: &mut HeaderMap, length: Option<u64>) {
    if let Some(names) = headers.remove(header::CONNECTION) {
        let names = names.to_str().unwrap_or_default().split(',').map(str::trim);
        names.for_each(|name| drop(headers.remove(name)));
    }
    OF_CONNECTIONS.iter().for_each(|name| drop(headers.remove(name)));
    headers.entry(header::DATE).or_insert_with(today);
    if let Some(length) = length {
        headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
}

/// The date (RFC 9110 §5.6.7), made anew once a second.
fn today() -> HeaderValue {
    thread_local! {
        static NOW: RefCell<(Duration, HeaderValue)> =
            const { RefCell::new((Duration::MAX, HeaderValue::from_static(""))) };
    }
    let second = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let second = Duration::from_secs(second);
    NOW.with_borrow_mut(|(made, value)| {
        if *made != second {
            let mut text = Vec::new();
            date(&mut text);
            (*made, *value) =
                (second, HeaderValue::from_maybe_shared(Bytes::from(text)).expect("a date is ASCII"));
        }
        value.clone()
    })
}

async fn send_body<B>(body: &mut B, stream: &mut SendStream<Bytes>) -> Result<(), Broken>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Error + 'static,
{
    loop {
        let frame = poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => stream.poll_reset(cx).map(|_| Err(None)),
        });
        let Some(frame) = frame.await? else {
            return stream.send_data(Bytes::new(), true).map_err(|_| None);
        };
        let frame = match frame.map_err(|error| Some(reason(&error)))?.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                send(stream, data, last).await?;
                match last {
                    true => return Ok(()),
                    false => continue,
                }
            }
            Err(frame) => frame,
        };
        if let Ok(trailers) = frame.into_trailers() {
            return stream.send_trailers(trailers).map_err(|_| None);
        }
    }
}

/// Sends a piece of a body once its client takes something of it: what is asked for in advance would be lacking in
/// other streams.
async fn send(stream: &mut SendStream<Bytes>, data: Bytes, last: bool) -> Result<(), Broken> {
    if !data.is_empty() {
        stream.reserve_capacity(1);
        while stream.capacity() == 0 {
            match poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }
    stream.send_data(data, last).map_err(|_| None)
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

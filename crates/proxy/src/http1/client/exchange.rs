//! One request, and the head of its response.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, StatusCode, Version};
use http_body::Body as _;

use super::super::decode::Decoder;
use super::super::encode::{self, Case, Framing, Head};
use super::super::{Error, parse, says};
use super::{Body, Connection, Wire};
use crate::body::RequestBody;
use crate::io::MaybeSocket as _;
use crate::message::{Response, ResponseHead};
use crate::pipe::{Pipe, Turn};

/// Fields of a response's head.
const MOST_FIELDS: usize = 200;
/// Bytes of a response's head.
const LONGEST_HEAD: usize = 400 * 1024;
/// Interim responses to one request. An upstream that sends them without end would keep the request, and us, busy with
/// nothing.
const MOST_INTERIM: u32 = 8;

/// A request that got no response.
#[derive(Debug)]
pub(crate) struct SendError {
    /// Nothing of the request was sent.
    pub(crate) unsent: bool,
    /// Why.
    pub(crate) error: Error,
}

/// What is still to be sent of a request.
struct Upload {
    /// None when all of it has been taken.
    body: Option<RequestBody>,
    framing: Framing,
    /// A piece that goes behind what has been written.
    pipe: Option<Pipe>,
    turn: Turn,
}

/// Closes the connection of an exchange that nobody waits for any more.
struct Unfinished<'a> {
    connection: &'a Connection,
    finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.connection.wire.borrow_mut().close();
        }
    }
}

impl Connection {
    /// Sends a request and waits for the head of the response.
    ///
    /// The body of the request is sent meanwhile, and behind the head of the response if it is not complete by then. When
    /// the future is dropped before, the connection is closed.
    ///
    /// # Errors
    /// When the connection failed or the response breaks the rules; the connection is closed then.
    pub(crate) async fn send(&self, head: Head<'_>, body: RequestBody) -> Result<Response<Body>, SendError> {
        let mut unfinished = Unfinished { connection: self, finished: false };
        if !poll_fn(|cx| Poll::Ready(self.wire.borrow_mut().is_fresh(cx))).await {
            return Err(SendError { unsent: true, error: Error::Closed });
        }
        let sent = |error| SendError { unsent: false, error };
        let mut upload = self.wire.borrow_mut().begin(head, body).map_err(sent)?;
        let mut reading = Reading::default();
        let answer = poll_fn(|cx| self.poll_answer(&mut upload, &mut reading, cx)).await.map_err(sent)?;
        let decoder = self.wire.borrow_mut().answered(&answer, head.method).map_err(sent)?;
        if self.wire.borrow().sending {
            tokio::task::spawn_local(send_rest(self.clone(), upload));
        }
        unfinished.finished = true;
        Ok(Response { head: answer, body: Body::new(self, decoder) })
    }

    /// Sends and receives until there is a final response.
    fn poll_answer(
        &self,
        upload: &mut Option<Upload>,
        reading: &mut Reading,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Error>> {
        let sent = self.poll_upload(upload, cx);
        match (self.wire.borrow_mut().poll_head(reading, cx), sent) {
            // Who answers need not have taken all of the request.
            (Poll::Ready(Ok(answer)), _) => Poll::Ready(Ok(answer)),
            // What became of the request says more than the silence that follows.
            (_, Poll::Ready(Err(error))) | (Poll::Ready(Err(error)), _) => Poll::Ready(Err(error)),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    /// Sends the rest of a request. Ready when that was all.
    fn poll_upload(&self, upload: &mut Option<Upload>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let gathered = self.poll_gather(upload, cx)?;
            let wire = &mut *self.wire.borrow_mut();
            if !wire.sending {
                return Poll::Ready(Ok(()));
            }
            let piped = upload.as_ref().is_some_and(|upload| upload.pipe.is_some());
            let waits_for_room = piped || !wire.output.has_room();
            ready!(wire.poll_flush(upload, cx))?;
            if gathered.is_ready() {
                wire.sending = false;
                wire.settle();
            } else if !waits_for_room {
                return Poll::Pending;
            }
        }
    }

    /// Takes what there is of the body, as long as there is room. Ready when that was all of it.
    fn poll_gather(&self, upload: &mut Option<Upload>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(Upload { body, framing, pipe, .. }) = upload else { return Poll::Ready(Ok(())) };
        while let Some(source) = body {
            if pipe.is_some() || !self.wire.borrow().output.has_room() {
                return Poll::Pending;
            }
            let most = framing.uninterrupted().filter(|_| self.wire.borrow().takes_pipes());
            // Whosever body it is: nothing is borrowed meanwhile.
            let complete = match most.and_then(|most| source.pipe(most)) {
                Some(piece) => {
                    let piped = pipe.insert(piece).held() as u64;
                    framing.passed(piped, source.is_end_stream())?
                }
                None => {
                    let frame = ready!(Pin::new(&mut *source).poll_frame(cx)).transpose();
                    let frame = frame.map_err(|_| Error::Aborted)?;
                    let output = &mut self.wire.borrow_mut().output;
                    framing.frame(frame, source.is_end_stream(), Case::Lower, output)?
                }
            };
            if complete {
                *body = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// How far the head of a response has come.
#[derive(Debug, Default)]
struct Reading {
    /// Bytes that were looked at in vain.
    seen: usize,
    /// Interim responses so far.
    interim: u32,
}

impl Wire {
    /// Is there a connection on which nothing has come since its last exchange?
    fn is_fresh(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_busy() && self.stream.as_ref().is_some_and(|stream| !stream.is_quiet()) {
            let _ = self.poll_rest(cx);
        }
        self.stream.is_some() && !self.is_busy()
    }

    fn begin(&mut self, head: Head<'_>, body: RequestBody) -> Result<Option<Upload>, Error> {
        (self.sending, self.receiving) = (true, true);
        self.keep_alive = !says(head.headers, &CONNECTION, b"close");
        let size = (!body.is_end_stream()).then(|| body.size_hint());
        let has_body = size.is_some();
        let framing = encode::request(head, size, &mut self.output)?;
        Ok(has_body.then(|| Upload { body: Some(body), framing, pipe: None, turn: Turn::default() }))
    }

    /// Would what is in a pipe get to the upstream as it is?
    fn takes_pipes(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.socket().is_some())
    }

    /// Sends what was written, and what is in a pipe behind it.
    fn poll_flush(&mut self, upload: &mut Option<Upload>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(Error::Closed)) };
        ready!(self.output.poll_flush(stream, cx))?;
        if let (Some(Upload { pipe, turn, .. }), Some(socket)) = (upload, stream.socket()) {
            while let Some(full) = pipe {
                ready!(turn.poll_count(cx));
                turn.moved(ready!(full.poll_drain(socket, cx))?);
                pipe.take_if(|pipe| pipe.is_empty()).into_iter().for_each(Pipe::give_back);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads the head of a response, passing over interim ones.
    fn poll_head(
        &mut self,
        reading: &mut Reading,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Error>> {
        loop {
            if self.input.bytes.len() > reading.seen {
                match parse::response(&mut self.input.bytes, reading.seen, MOST_FIELDS)? {
                    Some(head) if is_interim(head.status) => {
                        (reading.seen, reading.interim) = (0, reading.interim + 1);
                        if reading.interim > MOST_INTERIM {
                            return Poll::Ready(Err(Error::Malformed("too many interim responses")));
                        }
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => reading.seen = self.input.bytes.len(),
                }
                if reading.seen > LONGEST_HEAD {
                    return Poll::Ready(Err(Error::HeadTooLong));
                }
            }
            let Some(stream) = &mut self.stream else { return Poll::Ready(Err(Error::Closed)) };
            if ready!(self.input.poll_fill(stream, cx))? == 0 {
                // What came may be no head at all; nobody looked at it as a whole yet.
                parse::response(&mut self.input.bytes, 0, MOST_FIELDS)?;
                return Poll::Ready(Err(Error::Ended));
            }
        }
    }

    /// This is the head of the response: where does its body end, and may another exchange follow?
    fn answered(&mut self, head: &ResponseHead, method: &Method) -> Result<Decoder, Error> {
        let decoder = Decoder::of_response(head, method, MOST_FIELDS)?;
        let upgrades = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let headers = &head.headers;
        // What leaves open where it ends may be followed by anything.
        let ambiguous = headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
        self.keep_alive &= head.version == Version::HTTP_11
            && !upgrades
            && !ambiguous
            && decoder != Decoder::UntilEnd
            && !says(headers, &CONNECTION, b"close");
        if decoder.is_done() && !upgrades {
            self.receiving = false;
            self.settle();
        }
        Ok(decoder)
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Sends the rest of a request whose response has begun.
async fn send_rest(connection: Connection, mut upload: Option<Upload>) {
    let sent = poll_fn(|cx| {
        let polled = connection.poll_upload(&mut upload, cx);
        if polled.is_pending() {
            connection.wire.borrow_mut().sender = Some(cx.waker().clone());
        }
        polled
    });
    let sent = sent.await;
    let wire = &mut *connection.wire.borrow_mut();
    match sent {
        Ok(()) => {}
        Err(Error::Aborted) => {
            wire.failure = Some(Error::Aborted);
            wire.close();
        }
        // Who has answered need not take the rest, and the answer is still to be read.
        Err(_) => {
            (wire.sending, wire.keep_alive) = (false, false);
            wire.output.clear();
            wire.settle();
        }
    }
}

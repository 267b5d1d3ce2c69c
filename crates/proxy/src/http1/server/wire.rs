//! What the task of a client's connection and the body of its request share.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, TE};
use http::{HeaderValue, Version};
use http_body::{Frame, SizeHint};
use tokio::io::AsyncWrite as _;
use tokio::sync::oneshot;

use super::super::decode::Decoder;
use super::super::encode::{self, Asked, Framing};
use super::super::{Error, parse, says};
use super::{Rules, Upgraded};
use crate::gate::Gate;
use crate::input::Input;
use crate::io::Prefixed;
use crate::message::{RequestHead, ResponseHead};
use crate::output::Output;
use crate::pipe::{Pipe, Turn};

/// Bytes of an unwanted body that are read for the sake of the connection. Beyond, it is cheaper to make a new one.
const PASSED_OVER: usize = 64 * 1024;

/// The connection of a client.
pub(super) struct Wire {
    /// None when it is closed, or has become something else.
    gate: Option<Gate>,
    rules: Rules,
    input: Input,
    output: Output,
    /// Bytes of a head that were looked at in vain.
    seen: usize,
    /// A request has been read.
    served: bool,
    /// The body of the request under way is not read to its end.
    receiving: bool,
    /// The answer to it has begun.
    answering: bool,
    /// Its client waits to be told that the body is wanted.
    expected: bool,
    /// Nothing more is read: what comes would be the rest of a body that nobody wants, or that broke the rules.
    deaf: bool,
    /// The connection's own task, when it waits for the end of the request's body.
    task: Option<Waker>,
    /// Who reads the request's body, and waits.
    reader: Option<Waker>,
    /// Who takes the connection over when the answer is 101.
    pub(super) upgrade: Option<oneshot::Sender<Upgraded>>,
}

/// A request, as far as its head tells.
pub(super) struct Received {
    pub(super) head: RequestHead,
    pub(super) decoder: Decoder,
    pub(super) asked: Asked,
}

impl Wire {
    pub(super) fn new(gate: Gate, rules: Rules) -> Self {
        Self {
            gate: Some(gate),
            rules,
            input: Input::new(),
            output: Output::default(),
            seen: 0,
            served: false,
            receiving: false,
            answering: false,
            expected: false,
            deaf: false,
            task: None,
            reader: None,
            upgrade: None,
        }
    }

    /// The next request; none when there will be no other. A connection that shall be `left` takes none but its first, if
    /// that has begun.
    pub(super) fn poll_request(
        &mut self,
        left: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<Received>>, Error>> {
        loop {
            if left && (self.served || self.input.bytes.is_empty()) {
                return Poll::Ready(Ok(None));
            }
            if self.input.bytes.len() > self.seen {
                match parse::request(&mut self.input.bytes, self.seen, self.rules.most_fields)? {
                    Some(head) => return Poll::Ready(self.received(head).map(Some)),
                    None => self.seen = self.input.bytes.len(),
                }
                if self.seen > self.rules.longest_head {
                    return Poll::Ready(Err(Error::HeadTooLong));
                }
            }
            let Some(gate) = &mut self.gate else { return Poll::Ready(Ok(None)) };
            match ready!(self.input.poll_fill(gate, cx)) {
                Ok(1..) => {}
                _ if self.seen > 0 => return Poll::Ready(Err(Error::Ended)),
                // Between two requests every end is a proper one.
                _ => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn received(&mut self, mut head: RequestHead) -> Result<Box<Received>, Error> {
        let (decoder, ambiguous) = Decoder::of_request(&mut head, self.rules.most_fields)?;
        let headers = &head.headers;
        let is_new = head.version != Version::HTTP_10;
        let asked = Asked {
            method: head.method.clone(),
            version: head.version,
            trailers: says(headers, &TE, b"trailers"),
            keep_alive: (is_new || says(headers, &CONNECTION, b"keep-alive"))
                && !ambiguous
                && !says(headers, &CONNECTION, b"close"),
        };
        let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        self.receiving = !decoder.is_done();
        self.expected = self.receiving && is_new && headers.get(EXPECT).is_some_and(expects);
        (self.seen, self.served, self.answering, self.upgrade) = (0, true, false, None);
        Ok(Box::new(Received { head, decoder, asked }))
    }

    /// Ready when the client is gone. One that sends more than one request at a time is not.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        // Whoever reads the body will see, and it is at its end that we look again.
        ready!(self.poll_received(cx));
        if self.deaf || !self.input.bytes.is_empty() {
            return Poll::Pending;
        }
        let Some(gate) = &mut self.gate else { return Poll::Ready(Error::Closed) };
        match ready!(self.input.poll_fill(gate, cx)) {
            Ok(0) => Poll::Ready(Error::Ended),
            Ok(_) => Poll::Pending,
            Err(error) => Poll::Ready(error.into()),
        }
    }

    /// Ready when nobody reads the body of a request any more.
    pub(super) fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.receiving {
            self.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// The next piece of the body of a request; none at its end.
    pub(super) fn poll_frame(
        &mut self,
        decoder: &mut Decoder,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if std::mem::take(&mut self.expected) {
            self.output.text().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        if !self.answering && !self.output.is_empty() {
            // What cannot be written yet is written before the answer.
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                self.heard(true);
                return Poll::Ready(Some(Err(error.into())));
            }
        }
        let polled = decoder.poll_frame(&mut self.input, self.gate.as_mut(), cx);
        if polled.is_pending() {
            self.reader = Some(cx.waker().clone());
        }
        let frame = ready!(polled);
        if decoder.is_done() || frame.is_err() {
            self.heard(frame.is_err());
        }
        Poll::Ready(frame.transpose())
    }

    /// The next piece of it, at most so long, on its way from socket to socket; none where [`Wire::poll_frame`] has to be asked.
    pub(super) fn pipe(&mut self, decoder: &mut Decoder, most: u64) -> Option<Pipe> {
        // Who waits to be told that the body is wanted is told by the other.
        let gate = self.gate.as_mut().filter(|_| !self.expected)?;
        let pipe = decoder.pipe(&mut self.input, gate, most)?;
        if decoder.is_done() {
            self.heard(false);
        }
        Some(pipe)
    }

    /// Nobody wants the rest of a body: it is thrown away, if it has come already.
    pub(super) fn pass_over(&mut self, decoder: &mut Decoder) {
        self.expected = false;
        let mut cx = Context::from_waker(Waker::noop());
        let mut left = PASSED_OVER;
        while !decoder.is_done() {
            let Poll::Ready(Ok(frame)) = decoder.poll_frame(&mut self.input, self.gate.as_mut(), &mut cx)
            else {
                break;
            };
            let length = frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
        }
        self.heard(!decoder.is_done());
    }

    /// The body of the request is over, complete or not.
    fn heard(&mut self, cut: bool) {
        self.receiving = false;
        self.deaf |= cut;
        self.reader = None;
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// Writes the head of an answer; tells how its body is framed, and whether the connection may go on behind it.
    pub(super) fn begin(
        &mut self,
        head: &ResponseHead,
        size: Option<SizeHint>,
        mut asked: Asked,
    ) -> Result<(Framing, bool), Error> {
        self.answering = true;
        self.expected = false;
        asked.keep_alive &= !self.deaf;
        encode::response(head, size, &asked, self.rules.case, &mut self.output)
    }

    /// Writes a piece of an answer's body. True when it was the last.
    pub(super) fn write(
        &mut self,
        framing: &mut Framing,
        frame: Option<Frame<Bytes>>,
        last: bool,
    ) -> Result<bool, Error> {
        framing.frame(frame, last, self.rules.case, &mut self.output)
    }

    /// May more be written before it is sent?
    pub(super) fn has_room(&self) -> bool {
        self.output.has_room()
    }

    /// Sends what was written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.gate {
            Some(gate) => self.output.poll_flush(gate, cx),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Would what is in a pipe get to the client as it is?
    pub(super) fn takes_pipes(&self) -> bool {
        self.gate.as_ref().is_some_and(Gate::writes_to_socket)
    }

    /// Sends what is in a pipe, behind what was written, and counts it.
    pub(super) fn poll_drain(
        &mut self,
        pipe: &mut Pipe,
        turn: &mut Turn,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(gate) = &mut self.gate else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        while !pipe.is_empty() {
            ready!(turn.poll_count(cx));
            turn.moved(ready!(gate.poll_drain(pipe, cx))?);
        }
        Pin::new(gate).poll_flush(cx)
    }

    /// An answer has been sent, and its request read. True when another request may follow.
    pub(super) fn settle(&mut self, keep_alive: bool) -> bool {
        self.input.settle();
        keep_alive && !self.deaf && self.gate.is_some()
    }

    /// Hands the connection over, with what was read of it, to who asked for it.
    pub(super) fn surrender(&mut self) {
        if let (Some(upgrade), Some(gate)) = (self.upgrade.take(), self.gate.take()) {
            // Who asked may have gone meanwhile.
            let _ = upgrade.send(Prefixed::new(self.input.take(), gate));
        }
    }

    /// Ends the connection properly.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.gate {
            Some(gate) => Pin::new(gate).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn close(&mut self) {
        (self.gate, self.upgrade, self.receiving) = (None, None, false);
        self.output.clear();
        drop(self.input.take());
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

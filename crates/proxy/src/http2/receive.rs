//! What a client sends, frame by frame (RFC 9113 §6): requests here, what rules their streams in [`control`].

mod control;

use bytes::{Buf as _, BytesMut};
use h2::Reason;
use http::StatusCode;

use super::block::{self, Block, Fault};
use super::connection::{Connection, Ending, Leaving};
use super::frame::{self, Head};
use super::hpack;
use super::stream::{self, Over};
use crate::message::RequestHead;
use control::dependency;

/// Pieces that one block of fields may come in.
const PIECES: u32 = 32;

/// Reads what a client sends.
#[derive(Debug)]
pub(super) struct Receiver {
    /// What is still to come of the preface.
    preface: &'static [u8],
    /// Its first frame has come.
    begun: bool,
    /// A block of fields whose end has not come.
    unfinished: Option<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    head: Head,
    block: Vec<u8>,
    pieces: u32,
}

/// A request has come.
pub(super) struct Received {
    pub(super) head: RequestHead,
    pub(super) stream: stream::Shared,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Self { preface: frame::PREFACE, begun: false, unfinished: None }
    }

    /// Takes frames from the front of `bytes` until there is a request among them, or no more whole ones.
    ///
    /// # Errors
    /// Why the connection must end.
    pub(super) fn next(
        &mut self,
        connection: &mut Connection,
        bytes: &mut BytesMut,
    ) -> Result<Option<Received>, Reason> {
        if !self.preface.is_empty() && !self.opened(bytes)? {
            return Ok(None);
        }
        // What answers these frames waits for the client too.
        while connection.output.has_room()
            && let Some(head) = Head::read(bytes)
        {
            if head.length > frame::LARGEST {
                return Err(Reason::FRAME_SIZE_ERROR);
            }
            let whole = frame::HEAD + head.length;
            if bytes.len() < whole {
                break;
            }
            if !connection.worth.came(whole) {
                return Err(Reason::ENHANCE_YOUR_CALM);
            }
            let received = self.frame(connection, head, &bytes[frame::HEAD..whole]);
            bytes.advance(whole);
            if let Some(received) = received? {
                return Ok(Some(received));
            }
        }
        Ok(None)
    }

    /// Takes the preface off; true when it was all there.
    fn opened(&mut self, bytes: &mut BytesMut) -> Result<bool, Reason> {
        let length = self.preface.len().min(bytes.len());
        let (come, left) = self.preface.split_at(length);
        if bytes[..length] != *come {
            return Err(Reason::PROTOCOL_ERROR);
        }
        bytes.advance(length);
        self.preface = left;
        Ok(left.is_empty())
    }

    fn frame(
        &mut self,
        connection: &mut Connection,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Received>, Reason> {
        let continues = head.kind == frame::CONTINUATION;
        if self.unfinished.as_ref().is_some_and(|block| !continues || block.head.stream != head.stream)
            || (!self.begun && head.kind != frame::SETTINGS)
        {
            return Err(Reason::PROTOCOL_ERROR);
        }
        self.begun = true;
        match head.kind {
            frame::HEADERS => return self.headers(connection, head, payload),
            frame::CONTINUATION => return self.continuation(connection, head, payload),
            frame::DATA => connection.data(head, payload)?,
            frame::PRIORITY => connection.priority(head, payload)?,
            frame::RST_STREAM => connection.rst_stream(head, payload)?,
            frame::SETTINGS => connection.settings(head, payload)?,
            frame::PING => connection.ping(head, payload)?,
            frame::WINDOW_UPDATE => connection.window_update(head, payload)?,
            frame::GOAWAY if head.stream != 0 => return Err(Reason::PROTOCOL_ERROR),
            frame::GOAWAY if payload.len() < 8 => return Err(Reason::FRAME_SIZE_ERROR),
            frame::GOAWAY => connection.client_leaves = true,
            frame::PUSH_PROMISE => return Err(Reason::PROTOCOL_ERROR),
            // §5.5
            _ => {}
        }
        Ok(None)
    }

    /// §6.2
    fn headers(
        &mut self,
        connection: &mut Connection,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Received>, Reason> {
        if head.stream.is_multiple_of(2) {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let mut block = head.unpadded(payload)?;
        let mut depends_on_itself = false;
        if head.has(frame::PRIORITISED) {
            let (priority, rest) = block.split_first_chunk::<5>().ok_or(Reason::FRAME_SIZE_ERROR)?;
            depends_on_itself = dependency(priority) == head.stream;
            block = rest;
        }
        match head.has(frame::END_HEADERS) {
            true => connection.block(head, block, depends_on_itself),
            false => {
                self.unfinished = Some(Unfinished { head, block: block.to_vec(), pieces: 1 });
                Ok(None)
            }
        }
    }

    /// §6.10
    fn continuation(
        &mut self,
        connection: &mut Connection,
        head: Head,
        payload: &[u8],
    ) -> Result<Option<Received>, Reason> {
        let mut unfinished = self.unfinished.take().ok_or(Reason::PROTOCOL_ERROR)?;
        unfinished.block.extend_from_slice(payload);
        unfinished.pieces += 1;
        // A block that is larger than allowed is refused when it has been read; this is one that does not end.
        let most = connection.rules.head as usize * 2 + frame::LARGEST;
        if unfinished.pieces > PIECES || unfinished.block.len() > most {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        if head.has(frame::END_HEADERS) {
            return connection.block(unfinished.head, &unfinished.block, false);
        }
        self.unfinished = Some(unfinished);
        Ok(None)
    }
}

impl Connection {
    /// A block of fields is complete: it begins a request or ends one.
    fn block(
        &mut self,
        head: Head,
        bytes: &[u8],
        depends_on_itself: bool,
    ) -> Result<Option<Received>, Reason> {
        let mut block = Block::new();
        let most = self.rules.head as usize;
        let decoded = self.decoder.decode(bytes, |field, size| block.take(field, size, most));
        decoded.map_err(|hpack::Compression| Reason::COMPRESSION_ERROR)?;
        let id = head.stream;
        if id <= self.last {
            return self.trailers(head, block).map(|()| None);
        }
        self.last = id;
        let ended = head.has(frame::END_STREAM);
        let request = block.into_request();
        let request = request.and_then(|head| Ok((block::length(&head.headers)?, head)));
        let request = request.and_then(|(length, head)| match (ended, length, depends_on_itself) {
            (_, _, true) | (true, Some(1..), _) => Err(Fault::Malformed),
            _ => Ok((length, head)),
        });
        let reason = match request {
            // Who knows that we leave sends no more; and there are only so many at a time.
            Ok((length, head))
                if self.leaving != Leaving::Known && self.open() < self.rules.streams as usize =>
            {
                self.worth.carried(bytes.len());
                let stream = self.begin(length.filter(|_| !ended), ended);
                return Ok(Some(Received { head, stream }));
            }
            Ok(_) => Reason::REFUSED_STREAM,
            Err(Fault::Malformed) => Reason::PROTOCOL_ERROR,
            Err(Fault::TooLarge) => {
                self.too_large(id);
                Reason::NO_ERROR
            }
        };
        self.spend_provoked()?;
        self.refuse(id, reason);
        Ok(None)
    }

    /// Answers a request whose head is too large (RFC 6585 §5).
    fn too_large(&mut self, id: u32) {
        let status = Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        self.send_block(id, true, |text| hpack::encode(status, std::iter::empty(), text));
    }

    /// A block behind the first of a stream (§8.1).
    fn trailers(&mut self, head: Head, block: Block) -> Result<(), Reason> {
        let Some(shared) = self.stream(head.stream) else {
            return match self.ending(head.stream) {
                Some(Ending::Reset) => Ok(()),
                Some(Ending::Closed) => Err(Reason::STREAM_CLOSED),
                // §5.1.1: it was passed over.
                None => Err(Reason::PROTOCOL_ERROR),
            };
        };
        let stream = &mut *shared.borrow_mut();
        let whole = head.has(frame::END_STREAM) && !matches!(stream.length, Some(1..));
        let fault = match (stream.heard_all, block.into_trailers()) {
            (true, _) => Reason::STREAM_CLOSED,
            (false, Ok(trailers)) if whole => {
                stream.trailers = Some(trailers);
                self.heard_all(stream);
                return Ok(());
            }
            _ => Reason::PROTOCOL_ERROR,
        };
        self.broken(stream, fault)
    }

    /// A request has come to its end.
    fn heard_all(&mut self, stream: &mut stream::Stream) {
        stream.heard_all = true;
        stream.wake_reader();
        if stream.said_all {
            self.remember(stream.id, Ending::Closed);
        }
    }

    /// The client broke the rules in one stream.
    fn broken(&mut self, stream: &mut stream::Stream, reason: Reason) -> Result<(), Reason> {
        self.spend_provoked()?;
        self.reset(stream, reason, Over::Broken(reason));
        Ok(())
    }

    fn spend_provoked(&mut self) -> Result<(), Reason> {
        if self.provoked.spend() { Ok(()) } else { Err(Reason::ENHANCE_YOUR_CALM) }
    }

    /// §6.1
    fn data(&mut self, head: Head, payload: &[u8]) -> Result<(), Reason> {
        if head.stream == 0 || head.stream > self.last {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let data = head.unpadded(payload)?;
        self.window -= payload.len() as i64;
        if self.window < 0 {
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
        let Some(shared) = self.stream(head.stream) else {
            self.took_of_all(payload.len());
            if self.ending(head.stream) != Some(Ending::Reset) {
                self.spend_provoked()?;
                self.refuse(head.stream, Reason::STREAM_CLOSED);
            }
            return Ok(());
        };
        let stream = &mut *shared.borrow_mut();
        stream.window -= payload.len() as i64;
        let left = stream.length.map(|length| length.checked_sub(data.len() as u64));
        let ended = head.has(frame::END_STREAM);
        let fault = match left {
            _ if stream.heard_all => Some(Reason::STREAM_CLOSED),
            _ if stream.window < 0 => Some(Reason::FLOW_CONTROL_ERROR),
            Some(None) => Some(Reason::PROTOCOL_ERROR),
            Some(Some(1..)) if ended => Some(Reason::PROTOCOL_ERROR),
            _ => None,
        };
        if let Some(fault) = fault {
            self.took_of_all(payload.len());
            return self.broken(stream, fault);
        }
        stream.length = left.flatten();
        self.worth.carried(data.len());
        if stream.unread {
            self.took_of_all(payload.len());
        } else {
            stream.data.extend_from_slice(data);
            stream.wake_reader();
            self.took(stream, payload.len() - data.len());
        }
        if ended {
            self.heard_all(stream);
        }
        Ok(())
    }
}

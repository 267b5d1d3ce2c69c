//! Bodies, as the stages see them: streams of bytes with back-pressure, never whole in memory.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::codec::{self, Incoming};
use crate::pipe::Pipe;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The peer it comes from broke off or sent nonsense.
    #[error("the sender broke off: {0}")]
    Source(#[from] codec::Error),
    /// More bytes than the policy allows.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// The exchange took longer than allowed.
    #[error("the exchange took longer than allowed")]
    TimedOut,
    /// A copy of a body whose original ended early, or was too fast for the copy.
    #[error("the body that this is a copy of ended early")]
    CopyEnded,
}

/// What is kept of a request body so that it can be sent again.
const REPLAY_LIMIT: usize = 64 * 1024;

/// A request's body on its way upstream. Clones share one source: a later attempt sends again what an earlier one took.
pub(crate) struct RequestBody {
    kind: Kind,
    /// Position in the shared record, for [`Kind::Shared`].
    next: usize,
}

enum Kind {
    Empty,
    /// One that is known; none when it was given.
    Whole(Option<Bytes>),
    Shared(Rc<RefCell<Inbound>>),
    /// None ends it; a channel that ends without cuts it.
    Copy(mpsc::Receiver<Option<Frame<Bytes>>>),
}

/// The client's body: what has come so far (as long as it is worth keeping) and where the rest comes from.
pub(crate) struct Inbound {
    source: Incoming,
    ended: bool,
    /// Frames already taken: all of them, while they can be replayed; else those that were looked at first.
    record: Vec<Frame<Bytes>>,
    /// Frames are kept for another attempt.
    replay: bool,
    /// Frames at the beginning that somebody has looked at, and that are still to be sent.
    looked_at: usize,
    taken: usize,
    bytes: u64,
    limit: Option<u64>,
    copies: Vec<mpsc::Sender<Option<Frame<Bytes>>>>,
    exceeded: bool,
    broken: Option<Break>,
    /// Last time that something came; first, when the request did.
    moved: Instant,
}

/// Why a client's body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// The client is gone, or its connection.
    Gone,
    /// The framing of the body breaks the rules.
    Malformed,
}

impl RequestBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self { kind: Kind::Empty, next: 0 }
    }

    /// This, and nothing else.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { kind: Kind::Whole(Some(bytes)), next: 0 }
    }

    /// The client's body.
    pub(crate) fn inbound(inbound: &Rc<RefCell<Inbound>>) -> Self {
        Self { kind: Kind::Shared(Rc::clone(inbound)), next: 0 }
    }

    /// A copy, fed by an [`Inbound`].
    pub(crate) fn copy(frames: mpsc::Receiver<Option<Frame<Bytes>>>) -> Self {
        Self { kind: Kind::Copy(frames), next: 0 }
    }

    /// The next piece, at most so long, on its way from socket to socket; none where frames have to be asked for.
    pub(crate) fn pipe(&mut self, most: u64) -> Option<Pipe> {
        let Kind::Shared(inbound) = &self.kind else { return None };
        let mut inbound = inbound.borrow_mut();
        let pipe = (self.next == inbound.taken).then(|| inbound.pipe(most)).flatten()?;
        self.next += 1;
        Some(pipe)
    }
}

impl Inbound {
    /// Takes over the client's body. With `replay`, the first 64 KiB are kept for another attempt.
    pub(crate) fn new(source: Incoming, limit: Option<u64>, replay: bool) -> Self {
        Self {
            source,
            ended: false,
            record: Vec::new(),
            replay,
            looked_at: 0,
            taken: 0,
            bytes: 0,
            limit,
            copies: Vec::new(),
            exceeded: false,
            broken: None,
            moved: Instant::now(),
        }
    }

    /// Also sends every frame there, as long as there is room.
    pub(crate) fn copy_to(&mut self, copy: mpsc::Sender<Option<Frame<Bytes>>>) {
        let looked_at = self.record.iter().all(|frame| copy.try_send(Some(clone(frame))).is_ok());
        if looked_at {
            self.copies.push(copy);
        }
        if self.ended() {
            self.end_copies();
        }
    }

    /// Looks at the first bytes, which stay to be sent; true when there are more of them than that. None when the body
    /// broke off.
    pub(crate) async fn look_at(&mut self, most: usize) -> Option<(Bytes, bool)> {
        while self.bytes <= most as u64 && !self.ended() {
            let frame = poll_fn(|cx| self.poll_next(cx)).await;
            match frame {
                Some(Ok(frame)) => self.record.push(frame),
                Some(Err(_)) => return None,
                None => break,
            }
            self.looked_at = self.record.len();
        }
        let mut bytes = BytesMut::new();
        for data in self.record.iter().filter_map(Frame::data_ref) {
            bytes.extend_from_slice(&data[..data.len().min(most - bytes.len())]);
        }
        Some((bytes.freeze(), self.bytes > most as u64))
    }

    /// What was looked at goes upstream now, and the rest, with this limit. With `replay` as in [`Inbound::new`].
    pub(crate) fn go_on(mut self, limit: Option<u64>, replay: bool) -> Self {
        (self.limit, self.replay) = (limit, replay);
        self.exceeded |= limit.is_some_and(|limit| self.bytes > limit);
        self
    }

    /// Bytes received so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The client sent more than it may.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Why the body broke off before its end, if it did.
    pub(crate) fn broken(&self) -> Option<Break> {
        self.broken
    }

    /// Last time that something of it came.
    pub(crate) fn moved(&self) -> Instant {
        self.moved
    }

    /// Everything has been received.
    pub(crate) fn ended(&self) -> bool {
        self.ended || self.source.is_end_stream()
    }

    /// Can another attempt send the whole body?
    pub(crate) fn replayable(&self) -> bool {
        self.record.len() == self.taken
    }

    /// Takes the next frame from the client, records it as wanted, and copies it.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = ready!(self.poll_next(cx));
        if let Some(Ok(frame)) = &polled {
            self.replay &= self.bytes <= REPLAY_LIMIT as u64;
            match self.replay {
                true => self.record.push(clone(frame)),
                false => self.record.truncate(self.looked_at),
            }
            // A copy that is slower than the client is broken off rather than slowing the original down.
            self.copies.retain(|copy| copy.try_send(Some(clone(frame))).is_ok());
        }
        if self.ended() {
            self.end_copies();
        }
        Poll::Ready(polled)
    }

    /// As [`RequestBody::pipe`]: what is to be kept, or copied, comes in frames.
    fn pipe(&mut self, most: u64) -> Option<Pipe> {
        let source = Some(&mut self.source).filter(|_| !self.replay && self.copies.is_empty())?;
        let allowed = self.limit.map_or(most, |limit| limit.saturating_sub(self.bytes));
        let pipe = source.pipe(most.min(allowed))?;
        (self.moved, self.taken) = (Instant::now(), self.taken + 1);
        self.bytes += pipe.held() as u64;
        self.record.truncate(self.looked_at);
        Some(pipe)
    }

    /// Takes the next frame from the client.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
            None => {
                (self.ended, self.moved) = (true, Instant::now());
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                self.broken = Some(if error.is_malformed() { Break::Malformed } else { Break::Gone });
                return Poll::Ready(Some(Err(error.into())));
            }
            Some(Ok(frame)) => frame,
        };
        self.moved = Instant::now();
        let frame = match passed(frame).into_trailers() {
            Ok(trailers) => Frame::trailers(without_identities(trailers)),
            Err(other) => other,
        };
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.limit.is_some_and(|limit| self.bytes > limit) {
            self.exceeded = true;
            return Poll::Ready(Some(Err(BodyError::TooLarge)));
        }
        self.taken += 1;
        Poll::Ready(Some(Ok(frame)))
    }

    /// Tells the copies that they are complete. One that hears nothing more instead is cut.
    fn end_copies(&mut self) {
        for copy in self.copies.drain(..) {
            // Without room for the word it is not complete either.
            let _ = copy.try_send(None);
        }
    }
}

fn clone(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(data), _) => Frame::data(data.clone()),
        (None, Some(trailers)) => Frame::trailers(trailers.clone()),
        (None, None) => Frame::data(Bytes::new()),
    }
}

/// A frame as it goes on: of trailers, those that may.
pub(crate) fn passed(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(allowed_trailers(trailers)),
        Err(other) => other,
    }
}

/// Trailers that name framing, routing or authorisation, or that only proxies may set, are dropped (RFC 9110 §6.5.1):
/// whoever merges them into the header would believe them.
fn allowed_trailers(mut trailers: HeaderMap) -> HeaderMap {
    const NAMES: [&str; 18] = [
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-request-id",
    ];
    const PREFIXES: [&str; 3] = ["x-amzn-", "x-envoy-", "x-forwarded-"];
    let is_forbidden = |name: &HeaderName| {
        // CGI-like applications read dashes as underscores.
        let name = &*name.as_str().replace('_', "-");
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    let forbidden: Vec<_> = trailers.keys().filter(|name| is_forbidden(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    trailers
}

/// In trailers clients tell nobody who they are, by none of the families of fields by which gateways tell it.
fn without_identities(mut trailers: HeaderMap) -> HeaderMap {
    const FAMILIES: [&str; 5] = ["ssl-client-", "x-auth-", "x-jwt-", "x-real-ip", "x-remote-"];
    let names = trailers.keys().filter(|name| {
        let name = name.as_str().replace('_', "-");
        FAMILIES.iter().any(|start| name.starts_with(start))
    });
    for name in names.cloned().collect::<Vec<_>>() {
        trailers.remove(name);
    }
    trailers
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match &mut this.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Copy(frames) => Poll::Ready(match ready!(frames.poll_recv(cx)) {
                Some(Some(frame)) => Some(Ok(frame)),
                Some(None) => None,
                None => Some(Err(BodyError::CopyEnded)),
            }),
            Kind::Shared(inbound) => {
                let mut inbound = inbound.borrow_mut();
                if inbound.exceeded {
                    return Poll::Ready(Some(Err(BodyError::TooLarge)));
                }
                if let Some(frame) = inbound.record.get(this.next) {
                    let frame = clone(frame);
                    this.next += 1;
                    return Poll::Ready(Some(Ok(frame)));
                }
                if inbound.ended {
                    return Poll::Ready(None);
                }
                if this.next < inbound.taken {
                    return Poll::Ready(Some(Err(BodyError::CopyEnded)));
                }
                let frame = ready!(inbound.poll_source(cx));
                this.next += 1;
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Copy(_) => false,
            Kind::Shared(inbound) => {
                let inbound = inbound.borrow();
                self.next >= inbound.taken && inbound.ended()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Copy(_) => SizeHint::default(),
            Kind::Shared(inbound) => {
                let inbound = inbound.borrow();
                // What has been taken must be sent again before the rest.
                match self.next == inbound.taken {
                    true => inbound.source.size_hint(),
                    false => SizeHint::default(),
                }
            }
        }
    }
}

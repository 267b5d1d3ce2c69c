//! What the streams of a connection share: windows, the order in which they send, and how the connection ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Bytes;
use h2::Reason;

use super::budget::{Budget, Worth};
use super::frame::{self, setting};
use super::hpack::Decoder;
use super::server::Rules;
use super::stream::{self, Over, Piece, Stream};
use crate::output::Output;

/// Windows before anybody says otherwise (RFC 9113 §6.9.2).
const INITIAL_WINDOW: u32 = 65_535;
/// Streams that have ended whose late frames are still told from those of streams that never were.
const REMEMBERED: usize = 128;
/// Identifies the `PING` whose answer tells that the client knows of our leaving.
pub(super) const FAREWELL: [u8; 8] = *b"farewell";

/// A connection, as its task and those who serve its streams share it: borrowed for one poll and never across one.
pub(super) type Shared = Rc<RefCell<Connection>>;

/// How far our leaving has come (§6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// The client was told; requests that it sent before it knew are still taken.
    Told,
    /// It knows.
    Known,
}

/// How a stream ended that is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Both sides were complete, or the client reset it: it sends nothing more.
    Closed,
    /// We reset it: what the client sent before it knew is passed over.
    Reset,
}

/// The state of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) rules: Rules,
    pub(super) decoder: Decoder,
    /// What is to be written.
    pub(super) output: Output,
    /// Streams that are not complete, by their numbers, ascending.
    streams: Vec<(u32, stream::Shared)>,
    ended: VecDeque<(u32, Ending)>,
    /// Streams whose next piece waits for room in the connection, in their turn.
    queue: VecDeque<stream::Shared>,
    /// The latest stream that was begun.
    pub(super) last: u32,
    /// So much the client takes, in all streams.
    pub(super) room: i64,
    /// And of a stream at first.
    pub(super) initial_room: u32,
    /// So much may come, in all streams.
    pub(super) window: i64,
    taken: u32,
    pub(super) leaving: Leaving,
    /// The client makes no more requests.
    pub(super) client_leaves: bool,
    /// Resets of requests that nobody had begun with, resets of those that were not answered, and resets that were provoked.
    pub(super) unseen: Budget,
    pub(super) cancelled: Budget,
    pub(super) provoked: Budget,
    pub(super) worth: Worth,
    /// The connection's task, and that it runs, or will.
    task: Option<Waker>,
    awake: bool,
}

impl Connection {
    /// The state at the beginning. What we have to say first is written.
    pub(super) fn new(rules: Rules) -> Self {
        let mut output = Output::default();
        let settings = [
            (setting::MAX_CONCURRENT_STREAMS, rules.streams),
            (setting::INITIAL_WINDOW_SIZE, rules.window.0),
            (setting::MAX_HEADER_LIST_SIZE, rules.head),
        ];
        frame::settings(&settings, output.text());
        let more = rules.window.1.saturating_sub(INITIAL_WINDOW);
        if more > 0 {
            frame::number(frame::WINDOW_UPDATE, 0, more, output.text());
        }
        Self {
            rules,
            decoder: Decoder::new(),
            output,
            streams: Vec::new(),
            ended: VecDeque::new(),
            queue: VecDeque::new(),
            last: 0,
            room: i64::from(INITIAL_WINDOW),
            initial_room: INITIAL_WINDOW,
            window: i64::from(INITIAL_WINDOW.max(rules.window.1)),
            taken: 0,
            leaving: Leaving::No,
            client_leaves: false,
            unseen: Budget::new(rules.resets.0),
            cancelled: Budget::new((rules.streams as usize).saturating_mul(8)),
            provoked: Budget::new(rules.resets.1),
            worth: Worth::default(),
            task: None,
            awake: true,
        }
    }

    /// The connection's task begins a turn: nobody has to wake it.
    pub(super) fn begin_turn(&mut self, cx: &Context<'_>) {
        self.awake = true;
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
        }
    }

    /// And has ended it.
    pub(super) fn end_turn(&mut self) {
        self.awake = false;
    }

    /// There is something to be written, or to be ended.
    fn wake(&mut self) {
        if !std::mem::replace(&mut self.awake, true)
            && let Some(task) = &self.task
        {
            task.wake_by_ref();
        }
    }

    /// How many streams are not complete.
    pub(super) fn open(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &stream::Shared> {
        self.streams.iter().map(|(_, stream)| stream)
    }

    /// A stream that is not complete.
    pub(super) fn stream(&self, id: u32) -> Option<stream::Shared> {
        let at = self.streams.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(Rc::clone(&self.streams[at].1))
    }

    /// A stream begins; its number is the greatest.
    pub(super) fn begin(&mut self, length: Option<u64>, heard_all: bool) -> stream::Shared {
        let window = i64::from(self.rules.window.0);
        let stream = Stream::new(self.last, length, heard_all, window, i64::from(self.initial_room));
        let stream = Rc::new(RefCell::new(stream));
        self.streams.push((self.last, Rc::clone(&stream)));
        stream
    }

    /// How a stream ended, as far as that is remembered.
    pub(super) fn ending(&self, id: u32) -> Option<Ending> {
        self.ended.iter().rev().find(|(ended, _)| *ended == id).map(|(_, ending)| *ending)
    }

    /// A stream is complete, or was given up.
    pub(super) fn remember(&mut self, id: u32, ending: Ending) {
        if let Ok(at) = self.streams.binary_search_by_key(&id, |(id, _)| *id) {
            self.streams.remove(at);
        }
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, ending));
        if self.streams.is_empty() && (self.client_leaves || self.leaving != Leaving::No) {
            self.wake();
        }
    }

    /// Resets a stream, which ends so for those who serve it.
    pub(super) fn reset(&mut self, stream: &mut Stream, reason: Reason, over: Over) {
        if stream.over.is_none() && !(stream.heard_all && stream.said_all) {
            self.refuse(stream.id, reason);
        }
        stream.end(over);
    }

    /// Resets a stream that nobody serves.
    pub(super) fn refuse(&mut self, id: u32, reason: Reason) {
        frame::number(frame::RST_STREAM, id, reason.into(), self.output.text());
        self.remember(id, Ending::Reset);
        self.wake();
    }

    /// An answer has come to its end. What is still to come of its request nobody will read.
    pub(super) fn said_all(&mut self, stream: &mut Stream) {
        stream.said_all = true;
        if stream.heard_all {
            self.remember(stream.id, Ending::Closed);
        } else if stream.unread {
            // §8.1: the client is to stop sending it, and keeps the answer.
            self.reset(stream, Reason::NO_ERROR, Over::Ended);
        }
    }

    /// Nobody reads the body of a request any more: what was not taken of it goes back to the connection's window.
    pub(super) fn leave_unread(&mut self, stream: &mut Stream) {
        stream.unread = true;
        let left = std::mem::take(&mut stream.data).len();
        self.took_of_all(left);
        if stream.said_all && !stream.heard_all && stream.over.is_none() {
            self.reset(stream, Reason::NO_ERROR, Over::Ended);
        }
    }

    /// So much of what came of a stream was taken: as much may come again, and the client is told in time.
    pub(super) fn took(&mut self, stream: &mut Stream, bytes: usize) {
        stream.taken += bytes as u32;
        if !stream.heard_all && stream.over.is_none() && stream.taken >= self.rules.window.0 / 2 {
            frame::number(frame::WINDOW_UPDATE, stream.id, stream.taken, self.output.text());
            stream.window += i64::from(std::mem::take(&mut stream.taken));
            self.wake();
        }
        self.took_of_all(bytes);
    }

    /// As [`Connection::took`], for what counts in no stream.
    pub(super) fn took_of_all(&mut self, bytes: usize) {
        self.taken += bytes as u32;
        if self.taken >= self.rules.window.1.max(INITIAL_WINDOW) / 2 {
            frame::number(frame::WINDOW_UPDATE, 0, self.taken, self.output.text());
            self.window += i64::from(std::mem::take(&mut self.taken));
            self.wake();
        }
    }

    /// Writes a block of fields, which `write` makes, the last of its stream perhaps.
    pub(super) fn send_block(&mut self, id: u32, last: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let text = self.output.text();
        let start = text.len();
        text.extend_from_slice(&[0; frame::HEAD]);
        write(text);
        let length = text.len() - start;
        frame::end_block(start, last, id, text);
        self.worth.carried(length);
        self.wake();
    }

    /// Sends a piece of an answer: at once as far as there is room, the rest when there is.
    pub(super) fn send(&mut self, shared: &stream::Shared, bytes: Bytes, last: bool) {
        let stream = &mut *shared.borrow_mut();
        if stream.over.is_some() {
            return;
        }
        stream.pending = Some(Piece { bytes, last });
        if self.queue.is_empty() {
            while self.carry(stream) {}
        }
        self.enqueue(shared, stream);
        self.wake();
    }

    /// A stream waits for its turn, if it is the connection's room that it waits for.
    pub(super) fn enqueue(&mut self, shared: &stream::Shared, stream: &mut Stream) {
        if stream.is_ready() && !stream.queued {
            stream.queued = true;
            self.queue.push_back(Rc::clone(shared));
        }
    }

    /// Lets those that wait send, one frame each in their turn, until there is no room.
    pub(super) fn carry_queue(&mut self) {
        while self.output.has_room()
            && let Some(shared) = self.queue.pop_front()
        {
            let stream = &mut *shared.borrow_mut();
            stream.queued = false;
            let carried = self.carry(stream);
            if stream.is_ready() {
                stream.queued = true;
                match carried {
                    true => self.queue.push_back(Rc::clone(&shared)),
                    // The client takes nothing, of any stream.
                    false => return self.queue.push_front(Rc::clone(&shared)),
                }
            }
        }
    }

    /// Does a stream wait that could go on now?
    pub(super) fn has_waiting(&self) -> bool {
        !self.queue.is_empty() && self.room > 0
    }

    /// Writes one frame of what waits in a stream; false when none can be.
    fn carry(&mut self, stream: &mut Stream) -> bool {
        let Some(piece) = &mut stream.pending else { return false };
        let room = stream.room.min(self.room).max(0) as usize;
        let length = piece.bytes.len().min(room).min(frame::LARGEST);
        if (length == 0 && !piece.bytes.is_empty()) || !self.output.has_room() {
            return false;
        }
        let whole = length == piece.bytes.len();
        let last = whole && piece.last;
        let bytes = if whole { std::mem::take(&mut piece.bytes) } else { piece.bytes.split_to(length) };
        frame::head(
            length,
            frame::DATA,
            if last { frame::END_STREAM } else { 0 },
            stream.id,
            self.output.text(),
        );
        self.output.push(bytes);
        self.worth.carried(length);
        (stream.room, self.room) = (stream.room - length as i64, self.room - length as i64);
        stream.moved = true;
        if whole {
            stream.pending = None;
        }
        stream.wake_writer();
        if last {
            self.said_all(stream);
        }
        true
    }

    /// The connection has ended, and all its streams with it.
    pub(super) fn end(&mut self, over: Over) {
        self.queue.clear();
        for (_, stream) in self.streams.drain(..) {
            stream.borrow_mut().end(over);
        }
        self.task = None;
    }

    /// Tells the client that we leave: it makes no more requests (§6.8).
    pub(super) fn leave(&mut self) {
        self.leaving = Leaving::Told;
        frame::goaway(0x7FFF_FFFF, Reason::NO_ERROR, self.output.text());
        frame::ping(0, &FAREWELL, self.output.text());
    }

    /// Is everything done that there is to do?
    pub(super) fn is_done(&self) -> bool {
        self.streams.is_empty() && (self.client_leaves || self.leaving == Leaving::Known)
    }
}

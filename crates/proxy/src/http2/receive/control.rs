//! Frames that carry nothing of a request: they rule streams, windows and the connection.

use h2::Reason;

use crate::http2::connection::{Connection, Ending, FAREWELL, Leaving};
use crate::http2::frame::{self, Head, setting};
use crate::http2::stream::{self, Over};

/// The greatest window (RFC 9113 §6.9.1).
const GREATEST_WINDOW: i64 = 0x7FFF_FFFF;

/// What a stream depends on (RFC 7540 §5.3.1), of which nothing else is heeded.
pub(super) fn dependency(priority: &[u8; 5]) -> u32 {
    let [a, b, c, d, _] = *priority;
    u32::from_be_bytes([a, b, c, d]) & 0x7FFF_FFFF
}

impl Connection {
    /// §6.3
    pub(super) fn priority(&mut self, head: Head, payload: &[u8]) -> Result<(), Reason> {
        let id = head.stream;
        match (<&[u8; 5]>::try_from(payload), self.stream(id)) {
            _ if id == 0 => Err(Reason::PROTOCOL_ERROR),
            (Ok(priority), _) if dependency(priority) != id => Ok(()),
            (Ok(_), Some(stream)) => self.broken(&mut stream.borrow_mut(), Reason::PROTOCOL_ERROR),
            (Err(_), Some(stream)) => self.broken(&mut stream.borrow_mut(), Reason::FRAME_SIZE_ERROR),
            // Of a stream that nobody knows only the connection can be told.
            (Ok(_), None) => Err(Reason::PROTOCOL_ERROR),
            (Err(_), None) => Err(Reason::FRAME_SIZE_ERROR),
        }
    }

    /// §6.4
    pub(super) fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<(), Reason> {
        let reason = u32::from_be_bytes(payload.try_into().map_err(|_| Reason::FRAME_SIZE_ERROR)?);
        if head.stream == 0 || head.stream > self.last {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let Some(shared) = self.stream(head.stream) else { return Ok(()) };
        let stream = &mut *shared.borrow_mut();
        // Requests that are made only to be reset keep upstreams busy (CVE-2023-44487).
        let budget = if stream.begun { &mut self.cancelled } else { &mut self.unseen };
        if !budget.spend() {
            return Err(Reason::ENHANCE_YOUR_CALM);
        }
        self.remember(stream.id, Ending::Closed);
        stream.end(Over::Reset(reason.into()));
        Ok(())
    }

    /// §6.5
    pub(super) fn settings(&mut self, head: Head, payload: &[u8]) -> Result<(), Reason> {
        if head.stream != 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() || (head.has(frame::ACK) && !payload.is_empty()) {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        if head.has(frame::ACK) {
            return Ok(());
        }
        let before = self.initial_room;
        for [a, b, value @ ..] in settings {
            self.setting(u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value))?;
        }
        // Once, however often one frame says it: each time is a look at every stream.
        self.widen_all(i64::from(self.initial_room) - i64::from(before))?;
        frame::head(0, frame::SETTINGS, frame::ACK, 0, self.output.text());
        Ok(())
    }

    fn setting(&mut self, name: u16, value: u32) -> Result<(), Reason> {
        match name {
            setting::ENABLE_PUSH if value > 1 => Err(Reason::PROTOCOL_ERROR),
            setting::INITIAL_WINDOW_SIZE if i64::from(value) > GREATEST_WINDOW => {
                Err(Reason::FLOW_CONTROL_ERROR)
            }
            setting::INITIAL_WINDOW_SIZE => {
                self.initial_room = value;
                Ok(())
            }
            setting::MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => Err(Reason::PROTOCOL_ERROR),
            // What is sent has no table, pushes nothing, and has heads as long as they are, in frames that everybody takes.
            _ => Ok(()),
        }
    }

    /// §6.9.2: another initial window changes those that there are.
    fn widen_all(&mut self, change: i64) -> Result<(), Reason> {
        if change == 0 {
            return Ok(());
        }
        let streams: Vec<_> = self.streams().cloned().collect();
        streams.iter().try_for_each(|shared| self.widen(shared, change))
    }

    /// The client takes more, or less, of a stream.
    fn widen(&mut self, shared: &stream::Shared, change: i64) -> Result<(), Reason> {
        let stream = &mut *shared.borrow_mut();
        stream.room += change;
        if stream.room > GREATEST_WINDOW {
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
        self.enqueue(shared, stream);
        Ok(())
    }

    /// §6.7
    pub(super) fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Reason> {
        if head.stream != 0 {
            return Err(Reason::PROTOCOL_ERROR);
        }
        if payload.len() != 8 {
            return Err(Reason::FRAME_SIZE_ERROR);
        }
        if !head.has(frame::ACK) {
            frame::ping(frame::ACK, payload, self.output.text());
        } else if self.leaving == Leaving::Told && payload == FAREWELL {
            self.leaving = Leaving::Known;
            frame::goaway(self.last, Reason::NO_ERROR, self.output.text());
        }
        Ok(())
    }

    /// §6.9
    pub(super) fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Reason> {
        let more = u32::from_be_bytes(payload.try_into().map_err(|_| Reason::FRAME_SIZE_ERROR)?);
        let more = i64::from(more & 0x7FFF_FFFF);
        if head.stream == 0 {
            self.room += more;
            return match more {
                0 => Err(Reason::PROTOCOL_ERROR),
                _ if self.room > GREATEST_WINDOW => Err(Reason::FLOW_CONTROL_ERROR),
                _ => Ok(()),
            };
        }
        if head.stream > self.last {
            return Err(Reason::PROTOCOL_ERROR);
        }
        let Some(shared) = self.stream(head.stream) else { return Ok(()) };
        let fault = match more {
            0 => Reason::PROTOCOL_ERROR,
            more if self.widen(&shared, more).is_err() => Reason::FLOW_CONTROL_ERROR,
            _ => return Ok(()),
        };
        self.broken(&mut shared.borrow_mut(), fault)
    }
}

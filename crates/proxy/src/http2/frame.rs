//! Frames (RFC 9113 §4, §6): their heads, read, and those that are sent, written.

use h2::Reason;

/// Bytes of a frame before its payload.
pub(super) const HEAD: usize = 9;
/// Bytes of a payload that everybody takes, and that we take (`SETTINGS_MAX_FRAME_SIZE`).
pub(super) const LARGEST: usize = 16 * 1024;
/// What a client sends first (§3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITISED: u8 = 0x20;

/// `SETTINGS` that are sent or heeded (§6.5.2).
pub(super) mod setting {
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// The head of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// None when it has not come yet.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        // The first bit is reserved (§4.1).
        Some(Self { length, kind, flags, stream: u32::from_be_bytes(stream) & 0x7FFF_FFFF })
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload without its padding (§6.1).
    pub(super) fn unpadded(self, payload: &[u8]) -> Result<&[u8], Reason> {
        if !self.has(PADDED) {
            return Ok(payload);
        }
        let (length, rest) = payload.split_first().ok_or(Reason::FRAME_SIZE_ERROR)?;
        let end = rest.len().checked_sub(usize::from(*length)).ok_or(Reason::PROTOCOL_ERROR)?;
        Ok(&rest[..end])
    }
}

fn bytes(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind, flags, d, e, f, g]
}

/// Writes the head of a frame.
pub(super) fn head(length: usize, kind: u8, flags: u8, stream: u32, into: &mut Vec<u8>) {
    into.extend_from_slice(&bytes(length, kind, flags, stream));
}

/// Writes `SETTINGS`.
pub(super) fn settings(settings: &[(u16, u32)], into: &mut Vec<u8>) {
    head(settings.len() * 6, SETTINGS, 0, 0, into);
    for (name, value) in settings {
        into.extend_from_slice(&name.to_be_bytes());
        into.extend_from_slice(&value.to_be_bytes());
    }
}

/// Writes a frame whose payload is a number: `RST_STREAM`, `WINDOW_UPDATE`.
pub(super) fn number(kind: u8, stream: u32, number: u32, into: &mut Vec<u8>) {
    head(4, kind, 0, stream, into);
    into.extend_from_slice(&number.to_be_bytes());
}

/// Writes `PING`.
pub(super) fn ping(flags: u8, payload: &[u8], into: &mut Vec<u8>) {
    head(8, PING, flags, 0, into);
    into.extend_from_slice(payload);
}

/// Writes `GOAWAY`.
pub(super) fn goaway(last: u32, reason: Reason, into: &mut Vec<u8>) {
    head(8, GOAWAY, 0, 0, into);
    into.extend_from_slice(&last.to_be_bytes());
    into.extend_from_slice(&u32::from(reason).to_be_bytes());
}

/// Ends a block of fields that was written behind the head of its frame at `start`: tells its length there, and divides it
/// where not everybody takes a frame of that length (§6.10).
pub(super) fn end_block(start: usize, end_stream: bool, stream: u32, text: &mut Vec<u8>) {
    let flags = if end_stream { END_STREAM } else { 0 };
    let mut length = text.len() - start - HEAD;
    let mut rest = Vec::new();
    if length > LARGEST {
        rest = text.split_off(start + HEAD + LARGEST);
        length = LARGEST;
    }
    let flags = if rest.is_empty() { flags | END_HEADERS } else { flags };
    text[start..start + HEAD].copy_from_slice(&bytes(length, HEADERS, flags, stream));
    let mut pieces = rest.chunks(LARGEST).peekable();
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        head(piece.len(), CONTINUATION, flags, stream, text);
        text.extend_from_slice(piece);
    }
}

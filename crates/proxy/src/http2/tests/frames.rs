//! What each frame of a client comes to, without a connection around it.

use std::task::{Context, Waker};

use bytes::{Bytes, BytesMut};
use h2::Reason;
use proptest::prelude::*;

use super::super::connection::{Connection, Leaving};
use super::super::frame::{self, Head};
use super::super::promises;
use super::super::receive::Receiver;
use super::super::stream::{self, Over};
use super::RULES;

/// A frame that we sent: its head and its payload.
type Sent = (u8, u8, u32, Vec<u8>);

/// A connection, and what its requests are.
struct Stage {
    connection: Connection,
    receiver: Receiver,
    bytes: BytesMut,
    streams: Vec<stream::Shared>,
}

fn frame_of(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::head(payload.len(), kind, flags, stream, &mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

/// GET http://a/
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
/// POST http://a/
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

fn get(stream: u32) -> Vec<u8> {
    frame_of(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, GET)
}

fn post(stream: u32) -> Vec<u8> {
    frame_of(frame::HEADERS, frame::END_HEADERS, stream, POST)
}

fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame_of(kind, 0, stream, &number.to_be_bytes())
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    frame_of(frame::SETTINGS, 0, 0, &[&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

impl Stage {
    /// The client has said what it says first, and we too.
    fn new() -> Self {
        let mut stage = Self {
            connection: Connection::new(RULES),
            receiver: Receiver::new(),
            bytes: BytesMut::new(),
            streams: Vec::new(),
        };
        stage.hear(&[frame::PREFACE, &frame_of(frame::SETTINGS, 0, 0, &[])].concat()).expect("an opening");
        let kinds: Vec<u8> = stage.said().iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(kinds, [frame::SETTINGS, frame::WINDOW_UPDATE, frame::SETTINGS]);
        stage
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.bytes.extend_from_slice(bytes);
        while let Some(received) = self.receiver.next(&mut self.connection, &mut self.bytes)? {
            self.streams.push(received.stream);
        }
        Ok(())
    }

    /// What was written since the last time.
    fn said(&mut self) -> Vec<Sent> {
        self.connection.carry_queue();
        let mut bytes = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.connection.output.poll_flush(&mut bytes, &mut cx).is_ready());
        let (mut rest, mut frames) = (&bytes[..], Vec::new());
        while let Some(Head { length, kind, flags, stream }) = Head::read(rest) {
            frames.push((kind, flags, stream, rest[frame::HEAD..frame::HEAD + length].to_vec()));
            rest = &rest[frame::HEAD + length..];
        }
        assert!(rest.is_empty(), "whole frames");
        frames
    }

    /// Kind, stream and payload's length of all that was written since the last time.
    fn told(&mut self) -> Vec<(u8, u32, usize)> {
        self.said().into_iter().map(|(kind, _, stream, payload)| (kind, stream, payload.len())).collect()
    }

    fn send(&mut self, at: usize, length: usize, last: bool) {
        let stream = self.streams[at].clone();
        self.connection.send(&stream, Bytes::from(vec![b'x'; length]), last);
    }
}

#[test]
fn frames_that_end_the_connection() {
    use frame::{
        ACK, CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, LARGEST, PADDED, PING, PRIORITISED, PRIORITY,
        PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    };
    let (long, padded) = (vec![0; LARGEST + 1], [9, 0]);
    let rows: &[(&str, Vec<u8>, Reason)] = &[
        ("a frame longer than any may be", frame_of(DATA, 0, 1, &long), Reason::FRAME_SIZE_ERROR),
        ("DATA of no stream", frame_of(DATA, 0, 0, b"x"), Reason::PROTOCOL_ERROR),
        ("DATA of a stream to come", frame_of(DATA, 0, 1, b"x"), Reason::PROTOCOL_ERROR),
        (
            "padding beyond the frame",
            [post(1), frame_of(DATA, PADDED, 1, &padded)].concat(),
            Reason::PROTOCOL_ERROR,
        ),
        (
            "padding without its length",
            [post(1), frame_of(DATA, PADDED, 1, &[])].concat(),
            Reason::FRAME_SIZE_ERROR,
        ),
        ("HEADERS of no stream", frame_of(HEADERS, END_HEADERS, 0, GET), Reason::PROTOCOL_ERROR),
        ("HEADERS of our streams", get(2), Reason::PROTOCOL_ERROR),
        ("HEADERS of a stream passed over", [get(5), get(3)].concat(), Reason::PROTOCOL_ERROR),
        ("a priority that is cut", frame_of(HEADERS, PRIORITISED, 1, &[0; 4]), Reason::FRAME_SIZE_ERROR),
        (
            "a block that cannot be read",
            frame_of(HEADERS, END_HEADERS, 1, &[0x80]),
            Reason::COMPRESSION_ERROR,
        ),
        (
            "another frame within a block",
            [frame_of(HEADERS, 0, 1, GET), frame_of(PING, 0, 0, &[0; 8])].concat(),
            Reason::PROTOCOL_ERROR,
        ),
        (
            "another stream's block within a block",
            [frame_of(HEADERS, 0, 1, GET), frame_of(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            Reason::PROTOCOL_ERROR,
        ),
        ("CONTINUATION of nothing", frame_of(CONTINUATION, END_HEADERS, 1, GET), Reason::PROTOCOL_ERROR),
        (
            "CONTINUATION without end",
            [frame_of(HEADERS, 0, 1, GET), frame_of(CONTINUATION, 0, 1, &[]).repeat(40)].concat(),
            Reason::ENHANCE_YOUR_CALM,
        ),
        ("PRIORITY of no stream", frame_of(PRIORITY, 0, 0, &[0; 5]), Reason::PROTOCOL_ERROR),
        ("PRIORITY of another size", frame_of(PRIORITY, 0, 1, &[0; 4]), Reason::FRAME_SIZE_ERROR),
        ("RST_STREAM of no stream", number(RST_STREAM, 0, 8), Reason::PROTOCOL_ERROR),
        ("RST_STREAM of a stream to come", number(RST_STREAM, 1, 8), Reason::PROTOCOL_ERROR),
        (
            "RST_STREAM of another size",
            [get(1), frame_of(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Reason::FRAME_SIZE_ERROR,
        ),
        ("SETTINGS of a stream", frame_of(SETTINGS, 0, 1, &[]), Reason::PROTOCOL_ERROR),
        ("SETTINGS of another size", frame_of(SETTINGS, 0, 0, &[0; 5]), Reason::FRAME_SIZE_ERROR),
        ("SETTINGS taken, and more", frame_of(SETTINGS, ACK, 0, &[0; 6]), Reason::FRAME_SIZE_ERROR),
        ("ENABLE_PUSH of 2", setting(frame::setting::ENABLE_PUSH, 2), Reason::PROTOCOL_ERROR),
        (
            "a window too large",
            setting(frame::setting::INITIAL_WINDOW_SIZE, 1 << 31),
            Reason::FLOW_CONTROL_ERROR,
        ),
        ("frames too small", setting(frame::setting::MAX_FRAME_SIZE, 16_383), Reason::PROTOCOL_ERROR),
        ("frames too large", setting(frame::setting::MAX_FRAME_SIZE, 1 << 24), Reason::PROTOCOL_ERROR),
        ("PUSH_PROMISE", frame_of(PUSH_PROMISE, END_HEADERS, 1, &[0; 4]), Reason::PROTOCOL_ERROR),
        ("PING of a stream", frame_of(PING, 0, 1, &[0; 8]), Reason::PROTOCOL_ERROR),
        ("PING of another size", frame_of(PING, 0, 0, &[0; 7]), Reason::FRAME_SIZE_ERROR),
        ("GOAWAY of a stream", frame_of(GOAWAY, 0, 1, &[0; 8]), Reason::PROTOCOL_ERROR),
        ("GOAWAY that is cut", frame_of(GOAWAY, 0, 0, &[0; 7]), Reason::FRAME_SIZE_ERROR),
        ("WINDOW_UPDATE of nothing", number(WINDOW_UPDATE, 0, 0), Reason::PROTOCOL_ERROR),
        ("WINDOW_UPDATE of a stream to come", number(WINDOW_UPDATE, 1, 1), Reason::PROTOCOL_ERROR),
        ("WINDOW_UPDATE of another size", frame_of(WINDOW_UPDATE, 0, 0, &[0; 3]), Reason::FRAME_SIZE_ERROR),
        (
            "a connection's window beyond all",
            number(WINDOW_UPDATE, 0, 0x7FFF_FFFF),
            Reason::FLOW_CONTROL_ERROR,
        ),
        (
            "streams' windows beyond all",
            [
                get(1),
                number(WINDOW_UPDATE, 1, 0x7FFF_0000),
                setting(frame::setting::INITIAL_WINDOW_SIZE, 0x7FFF_FFFF),
            ]
            .concat(),
            Reason::FLOW_CONTROL_ERROR,
        ),
    ];
    for (why, bytes, reason) in rows {
        assert_eq!(Stage::new().hear(bytes), Err(*reason), "{why}");
    }
    let mut unopened = Stage { receiver: Receiver::new(), ..Stage::new() };
    assert_eq!(unopened.hear(b"PRI * HTTP/2.0\r\n\r\nXX"), Err(Reason::PROTOCOL_ERROR));
    let mut unopened = Stage { receiver: Receiver::new(), ..Stage::new() };
    let first = [frame::PREFACE, &frame_of(PING, 0, 0, &[0; 8])].concat();
    assert_eq!(unopened.hear(&first), Err(Reason::PROTOCOL_ERROR), "SETTINGS come first");
}

#[test]
fn frames_that_end_their_stream() {
    use frame::{DATA, END_HEADERS, END_STREAM, HEADERS, PRIORITISED, PRIORITY, RST_STREAM, WINDOW_UPDATE};
    let on_itself = [&[0, 0, 0, 1, 0][..], GET].concat();
    let length = |block: &[u8], digit: u8| [block, &[0x0F, 28 - 15, 1, digit]].concat();
    let ended = END_HEADERS | END_STREAM;
    let rows: &[(&str, Vec<u8>, Reason)] = &[
        (
            "a stream that depends on itself",
            frame_of(HEADERS, ended | PRIORITISED, 1, &on_itself),
            Reason::PROTOCOL_ERROR,
        ),
        (
            "and says so later",
            [get(1), frame_of(PRIORITY, 0, 1, &on_itself[..5])].concat(),
            Reason::PROTOCOL_ERROR,
        ),
        ("a head without a path", frame_of(HEADERS, ended, 1, &GET[..2]), Reason::PROTOCOL_ERROR),
        ("DATA behind the end", [get(1), frame_of(DATA, 0, 1, b"x")].concat(), Reason::STREAM_CLOSED),
        ("HEADERS behind the end", [get(1), get(1)].concat(), Reason::STREAM_CLOSED),
        (
            "HEADERS that do not end it",
            [post(1), frame_of(HEADERS, END_HEADERS, 1, &[])].concat(),
            Reason::PROTOCOL_ERROR,
        ),
        ("a length, and no body", frame_of(HEADERS, ended, 1, &length(POST, b'1')), Reason::PROTOCOL_ERROR),
        (
            "more than the length",
            [frame_of(HEADERS, END_HEADERS, 1, &length(POST, b'1')), frame_of(DATA, 0, 1, b"xx")].concat(),
            Reason::PROTOCOL_ERROR,
        ),
        (
            "less than the length",
            [frame_of(HEADERS, END_HEADERS, 1, &length(POST, b'2')), frame_of(DATA, END_STREAM, 1, b"x")]
                .concat(),
            Reason::PROTOCOL_ERROR,
        ),
        (
            "less, and trailers",
            [frame_of(HEADERS, END_HEADERS, 1, &length(POST, b'2')), frame_of(HEADERS, ended, 1, &[])]
                .concat(),
            Reason::PROTOCOL_ERROR,
        ),
        ("a window of nothing", [get(1), number(WINDOW_UPDATE, 1, 0)].concat(), Reason::PROTOCOL_ERROR),
        (
            "a window beyond all",
            [get(1), number(WINDOW_UPDATE, 1, 0x7FFF_FFFF)].concat(),
            Reason::FLOW_CONTROL_ERROR,
        ),
        (
            "more than its window",
            [post(1), frame_of(DATA, 0, 1, &[0; 16_000]).repeat(5)].concat(),
            Reason::FLOW_CONTROL_ERROR,
        ),
    ];
    for (why, bytes, reason) in rows {
        let mut stage = Stage::new();
        // The connection goes on, and what comes of the stream meanwhile is passed over.
        let later = [frame_of(DATA, 0, 1, b"late"), get(3)].concat();
        assert_eq!(stage.hear(&[&bytes[..], &later].concat()), Ok(()), "{why}");
        let resets: Vec<_> = stage.said().into_iter().filter(|(kind, ..)| *kind == RST_STREAM).collect();
        let told = u32::from(*reason).to_be_bytes().to_vec();
        assert_eq!(resets, [(RST_STREAM, 0, 1, told)], "{why}");
        assert_eq!(stage.connection.open(), 1, "{why}");
        let first = stage.streams.first().expect("a stream").borrow();
        assert!(first.id == 3 || first.over == Some(Over::Broken(*reason)), "{why}: {first:?}");
    }
}

#[test]
fn more_streams_than_allowed_are_refused() {
    let mut stage = Stage::new();
    let many: Vec<u8> = (0..RULES.streams + 1).flat_map(|turn| get(turn * 2 + 1)).collect();
    stage.hear(&many).expect("the connection goes on");
    let told = u32::from(Reason::REFUSED_STREAM).to_be_bytes().to_vec();
    assert_eq!(stage.said(), [(frame::RST_STREAM, 0, RULES.streams * 2 + 1, told)]);
    assert_eq!(stage.streams.len(), RULES.streams as usize);
}

#[test]
fn resets_without_end_are_a_flood() {
    // At once, before anybody has looked.
    let mut stage = Stage::new();
    let pair = |turn: u32| [get(turn * 2 + 1), number(frame::RST_STREAM, turn * 2 + 1, 8)].concat();
    let most = RULES.resets.0 as u32;
    assert_eq!(stage.hear(&(0..most).flat_map(pair).collect::<Vec<_>>()), Ok(()));
    assert_eq!(stage.hear(&pair(most)), Err(Reason::ENHANCE_YOUR_CALM));
    // One after the other, of requests that are being served.
    let (mut stage, mut resets) = (Stage::new(), 0);
    let ended = loop {
        stage.hear(&get(resets * 2 + 1)).expect("a request");
        stage.streams.pop().expect("a request").borrow_mut().begun = true;
        if let Err(reason) = stage.hear(&number(frame::RST_STREAM, resets * 2 + 1, 8)) {
            break reason;
        }
        resets += 1;
    };
    assert_eq!((ended, resets), (Reason::ENHANCE_YOUR_CALM, RULES.streams * 8));
}

#[test]
fn frames_that_carry_nothing_are_a_flood() {
    let mut stage = Stage::new();
    let mut pings = 0;
    let ended = loop {
        match stage.hear(&frame_of(frame::PING, 0, 0, &[0; 8])) {
            Ok(()) => pings += stage.said().len(),
            Err(reason) => break reason,
        }
    };
    assert_eq!(ended, Reason::ENHANCE_YOUR_CALM);
    assert!((400_000..600_000).contains(&pings), "{pings}");
}

#[test]
fn what_is_sent_keeps_within_the_windows_and_takes_turns() {
    let mut stage = Stage::new();
    stage
        .hear(&[setting(frame::setting::INITIAL_WINDOW_SIZE, 20_000), get(1), get(3), get(5)].concat())
        .expect("requests");
    stage.said();
    for at in 0..3 {
        stage.send(at, 30_000, true);
    }
    // Each has a window of 20,000, all together 65,535.
    let mut told = stage.told();
    told.extend(stage.told());
    assert_eq!(
        told,
        [(0, 1, 16_384), (0, 1, 3_616), (0, 3, 16_384), (0, 3, 3_616), (0, 5, 16_384), (0, 5, 3_616)]
    );
    stage.hear(&number(frame::WINDOW_UPDATE, 3, 10_000)).expect("a window");
    assert_eq!(stage.told(), [(0, 3, 5_535)], "what the connection has left");
    stage
        .hear(&[number(frame::WINDOW_UPDATE, 1, 10_000), number(frame::WINDOW_UPDATE, 5, 9_000)].concat())
        .expect("windows");
    assert_eq!(stage.told(), []);
    stage.hear(&number(frame::WINDOW_UPDATE, 0, 1 << 20)).expect("a window");
    assert_eq!(stage.told(), [(0, 3, 4_465), (0, 1, 10_000), (0, 5, 9_000)]);
    assert_eq!(stage.connection.open(), 1, "one has not sent its last");
    // A window may become less than nothing.
    stage.hear(&setting(frame::setting::INITIAL_WINDOW_SIZE, 0)).expect("smaller windows");
    stage.hear(&number(frame::WINDOW_UPDATE, 5, 20_000)).expect("a window");
    assert_eq!(stage.told(), [(frame::SETTINGS, 0, 0)]);
    stage.hear(&number(frame::WINDOW_UPDATE, 5, 1_000)).expect("a window");
    assert_eq!(stage.told(), [(0, 5, 1_000)]);
    assert_eq!(stage.connection.open(), 0);
}

#[test]
fn of_several_settings_of_a_window_the_last_counts() {
    let mut stage = Stage::new();
    stage.hear(&get(1)).expect("a request");
    let entry =
        |value: u32| [&frame::setting::INITIAL_WINDOW_SIZE.to_be_bytes()[..], &value.to_be_bytes()].concat();
    let many: Vec<u8> = [0, 0x7FFF_FFFF, 7].into_iter().flat_map(entry).collect();
    stage.hear(&frame_of(frame::SETTINGS, 0, 0, &many)).expect("settings");
    stage.said();
    stage.send(0, 10, true);
    assert_eq!(stage.told(), [(frame::DATA, 1, 7)]);
}

#[test]
fn what_was_taken_may_come_again() {
    let mut stage = Stage::new();
    stage.hear(&[post(1), frame_of(frame::DATA, 0, 1, &[0; 16_000]).repeat(2)].concat()).expect("a body");
    let stream = stage.streams[0].clone();
    stage.connection.took(&mut stream.borrow_mut(), 32_000);
    assert_eq!(stage.told(), [], "a little is not worth a frame");
    stage.hear(&frame_of(frame::DATA, 0, 1, &[0; 1_000])).expect("a body");
    stage.connection.took(&mut stream.borrow_mut(), 1_000);
    stream.borrow_mut().data.clear();
    let update = (frame::WINDOW_UPDATE, 0, 1, 33_000u32.to_be_bytes().to_vec());
    assert_eq!(stage.said(), [update]);
    // What nobody wants counts in the connection's window only, and that is given back.
    stage.connection.leave_unread(&mut stream.borrow_mut());
    stage.hear(&frame_of(frame::DATA, 0, 1, &[0; 10_000]).repeat(6)).expect("a body");
    assert_eq!(stage.told(), [], "no more of it is asked for");
    stage.connection.took_of_all(500_000);
    let update = (frame::WINDOW_UPDATE, 0, 0, 593_000u32.to_be_bytes().to_vec());
    assert_eq!(stage.said(), [update]);
}

#[test]
fn a_head_longer_than_a_frame_comes_in_pieces() {
    let mut text = vec![0; frame::HEAD];
    text.extend((0..40_000).map(|at| at as u8));
    frame::end_block(0, true, 7, &mut text);
    let (mut rest, mut block, mut frames) = (&text[..], Vec::new(), Vec::new());
    while let Some(Head { length, kind, flags, stream }) = Head::read(rest) {
        frames.push((kind, flags, stream, length));
        block.extend_from_slice(&rest[frame::HEAD..frame::HEAD + length]);
        rest = &rest[frame::HEAD + length..];
    }
    assert_eq!(
        frames,
        [
            (frame::HEADERS, frame::END_STREAM, 7, 16_384),
            (frame::CONTINUATION, 0, 7, 16_384),
            (frame::CONTINUATION, frame::END_HEADERS, 7, 7_232)
        ]
    );
    assert!(block.iter().enumerate().all(|(at, byte)| *byte == at as u8));
}

#[test]
fn who_leaves_takes_what_was_on_its_way() {
    let mut stage = Stage::new();
    stage.hear(&get(1)).expect("a request");
    stage.connection.leave();
    let said = stage.said();
    let [(frame::GOAWAY, _, 0, last), (frame::PING, 0, 0, ping)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(last[..4], [0x7F, 0xFF, 0xFF, 0xFF]);
    stage.hear(&[get(3), frame_of(frame::PING, frame::ACK, 0, ping)].concat()).expect("a request");
    assert_eq!((stage.streams.len(), stage.connection.leaving), (2, Leaving::Known));
    let known = stage.said();
    assert_eq!(known[0].3[..4], 3u32.to_be_bytes());
    stage.hear(&get(5)).expect("one too late");
    assert_eq!(stage.told(), [(frame::RST_STREAM, 5, 4)]);
    assert!(!stage.connection.is_done());
    for at in 0..2 {
        stage.send(at, 0, true);
    }
    assert!(stage.connection.is_done());
}

proptest! {
    #[test]
    fn any_frames_are_taken_or_refused(
        frames in proptest::collection::vec(
            (0..11u8, any::<u8>(), 0..8u32, proptest::collection::vec(any::<u8>(), 0..40)), 0..40),
        length in 1..50usize,
    ) {
        let frames = frames.iter().flat_map(|(kind, flags, stream, payload)| match kind {
            10 => get(*stream),
            kind => frame_of(*kind, *flags, *stream, payload),
        });
        promises::frames(&frames.collect::<Vec<_>>(), length);
    }
}

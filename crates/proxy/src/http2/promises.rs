//! What holds whatever a client sends; asked by a fuzzer, and by tests.

use std::task::{Context, Waker};

use bytes::BytesMut;
use h2::Reason;

use super::connection::Connection;
use super::frame::{self, Head};
use super::receive::Receiver;
use super::server::Rules;

const RULES: Rules = Rules { streams: 10, head: 4096, window: (64 * 1024, 1024 * 1024), resets: (50, 256) };

/// What became of what a client sent.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    ended: Result<(), Reason>,
    /// Requests: method, target, number of fields.
    requests: Vec<(String, String, usize)>,
    said: Vec<u8>,
    open: usize,
}

fn fate<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Fate {
    let (mut connection, mut receiver) = (Connection::new(RULES), Receiver::new());
    let (mut bytes, mut said, mut requests) = (BytesMut::new(), Vec::new(), Vec::new());
    let mut ended = Ok(());
    'heard: for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            match receiver.next(&mut connection, &mut bytes) {
                Err(reason) => {
                    ended = Err(reason);
                    break 'heard;
                }
                Ok(Some(received)) => {
                    let head = received.head;
                    requests.push((head.method.to_string(), head.uri.to_string(), head.headers.len()));
                }
                // What is to be written waits no longer.
                Ok(None) if !connection.output.has_room() => flush(&mut connection, &mut said),
                Ok(None) => break,
            }
        }
    }
    flush(&mut connection, &mut said);
    Fate { ended, requests, said, open: connection.open() }
}

fn flush(connection: &mut Connection, said: &mut Vec<u8>) {
    let flushed = connection.output.poll_flush(said, &mut Context::from_waker(Waker::noop()));
    assert!(flushed.is_ready(), "memory takes what it is given");
}

/// These bytes of a client's are taken or refused, the same whether they come at once or in pieces of `length`; what is
/// answered are whole frames, and no more streams are open than may be.
///
/// # Panics
/// When that is not so.
pub fn frames(bytes: &[u8], length: usize) {
    let opening = [frame::PREFACE, &[0, 0, 0, frame::SETTINGS, 0, 0, 0, 0, 0]].concat();
    let whole = fate([&opening, bytes].into_iter());
    let pieces = fate([&opening[..]].into_iter().chain(bytes.chunks(length.max(1))));
    assert_eq!(whole, pieces, "{} in pieces of {length}", bytes.escape_ascii());
    assert!(whole.open <= RULES.streams as usize && whole.open <= whole.requests.len());
    let mut rest = &whole.said[..];
    while let Some(Head { length, .. }) = Head::read(rest) {
        rest = rest.get(frame::HEAD + length..).expect("whole frames");
    }
    assert!(rest.is_empty(), "whole frames");
}

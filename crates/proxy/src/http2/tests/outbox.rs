//! The outbox alone, on streams that take as much as they are told.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::outbox::{MOST, Outbox};

#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    writes: usize,
    flushes: usize,
    reads: usize,
    shut: bool,
    /// Takes so much of each write; none = it is stuck.
    room: Option<usize>,
}

#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Taken>>);

impl Sink {
    fn taking(room: Option<usize>) -> Self {
        Self(Rc::new(RefCell::new(Taken { room, ..Taken::default() })))
    }
}

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().reads += 1;
        Poll::Pending
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut taken = self.0.borrow_mut();
        let Some(room) = taken.room else { return Poll::Pending };
        let before = taken.bytes.len();
        for piece in pieces {
            let left = room - (taken.bytes.len() - before);
            taken.bytes.extend_from_slice(&piece[..left.min(piece.len())]);
        }
        let count = taken.bytes.len() - before;
        taken.writes += 1;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().shut = true;
        Poll::Ready(Ok(()))
    }
}

/// A turn in which the framing layer finds nothing to read and writes these pieces: each with its head, flushed after each.
fn turn(outbox: &Outbox<Sink>, cx: &mut Context<'_>, pieces: &[&[u8]]) -> Poll<io::Result<()>> {
    let mut end = outbox.clone();
    outbox.turn(cx, |cx| {
        let mut space = [0; 8];
        assert!(Pin::new(&mut end).poll_read(cx, &mut ReadBuf::new(&mut space)).is_pending());
        for piece in pieces {
            let whole = [b"head-", *piece].concat();
            let mut rest = whole.as_slice();
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(rest.len().min(5));
                let slices = [IoSlice::new(head), IoSlice::new(tail)];
                match Pin::new(&mut end).poll_write_vectored(cx, &slices) {
                    Poll::Ready(Ok(count)) => rest = &rest[count..],
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            assert!(Pin::new(&mut end).poll_flush(cx).is_ready());
        }
        Poll::Pending
    })
}

#[test]
fn what_is_written_in_a_turn_is_one_write() {
    let (sink, mut cx) = (Sink::taking(Some(usize::MAX)), Context::from_waker(Waker::noop()));
    let outbox = Outbox::new(sink.clone());
    assert!(turn(&outbox, &mut cx, &[b"a", b"bc", b"def"]).is_pending());
    let taken = sink.0.borrow();
    assert_eq!(taken.bytes, b"head-ahead-bchead-def");
    assert_eq!((taken.writes, taken.flushes), (1, 1));
    assert!(outbox.is_empty(), "nothing is held at rest");
}

#[test]
fn what_is_long_goes_with_what_waits_and_is_not_copied() {
    let (sink, mut cx) = (Sink::taking(Some(usize::MAX)), Context::from_waker(Waker::noop()));
    let outbox = Outbox::new(sink.clone());
    let long = vec![b'x'; MOST];
    assert!(turn(&outbox, &mut cx, &[b"a", &long, b"b"]).is_pending());
    let taken = sink.0.borrow();
    assert_eq!(taken.bytes, [b"head-ahead-", long.as_slice(), b"head-b"].concat());
    assert_eq!((taken.writes, taken.flushes), (2, 1));
}

#[test]
fn order_survives_streams_that_take_little() {
    let long = vec![b'x'; MOST + 3];
    let pieces: [&[u8]; 5] = [b"a", &long, b"b", &long, b"c"];
    let expected: Vec<u8> = pieces.iter().flat_map(|piece| [b"head-", *piece].concat()).collect();
    for room in [1, 2, 5, 7, 100, 4096, MOST - 1, MOST, MOST + 1, MOST + 9] {
        let (sink, mut cx) = (Sink::taking(Some(room)), Context::from_waker(Waker::noop()));
        let outbox = Outbox::new(sink.clone());
        assert!(turn(&outbox, &mut cx, &pieces).is_pending());
        assert_eq!(sink.0.borrow().bytes, expected, "by {room}");
        assert!(outbox.is_empty());
    }
}

#[test]
fn a_stream_that_is_stuck_is_given_no_more_than_fits() {
    let (sink, mut cx) = (Sink::taking(None), Context::from_waker(Waker::noop()));
    let outbox = Outbox::new(sink.clone());
    let mut end = outbox.clone();
    let mut accepted = 0;
    let piece = [b'x'; 100];
    for _ in 0..10 {
        assert!(turn(&outbox, &mut cx, &[]).is_pending());
        while let Poll::Ready(count) = Pin::new(&mut end).poll_write(&mut cx, &piece) {
            accepted += count.expect("no error");
        }
    }
    assert_eq!(accepted, MOST / 100 * 100);
    sink.0.borrow_mut().room = Some(7);
    assert!(turn(&outbox, &mut cx, &[]).is_pending());
    assert_eq!(sink.0.borrow().bytes.len(), accepted);
}

#[test]
fn the_end_comes_behind_all_that_was_written() {
    let (sink, mut cx) = (Sink::taking(Some(1000)), Context::from_waker(Waker::noop()));
    let mut end = Outbox::new(sink.clone());
    assert!(Pin::new(&mut end).poll_write(&mut cx, b"last words").is_ready());
    assert!(Pin::new(&mut end).poll_shutdown(&mut cx).is_ready());
    let taken = sink.0.borrow();
    assert_eq!((taken.bytes.as_slice(), taken.shut), (&b"last words"[..], true));
}

#[test]
fn a_dry_stream_is_asked_once_a_turn() {
    let (sink, mut cx) = (Sink::default(), Context::from_waker(Waker::noop()));
    let outbox = Outbox::new(sink.clone());
    for turns in 1..=3 {
        let mut end = outbox.clone();
        let ran = outbox.turn(&mut cx, |cx| {
            for _ in 0..5 {
                let mut space = [0; 8];
                assert!(Pin::new(&mut end).poll_read(cx, &mut ReadBuf::new(&mut space)).is_pending());
            }
            Poll::<io::Result<()>>::Pending
        });
        assert!(ran.is_pending());
        assert_eq!(sink.0.borrow().reads, turns);
    }
}

#[test]
fn a_stream_that_breaks_is_told_to_who_reads() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }
    impl AsyncWrite for Broken {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let outbox = Outbox::new(Broken);
    let mut cx = Context::from_waker(Waker::noop());
    let mut end = outbox.clone();
    let ran = outbox.turn(&mut cx, |cx| {
        let mut space = [0; 8];
        let read = Pin::new(&mut end).poll_read(cx, &mut ReadBuf::new(&mut space));
        assert!(Pin::new(&mut end).poll_write(cx, b"x").is_ready());
        read
    });
    assert!(matches!(ran, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe));
}

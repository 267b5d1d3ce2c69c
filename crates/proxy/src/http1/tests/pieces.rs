//! What is written, and what is read, in pieces of any size.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use proptest::prelude::*;
use tokio::io::{AsyncWrite, DuplexStream};

use crate::http1::decode::{Decoded, Decoder};
use crate::http1::encode::{Case, Framing};
use crate::input::Input;
use crate::io::Source;
use crate::output::Output;

/// It cannot tell: whoever wants to know has to read.
impl Source for DuplexStream {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Takes as many bytes at a time as it is told, then as many as there are; refuses before each.
struct Slow {
    sizes: Vec<usize>,
    refuses: bool,
    taken: Vec<u8>,
    flushed: bool,
}

impl AsyncWrite for Slow {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.refuses = !self.refuses;
        if self.refuses {
            return Poll::Pending;
        }
        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let size = self.sizes.pop().unwrap_or(usize::MAX).min(offered.len());
        self.taken.extend_from_slice(&offered[..size]);
        self.flushed = false;
        Poll::Ready(Ok(size))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.refuses = !self.refuses;
        self.flushed = !self.refuses;
        if self.refuses { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

proptest! {
    #[test]
    fn everything_is_written_in_its_order(
        pieces in proptest::collection::vec((any::<bool>(), 0usize..2000), 0..40),
        sizes in proptest::collection::vec(1usize..3000, 0..60),
    ) {
        let (mut output, mut expected) = (Output::default(), Vec::new());
        for (number, (is_text, length)) in pieces.into_iter().enumerate() {
            let bytes = vec![number as u8; length];
            expected.extend_from_slice(&bytes);
            match is_text {
                true => output.text().extend_from_slice(&bytes),
                false => output.push(bytes.into()),
            }
        }
        let mut stream = Slow { sizes, refuses: false, taken: Vec::new(), flushed: true };
        let mut cx = Context::from_waker(Waker::noop());
        while output.poll_flush(&mut stream, &mut cx)?.is_pending() {}
        prop_assert!(output.is_empty() && output.has_room() && stream.flushed);
        prop_assert_eq!(stream.taken, expected);
    }

    /// What is framed here is what is read there, wherever it is cut.
    #[test]
    fn chunks_are_read_as_they_were_written(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..8),
        trailers in any::<bool>(),
        cuts in proptest::collection::vec(1usize..200, 0..40),
    ) {
        let mut fields = HeaderMap::new();
        fields.insert("x-sum", http::HeaderValue::from_static("1"));
        let mut framing = Framing::Chunked(vec![http::HeaderName::from_static("x-sum")]);
        let (mut output, mut written) = (Output::default(), Slow { sizes: vec![], refuses: false, taken: vec![], flushed: true });
        for piece in &pieces {
            let frame = http_body::Frame::data(Bytes::copy_from_slice(piece));
            prop_assert!(!framing.frame(Some(frame), false, Case::Lower, &mut output).expect("it fits"));
        }
        let end = trailers.then(|| http_body::Frame::trailers(fields.clone()));
        prop_assert!(framing.frame(end, false, Case::Lower, &mut output).expect("it is complete"));
        let mut cx = Context::from_waker(Waker::noop());
        while output.poll_flush(&mut written, &mut cx)?.is_pending() {}
        let (mut decoder, mut bytes) = (Decoder::chunked(10), BytesMut::new());
        let (mut content, mut told) = (Vec::new(), None);
        let (mut rest, mut cuts) = (&written.taken[..], cuts.into_iter());
        while !decoder.is_done() {
            match decoder.decode(&mut bytes).expect("it is well framed") {
                Decoded::More => {
                    let (piece, others) = rest.split_at(cuts.next().unwrap_or(rest.len()).min(rest.len()));
                    prop_assert!(!piece.is_empty(), "it ends too late");
                    bytes.extend_from_slice(piece);
                    rest = others;
                }
                Decoded::Frame(frame) => match frame.into_data() {
                    Ok(data) => content.extend_from_slice(&data),
                    Err(frame) => told = frame.into_trailers().ok(),
                },
                Decoded::End => {}
            }
        }
        prop_assert_eq!(content, pieces.concat());
        prop_assert_eq!(told, trailers.then_some(fields));
        prop_assert!(rest.is_empty() && bytes.is_empty(), "it ends too early");
    }

    #[test]
    fn no_bytes_are_too_odd_for_chunks(bytes in proptest::collection::vec(proptest::sample::select(b"0159aFg;= \t\r\n\0\xff".to_vec()), 0..200)) {
        let (mut decoder, mut bytes) = (Decoder::chunked(10), BytesMut::from(&bytes[..]));
        while let Ok(Decoded::Frame(_)) = decoder.decode(&mut bytes) {}
    }
}

#[test]
fn a_body_shorter_than_was_told_is_cut_and_a_longer_one_ends_where_it_was_told() {
    let data = |text: &'static str| Some(http_body::Frame::data(Bytes::from_static(text.as_bytes())));
    let mut output = Output::default();
    let mut framing = Framing::Length(5);
    assert!(!framing.frame(data("hal"), false, Case::Lower, &mut output).expect("it fits"));
    assert!(framing.frame(None, false, Case::Lower, &mut output).is_err());
    let mut output = Output::default();
    assert!(Framing::Length(5).frame(data("too long"), false, Case::Lower, &mut output).expect("it is cut"));
    assert_eq!(output.text(), b"too l");
}

#[tokio::test]
async fn a_connection_at_rest_holds_no_memory_and_buffers_serve_again() {
    let (mut near, mut far) = tokio::io::duplex(1024 * 1024);
    let mut input = Input::new();
    let mut cx = Context::from_waker(Waker::noop());
    let mut places = Vec::new();
    for _ in 0..3 {
        assert!(input.poll_fill(&mut near, &mut cx).is_pending());
        assert_eq!(input.bytes.capacity(), 0);
        tokio::io::AsyncWriteExt::write_all(&mut far, b"some bytes").await.expect("sent");
        assert!(matches!(input.poll_fill(&mut near, &mut cx), Poll::Ready(Ok(10))));
        places.push(input.bytes.as_ptr());
        drop(input.bytes.split());
        input.settle();
        assert_eq!(input.bytes.capacity(), 0);
    }
    assert_eq!(places, [places[0]; 3]);
    // What comes in masses is read in larger pieces.
    tokio::io::AsyncWriteExt::write_all(&mut far, &[0; 1024 * 1024]).await.expect("sent");
    let mut reads = 0;
    let mut left = 1024 * 1024;
    while left > 0 {
        let Poll::Ready(Ok(read)) = input.poll_fill(&mut near, &mut cx) else { panic!("there is more") };
        (left, reads) = (left - read, reads + 1);
        drop(input.bytes.split());
    }
    assert!(reads < 12, "{reads} reads");
}

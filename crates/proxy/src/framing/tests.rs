use proptest::prelude::*;

use super::*;

fn verdict(bytes: &[u8]) -> Progress {
    Framing::new(1024, false).advance(bytes)
}

fn refused(bytes: &str) -> &'static str {
    match verdict(bytes.as_bytes()).rest {
        Rest::Violation(Violation::Malformed(why)) => why,
        Rest::Violation(Violation::UnknownCoding) => "a coding that is not implemented",
        Rest::Violation(Violation::Folded) => "a field is folded",
        Rest::Violation(Violation::UnknownVersion) => "a version that is not spoken",
        other => panic!("{bytes:?} gave {other:?}"),
    }
}

/// One message of every kind, one after the other.
const STREAM: &[u8] = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
    POST /y HTTP/1.1\r\nTransfer-Encoding:  Chunked \r\n\r\n4;a=b\r\nwxyz\r\n0A\r\n0123456789\r\n0\r\nT: v\r\n\r\n\
    GET /z HTTP/1.0\r\n\r\n";

#[test]
fn a_stream_of_requests_passes_whole() {
    let mut framing = Framing::new(1024, false);
    assert_eq!(framing.advance(STREAM), Progress { passed: STREAM.len(), rest: Rest::Nothing });
    assert!(framing.between_requests());
}

#[test]
fn ambiguous_lengths_are_refused() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n");
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length:\t5",
        "Content-Length:",
        "Content-Length: 9223372036854775808",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        "X: a\r\n folded",
        " X: a",
        ": a",
        "no colon",
        "X: a\0b",
        "X: a\rb",
    ] {
        refused(&post(fields));
    }
    refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    refused("GET / HTTP/1.1\nHost: a\n\n");
    refused("GET / HTTP/1.1\r\nHost: a\n\r\n");
    refused("GET / HTTP/1.1\r\rHost: a\r\n\r\n");
}

#[test]
fn malformed_chunks_are_refused() {
    let chunked = |body: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for body in [
        "+4\r\n",
        "0x4\r\n",
        " 4\r\n",
        "4 \r\n",
        "4\n",
        "\r\n",
        "g\r\n",
        "12345678901234567\r\n",
        "4\r\nwxyzQ",
        "4\r\nwxyz\n",
        "0\r\n folded: x\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "4\rx\r\n",
    ] {
        refused(&chunked(body));
    }
    refused(&chunked(&format!("4;{}\r\n", "x".repeat(MAX_CHUNK_LINE))));
}

#[test]
fn a_length_beside_chunked_may_be_allowed() {
    let bytes = b"POST / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut framing = Framing::new(1024, true);
    assert_eq!(framing.advance(bytes).passed, bytes.len());
    assert!(framing.between_requests());
}

#[test]
fn heads_are_held_until_they_are_complete_and_bounded() {
    let mut framing = Framing::new(64, false);
    let head = b"GET / HTTP/1.1\r\nHost: a\r\n";
    assert_eq!(framing.advance(head), Progress { passed: 0, rest: Rest::IncompleteHead });
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100));
    assert_eq!(framing.advance(long.as_bytes()).rest, Rest::Violation(Violation::HeadTooLarge));
    let complete = format!("{long}\r\n\r\n");
    assert_eq!(
        Framing::new(64, false).advance(complete.as_bytes()).rest,
        Rest::Violation(Violation::HeadTooLarge)
    );
}

/// What a client sends costs as much as it is long, however it cuts it.
#[test]
fn a_head_that_comes_byte_by_byte_is_read_once() {
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(15_000)).into_bytes();
    let begun = std::time::Instant::now();
    let mut framing = Framing::new(head.len(), false);
    for end in 1..head.len() {
        let progress = framing.advance(&head[..end]);
        assert_eq!((progress.passed, progress.rest), (0, Rest::IncompleteHead));
    }
    assert_eq!(framing.advance(&head).passed, head.len());
    // Read anew for each byte, it took a hundred times as long.
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn what_is_refused_is_refused_wherever_it_is_cut() {
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip\r\nX: y\r\n",
        "X : y\r\nX: y\r\n",
        "X: a\r\n folded\r\nX: y\r\n",
        "no colon\r\nX: y\n",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
        let whole = verdict(&head);
        assert!(matches!(whole.rest, Rest::Violation(_)), "{whole:?}");
        for at in 1..head.len() {
            let mut framing = Framing::new(1024, false);
            let first = framing.advance(&head[..at]);
            let cut = if first.rest == Rest::IncompleteHead { framing.advance(&head) } else { first };
            assert_eq!(cut, whole, "{fields:?} cut at {at}");
        }
    }
}

proptest! {
    /// However the bytes arrive, the same ones pass.
    #[test]
    fn the_cuts_do_not_matter(cuts in prop::collection::vec(0..STREAM.len(), 0..8)) {
        let mut framing = Framing::new(1024, false);
        let (mut arrived, mut passed) = (0, 0);
        let mut cuts = cuts;
        cuts.push(STREAM.len());
        cuts.sort_unstable();
        for cut in cuts {
            arrived = arrived.max(cut);
            passed += framing.advance(&STREAM[passed..arrived]).passed;
        }
        prop_assert_eq!(passed, STREAM.len());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = verdict(&bytes);
    }
}

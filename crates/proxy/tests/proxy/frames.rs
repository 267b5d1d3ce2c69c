//! Hostile HTTP/2 frames. The connection ends or what it costs is bounded, and all others are served meanwhile.

use std::time::Duration;

use plenipo_testkit::{Http, Raw, eventually};

use super::*;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
pub(super) const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as HPACK literals without indexing or Huffman coding (RFC 7541 §6.2.2).
pub(super) fn fields(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "the length fits its prefix");
            block.push(text.len() as u8);
            block.extend_from_slice(text);
        }
    }
    block
}

const HEAD: [(&[u8], &[u8]); 4] =
    [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")];

fn with(more: &[(&[u8], &[u8])]) -> Vec<u8> {
    fields(&[&HEAD, more].concat())
}

fn request(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
}

pub(super) fn opening(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, settings)].concat()
}

/// Frames received until the other side ends: kind, stream, payload.
async fn answers(raw: &mut Raw) -> Vec<(u8, u32, Vec<u8>)> {
    let bytes = raw.to_end().await.unwrap_or_default();
    let (mut rest, mut frames) = (bytes.as_slice(), Vec::new());
    while let Some(head) = rest.get(..9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let Some(payload) = rest.get(9..9 + length) else { break };
        frames.push((head[3], stream, payload.to_vec()));
        rest = &rest[9 + length..];
    }
    frames
}

/// Sends a flood of these frames, each numbered by its turn, until the gateway has had enough; tells whether it had.
async fn ends(bind: SocketAddr, times: u32, each: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send(opening(&[])).await.expect("sent");
    for turn in (0..times).step_by(100) {
        let burst: Vec<u8> = (turn..turn + 100).flat_map(&each).collect();
        if raw.send(burst).await.is_err() {
            return true;
        }
    }
    let frames = answers(&mut raw).await;
    frames.iter().any(|(kind, ..)| *kind == GOAWAY)
}

async fn serves(bind: SocketAddr) {
    let answer = tokio::time::timeout(Duration::from_secs(5), Http::two(bind).get("/")).await;
    assert_eq!(answer.expect("in time").expect("answered").status, 200);
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let (gateway, upstream, bind) = started(|_, _, _| {}).await;
    let cancel = 8u32.to_be_bytes();
    assert!(
        ends(bind, 20_000, |turn| {
            let stream = turn * 2 + 1;
            [request(stream, &with(&[])), frame(RESET, 0, stream, &cancel)].concat()
        })
        .await
    );
    serves(bind).await;
    assert!(upstream.seen().len() < 2_000, "{} requests got through", upstream.seen().len());
    // A stream dependency on itself, a window of zero: errors that make us reset ("made you reset").
    assert!(
        ends(bind, 20_000, |turn| {
            let stream = turn * 2 + 1;
            [request(stream, &with(&[])), frame(WINDOW, 0, stream, &0u32.to_be_bytes())].concat()
        })
        .await
    );
    serves(bind).await;
    eventually("nothing is left", || async {
        let numbers = gateway.proxy.handle().measure().await;
        (numbers.listeners["ingress_http"].requests_active, numbers.clusters["up"].active) == (0, 0)
    })
    .await;
}

#[tokio::test]
async fn header_blocks_have_a_size() {
    let (_gateway, upstream, bind) = started(|_, _, _| {}).await;
    let field = with(&[(b"x-large", &[b'y'; 120])]);
    let begun = std::sync::atomic::AtomicBool::new(false);
    let flood = |_| match begun.swap(true, std::sync::atomic::Ordering::Relaxed) {
        false => frame(HEADERS, END_STREAM, 1, &field),
        true => frame(CONTINUATION, 0, 1, &fields(&[(b"x-large", &[b'y'; 120])])),
    };
    assert!(ends(bind, 100_000, flood).await, "CONTINUATION without end");
    let empty =
        |turn| if turn == 0 { frame(HEADERS, END_STREAM, 1, &field) } else { frame(CONTINUATION, 0, 1, &[]) };
    assert!(ends(bind, 100_000, empty).await, "CONTINUATION without anything");
    // A bomb: one large field put into the table, then named a thousand times by one byte.
    let mut bomb = with(&[]);
    bomb.extend([0x40, 1, b'x', 127, 0xA1, 0x1E]);
    bomb.extend(vec![b'y'; 4000]);
    bomb.extend(vec![0x80 | 62; 10_000]);
    let mut raw = Raw::connect(bind).await.expect("connected");
    raw.send(
        [opening(&[]), request(1, &bomb), request(3, &with(&[])), frame(GOAWAY, 0, 0, &[0; 8])].concat(),
    )
    .await
    .expect("sent");
    raw.finish().await.expect("our end is closed");
    let _ = answers(&mut raw).await;
    serves(bind).await;
    assert!(upstream.seen().iter().all(|seen| seen.header("x").is_empty()), "the bomb was not passed on");
}

#[tokio::test]
async fn floods_of_small_frames_hurt_nobody_else() {
    let (_gateway, _upstream, bind) = started(|_, _, _| {}).await;
    let floods: [fn(u32) -> Vec<u8>; 6] = [
        |turn| frame(PING, 0, 0, &u64::from(turn).to_be_bytes()),
        |_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xFF, 0xFF]),
        |turn| frame(PRIORITY, 0, turn * 2 + 1, &[0, 0, 0, 0, 1]),
        |_| frame(WINDOW, 0, 0, &1u32.to_be_bytes()),
        |_| frame(0xEE, 0, 0, b"x"),
        |turn| match turn {
            0 => frame(HEADERS, END_HEADERS, 1, &with(&[])),
            _ => frame(DATA, 0, 1, &[]),
        },
    ];
    for each in floods {
        let mut raw = Raw::connect(bind).await.expect("connected");
        raw.send(opening(&[])).await.expect("sent");
        // What it answers is never read: it must stop taking more, or take it without keeping it.
        let flood = async {
            for turn in (0..50_000).step_by(500) {
                let burst: Vec<u8> = (turn..turn + 500).flat_map(each).collect();
                if raw.send(burst).await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(500), flood).await;
        serves(bind).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_never_taken_is_held_in_small_part() {
    let (_gateway, upstream, bind) = started(|_, _, _| {}).await;
    let mut raw = Raw::connect(bind).await.expect("connected");
    let mut bytes = opening(&[0, 4, 0, 0, 0, 0]);
    for turn in 0..50u32 {
        bytes.extend(request(turn * 2 + 1, &with(&[(b"x-echo-body-bytes", b"3000000")])));
    }
    raw.send(bytes).await.expect("sent");
    eventually("all are answered", || async { upstream.seen().len() == 50 }).await;
    serves(bind).await;
    drop(raw);
    eventually("all are given up", || async { upstream.open() <= 1 }).await;
}

#[tokio::test]
async fn a_body_too_large_is_answered_before_the_rest_is_declined() {
    let (_gateway, _upstream, bind) = started(|http, _, _| {
        http.limits.body_bytes = Some(4);
        http.limits.idle_timeout = Duration::from_millis(200);
    })
    .await;
    let post: [(&[u8], &[u8]); 4] =
        [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")];
    for declared in [&[(b"content-length".as_slice(), b"100".as_slice())][..], &[]] {
        let head = frame(HEADERS, END_HEADERS, 1, &fields(&[&post, declared].concat()));
        let mut raw = Raw::connect(bind).await.expect("connected");
        raw.send([opening(&[]), head, frame(DATA, 0, 1, b"12345")].concat()).await.expect("sent");
        let frames = answers(&mut raw).await;
        let own: Vec<_> = frames.iter().filter(|(_, stream, _)| *stream == 1).collect();
        // RFC 9113 §8.1: the whole answer, then a reset with NO_ERROR.
        let kinds: Vec<u8> = own.iter().map(|(kind, ..)| *kind).filter(|kind| *kind != WINDOW).collect();
        assert_eq!(kinds, [HEADERS, DATA, RESET], "{declared:?}");
        assert_eq!(own.last().map(|(.., code)| code.as_slice()), Some(&[0; 4][..]), "NO_ERROR");
    }
}

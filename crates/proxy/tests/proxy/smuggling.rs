//! The corpus of request smuggling: messages that two servers could read differently, each with what becomes of it.
//!
//! Every row goes through the gateway to an upstream that knows no leniency ([`recorder`]), whole and in single bytes, with
//! another request behind it. What reaches the upstream must be exactly the requests that the row names, each with the mark of
//! its turn; what comes back must be the answers to just these; and whoever comes next over the same connections to
//! the upstream must get its own answer.

mod answers;
mod message;
mod recorder;
mod requests;
mod streams;

use plenipo_testkit::{Raw, eventually};

use super::*;
use recorder::{Recorder, Seen};
use requests::{BESIDE, CHUNKS, CODINGS, HEADS, HOSTS, LENGTHS, OLD, Row, TURNS};

/// What is sent behind every row.
const NEXT: &str = "GET /~/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What becomes of a row. Requests are told as [`message::Head::shown`] does.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    /// Answered with this status, and the connection ends; nothing reaches the upstream.
    Refused(u16),
    /// So too, but the upstream may have got the beginning of a request, whose connection has then ended.
    Cut(u16),
    /// Answered with this status; nothing of it reaches the upstream, but what follows it does. (If some of its body has
    /// not come by then, the connection ends instead.)
    Declined(u16),
    /// These requests reach the upstream, and what follows them too.
    Passes(&'static [&'static str]),
    /// These requests reach the upstream; the connection ends, and what follows was never sent.
    Last(&'static [&'static str]),
    /// These requests reach the upstream, the next is refused with this status, and the connection ends.
    After(&'static [&'static str], u16),
}

/// How a row is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    Bytewise,
}

/// A gateway with one data thread (so that all share the connections to the upstream), and the upstream.
struct Stage {
    _gateway: Gateway,
    upstream: Recorder,
    bind: SocketAddr,
    turn: usize,
}

impl Stage {
    async fn start(change: impl FnOnce(&mut HttpServer)) -> Self {
        let upstream = Recorder::start().await;
        let bind = loopback();
        let mut http = server(vec![route("/", "up")]);
        change(&mut http);
        let _gateway = Gateway::start_with(simple(bind, http, upstream.address()), 1).await;
        Self { _gateway, upstream, bind, turn: 0 }
    }

    /// The mark of the next turn.
    fn mark(&mut self) -> String {
        self.turn += 1;
        format!("n{:04}", self.turn)
    }

    /// One row, one turn; an error says what was otherwise than it should be.
    async fn play(&mut self, bytes: &str, verdict: Verdict, sent: Sent) -> Result<(), String> {
        let mark = self.mark();
        let marked = |text: &str| text.replace('~', &mark);
        let mut raw = Raw::connect(self.bind).await.expect("connected");
        let bytes = marked(&format!("{bytes}{NEXT}"));
        // The other side may have had enough before the end.
        let _ = match sent {
            Sent::Whole => raw.send(bytes).await,
            Sent::Bytewise => raw.send_bytewise(bytes).await,
        };
        let answers = raw.to_end().await.map_err(|error| format!("{error:#}"))?;
        let (mut forwarded, tolerated) = match verdict {
            Verdict::Refused(_) => (vec![], &[][..]),
            Verdict::Cut(_) => (vec![], &[Seen::Cut][..]),
            Verdict::Declined(_) => (vec!["GET /~/next "], &[][..]),
            Verdict::Passes(list) => ([list, &["GET /~/next "]].concat(), &[][..]),
            Verdict::Last(list) | Verdict::After(list, _) => (list.to_vec(), &[][..]),
        };
        let heads: Vec<_> = forwarded.iter().map(|request| request.starts_with("HEAD ")).collect();
        let is_head = |at: usize| heads.get(at).is_some_and(|head| *head);
        let mut got = message::responses(&answers, is_head)
            .map_err(|why| format!("{why}: {:?}", String::from_utf8_lossy(&answers)))?;
        if matches!(verdict, Verdict::Declined(_)) && sent == Sent::Bytewise && got.len() == 1 {
            forwarded.clear();
        }
        let told =
            |(at, request): (usize, &&str)| (200, if is_head(at) { String::new() } else { marked(request) });
        let mut expected: Vec<_> = forwarded.iter().enumerate().map(told).collect();
        // What else a refusal says is no matter here.
        got.iter_mut().filter(|(status, _)| *status != 200).for_each(|(_, text)| text.clear());
        match verdict {
            Verdict::Refused(status) | Verdict::Cut(status) | Verdict::After(_, status) => {
                expected.push((status, String::new()));
            }
            Verdict::Declined(status) => expected.insert(0, (status, String::new())),
            Verdict::Passes(_) | Verdict::Last(_) => {}
        }
        let forwarded: Vec<_> = forwarded.into_iter().map(marked).collect();
        let settled = self.settle(&mark, &forwarded, tolerated).await;
        both(same("the answers", &got, &expected), settled)
    }

    /// Two others come by and get their own answers; then the upstream has seen what it should, and nothing else.
    /// What is tolerated may be there or not, but not be under way any more.
    async fn settle(&self, mark: &str, forwarded: &[String], tolerated: &[Seen]) -> Result<(), String> {
        let mut expected: Vec<_> = forwarded.iter().cloned().map(Seen::Request).collect();
        for probe in ["probe-1", "probe-2"] {
            let request = format!("GET /{mark}/{probe} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let answer = Raw::exchange(self.bind, request).await.map_err(|error| format!("{error:#}"))?;
            let own = format!("GET /{mark}/{probe} ");
            same(probe, &message::responses(&answer, |_| false)?, &vec![(200, own.clone())])?;
            expected.push(Seen::Request(own));
        }
        if !tolerated.is_empty() {
            eventually("what was begun is over", async || self.upstream.open() <= 1).await;
        }
        let mut seen = self.upstream.take();
        seen.retain(|seen| !tolerated.contains(seen));
        same("what the upstream saw", &seen, &expected)
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: {got:?}, not {expected:?}")) }
}

/// What is wrong with either.
fn both(first: Result<(), String>, second: Result<(), String>) -> Result<(), String> {
    let wrong: Vec<_> = [first, second].into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// Plays all rows, and fails with everything that was otherwise.
async fn play(change: impl FnOnce(&mut HttpServer), rows: &[Row]) {
    let mut stage = Stage::start(change).await;
    let mut wrong = Vec::new();
    for sent in [Sent::Whole, Sent::Bytewise] {
        for (name, bytes, verdict) in rows {
            if let Err(why) = stage.play(bytes, *verdict, sent).await {
                wrong.push(format!("{name} ({sent:?}): {why}"));
                stage.upstream.take();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn lengths() {
    play(|_| {}, LENGTHS).await;
}

#[tokio::test]
async fn codings() {
    play(|_| {}, CODINGS).await;
}

#[tokio::test]
async fn chunks() {
    play(|_| {}, CHUNKS).await;
}

#[tokio::test]
async fn heads() {
    play(|_| {}, HEADS).await;
}

#[tokio::test]
async fn hosts() {
    play(|_| {}, HOSTS).await;
}

#[tokio::test]
async fn turns() {
    play(|_| {}, TURNS).await;
}

#[tokio::test]
async fn old_ones() {
    play(|http| http.http10 = true, OLD).await;
}

#[tokio::test]
async fn lengths_beside_chunks() {
    play(|http| http.allow_chunked_length = true, BESIDE).await;
}

/// What this corpus rests on: nothing but whole requests by the letter passes for one.
#[tokio::test]
async fn the_upstream_notices() {
    let upstream = Recorder::start().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (bytes, seen) in [
        (format!("{get}{get}"), vec!["Request", "Request"]),
        (format!("{get}GET / HT"), vec!["Request", "Cut"]),
        (format!("{get}\r\n{get}"), vec!["Request", "Desync"]),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n".into(), vec!["Desync"]),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\nb\r\n\r\n".into(), vec!["Desync"]),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na".into(),
            vec!["Desync"],
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n".into(), vec!["Desync"]),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\n".into(), vec!["Desync"]),
    ] {
        let mut raw = Raw::connect(upstream.address()).await.expect("connected");
        raw.send(&bytes).await.expect("sent");
        raw.finish().await.expect("our end is closed");
        let _ = raw.to_end().await;
        eventually("it is over", async || upstream.open() == 0).await;
        let got = upstream.take();
        let kinds: Vec<_> = got
            .iter()
            .map(|seen| format!("{seen:?}").split('(').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(kinds, seen, "{bytes:?}: {got:?}");
    }
}

//! Requests behind the gate, as both codecs read them, and what they answer.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Response;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use plenipo_model::Desync;
#[cfg(test)]
use proptest::prelude::*;
use tokio::io::AsyncReadExt as _;

use super::{End, fields, pair, read, run, send_cut};
use crate::codec::Incoming;
use crate::framing::Framing;
use crate::gate::{Activity, Gate, Times};
use crate::http1::encode::Case;
use crate::http1::server::{Rules, serve};
use crate::io::Stream;
use crate::message::Request;

/// A request, as it came to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    line: String,
    fields: BTreeSet<String>,
    body: Bytes,
    end: End,
}

/// The status line of an answer, its fields (but the date) and its body.
pub(super) type Told = (String, BTreeSet<String>, Vec<u8>);

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    seen: Vec<Seen>,
    answers: Vec<Told>,
    /// Bytes at the end that are no answer.
    rest: Vec<u8>,
    /// The gate refused something.
    refused: Option<u16>,
    /// The codec did.
    malformed: bool,
}

#[cfg(feature = "fuzzing")]
impl Fate {
    /// Without the version and the connection of a refusal: behind a request of 1.0 hyper takes what is none for 1.0 too.
    pub(super) fn loosened(mut self) -> Self {
        if let Some((line, fields, _)) = self.answers.last_mut().filter(|_| self.malformed) {
            *line = line.split_off("HTTP/1.".len() + 1);
            fields.remove("connection: close");
        }
        self
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    Ours,
    Hyper,
}

/// How strict the gate is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Strictness {
    Gateway,
    ChunkedLength,
    Balancer(Desync),
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl crate::codec::AnswerBody for BoxBody<Bytes, Infallible> {}

/// Reads the whole request and answers by its path.
async fn service(seen: Rc<RefCell<Vec<Seen>>>, request: Request<Incoming>) -> Answer {
    let Request { head, body } = request;
    let (body, end) = match head.uri.path() {
        "/unread" => (Bytes::new(), End::Complete(BTreeSet::new())),
        _ => read(body).await,
    };
    let malformed = end == End::Malformed;
    let (line, fields) = (format!("{} {} {:?}", head.method, head.uri, head.version), fields(&head.headers));
    seen.borrow_mut().push(Seen { line, fields, body: body.clone(), end });
    let answer = Response::builder().header("x-mine", "1").header("x-mine", "2");
    match head.uri.path() {
        _ if malformed => {
            let answer = Response::builder().status(400).header("connection", "close");
            answer.body(BoxBody::default()).expect("valid")
        }
        "/chunks" => {
            let pieces = [Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b"a piece")))];
            let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
            answer.body(BoxBody::new(body)).expect("valid")
        }
        // As it always is.
        _ if head.method == http::Method::CONNECT => {
            answer.status(405).body(BoxBody::default()).expect("valid")
        }
        "/nothing" => answer.status(204).body(BoxBody::default()).expect("valid"),
        "/close" => answer.header("connection", "close").body(BoxBody::default()).expect("valid"),
        "/empty" => answer.body(BoxBody::default()).expect("valid"),
        "/dated" => answer.header("date", "then").body(Full::new(body).boxed()).expect("valid"),
        _ => answer.body(Full::new(body).boxed()).expect("valid"),
    }
}

fn gate(stream: Stream, activity: &Rc<Activity>, strictness: Strictness) -> Gate {
    let second = Duration::from_secs(1);
    let times = Times { head: second, idle: second, stalled: second };
    let framing = Framing::new(4096, matches!(strictness, Strictness::ChunkedLength));
    match strictness {
        Strictness::Balancer(mode) => {
            let framing = framing.with_request_lines().with_desync(mode);
            Gate::new(stream, Some(framing), Rc::clone(activity), times).unfolding(mode != Desync::Strictest)
        }
        _ => Gate::new(stream, Some(framing), Rc::clone(activity), times),
    }
}

pub(super) async fn fate(who: Who, strictness: Strictness, bytes: &[u8], cuts: &[usize]) -> Fate {
    let (near, mut far) = pair().await;
    let activity = Rc::new(Activity::default());
    let gate = gate(Stream::plain(near), &activity, strictness);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let shared = Rc::clone(&seen);
    let serving = async {
        match who {
            Who::Ours => {
                let rules = Rules { most_fields: 20, longest_head: 64 * 1024, case: Case::Lower };
                let serve = serve(gate, rules, std::future::pending(), |request| {
                    service(Rc::clone(&shared), request).map(Into::into)
                });
                serve.await.is_err_and(|error| error.is_malformed())
            }
            Who::Hyper => {
                let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
                    let answer = service(Rc::clone(&shared), Request::from(request).map(Incoming::Hyper));
                    async { Ok::<_, Infallible>(answer.await) }
                });
                let mut codec = hyper::server::conn::http1::Builder::new();
                codec
                    .timer(TokioTimer::new())
                    .header_read_timeout(None)
                    .max_headers(20)
                    .max_buf_size(64 * 1024);
                let served = codec.serve_connection(TokioIo::new(gate), service).await;
                served.is_err_and(|error| error.is_parse())
            }
        }
    };
    let talking = async {
        send_cut(&mut far, bytes, cuts).await;
        let mut answers = Vec::new();
        // It may be reset, as some of what we sent was not read.
        let _ = far.read_to_end(&mut answers).await;
        answers
    };
    let (malformed, bytes) = tokio::join!(serving, talking);
    let (mut answers, rest) = answers(&bytes);
    if let Some((_, fields, _)) = answers.last_mut() {
        // Of the last answer's connection hyper promises 1.0 that it goes on, and does not say that it ends when the client's
        // body broke off.
        fields.remove("connection: keep-alive");
        if seen.borrow().last().is_some_and(|seen: &Seen| seen.end == End::Broken) {
            fields.remove("connection: close");
        }
    }
    let refused = activity.refused.get().map(|refused| refused.status.as_u16());
    let seen = seen.take();
    Fate { seen, answers, rest, refused, malformed }
}

/// Takes answers apart.
fn answers(mut bytes: &[u8]) -> (Vec<Told>, Vec<u8>) {
    let mut answers = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n").map(str::to_owned);
        let first = lines.next().expect("a line");
        let mut fields: BTreeSet<_> = lines.collect();
        fields.retain(|field| !field.starts_with("date: ") || field.ends_with("then"));
        bytes = &bytes[end + 4..];
        let length = fields.iter().find_map(|field| field.strip_prefix("content-length: ")?.parse().ok());
        let chunked = fields.contains("transfer-encoding: chunked");
        let chunks_end = || bytes.windows(5).position(|window| window == b"0\r\n\r\n").map(|at| at + 5);
        let bodiless = first.contains(" 1") && first.contains("100 Continue") || first.contains(" 204 ");
        let length = match length {
            _ if bodiless => 0,
            Some(length) => length,
            None if chunked => chunks_end().unwrap_or(bytes.len()),
            None => bytes.len(),
        };
        let (body, rest) = bytes.split_at(length.min(bytes.len()));
        answers.push((first, fields, body.to_vec()));
        bytes = rest;
    }
    (answers, bytes.to_vec())
}

const END: &str = "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Requests; behind each comes another one that ends the connection.
const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\n\r\nGET /?q HTTP/1.1\r\nhOST: a\r\nX: y\r\nX:  z \r\nEmpty:\r\n\r\n",
    "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: x-sum\r\nTE: trailers\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chunks HTTP/1.0\r\nHost: a\r\n\r\n",
    "GET /chunks HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    "GET /dated HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
    "GET /empty HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX : y\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET x:y:z HTTP/1.1\r\nHost: a\r\n\r\n",
    "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /\r\n\r\n",
    "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "GET / http/1.1\r\nHost: a\r\n\r\n",
    "\0\r\n\r\n",
    "GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\ni:\r\nj:\r\nk:\r\nl:\r\nm:\r\nn:\r\no:\r\np:\r\nq:\r\nr:\r\ns:\r\nt:\r\nu:\r\n\r\n",
];

#[test]
fn requests_are_what_hyper_says_they_are_wherever_they_are_cut() {
    run(async {
        for request in REQUESTS {
            let bytes = format!("{request}{END}").into_bytes();
            let expected = fate(Who::Hyper, Strictness::Gateway, &bytes, &[]).await;
            for at in 0..bytes.len() {
                let got = fate(Who::Ours, Strictness::Gateway, &bytes, &[at]).await;
                assert_eq!(got, expected, "{request:?} cut at {at}");
            }
        }
    });
}

#[test]
fn requests_that_do_not_end_are_what_hyper_says_they_are() {
    run(async {
        for request in REQUESTS {
            for length in 0..request.len() {
                let bytes = &request.as_bytes()[..length];
                let expected = fate(Who::Hyper, Strictness::Gateway, bytes, &[]).await;
                assert_eq!(fate(Who::Ours, Strictness::Gateway, bytes, &[]).await, expected, "{bytes:?}");
            }
        }
    });
}

#[test]
fn whatever_else_the_gate_lets_through_is_read_alike() {
    run(async {
        let balancers = [Desync::Monitor, Desync::Defensive, Desync::Strictest].map(Strictness::Balancer);
        for strictness in [Strictness::ChunkedLength].into_iter().chain(balancers) {
            for request in REQUESTS {
                let bytes = format!("{request}{END}").into_bytes();
                let expected = fate(Who::Hyper, strictness, &bytes, &[]).await;
                for at in (0..bytes.len()).step_by(7) {
                    let got = fate(Who::Ours, strictness, &bytes, &[at]).await;
                    assert_eq!(got, expected, "{strictness:?}: {request:?} cut at {at}");
                }
            }
        }
    });
}

const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n",
    "POST /chunks HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "X: y\r\n",
    "\r\n",
    "5\r\nhello\r\n",
    "5;a=b\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "hello",
    END,
];

#[cfg(test)]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]
    /// Pieces of requests in any order, with some bytes changed.
    #[test]
    fn whatever_comes_is_what_hyper_says_it_is(
        first in 0usize..4,
        pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 1..8),
        changed in proptest::collection::vec((any::<proptest::sample::Index>(), proptest::sample::select(b"\0\r\n \t;:,0a5\xff".to_vec())), 0..2),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = format!("{}{}", PIECES[first], pieces.concat()).into_bytes();
        for (at, byte) in changed {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (ours, hypers) = run(async {
            // What comes too late behind the last request, nobody sees any more.
            let cut = cut.index(bytes.len());
            let ours = fate(Who::Ours, Strictness::Gateway, &bytes, &[cut]).await;
            (ours, fate(Who::Hyper, Strictness::Gateway, &bytes, &[cut]).await)
        });
        prop_assert_eq!(ours, hypers);
    }
}

/// What the head of an answer says of the connection, for a request whose body nobody reads, and whether the next request
/// is served.
async fn unread(head: &str, body: &[u8], cut: usize) -> (bool, bool) {
    let bytes = [head.as_bytes(), body, END.as_bytes()].concat();
    let fate = fate(Who::Ours, Strictness::Gateway, &bytes, &[head.len() + cut]).await;
    let closes = fate.answers[0].1.contains("connection: close");
    assert!(fate.rest.is_empty() && fate.answers.len() == fate.seen.len(), "{fate:?}");
    (closes, fate.seen.iter().any(|seen| seen.line.contains("/end")))
}

#[test]
fn a_body_that_nobody_wants_is_passed_over_or_ends_the_connection() {
    run(async {
        let length = "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        let chunked = "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let expecting =
            "POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
        let chunks = b"5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(unread(length, b"hello", 5).await, (false, true), "it is there already");
        assert_eq!(unread(chunked, chunks, chunks.len()).await, (false, true));
        // Else what comes later would be taken for a request.
        for cut in 0..5 {
            assert_eq!(unread(length, b"hello", cut).await, (true, false), "{cut}");
            assert_eq!(unread(expecting, b"hello", cut).await, (true, false), "{cut}");
        }
        for cut in 0..chunks.len() {
            assert_eq!(unread(chunked, chunks, cut).await, (true, false), "{cut}");
        }
    });
}

#[test]
fn names_are_written_as_asked() {
    run(async {
        let (near, mut far) = pair().await;
        let activity = Rc::new(Activity::default());
        let gate = gate(Stream::plain(near), &activity, Strictness::Gateway);
        let rules = Rules { most_fields: 20, longest_head: 64 * 1024, case: Case::Title };
        let seen = Rc::default();
        let serving = serve(gate, rules, std::future::pending(), |request| {
            service(Rc::clone(&seen), request).map(Into::into)
        });
        let talking = async {
            send_cut(&mut far, END.as_bytes(), &[]).await;
            let mut answer = String::new();
            far.read_to_string(&mut answer).await.expect("an answer");
            answer
        };
        let (_, answer) = tokio::join!(serving, talking);
        for field in
            ["\r\nX-Mine: 1\r\n", "\r\nContent-Length: 0\r\n", "\r\nConnection: close\r\n", "\r\nDate: "]
        {
            assert!(answer.contains(field), "{answer}");
        }
        let date = answer.split("Date: ").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("a date");
        assert_eq!((date.len(), date.ends_with(" GMT")), (29, true), "{date}");
    });
}

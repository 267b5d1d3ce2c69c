//! Responses, as both codecs read them.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use http_body::Frame;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
#[cfg(test)]
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{End, end_of, fields, pair, read, run, send_cut};
use crate::body::RequestBody;
use crate::codec::{Error, Incoming};
use crate::http1::client::{Body, Connection, SendError};
use crate::io::Stream;
use crate::message::{Request, Response};

/// A response, as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Answered { status: u16, reason: Option<Vec<u8>>, fields: BTreeSet<String>, body: Bytes, end: End },
    Failed(End),
}

/// Responses without anything beyond their end; each is followed by the end of its connection.
const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ncontent-length:5\r\nX:  a b \r\nX: c\r\nEmpty:\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 404 Nowhere\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.1 299 Custom\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n06;a=b\r\n world\r\n000 \t;x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil the end",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3, 4\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nabc",
    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "\r\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2\r\n\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n b\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 two hundred\r\n\r\n",
    "SSH-2.0-OpenSSH_9.9\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
    "",
];

impl Seen {
    pub(super) fn cut(mut self) -> Self {
        if let Self::Answered { end: end @ End::Malformed, .. } = &mut self {
            *end = End::Broken;
        }
        self
    }
}

async fn seen(response: Result<Response<Incoming>, Error>) -> Seen {
    let (head, body) = match response {
        Ok(Response { head, body }) => (head, body),
        Err(error) => return Seen::Failed(end_of(&error)),
    };
    let reason = head.reason;
    let (body, end) = read(body).await;
    Seen::Answered {
        status: head.status.as_u16(),
        reason: reason.map(|reason| reason.as_bytes().to_vec()),
        fields: fields(&head.headers),
        body,
        end,
    }
}

fn request(method: &Method) -> Request<RequestBody> {
    let request = http::Request::builder().method(method).uri("/x").header("host", "a");
    request.body(RequestBody::empty()).expect("valid").into()
}

async fn send(connection: &Connection, request: Request<RequestBody>) -> Result<Response<Body>, SendError> {
    connection.send((&request.head).into(), request.body).await
}

/// Answers one request and ends the connection.
async fn answer(mut stream: TcpStream, bytes: &[u8], cuts: &[usize]) {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut asked).await.expect("a request"), 0);
    }
    send_cut(&mut stream, bytes, cuts).await;
    // Its client may be gone.
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut asked).await;
}

pub(super) async fn ours(method: &Method, bytes: &[u8], cuts: &[usize]) -> Seen {
    let (near, far) = pair().await;
    let connection = Connection::new(Stream::plain(near), ());
    let asking = async move {
        let response = send(&connection, request(method)).await;
        seen(response.map(|response| response.map(Incoming::Answer)).map_err(|error| error.error.into()))
            .await
    };
    tokio::join!(asking, answer(far, bytes, cuts)).0
}

pub(super) async fn hypers(method: &Method, bytes: &[u8]) -> Seen {
    let (near, far) = pair().await;
    let (mut sender, connection) =
        http1::Builder::new().max_headers(200).handshake(TokioIo::new(near)).await.expect("no error yet");
    let connection = tokio::task::spawn_local(connection);
    let asking = async move {
        let response = sender.try_send_request(request(method).into()).await;
        let seen = seen(
            response
                .map(|response| Response::from(response).map(Incoming::Hyper))
                .map_err(|error| error.into_error().into()),
        )
        .await;
        drop(sender);
        let _ = connection.await;
        seen
    };
    tokio::join!(asking, answer(far, bytes, &[])).0
}

#[test]
fn responses_are_what_hyper_says_they_are_wherever_they_are_cut() {
    run(async {
        for bytes in RESPONSES.iter().map(|response| response.as_bytes()) {
            let expected = hypers(&Method::GET, bytes).await;
            for at in 0..=bytes.len() {
                let shown = String::from_utf8_lossy(bytes);
                assert_eq!(ours(&Method::GET, bytes, &[at]).await, expected, "{shown:?} cut at {at}");
            }
        }
    });
}

#[test]
fn responses_to_head_have_no_body() {
    run(async {
        for bytes in RESPONSES.iter().map(|response| response.as_bytes()) {
            let end =
                bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
            let expected = hypers(&Method::HEAD, &bytes[..end]).await;
            assert_eq!(ours(&Method::HEAD, &bytes[..end], &[]).await, expected, "{bytes:?}");
        }
    });
}

#[cfg(test)]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]
    /// Pieces of responses in any order, with some bytes changed.
    #[test]
    fn whatever_comes_is_what_hyper_says_it_is(
        pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 1..8),
        changed in proptest::collection::vec((any::<proptest::sample::Index>(), proptest::sample::select(b"\0\r\n \t;:,0a5\xff".to_vec())), 0..3),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = format!("HTTP/1.1 200 OK\r\n{}", pieces.concat()).into_bytes();
        for (at, byte) in changed {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let (ours, hypers) = run(async {
            (ours(&Method::GET, &bytes, &[cut.index(bytes.len())]).await, hypers(&Method::GET, &bytes).await)
        });
        // A body that breaks off, breaks off: whether for its bytes or for their end may be a question of which came first.
        prop_assert_eq!(ours.cut(), hypers.cut());
    }
}

const PIECES: &[&str] = &[
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5, 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "X: y\r\n",
    "\r\n",
    "5\r\nhello\r\n",
    "5;a=b\r\nhello\r\n",
    "a\r\n0123456789\r\n",
    "0\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "hello",
];

/// A connection, what was asked over it so far, and its other end.
async fn connected() -> (Connection, TcpStream) {
    let (near, far) = pair().await;
    (Connection::new(Stream::plain(near), ()), far)
}

async fn exchange(connection: &Connection, far: &mut TcpStream, answer: &str) -> Seen {
    let asking = async {
        let response = send(connection, request(&Method::GET)).await;
        seen(response.map(|response| response.map(Incoming::Answer)).map_err(|error| error.error.into()))
            .await
    };
    let answering = async {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            assert_ne!(far.read_buf(&mut asked).await.expect("a request"), 0);
        }
        far.write_all(answer.as_bytes()).await.expect("sent");
    };
    tokio::join!(asking, answering).0
}

#[test]
fn connections_serve_again_after_a_proper_end_only() {
    run(async {
        for (answer, again) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", true),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nok", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false),
            ("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false),
        ] {
            let (connection, mut far) = connected().await;
            for _ in 0..3 {
                assert!(connection.is_ready());
                exchange(&connection, &mut far, answer).await;
                assert_eq!((connection.is_ready(), connection.is_closed()), (again, !again), "{answer:?}");
                if !again {
                    break;
                }
            }
        }
    });
}

#[test]
fn eight_interim_responses_pass() {
    run(async {
        for one in [
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
            "HTTP/1.0 102 \nA: \r\n\n",
            "\r\n\nHTTP/1.1 100 Continue\r\n\r\n",
        ] {
            let (connection, mut far) = connected().await;
            let of = |count| format!("{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", one.repeat(count));
            for _ in 0..3 {
                // Every request has its eight.
                let seen = exchange(&connection, &mut far, &of(8)).await;
                assert!(matches!(seen, Seen::Answered { status: 200, .. }), "{one:?}: {seen:?}");
            }
            assert_eq!(
                exchange(&connection, &mut far, &of(9)).await,
                Seen::Failed(End::Malformed),
                "{one:?}"
            );
            assert!(connection.is_closed());
        }
    });
}

#[test]
fn what_happens_at_rest_closes_the_connection() {
    run(async {
        let bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for unasked in [bytes, ""] {
            for first in [true, false] {
                let (connection, mut far) = connected().await;
                if first {
                    exchange(&connection, &mut far, bytes).await;
                }
                assert!(connection.is_ready());
                far.write_all(unasked.as_bytes()).await.expect("sent");
                if unasked.is_empty() {
                    far.shutdown().await.expect("ended");
                }
                while !connection.is_closed() {
                    tokio::task::yield_now().await;
                }
                let refused = send(&connection, request(&Method::GET)).await.err().expect("it is closed");
                assert!(refused.unsent, "it may be sent elsewhere");
                let mut rest = Vec::new();
                far.read_to_end(&mut rest).await.expect("the other side ends it");
                assert!(rest.is_empty());
            }
        }
    });
}

#[test]
fn who_gives_up_closes_the_connection() {
    run(async {
        let (connection, mut far) = connected().await;
        let mut sending = Box::pin(send(&connection, request(&Method::GET)));
        let mut asked = Vec::new();
        tokio::select! {
            biased;
            _ = &mut sending => panic!("nobody answers"),
            _ = far.read_buf(&mut asked) => {}
        }
        drop(sending);
        assert!(connection.is_closed());
        // A body that is not read to its end: what is still to come would be taken for the next answer.
        let (connection, mut far) = connected().await;
        let answering = async {
            far.read_buf(&mut asked).await.expect("a request");
            far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.expect("sent");
        };
        let (response, ()) = tokio::join!(send(&connection, request(&Method::GET)), answering);
        drop(response);
        assert!(connection.is_closed());
        // One that is all there is passed over.
        let (connection, mut far) = connected().await;
        let answering = async {
            far.read_buf(&mut asked).await.expect("a request");
            far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfull").await.expect("sent");
        };
        let (response, ()) = tokio::join!(send(&connection, request(&Method::GET)), answering);
        drop(response);
        assert!(connection.is_ready());
    });
}

/// A request with a body that comes later, and how its pieces are given.
fn upload() -> (Request<RequestBody>, mpsc::Sender<Option<Frame<Bytes>>>) {
    let (pieces, body) = mpsc::channel(4);
    let request = http::Request::builder().method("POST").uri("/x").header("transfer-encoding", "chunked");
    (request.body(RequestBody::copy(body)).expect("valid").into(), pieces)
}

fn piece(text: &'static str) -> Option<Frame<Bytes>> {
    Some(Frame::data(Bytes::from_static(text.as_bytes())))
}

async fn until(far: &mut TcpStream, end: &str) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        assert_ne!(far.read_buf(&mut bytes).await.expect("bytes"), 0, "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn the_rest_of_a_request_is_sent_behind_the_answer() {
    run(async {
        for complete in [true, false] {
            let (connection, mut far) = connected().await;
            let (request, pieces) = upload();
            pieces.send(piece("first")).await.expect("it is wanted");
            let answering = async {
                until(&mut far, "5\r\nfirst\r\n").await;
                far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.expect("sent");
            };
            let (response, ()) = tokio::join!(send(&connection, request), answering);
            let response = response.map_err(|error| error.error).expect("answered");
            let (body, end) = read(Incoming::Answer(response.body)).await;
            assert_eq!((&body[..], end), (&b"done"[..], End::Complete(BTreeSet::new())));
            assert!(!connection.is_ready() && !connection.is_closed(), "the request is still being sent");
            pieces.send(piece("second")).await.expect("it is wanted");
            until(&mut far, "6\r\nsecond\r\n").await;
            if complete {
                pieces.send(None).await.expect("it is wanted");
                until(&mut far, "0\r\n\r\n").await;
                while !connection.is_ready() {
                    tokio::task::yield_now().await;
                }
            } else {
                drop(pieces);
                while !connection.is_closed() {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
}

#[test]
fn who_reads_an_answer_hears_that_its_request_broke_off() {
    run(async {
        let (connection, mut far) = connected().await;
        let (request, pieces) = upload();
        let answering = async {
            until(&mut far, "\r\n\r\n").await;
            far.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await.expect("sent");
        };
        let (response, ()) = tokio::join!(send(&connection, request), answering);
        let response = response.map_err(|error| error.error).expect("answered");
        let reading = tokio::task::spawn_local(read(Incoming::Answer(response.body)));
        tokio::task::yield_now().await;
        drop(pieces);
        assert_eq!(reading.await.expect("it ends"), (Bytes::from_static(b"half"), End::Broken));
        assert!(connection.is_closed());
    });
}

//! The server against the `h2` crate's client, on a stream that shows each write.

mod frames;
mod outbox;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::MapErr;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::sync::Notify;

use super::outbox::Outbox;
use super::reply::{Respond, reply};
use super::server::{Rules, serve};
use crate::codec::{self, AnswerBody, Incoming};
use crate::io::Source;
use crate::message;

const RULES: Rules =
    Rules { streams: 100, head: 16 * 1024, window: (64 * 1024, 1024 * 1024), resets: (50, 256) };

impl AnswerBody for Full<Bytes> {}
impl AnswerBody for Empty<Bytes> {}
impl<F: FnMut(codec::Error) -> io::Error> AnswerBody for MapErr<Incoming, F> {}
impl<S> AnswerBody for StreamBody<S> where
    S: futures_util::Stream<Item = io::Result<http_body::Frame<Bytes>>> + Unpin
{
}

/// Runs on a thread's own tasks, as data threads do.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), future)
}

/// A stream that counts its writes.
struct Counted {
    stream: DuplexStream,
    writes: Rc<Cell<usize>>,
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl Source for Counted {
    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.set(self.writes.get() + 1);
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.set(self.writes.get() + 1);
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, pieces)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A client of a server that does this with each request; and how often the server has written.
async fn client(
    start: impl FnMut(message::Request<Incoming>, Respond) + 'static,
    leave: impl Future<Output = ()> + 'static,
) -> (SendRequest<Bytes>, Rc<Cell<usize>>) {
    let (ours, theirs) = duplex(1 << 20);
    let writes = Rc::new(Cell::new(0));
    let counted = Counted { stream: theirs, writes: Rc::clone(&writes) };
    tokio::task::spawn_local(async move {
        let _ = serve(counted, RULES, leave, start).await;
    });
    let (requests, connection) = h2::client::handshake(ours).await.expect("a handshake");
    tokio::task::spawn_local(connection);
    (requests.ready().await.expect("ready"), writes)
}

fn answering<B: AnswerBody + 'static>(
    make: impl Fn(message::Request<Incoming>) -> Response<B> + 'static,
) -> impl FnMut(message::Request<Incoming>, Respond) {
    move |request, respond| {
        let answer = make(request);
        tokio::task::spawn_local(reply(Box::pin(async { answer.into() }), respond));
    }
}

fn get(requests: &mut SendRequest<Bytes>) -> ResponseFuture {
    requests.send_request(Request::get("http://a/").body(()).expect("valid"), true).expect("sent").0
}

async fn read(
    answer: ResponseFuture,
) -> Result<(http::response::Parts, Vec<u8>, Option<HeaderMap>), h2::Error> {
    let (head, mut body) = answer.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok((head, bytes, body.trailers().await?))
}

#[test]
fn answers_that_are_ready_together_are_one_write() {
    for length in [10, 300, 1000] {
        run(async move {
            let all = Rc::new(Notify::new());
            let (told, seen) = (Rc::clone(&all), Cell::new(0));
            let start = move |_: message::Request<Incoming>, respond| {
                seen.set(seen.get() + 1);
                let told = Rc::clone(&told);
                // The 15 before wait; the last one lets all go.
                let answer = async move {
                    told.notified().await;
                    Response::new(Full::new(Bytes::from(vec![b'x'; length]))).into()
                };
                tokio::task::spawn_local(reply(Box::pin(answer), respond));
            };
            let (mut requests, writes) = client(start, pending()).await;
            let answers: Vec<_> = (0..15).map(|_| get(&mut requests)).collect();
            // Requests have arrived when nothing moves any more.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let before = writes.get();
            all.notify_waiters();
            for answer in answers {
                assert_eq!(read(answer).await.expect("answered").1.len(), length);
            }
            assert_eq!(writes.get() - before, 1, "of {length} bytes each");
        });
    }
}

#[test]
fn requests_to_an_upstream_that_are_ready_together_are_one_write() {
    run(async {
        let (ours, theirs) = duplex(1 << 20);
        tokio::task::spawn_local(async move {
            let mut connection = h2::server::handshake(theirs).await.expect("a handshake");
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                tokio::task::spawn_local(async move {
                    let mut body = request.into_body();
                    while let Some(data) = body.data().await {
                        data.expect("whole");
                    }
                    respond.send_response(Response::new(()), true).expect("answered");
                });
            }
        });
        let writes = Rc::new(Cell::new(0));
        let outbox = Outbox::new(Counted { stream: ours, writes: Rc::clone(&writes) });
        let builder = hyper::client::conn::http2::Builder::new(outbox.clone());
        let (requests, connection) = builder.handshake(TokioIo::new(outbox)).await.expect("a handshake");
        tokio::task::spawn_local(connection);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let before = writes.get();
        let answers = (0..15).map(|_| {
            let mut requests = requests.clone();
            let request = Request::post("http://a/").body(Full::new(Bytes::from(vec![b'x'; 300])));
            async move { requests.send_request(request.expect("valid")).await.expect("answered").status() }
        });
        let answers = futures_util::future::join_all(answers).await;
        assert_eq!(answers, [StatusCode::OK; 15]);
        assert!(writes.get() - before <= 2, "{} writes", writes.get() - before);
    });
}

#[test]
fn heads_are_those_of_http2() {
    run(async {
        let start = answering(|_| {
            let answer = Response::builder()
                .header("connection", "x-hop, close")
                .header("x-hop", "1")
                .header("keep-alive", "timeout=5")
                .header("transfer-encoding", "chunked")
                .header("x-kept", "1");
            answer.body(Full::new(Bytes::from_static(b"four"))).expect("valid")
        });
        let (mut requests, _) = client(start, pending()).await;
        let (head, body, trailers) = read(get(&mut requests)).await.expect("answered");
        assert_eq!((body.as_slice(), trailers), (&b"four"[..], None));
        let date = head.headers.get("date").and_then(|date| date.to_str().ok()).unwrap_or_default();
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
        let mut names: Vec<_> = head.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "date", "x-kept"]);
        assert_eq!(head.headers["content-length"], "4");
    });
}

#[test]
fn an_answer_without_a_body_ends_with_its_head() {
    run(async {
        let start = answering(|_| {
            let answer = Response::builder().status(StatusCode::NO_CONTENT).header("date", "then");
            answer.body(Empty::new()).expect("valid")
        });
        let (mut requests, _) = client(start, pending()).await;
        let answer = get(&mut requests).await.expect("answered");
        assert!(answer.body().is_end_stream());
        assert_eq!((answer.headers().len(), &answer.headers()["date"]), (1, &"then".parse().expect("valid")));
    });
}

#[test]
fn bodies_go_both_ways_with_their_trailers() {
    run(async {
        let start = answering(|request| Response::new(request.body.map_err(io::Error::other)));
        let (mut requests, _) = client(start, pending()).await;
        let request = Request::post("http://a/").body(()).expect("valid");
        let (answer, mut upload) = requests.send_request(request, false).expect("sent");
        // More than all windows.
        let sending = async {
            for _ in 0..40 {
                let mut piece = Bytes::from(vec![b'x'; 50_000]);
                while !piece.is_empty() {
                    upload.reserve_capacity(piece.len());
                    let room = std::future::poll_fn(|cx| upload.poll_capacity(cx)).await;
                    let room = room.expect("open").expect("open").min(piece.len());
                    upload.send_data(piece.split_to(room), false).expect("sent");
                }
            }
            let trailers =
                HeaderMap::from_iter([("x-sum".parse().expect("valid"), "7".parse().expect("valid"))]);
            upload.send_trailers(trailers).expect("sent");
        };
        let ((), back) = tokio::join!(sending, read(answer));
        let (_, body, trailers) = back.expect("answered");
        assert_eq!(body.len(), 40 * 50_000);
        assert_eq!(trailers.expect("trailers")["x-sum"], "7");
    });
}

/// RFC 9113 §8.1: a whole answer does not end its request.
#[test]
fn an_answer_before_the_end_of_its_request_leaves_that_to_who_reads_it() {
    run(async {
        let read_all = Rc::new(Notify::new());
        let told = Rc::clone(&read_all);
        let start = move |request: message::Request<Incoming>, respond| {
            let told = Rc::clone(&told);
            tokio::task::spawn_local(async move {
                let body = request.body.collect().await.expect("whole").to_bytes();
                assert_eq!(body.len(), 5);
                told.notify_one();
            });
            let answer = async { Response::new(Full::new(Bytes::from_static(b"early"))).into() };
            tokio::task::spawn_local(reply(Box::pin(answer), respond));
        };
        let (mut requests, _) = client(start, pending()).await;
        let request = Request::post("http://a/").body(()).expect("valid");
        let (answer, mut upload) = requests.send_request(request, false).expect("sent");
        assert_eq!(read(answer).await.expect("answered").1, b"early");
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        upload.send_data(Bytes::from_static(b"later"), true).expect("not reset");
        read_all.notified().await;
    });
}

#[test]
fn a_body_that_breaks_off_resets_the_stream_and_no_other() {
    run(async {
        let start = answering(|_| {
            let frames =
                [Ok(http_body::Frame::data(Bytes::from_static(b"half"))), Err(io::Error::other("gone"))];
            Response::new(StreamBody::new(futures_of(frames)))
        });
        let (mut requests, _) = client(start, pending()).await;
        for _ in 0..2 {
            let error = read(get(&mut requests)).await.expect_err("cut");
            assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
        }
    });
}

fn futures_of<T>(items: impl IntoIterator<Item = T>) -> impl futures_util::Stream<Item = T> + Unpin {
    futures_util::stream::iter(items)
}

#[test]
fn a_client_that_resets_ends_what_answers_it() {
    run(async {
        struct Gone(Rc<RefCell<Vec<&'static str>>>, Rc<Notify>);
        impl Drop for Gone {
            fn drop(&mut self) {
                self.0.borrow_mut().push("gone");
                self.1.notify_one();
            }
        }
        let (log, dropped) = (Rc::default(), Rc::new(Notify::new()));
        let (kept, told) = (Rc::clone(&log), Rc::clone(&dropped));
        let start = move |_: message::Request<Incoming>, respond| {
            let gone = Gone(Rc::clone(&kept), Rc::clone(&told));
            let answer = async move {
                let _gone = gone;
                pending::<message::Response<Full<Bytes>>>().await
            };
            tokio::task::spawn_local(reply(Box::pin(answer), respond));
        };
        let (mut requests, _) = client(start, pending()).await;
        let request = Request::get("http://a/").body(()).expect("valid");
        let (answer, mut stream) = requests.send_request(request, true).expect("sent");
        stream.send_reset(Reason::CANCEL);
        drop(answer);
        dropped.notified().await;
        assert_eq!(*log.borrow(), ["gone"]);
    });
}

#[test]
fn who_leaves_finishes_what_is_under_way() {
    run(async {
        let (leave, go) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (left, gone) = (Rc::clone(&leave), Rc::clone(&go));
        let start = move |_: message::Request<Incoming>, respond| {
            let gone = Rc::clone(&gone);
            let answer = async move {
                gone.notified().await;
                Response::new(Full::new(Bytes::from_static(b"late"))).into()
            };
            tokio::task::spawn_local(reply(Box::pin(answer), respond));
        };
        let (mut requests, _) = client(start, async move { left.notified().await }).await;
        let answer = get(&mut requests);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        leave.notify_one();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(requests.clone().ready().await.is_err(), "no more are taken");
        go.notify_one();
        assert_eq!(read(answer).await.expect("answered").1, b"late");
    });
}

//! Large bodies between sockets in clear text, which go through pipes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{pair, run};
use crate::body::{Inbound, RequestBody};
use crate::codec::{AnswerBody, Incoming};
use crate::fields::Fields;
use crate::framing::Framing;
use crate::gate::{Activity, Gate, Times};
use crate::http1::Error;
use crate::http1::client::Connection;
use crate::http1::encode::{Case, Head};
use crate::http1::server::{Rules, serve};
use crate::io::Stream;
use crate::message::Request;
use crate::pipe::{self, Pipe};

const MIB: usize = 1024 * 1024;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

impl AnswerBody for Incoming {
    fn pipe(&mut self, most: u64) -> Option<Pipe> {
        Self::pipe(self, most)
    }
}

/// Asks the upstream whatever the client asks, until the client has no more to ask.
async fn relay(gate: Gate, connection: &Connection) -> Result<(), Error> {
    let rules = Rules { most_fields: 20, longest_head: 4096, case: Case::Lower };
    let ask = |request: Request<Incoming>| async move {
        let fields = Fields::new();
        let head = Head { method: &request.head.method, target: "/", headers: &fields };
        let body = Rc::new(RefCell::new(Inbound::new(request.body, None, false)));
        match connection.send(head, RequestBody::inbound(&body)).await {
            Ok(response) => response.map(Incoming::Answer),
            // Nobody here has anything to say to that.
            Err(_) => std::future::pending().await,
        }
    };
    serve(gate, rules, std::future::pending(), ask).await
}

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + at / 4096) % 251) as u8).collect()
}

async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.push(stream.read_u8().await.expect("there is more"));
    }
    bytes
}

async fn answer(upstream: &mut TcpStream, told: usize, body: &[u8]) {
    read_until(upstream, b"\r\n\r\n").await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {told}\r\n\r\n");
    upstream.write_all(&[head.as_bytes(), body].concat()).await.expect("it is taken");
}

/// The body of the next answer, as far as it comes.
async fn body(client: &mut TcpStream, length: usize) -> Vec<u8> {
    let head = String::from_utf8(read_until(client, b"\r\n\r\n").await).expect("text");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(&format!("content-length: {length}\r\n")));
    let mut bytes = Vec::new();
    client.take(length as u64).read_to_end(&mut bytes).await.expect("the body, or its end");
    bytes
}

/// Pipes that were given back empty. One with bytes in it is closed.
fn given_back() -> usize {
    let (open, empty) = pipe::counts();
    assert_eq!(open, empty, "none is held");
    empty
}

/// What became of a client's connection.
struct Fate {
    served: Result<(), Error>,
    activity: Rc<Activity>,
    connection: Connection,
    _upstream: TcpStream,
}

/// Serves a client's connection to its end, beside what client and upstream do.
async fn between(client: impl AsyncFnOnce(TcpStream), upstream: impl AsyncFnOnce(&mut TcpStream)) -> Fate {
    let ((near, far), (out, mut theirs)) = (pair().await, pair().await);
    let activity = Rc::new(Activity::default());
    let second = Duration::from_secs(1);
    let times = Times { head: second, idle: second, stalled: second };
    let gate = Gate::new(Stream::plain(near), Some(Framing::new(4096, false)), Rc::clone(&activity), times);
    let connection = Connection::new(Stream::plain(out), ());
    let serving = tokio::time::timeout(Duration::from_secs(90), relay(gate, &connection));
    let (served, (), ()) = tokio::join!(serving, client(far), upstream(&mut theirs));
    let served = served.unwrap_or(Err(Error::Closed));
    Fate { served, activity, connection, _upstream: theirs }
}

#[test]
fn they_arrive_as_they_were_sent_and_both_connections_go_on() {
    run(async {
        let sizes = [0, 10_000, 100_000, MIB, 10, 9 * MIB + 7, 300_000];
        let client = async |mut client: TcpStream| {
            // All at once: they are answered one after the other.
            client.write_all(&REQUEST.repeat(sizes.len())).await.expect("sent");
            for size in sizes {
                assert!(body(&mut client, size).await == pattern(size), "{size}");
            }
        };
        let upstream = async |upstream: &mut TcpStream| {
            for size in sizes {
                answer(upstream, size, &pattern(size)).await;
            }
        };
        let Fate { served, activity, connection, .. } = between(client, upstream).await;
        served.expect("a proper end");
        assert!(connection.is_ready());
        let bodies: usize = sizes.iter().sum();
        let heads = activity.written.get() - bodies as u64;
        assert!((50..200).contains(&(heads / sizes.len() as u64)), "everything is counted, once: {heads}");
        assert!(given_back() > 0);
    });
}

#[test]
fn those_of_requests_do_too() {
    run(async {
        let sizes = [10_000, MIB, 10, 9 * MIB + 7, 300_000];
        let sent = Cell::new(0);
        let client = async |mut client: TcpStream| {
            for size in sizes {
                let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
                // The head of the next is there while this one is served.
                let request = [head.as_bytes(), &pattern(size)].concat();
                client.write_all(&request).await.expect("it is taken");
                sent.set(sent.get() + request.len() as u64);
                assert!(body(&mut client, 2).await == pattern(2), "{size}");
            }
        };
        let upstream = async |upstream: &mut TcpStream| {
            for size in sizes {
                let head = read_until(upstream, b"\r\n\r\n").await;
                assert!(
                    String::from_utf8(head).expect("text").contains(&format!("content-length: {size}\r\n"))
                );
                let mut bytes = vec![0; size];
                upstream.read_exact(&mut bytes).await.expect("all of it");
                assert!(bytes == pattern(size), "{size}");
                upstream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
                    .await
                    .expect("it is taken");
                upstream.write_all(&pattern(2)).await.expect("it is taken");
            }
        };
        let Fate { served, activity, connection, .. } = between(client, upstream).await;
        served.expect("a proper end");
        assert_eq!(activity.read.get(), sent.get(), "everything is counted, once");
        assert!(connection.is_ready() && given_back() > 0);
    });
}

#[test]
fn a_request_that_is_cut_is_cut_for_the_upstream_too() {
    run(async {
        let client = async |mut client: TcpStream| {
            let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", 9 * MIB);
            client.write_all(&[head.as_bytes(), &pattern(5 * MIB)].concat()).await.expect("it is taken");
            client.shutdown().await.expect("ended");
        };
        let upstream = async |upstream: &mut TcpStream| {
            read_until(upstream, b"\r\n\r\n").await;
            let mut bytes = Vec::new();
            upstream.read_to_end(&mut bytes).await.expect("its end");
            assert!(bytes == pattern(5 * MIB), "what came, and no more");
        };
        let Fate { served, connection, .. } = between(client, upstream).await;
        assert!(matches!(served, Err(Error::Closed)), "{served:?}");
        assert!(connection.is_closed() && given_back() > 0);
    });
}

#[test]
fn what_is_cut_is_cut_for_the_client_too() {
    run(async {
        let client = async |mut client: TcpStream| {
            client.write_all(REQUEST).await.expect("sent");
            assert!(body(&mut client, 9 * MIB).await == pattern(5 * MIB), "what came, and no more");
        };
        let upstream = async |upstream: &mut TcpStream| {
            answer(upstream, 9 * MIB, &pattern(5 * MIB)).await;
            upstream.shutdown().await.expect("ended");
        };
        let Fate { served, connection, .. } = between(client, upstream).await;
        assert!(matches!(served, Err(Error::Aborted)), "{served:?}");
        assert!(connection.is_closed() && given_back() > 0);
    });
}

#[test]
fn what_comes_behind_the_length_is_nobodys() {
    run(async {
        let client = async |mut client: TcpStream| {
            client.write_all(REQUEST).await.expect("sent");
            assert!(body(&mut client, 2 * MIB).await == pattern(2 * MIB));
            client.shutdown().await.expect("ended");
            assert_eq!(client.read(&mut [0]).await.expect("the end"), 0);
        };
        let upstream = async |upstream: &mut TcpStream| {
            answer(upstream, 2 * MIB, &[pattern(2 * MIB), pattern(100)].concat()).await;
        };
        let Fate { served, connection, .. } = between(client, upstream).await;
        served.expect("a proper end");
        assert!(connection.is_closed(), "those bytes would be the next answer");
        assert!(given_back() > 0);
    });
}

#[test]
fn a_client_that_goes_takes_what_was_under_way_with_it() {
    run(async {
        let client = async |mut client: TcpStream| {
            client.write_all(REQUEST).await.expect("sent");
            client.read_exact(&mut vec![0; MIB]).await.expect("its beginning");
        };
        let upstream = async |upstream: &mut TcpStream| {
            answer(upstream, 1024 * MIB, &[]).await;
            let bytes = pattern(MIB);
            while upstream.write_all(&bytes).await.is_ok() {}
        };
        let Fate { served, connection, .. } = between(client, upstream).await;
        assert!(matches!(served, Err(Error::Io(_) | Error::Ended)), "{served:?}");
        assert!(connection.is_closed());
        assert_eq!(given_back(), 0, "what was in it went with it");
    });
}

#[test]
fn a_client_that_takes_nothing_has_its_time_and_no_more() {
    run(async {
        let client = async |mut client: TcpStream| {
            client.write_all(REQUEST).await.expect("sent");
            client.read_exact(&mut vec![0; MIB]).await.expect("its beginning");
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        let upstream = async |upstream: &mut TcpStream| {
            answer(upstream, 1024 * MIB, &[]).await;
            let bytes = pattern(MIB);
            while upstream.write_all(&bytes).await.is_ok() {}
        };
        let Fate { served, activity, connection, .. } = between(client, upstream).await;
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut;
        assert!(matches!(&served, Err(Error::Io(error)) if timed_out(error)), "{served:?}");
        assert!(activity.is_abandoned() && connection.is_closed());
        assert_eq!(given_back(), 0, "what was in it went with it");
    });
}

#[test]
fn where_no_pipe_can_be_had_they_are_copied() {
    run(async {
        let taken: Vec<_> = std::iter::from_fn(Pipe::take).collect();
        let client = async |mut client: TcpStream| {
            client.write_all(REQUEST).await.expect("sent");
            assert!(body(&mut client, 5 * MIB).await == pattern(5 * MIB));
        };
        let upstream = async |upstream: &mut TcpStream| answer(upstream, 5 * MIB, &pattern(5 * MIB)).await;
        between(client, upstream).await.served.expect("a proper end");
        drop(taken);
    });
}

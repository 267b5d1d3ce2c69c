use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::carry::{Carried, End, carry};
use super::*;
use crate::io::Prefixed;
use crate::pipe;

const MIB: usize = 1024 * 1024;

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.expect("connected"), other.expect("accepted").0)
}

/// Bytes that tell where they belong.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + at / 4096 + seed) % 251) as u8).collect()
}

/// What is sent, while what comes is read; then our side is closed.
async fn converse(socket: TcpStream, sent: Vec<u8>, received: usize) -> Vec<u8> {
    let (mut reading, mut writing) = socket.into_split();
    let write = async move {
        writing.write_all(&sent).await.expect("sent");
        writing
    };
    let read = async {
        let mut bytes = vec![0; received];
        reading.read_exact(&mut bytes).await.expect("received");
        bytes
    };
    let (writing, bytes) = tokio::join!(write, read);
    drop(writing);
    assert_eq!(reading.read(&mut [0]).await.expect("the end"), 0);
    bytes
}

#[tokio::test]
async fn what_comes_in_bulk_arrives_as_it_was_sent_and_no_pipe_is_left_over() {
    for (up, down, spliced) in
        [(9_000, 15_000, false), (5 * MIB + 7, 9 * MIB + 1, true), (100, 3 * MIB, true), (3 * MIB, 0, true)]
    {
        let (client, ours) = pair().await;
        let (theirs, server) = pair().await;
        let (asked, answer) = (pattern(up, 1), pattern(down, 2));
        let (carried, heard, asked_for) = tokio::join!(
            carry(ours, theirs, None, std::future::pending()),
            converse(client, asked.clone(), down),
            converse(server, answer.clone(), up),
        );
        assert!(heard == answer && asked_for == asked, "{up} up, {down} down");
        assert_eq!((carried.up, carried.down, carried.end), (up as u64, down as u64, End::Closed));
        let (open, empty) = pipe::counts();
        assert_eq!(open, empty, "every pipe was given back");
        assert_eq!(open > 0, spliced, "{up} up, {down} down");
    }
}

#[tokio::test]
async fn bytes_that_were_read_before_go_before_what_is_spliced() {
    let (client, ours) = pair().await;
    let (theirs, server) = pair().await;
    let ours = Prefixed::new(pattern(50_000, 3)[..].into(), ours);
    let all = [pattern(50_000, 3), pattern(2 * MIB, 4)].concat();
    let (carried, _, heard) = tokio::join!(
        carry(ours, theirs, None, std::future::pending()),
        converse(client, pattern(2 * MIB, 4), 0),
        converse(server, Vec::new(), all.len()),
    );
    assert!(heard == all);
    assert_eq!((carried.up, carried.end), (all.len() as u64, End::Closed));
}

/// A relay whose client sends without end, and whose server reads nothing until it is told.
async fn stuck(idle_timeout: Option<Duration>, end: impl Future<Output = &'static str>) -> (Carried, usize) {
    let (mut client, ours) = pair().await;
    let (theirs, server) = pair().await;
    let flood = async {
        let bytes = pattern(MIB, 5);
        while client.write_all(&bytes).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let carried = tokio::select! {
        carried = carry(ours, theirs, idle_timeout, end) => carried,
        () = flood => unreachable!("it never ends"),
    };
    drop(server);
    let (open, empty) = pipe::counts();
    (carried, open - empty)
}

#[tokio::test]
async fn a_stream_that_nobody_reads_ends_with_what_was_in_its_pipe() {
    let (carried, left) = stuck(Some(Duration::from_millis(50)), std::future::pending()).await;
    assert_eq!((carried.end, left), (End::Cut("idle_timeout"), 0));
    assert!(carried.up > 0);
}

#[tokio::test]
async fn a_reset_amid_bulk_is_a_failure() {
    let (mut client, ours) = pair().await;
    let (theirs, mut server) = pair().await;
    let talk = async {
        client.write_all(&pattern(4 * MIB, 6)).await.expect("sent");
        client.set_zero_linger().expect("set");
        drop(client);
    };
    let read = async {
        let mut all = Vec::new();
        // How it ends is told by the relay; whoever owns the sockets passes a reset on.
        let _ = server.read_to_end(&mut all).await;
    };
    let (carried, (), ()) =
        tokio::join!(async { carry(ours, theirs, None, std::future::pending()).await }, talk, read);
    assert_eq!(carried.end, End::Failed);
    let (open, empty) = pipe::counts();
    assert_eq!(open, empty);
}

#[tokio::test]
async fn whoever_goes_away_amid_bulk_ends_it() {
    let (mut client, ours) = pair().await;
    let (theirs, mut server) = pair().await;
    let flood = async {
        let bytes = pattern(MIB, 9);
        while client.write_all(&bytes).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let leave = async {
        server.read_exact(&mut vec![0; MIB]).await.expect("received");
        drop(server);
        std::future::pending::<()>().await;
    };
    let carried = tokio::select! {
        carried = carry(ours, theirs, None, std::future::pending()) => carried,
        () = flood => unreachable!("it never ends"),
        () = leave => unreachable!("it never ends"),
    };
    assert_eq!(carried.end, End::Failed);
    assert!(carried.up >= MIB as u64);
    let (open, empty) = pipe::counts();
    assert_eq!(open, empty, "what was in the pipe went with it");
}

#[tokio::test]
async fn the_way_is_bulk_after_a_full_read_and_small_again_after_small_pieces() {
    let (mut client, mut ours) = pair().await;
    let (mut theirs, mut server) = pair().await;
    let mut way = Way::default();
    let mut states = Vec::new();
    for size in [1_000, 64 * 1024, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000] {
        client.write_all(&pattern(size, 7)).await.expect("sent");
        let mut heard = vec![0; size];
        let carry = std::future::poll_fn(|cx| way.poll(&mut ours, &mut theirs, cx));
        tokio::select! {
            ended = carry => unreachable!("{ended:?}: nobody ends it"),
            read = server.read_exact(&mut heard) => read.map(drop).expect("carried"),
        }
        assert!(heard == pattern(size, 7));
        states.push(way.bulk);
        assert!(way.buffer.is_empty() && way.pipe.is_none(), "at rest it holds nothing");
    }
    assert_eq!(states[..2], [false, true]);
    assert!(!states[7], "{states:?}");
}

#[tokio::test]
async fn where_no_pipe_can_be_had_bytes_are_copied() {
    let taken: Vec<_> = std::iter::from_fn(Pipe::take).collect();
    let (client, ours) = pair().await;
    let (theirs, server) = pair().await;
    let (carried, _, heard) = tokio::join!(
        carry(ours, theirs, None, std::future::pending()),
        converse(client, pattern(3 * MIB, 8), 0),
        converse(server, Vec::new(), 3 * MIB),
    );
    assert!(heard == pattern(3 * MIB, 8));
    assert_eq!((carried.up, carried.end), (3 * MIB as u64, End::Closed));
    drop(taken);
}

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let (one, other) = tokio::join!(TcpStream::connect(address), listener.accept());
    (one.expect("connected"), other.expect("accepted").0)
}

#[tokio::test]
async fn an_empty_pipe_is_kept_and_one_with_bytes_in_it_is_closed() {
    let (mut client, ours) = pair().await;
    let (theirs, mut server) = pair().await;
    client.write_all(b"some bytes").await.expect("sent");
    ours.readable().await.expect("there are bytes");
    let mut pipe = Pipe::take().expect("there may be one");
    assert_eq!(pipe.fill(&ours, u64::MAX).expect("moved"), 10);
    assert!(!pipe.is_empty());
    pipe.give_back();
    assert_eq!(counts(), (0, 0), "those bytes are nobody else's");

    let mut pipe = Pipe::take().expect("there may be one");
    client.write_all(b"more").await.expect("sent");
    ours.readable().await.expect("there are bytes");
    assert_eq!(pipe.fill(&ours, u64::MAX).expect("moved"), 4);
    assert_eq!(pipe.drain(&theirs).expect("moved"), 4);
    pipe.give_back();
    assert_eq!(counts(), (1, 1));
    let mut read = [0; 4];
    server.read_exact(&mut read).await.expect("they came through");
    assert_eq!(&read, b"more");
    assert!(Pipe::take().is_some_and(|pipe| pipe.is_empty()));
}

#[test]
fn a_thread_has_only_so_many_pipes_and_keeps_fewer() {
    let pipes: Vec<_> = std::iter::from_fn(Pipe::take).collect();
    assert_eq!(pipes.len(), MOST_OPEN);
    pipes.into_iter().for_each(Pipe::give_back);
    assert_eq!(counts(), (KEPT, KEPT));
}

/// A stream that has bytes without end does not keep the others of its thread waiting.
#[tokio::test]
async fn a_fast_stream_gives_way() {
    let (mut turn, mut turns) = (Turn::default(), 0);
    turn.moved(64 * 1024 * 1024);
    let counted = std::future::poll_fn(|cx| {
        turns += 1;
        turn.poll_count(cx)
    });
    counted.await;
    assert!(turns >= 64, "a MiB a turn: {turns}");
}

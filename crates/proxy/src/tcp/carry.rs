//! Both directions of a relay, until it ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::way::Way;
use crate::io::MaybeSocket;

/// What was carried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Carried {
    /// Bytes from the client to the upstream.
    pub(crate) up: u64,
    /// Bytes from the upstream to the client.
    pub(crate) down: u64,
    /// How it ended.
    pub(super) end: End,
}

/// How a relay ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides had nothing more to say.
    Closed,
    /// One of the connections failed.
    Failed,
    /// By us; the text says why.
    Cut(&'static str),
}

/// Carries bytes both ways until both sides have ended, one has failed, nothing moves for too long, or `cut` says so. Each
/// direction ends by itself (half-close).
pub(crate) async fn carry(
    mut client: impl MaybeSocket,
    mut upstream: impl MaybeSocket,
    idle_timeout: Option<Duration>,
    cut: impl Future<Output = &'static str>,
) -> Carried {
    let moved = Cell::new(Instant::now());
    let (mut up, mut down) = (Way::default(), Way::default());
    let both = poll_fn(|cx| {
        let before = up.carried() + down.carried();
        let (up_ended, down_ended) =
            (up.poll(&mut client, &mut upstream, cx)?, down.poll(&mut upstream, &mut client, cx)?);
        if up.carried() + down.carried() > before {
            moved.set(Instant::now());
        }
        match up_ended.is_ready() && down_ended.is_ready() {
            true => Poll::Ready(Ok::<_, std::io::Error>(())),
            false => Poll::Pending,
        }
    });
    let over = async {
        tokio::select! {
            () = quiet(idle_timeout, &moved) => "idle_timeout",
            why = cut => why,
        }
    };
    // Asked when it has something to say, and not whenever bytes move.
    let mut over = FuturesUnordered::from_iter([over]);
    let end = tokio::select! {
        biased;
        ended = both => if ended.is_ok() { End::Closed } else { End::Failed },
        Some(why) = over.next() => End::Cut(why),
    };
    Carried { up: up.carried(), down: down.carried(), end }
}

/// Ends when nothing has moved for the given time.
async fn quiet(limit: Option<Duration>, moved: &Cell<Instant>) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        let end = moved.get() + limit;
        if end <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(end).await;
    }
}

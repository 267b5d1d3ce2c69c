//! HTTP/2 responses that their client does not take.
//!
//! A client that never opens a stream's window holds what was read for it: the codec waits for room and asks the response's
//! body for nothing, so that the body cannot see it. What can is the task that the codec runs each stream in.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

tokio::task_local! {
    static STREAM: Rc<Sending>;
}

/// How the sending of one response goes.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Since when the codec has had a piece of the body, without asking for the next.
    since: Cell<Option<Instant>>,
    /// For so long at most; none = for ever.
    limit: Cell<Option<Duration>>,
    expired: Cell<bool>,
}

impl Sending {
    /// That of the stream whose task this is, if it is one of HTTP/2. The client may leave it alone for `limit`.
    pub(super) fn of_this_stream(limit: Option<Duration>) -> Option<Rc<Self>> {
        let sending = STREAM.try_with(Rc::clone).ok()?;
        sending.limit.set(limit);
        Some(sending)
    }

    /// The codec asks for the next piece.
    pub(super) fn asked(&self) {
        self.since.set(None);
    }

    /// The codec has got one.
    pub(super) fn given(&self, now: Instant) {
        self.since.set(Some(now));
    }

    /// Was the stream ended because its client took nothing?
    pub(super) fn is_expired(&self) -> bool {
        self.expired.get()
    }

    /// Ready when the client has taken nothing for too long. The timer is only made when there is something to wait for.
    fn poll_expired(&self, timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
        let (Some(since), Some(limit)) = (self.since.get(), self.limit.get()) else { return Poll::Pending };
        let end = since + limit;
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        loop {
            if timer.is_elapsed() {
                if end <= Instant::now() {
                    self.expired.set(true);
                    return Poll::Ready(());
                }
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

/// Runs a stream of HTTP/2 in a task of its own, and ends it (RST_STREAM) when its client takes nothing.
pub(super) fn start(stream: impl Future<Output = ()> + 'static) {
    let sending = Rc::new(Sending::default());
    tokio::task::spawn_local(STREAM.scope(Rc::clone(&sending), watched(stream, sending)));
}

async fn watched(stream: impl Future, sending: Rc<Sending>) {
    let mut stream = pin!(stream);
    let mut timer = None;
    poll_fn(|cx| match stream.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => sending.poll_expired(&mut timer, cx),
    })
    .await;
}

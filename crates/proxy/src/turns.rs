//! Work that is long for one thread, a little at a time.
//!
//! A TLS handshake is some hundred microseconds of arithmetic that nothing interrupts. Where hundreds of clients come at once, all of
//! theirs would be ahead of whatever happens next on the connections that are there already. So only a few steps are
//! done before everybody else who is ready has had their turn, and the sockets have been looked at again.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::ready;

use tokio::sync::{Notify, Semaphore};

/// Steps of handshakes that one turn of the thread has room for.
const STEPS: usize = 2;

/// The turns of a thread.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Steps that this turn still has room for. Who waits is served in order.
    room: Semaphore,
    /// Steps that were done in this turn.
    done: Cell<usize>,
    /// The first of them was.
    begun: Notify,
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self { room: Semaphore::new(STEPS), done: Cell::new(0), begun: Notify::new() }
    }

    /// Makes room again after every turn, for ever.
    pub(crate) async fn run(&self) {
        loop {
            self.begun.notified().await;
            // Comes back when the sockets have been looked at, behind whoever is ready.
            tokio::task::yield_now().await;
            self.room.add_permits(self.done.take());
        }
    }

    /// Does nothing of `work` but in its turn: each time it is polled is a step.
    pub(crate) async fn pace<W: Future>(&self, work: W) -> W::Output {
        let (mut work, mut turn) = (pin!(work), pin!(self.take()));
        poll_fn(|cx| {
            ready!(turn.as_mut().poll(cx));
            turn.set(self.take());
            work.as_mut().poll(cx)
        })
        .await
    }

    async fn take(&self) {
        self.room.acquire().await.expect("it is never closed").forget();
        self.done.set(self.done.get() + 1);
        self.begun.notify_one();
    }
}

#[cfg(test)]
mod tests;

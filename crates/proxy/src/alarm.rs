//! Timers that hardly ever fire.
//!
//! Nearly every wait of an exchange ends long before its limit. To set a timer for it and to take it back costs more
//! than the wait's own work; so a data thread keeps its timers set, and an exchange that borrows one sets it anew only
//! when it would fire too late. One that fires too early is set to the moment that is waited for by then.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

/// Timers that a thread keeps.
const KEPT: usize = 64;

/// The timers of a data thread that nobody waits for.
#[derive(Debug, Default, Clone)]
pub(crate) struct Alarms(Rc<RefCell<Vec<Pin<Box<Sleep>>>>>);

/// A timer, as long as somebody may wait for it.
#[derive(Debug)]
pub(crate) struct Alarm {
    alarms: Alarms,
    /// Borrowed when it is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarms {
    /// One for somebody who may have to wait.
    pub(crate) fn one(&self) -> Alarm {
        Alarm { alarms: self.clone(), timer: None }
    }
}

impl Alarm {
    /// Ready from `end` on.
    pub(crate) fn poll_at(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Self { alarms, timer } = self;
        let kept = || alarms.0.borrow_mut().pop().unwrap_or_else(|| Box::pin(sleep_until(end)));
        let timer = timer.get_or_insert_with(kept);
        loop {
            if timer.is_elapsed() || timer.deadline() > end {
                timer.as_mut().reset(end);
            }
            ready!(timer.as_mut().poll(cx));
            if end <= Instant::now() {
                return Poll::Ready(());
            }
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            let mut kept = self.alarms.0.borrow_mut();
            if kept.len() < KEPT {
                kept.push(timer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    async fn wait(alarm: &mut Alarm, end: Instant) -> Duration {
        poll_fn(|cx| alarm.poll_at(end, cx)).await;
        end.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_was_set_for_another_moment_fires_at_the_right_one() {
        let alarms = Alarms::default();
        let second = Duration::from_secs(1);
        for (set, wanted) in [(1, 3), (3, 1), (2, 2)] {
            let now = Instant::now();
            let mut first = alarms.one();
            let pending = poll_fn(|cx| Poll::Ready(first.poll_at(now + set * second, cx))).await;
            assert!(pending.is_pending());
            drop(first);
            assert_eq!(alarms.0.borrow().len(), 1, "it is kept");
            let late = wait(&mut alarms.one(), now + wanted * second).await;
            assert!(late <= Duration::from_millis(2), "{set} {wanted}: {late:?}");
        }
        assert_eq!(alarms.0.borrow().len(), 1, "and used again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_ready_at_once() {
        let mut alarm = Alarms::default().one();
        assert_eq!(wait(&mut alarm, Instant::now()).await, Duration::ZERO);
        tokio::time::advance(Duration::from_secs(5)).await;
        wait(&mut alarm, Instant::now() - Duration::from_secs(1)).await;
    }
}

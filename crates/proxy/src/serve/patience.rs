//! How long an exchange may take, and how long it may be silent.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use crate::alarm::{Alarm, Alarms};
use crate::body::Inbound;
use crate::failure::Failure;

/// The limits of one exchange, or of one attempt.
pub(super) struct Patience {
    begun: Instant,
    /// From the last byte of the request on: who is slow to send one is not to be told that the upstream was slow to
    /// answer it (as Envoy counts a route's timeout).
    timeout: Option<Duration>,
    /// Without a byte in either direction.
    idle: Option<Duration>,
    request: Option<Rc<RefCell<Inbound>>>,
}

impl Patience {
    /// Begins at `begun`, with a request whose body (if it has one) is `request`.
    pub(super) fn new(
        begun: Instant,
        timeout: Option<Duration>,
        idle: Option<Duration>,
        request: Option<&Rc<RefCell<Inbound>>>,
    ) -> Self {
        Self { begun, timeout, idle, request: request.cloned() }
    }

    /// When it began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// How long there may be no byte.
    pub(super) fn idle(&self) -> Option<Duration> {
        self.idle
    }

    /// When it will be at an end, as things stand now, and why; later looks may find a later moment, never an earlier
    /// one. `heard` is the last time that the upstream said something.
    pub(super) fn end(&self, heard: Option<Instant>) -> Option<(Instant, Failure)> {
        if self.timeout.is_none() && self.idle.is_none() {
            return None;
        }
        let (complete, moved) = match &self.request {
            None => (true, self.begun),
            Some(request) => {
                let request = request.borrow();
                (request.ended(), request.moved())
            }
        };
        let sent = if complete { moved.max(self.begun) } else { Instant::now() };
        let whole = self.timeout.map(|limit| (sent + limit, Failure::TimedOut));
        let status = if complete { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::REQUEST_TIMEOUT };
        let moved = heard.map_or(moved, |heard| moved.max(heard)).max(self.begun);
        let silent = self.idle.map(|limit| (moved + limit, Failure::Silent(status)));
        [whole, silent].into_iter().flatten().min_by_key(|(end, _)| *end)
    }

    /// Ready when it is at an end, the upstream having said nothing since `heard`.
    pub(super) fn poll_run_out(
        &self,
        heard: Option<Instant>,
        alarm: &mut Alarm,
        cx: &mut Context<'_>,
    ) -> Poll<Failure> {
        loop {
            let Some((end, failure)) = self.end(heard) else { return Poll::Pending };
            ready!(alarm.poll_at(end, cx));
            // Something may have come meanwhile, and there is time again.
            if self.end(heard).is_none_or(|(now, _)| now <= end) {
                return Poll::Ready(failure);
            }
        }
    }

    /// Waits until it is at an end, the upstream saying nothing.
    pub(super) async fn run_out(&self, alarms: &Alarms) -> Failure {
        let mut alarm = alarms.one();
        poll_fn(|cx| self.poll_run_out(None, &mut alarm, cx)).await
    }
}

//! What the gate and the stages tell each other.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use crate::refusal::RefusedRequest;

/// What the gate and the stages tell each other about one downstream connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests whose response has not been sent yet.
    pub(super) in_flight: Cell<u32>,
    /// A request has ended since the gate last looked.
    pub(super) settled: Cell<bool>,
    /// Milliseconds of silence that some route bears, beyond what every request is given.
    borne: Cell<u64>,
    /// Milliseconds that a client may take nothing of what is sent; 0 = nobody said.
    unread: Cell<u64>,
    /// The connection was ended because its client took nothing.
    abandoned: Cell<bool>,
    /// The connection has become something else than HTTP/1 (an upgrade): its bytes are nobody's business.
    pub(crate) opaque: Cell<bool>,
    /// Number of the request after which both connections end; 0 = none.
    pub(crate) last: Cell<u64>,
    /// A request that the gate refused.
    pub(crate) refused: OnceCell<RefusedRequest>,
    /// Bytes read, for metrics.
    pub(crate) read: Cell<u64>,
    /// Bytes written, for metrics.
    pub(crate) written: Cell<u64>,
}

impl Activity {
    /// A request is under way.
    pub(crate) fn begin(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// And has ended, or is about to: its last bytes may still have to be written.
    pub(crate) fn end(&self) {
        self.settled.set(true);
        self.in_flight.set(self.in_flight.get() - 1);
    }

    /// The client may take nothing of its response for so long (none = for ever).
    pub(crate) fn bear_unread(&self, silence: Option<Duration>) {
        self.unread.set(millis(silence.unwrap_or(FOR_EVER)).max(1));
    }

    /// Was the connection ended because its client took nothing?
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.get()
    }

    pub(super) fn abandon(&self) {
        self.abandoned.set(true);
    }

    /// How long the client may take nothing, if somebody said so.
    pub(super) fn unread(&self) -> Option<Duration> {
        let millis = self.unread.get();
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// A request may be silent for so long (none = for ever); its own stages see to that, the gate only must not be
    /// faster.
    pub(crate) fn bear(&self, silence: Option<Duration>) {
        let silence = silence.map_or(FOR_EVER, |limit| limit.saturating_add(LEEWAY));
        self.borne.set(self.borne.get().max(millis(silence)));
    }

    /// What [`Activity::bear`] was told at most.
    pub(super) fn borne(&self) -> Duration {
        Duration::from_millis(self.borne.get())
    }
}

/// Longer than any connection lives.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// So that an answer (408, 504) goes before the end of the connection.
const LEEWAY: Duration = Duration::from_secs(5);

fn millis(duration: Duration) -> u64 {
    duration.min(FOR_EVER).as_millis() as u64
}

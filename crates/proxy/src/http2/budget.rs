//! How much of what is cheap for a client, and not for us, it may do.

use std::time::Duration;

use tokio::time::Instant;

/// In so long what was spent is there again.
const REFILL: Duration = Duration::from_secs(30);

/// So many at once, and as many again in half a minute.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    left: usize,
    since: Instant,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self { most, left: most, since: Instant::now() }
    }

    /// Takes one; false when there is none.
    pub(super) fn spend(&mut self) -> bool {
        if self.left == 0 {
            let passed = self.since.elapsed().min(REFILL);
            self.left = (self.most as u128 * passed.as_nanos() / REFILL.as_nanos()) as usize;
            if self.left == 0 {
                return false;
            }
            self.since = Instant::now();
        }
        self.left -= 1;
        true
    }
}

/// Bytes that came and carried nothing, beyond which they must be few among those that did.
const IDLE_BYTES: u64 = 1024 * 1024;
/// Of so many bytes one at least must carry something.
const SHARE: u64 = 8;

/// Bytes of frames that came, and of what they carried: who sends frames without end that carry nothing (`PING`, `SETTINGS`,
/// `PRIORITY`, empty `DATA`) wants to keep us busy.
#[derive(Debug, Default)]
pub(super) struct Worth {
    came: u64,
    carried: u64,
}

impl Worth {
    /// Frames of so many bytes came; false when they were too many for what they carried.
    pub(super) fn came(&mut self, bytes: usize) -> bool {
        self.came += bytes as u64;
        self.came / SHARE <= self.carried + IDLE_BYTES
    }

    /// So many bytes of requests, or of answers, were carried.
    pub(super) fn carried(&mut self, bytes: usize) {
        self.carried += bytes as u64;
    }
}

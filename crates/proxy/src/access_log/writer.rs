//! Carries lines from the data threads to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines wait no longer than this.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// So much of one data thread's lines wakes the writer at once.
const WAKE_AT: usize = 64 * 1024;

/// More than this of one data thread's lines is dropped.
const KEEP_AT_MOST: usize = 1024 * 1024;

/// How long anybody waits for lines to be written: a pipe that nobody reads must not hold up the end of a process.
const FLUSH_AT_MOST: Duration = Duration::from_secs(2);

/// Writes one log file, in a thread of its own. After it is dropped the thread writes what it has been given and ends;
/// nobody waits for that, so that a data thread may drop it.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
}

/// One data thread's end of a log.
#[derive(Debug)]
pub struct LogLines {
    buffer: Arc<Buffer>,
    shared: Arc<Shared>,
}

/// Lines of one data thread that the writer has not taken. Each has its own, so that the lock is never contended but
/// once a second, when the writer takes the bytes by a swap.
type Buffer = Mutex<Vec<u8>>;

#[derive(Debug)]
struct Shared {
    buffers: Mutex<Vec<Arc<Buffer>>>,
    order: Mutex<Order>,
    ordered: Condvar,
    carried_out: Condvar,
    dropped: AtomicU64,
}

/// What the writer is asked to do.
#[derive(Debug, Default)]
struct Order {
    /// Writes asked for so far.
    asked: u64,
    /// Of these, carried out.
    done: u64,
    reopen: bool,
    stop: bool,
    stopped: bool,
}

enum Sink {
    Stdout,
    Stderr,
    File(String, File),
}

impl LogWriter {
    /// Opens the log for appending. `/dev/stdout`, `/dev/fd/1` and their likes for standard error are the streams of
    /// this process, opened or not.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread be started.
    pub fn open(path: &str) -> io::Result<Self> {
        let sink = Sink::open(path)?;
        let shared = Arc::new(Shared {
            buffers: Mutex::default(),
            order: Mutex::default(),
            ordered: Condvar::new(),
            carried_out: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("access-log".to_owned()).spawn(move || of_thread.run(sink))?;
        Ok(Self { shared })
    }

    /// An end for one more data thread.
    pub fn lines(&self) -> LogLines {
        let buffer = Arc::<Buffer>::default();
        locked(&self.shared.buffers).push(Arc::clone(&buffer));
        LogLines { buffer, shared: Arc::clone(&self.shared) }
    }

    /// Opens the file anew before the next line: it was moved away by a log rotation.
    pub fn reopen(&self) {
        self.shared.order(|order| order.reopen = true);
    }

    /// Waits until what was pushed before is written, for 2 s at most.
    pub fn flush(&self) {
        let mut asked = 0;
        self.shared.order(|order| {
            order.asked += 1;
            asked = order.asked;
        });
        let order = locked(&self.shared.order);
        // Timed out or not, there is nothing more to do about it.
        let _ = self.shared.carried_out.wait_timeout_while(order, FLUSH_AT_MOST, |order| order.done < asked);
    }

    /// A number that no other writer has as long as there are [`LogLines`] of this one.
    pub fn key(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// Lines that were not written, because the file could not take them or not as fast.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.order(|order| order.stop = true);
    }
}

impl LogLines {
    /// Adds what `write` writes: one line, or none.
    pub fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = locked(&self.buffer);
        let before = buffer.len();
        if before >= KEEP_AT_MOST {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        write(&mut buffer);
        let wake = before < WAKE_AT && buffer.len() >= WAKE_AT;
        drop(buffer);
        if wake {
            self.shared.order(|order| order.asked += 1);
        }
    }

    /// Is the writer gone? Then lines go nowhere.
    pub fn is_closed(&self) -> bool {
        locked(&self.shared.order).stopped
    }
}

impl Shared {
    fn order(&self, change: impl FnOnce(&mut Order)) {
        change(&mut locked(&self.order));
        self.ordered.notify_one();
    }

    fn run(&self, mut sink: Sink) {
        let mut spare = Vec::new();
        loop {
            let idle = |order: &mut Order| order.asked == order.done && !order.reopen && !order.stop;
            let order = locked(&self.order);
            let (mut order, _) = self
                .ordered
                .wait_timeout_while(order, FLUSH_EVERY, idle)
                .unwrap_or_else(PoisonError::into_inner);
            let (asked, stop) = (order.asked, order.stop);
            let reopen = std::mem::take(&mut order.reopen);
            drop(order);
            if reopen {
                sink.reopen();
            }
            self.write_all(&mut sink, &mut spare);
            let mut order = locked(&self.order);
            order.done = asked;
            order.stopped = stop;
            self.carried_out.notify_all();
            if stop {
                return;
            }
        }
    }

    fn write_all(&self, sink: &mut Sink, spare: &mut Vec<u8>) {
        let buffers = locked(&self.buffers).clone();
        for buffer in &buffers {
            std::mem::swap(&mut *locked(buffer), spare);
            if !spare.is_empty() && sink.write(spare).is_err() {
                let lines = spare.iter().filter(|byte| **byte == b'\n').count();
                self.dropped.fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Ordering::Relaxed);
                // The file may be gone; perhaps there is a new one.
                sink.reopen();
            }
            spare.clear();
        }
        drop(buffers);
        // Only the list holds it: its data thread is gone.
        locked(&self.buffers).retain(|buffer| Arc::strong_count(buffer) > 1 || !locked(buffer).is_empty());
    }
}

impl Sink {
    fn open(path: &str) -> io::Result<Self> {
        Ok(match path {
            "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Self::Stdout,
            "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Self::Stderr,
            _ => Self::File(path.to_owned(), OpenOptions::new().create(true).append(true).open(path)?),
        })
    }

    /// Keeps the old file when there can be no new one.
    fn reopen(&mut self) {
        if let Self::File(path, _) = self
            && let Ok(sink) = Self::open(path)
        {
            *self = sink;
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(_, file) => file.write_all(lines),
        }
    }
}

/// A thread that panicked with the lock left whole lines or part of one behind: nothing that must stop the others.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

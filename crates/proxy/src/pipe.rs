//! Pipes: what splice(2) puts bytes into on their way from one socket to another, without a copy in this process.
//!
//! Whoever moves bytes has one only while there are bytes in it. Else it is kept by the thread for whoever is next; one that is not
//! empty is never kept, but closed with what is in it.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop;

/// What is asked for as the size of a pipe. The kernel gives 64 KiB to whom it does not allow more (it allows each user
/// `/proc/sys/fs/pipe-user-pages-soft`, 64 MiB by default).
const SIZE: usize = 256 * 1024;
/// Most that is moved at once. A page of the network's may be larger than one of the pipe's, so that more than its size fits in.
const MOST: usize = 1024 * 1024;
/// Pipes of a thread: with bytes in them, that is for clients that are slower than their upstreams (or the other way round).
/// Directions beyond that are copied.
const MOST_OPEN: usize = 256;
/// Empty pipes that a thread keeps, until it tidies.
const KEPT: usize = 16;
/// Bytes that count as much as one read or write of tokio's, of which a task may do 128 before it is another's turn.
const PER_TURN: usize = 8 * 1024;

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// A pipe of this thread.
#[derive(Debug)]
pub(crate) struct Pipe {
    reading: OwnedFd,
    writing: OwnedFd,
    /// Bytes in it.
    held: usize,
}

impl Pipe {
    /// An empty one; none when there are too many, or the process may have no more descriptors.
    pub(crate) fn take() -> Option<Self> {
        if let Some(pipe) = EMPTY.with_borrow_mut(Vec::pop) {
            return Some(pipe);
        }
        if OPEN.get() >= MOST_OPEN {
            return None;
        }
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Without it there are more system calls, and nothing else.
        let _ = fcntl_setpipe_size(&writing, SIZE);
        OPEN.set(OPEN.get() + 1);
        Some(Self { reading, writing, held: 0 })
    }

    /// Keeps it for the next, if it is empty.
    pub(crate) fn give_back(self) {
        EMPTY.with_borrow_mut(|kept| {
            if self.held == 0 && kept.len() < KEPT {
                kept.push(self);
            }
        });
    }

    /// Closes those that the thread keeps: what was in bulk may be over.
    pub(crate) fn close_kept() {
        EMPTY.with_borrow_mut(Vec::clear);
    }

    /// Is nothing in it?
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Bytes in it.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Moves what a socket has received into the pipe, which must be empty (of a full one the kernel says the same as of a
    /// socket that has nothing), but no more than `most` bytes; tells how much, 0 at the end of the stream.
    pub(crate) fn fill(&mut self, from: &TcpStream, most: u64) -> io::Result<usize> {
        let most = usize::try_from(most).map_or(MOST, |most| most.min(MOST));
        let moved = splice(from, None, &self.writing, None, most, FLAGS)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves what is in the pipe to a socket that takes something; tells how much.
    ///
    /// # Errors
    /// That of the socket; [`io::ErrorKind::WriteZero`] where it says that it took nothing.
    pub(crate) fn poll_drain(&mut self, to: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let moved = ready!(poll_io(to, Interest::WRITABLE, |socket| self.drain(socket), cx))?;
        match moved {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            moved => Poll::Ready(Ok(moved)),
        }
    }

    fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let moved = splice(&self.reading, None, to, None, self.held, FLAGS)?;
        self.held -= moved.min(self.held);
        Ok(moved)
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

impl Drop for Pipe {
    fn drop(&mut self) {
        OPEN.set(OPEN.get() - 1);
    }
}

/// What a task has moved that has not been counted against its turn. Without that a fast stream of a few system calls, each of
/// a megabyte, would keep all others of the thread waiting.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    uncounted: usize,
}

impl Turn {
    /// So many bytes were moved.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.uncounted += bytes;
    }

    /// Counts them. Ready as long as the task has its turn; otherwise it is woken when it has the next.
    pub(crate) fn poll_count(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.uncounted >= PER_TURN {
            ready!(coop::poll_proceed(cx)).made_progress();
            self.uncounted -= PER_TURN;
        }
        Poll::Ready(())
    }
}

/// One system call on a socket that is ready for it, or the task is told when it will be.
pub(crate) fn poll_io(
    socket: &TcpStream,
    interest: Interest,
    mut call: impl FnMut(&TcpStream) -> io::Result<usize>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    loop {
        match interest.is_readable() {
            true => ready!(socket.poll_read_ready(cx))?,
            false => ready!(socket.poll_write_ready(cx))?,
        }
        match socket.try_io(interest, || call(socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
    }
}

/// Is it that there is no socket, or the system that does not have or allow splice(2) between sockets, as some sandboxes do not?
pub(crate) fn is_refusal(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    error.kind() == io::ErrorKind::Unsupported
        || matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::PERM))
}

/// Pipes of this thread that are open, and how many of these are kept for the next.
#[cfg(test)]
pub(crate) fn counts() -> (usize, usize) {
    (OPEN.get(), EMPTY.with_borrow(Vec::len))
}

#[cfg(test)]
mod tests;

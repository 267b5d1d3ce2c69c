//! Pipes: what splice(2) puts bytes into on their way from one socket to another, without a copy in this process.
//!
//! A direction has one only while there are bytes in it. Else it is kept by the thread for whoever is next; one that is not
//! empty is never kept, but closed with what is in it.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::net::TcpStream;

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

thread_local! {
    static EMPTY: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<usize> = const { Cell::new(0) };
}

/// A pipe of this thread.
#[derive(Debug)]
pub(super) struct Pipe {
    reading: OwnedFd,
    writing: OwnedFd,
    /// Bytes in it.
    held: usize,
}

impl Pipe {
    /// An empty one; none when there are too many, or the process may have no more descriptors.
    pub(super) fn take() -> Option<Self> {
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
    pub(super) fn give_back(self) {
        EMPTY.with_borrow_mut(|kept| {
            if self.held == 0 && kept.len() < KEPT {
                kept.push(self);
            }
        });
    }

    /// Closes those that the thread keeps: what was in bulk may be over.
    pub(super) fn close_kept() {
        EMPTY.with_borrow_mut(Vec::clear);
    }

    /// Is nothing in it?
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves what a socket has received into the pipe, which must be empty (of a full one the kernel says the same as of a
    /// socket that has nothing); tells how much, 0 at the end of the stream.
    pub(super) fn fill(&mut self, from: &TcpStream) -> io::Result<usize> {
        let moved = splice(from, None, &self.writing, None, MOST, FLAGS)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves what is in the pipe to a socket; tells how much.
    pub(super) fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
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

/// Pipes of this thread that are open, and how many of these are kept for the next.
#[cfg(test)]
pub(super) fn counts() -> (usize, usize) {
    (OPEN.get(), EMPTY.with_borrow(Vec::len))
}

#[cfg(test)]
mod tests;

//! How the program ends.

use std::io;
use std::process::ExitCode;

/// Exit codes; the table is in docs/operations.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what was asked.
    Success = 0,
    /// It could not be done, or `check` found problems at or above the threshold.
    Failure = 1,
    /// The command line, or a variable, makes no sense.
    Usage = 2,
    /// The input could not be read.
    Unreadable = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that ends the program with a code of its own; others end it with [`Exit::Failure`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Ending {
    exit: Exit,
    message: String,
}

impl Ending {
    /// The command line, or a variable, makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// The input could not be read.
    pub(crate) fn unreadable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unreadable, message: message.into() }
    }
}

/// Says what went wrong, in one line, and gives the code for it. A reader that closed the pipe has read enough: that is
/// no failure.
pub(crate) fn complain(error: &anyhow::Error) -> ExitCode {
    let is_closed_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_closed_pipe) {
        return Exit::Success.into();
    }
    eprintln!("plenipo: {error:#}");
    error.downcast_ref::<Ending>().map_or(Exit::Failure, |ending| ending.exit).into()
}

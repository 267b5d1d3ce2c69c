#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod hostile;
mod members;
mod tables;

//! Times as Emissary's fields write them.

use std::time::Duration;

use crate::findings::Flaw;

/// A field in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Millis {
    /// 0 was written.
    Zero,
    /// So long.
    For(Duration),
}

/// Reads whole milliseconds.
///
/// # Errors
/// When the number is negative.
pub(crate) fn millis(value: i64, field: &str) -> Result<Millis, Flaw> {
    match u64::try_from(value) {
        Ok(0) => Ok(Millis::Zero),
        Ok(number) => Ok(Millis::For(Duration::from_millis(number))),
        Err(_) => {
            let message = format!("{value} is not a time");
            Err(Flaw::new("bad-duration", field, message, "write a number of milliseconds, 0 or more"))
        }
    }
}

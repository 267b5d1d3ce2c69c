//! The date of messages (RFC 9110 §5.6.7).

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

/// Hands on the date of now, made anew once a second.
pub(crate) fn with_now(write: impl FnOnce(&[u8])) {
    thread_local! {
        static NOW: RefCell<(SystemTime, String)> = const { RefCell::new((SystemTime::UNIX_EPOCH, String::new())) };
    }
    let now = SystemTime::now();
    NOW.with_borrow_mut(|(made, date)| {
        if now.duration_since(*made).map_or(true, |age| age >= Duration::from_secs(1)) {
            let whole = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            *made = SystemTime::UNIX_EPOCH + Duration::from_secs(whole);
            *date = written(time::OffsetDateTime::from(*made));
        }
        write(date.as_bytes());
    });
}

fn written(date: time::OffsetDateTime) -> String {
    let format = time::macros::format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    date.format(&format).expect("a date has all that the format names")
}

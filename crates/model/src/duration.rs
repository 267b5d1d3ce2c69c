//! Durations in dumps read as people write them: `3s`, `250ms`, `none`.

use std::time::Duration;

use serde::Serializer;

fn text(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (secs, 0) => format!("{secs}s"),
        (0, millis) => format!("{millis}ms"),
        (secs, millis) => format!("{}ms", secs * 1000 + u64::from(millis)),
    }
}

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(*duration))
}

pub(crate) mod optional {
    use super::{Duration, Serializer, text};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_str(&text(*duration)),
            None => serializer.serialize_str("none"),
        }
    }
}

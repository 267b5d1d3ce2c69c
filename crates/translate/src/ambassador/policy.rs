//! The small settings that Mappings and the Module share: read from what was written, or refused with a reason.

mod balance;
mod cors;
mod error_response;
mod headers;
mod health;
mod limits;
mod retry;
mod time;

pub(crate) use crate::duration::duration;
pub(crate) use balance::{Balancing, balancing};
pub(crate) use cors::cors;
pub(crate) use error_response::error_responses;
pub(crate) use headers::{additions, removals};
pub(crate) use health::health_checks;
pub(crate) use limits::limits;
pub(crate) use retry::retry;
pub(crate) use time::{Millis, millis};

use plenipo_model::TcpKeepalive;
use plenipo_resources::ambassador::Keepalive;
use std::time::Duration;

use crate::findings::Flaw;

/// Keepalive probes; none when nothing usable is said. A negative number is a flaw, the other numbers hold.
pub(crate) fn keepalive(written: &Keepalive, field: &str, flaws: &mut Vec<Flaw>) -> Option<TcpKeepalive> {
    let mut number = |value: Option<i64>, name: &str| {
        value.and_then(|value| {
            let number = u32::try_from(value).ok().filter(|number| *number > 0);
            if number.is_none() {
                let message = format!("{value} is not a number of probes or seconds");
                flaws.push(Flaw::new(
                    "bad-keepalive",
                    format!("{field}.{name}"),
                    message,
                    "write a whole number above 0",
                ));
            }
            number
        })
    };
    let keepalive = TcpKeepalive {
        probes: number(written.probes, "probes"),
        idle: number(written.idle_time, "idle_time").map(|secs| Duration::from_secs(secs.into())),
        interval: number(written.interval, "interval").map(|secs| Duration::from_secs(secs.into())),
    };
    (keepalive != TcpKeepalive::default()).then_some(keepalive)
}

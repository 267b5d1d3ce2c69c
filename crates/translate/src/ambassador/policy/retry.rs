//! `retry_policy`.

use plenipo_model::{RetryOn, RetryPolicy};
use plenipo_resources::ambassador::RetryPolicy as Written;

use super::duration;
use crate::findings::Flaw;

/// What is tried again.
///
/// # Errors
/// When the condition is missing or unknown, or a number or time is none.
pub(crate) fn retry(written: &Written, field: &str) -> Result<RetryPolicy, Flaw> {
    let bad = |name: &str, message: String, fix| {
        Flaw::new("bad-retry-policy", format!("{field}.{name}"), message, fix)
    };
    let on = match written.retry_on.as_deref() {
        Some("5xx") => RetryOn::FiveXx,
        Some("gateway-error") => RetryOn::GatewayError,
        Some("connect-failure") => RetryOn::ConnectFailure,
        Some("retriable-4xx") => RetryOn::Retriable4xx,
        Some("refused-stream") => RetryOn::RefusedStream,
        Some("retriable-status-codes") => RetryOn::RetriableStatusCodes,
        other => {
            let message = match other {
                Some(text) => format!("'{text}' is not a condition to retry on"),
                None => "there is no condition to retry on".to_owned(),
            };
            let fix = "write one of 5xx, gateway-error, connect-failure, retriable-4xx, refused-stream, \
                       retriable-status-codes";
            return Err(bad("retry_on", message, fix));
        }
    };
    let retries = match written.num_retries {
        None => 1,
        Some(number) => u32::try_from(number).map_err(|_| {
            bad("num_retries", format!("{number} is not a number of retries"), "write 0 or more")
        })?,
    };
    let per_try_timeout = match written.per_try_timeout.as_deref() {
        None => None,
        Some(text) => Some(duration(text).ok_or_else(|| {
            bad("per_try_timeout", format!("'{text}' is not a duration"), "write seconds, as in 1.5s")
        })?),
    };
    let statuses = written.retriable_status_codes.iter().flatten().map(|code| {
        u16::try_from(*code).ok().filter(|code| (100..=599).contains(code)).ok_or_else(|| {
            bad("retriable_status_codes", format!("{code} is not a status"), "write statuses from 100 to 599")
        })
    });
    let statuses = statuses.collect::<Result<_, _>>()?;
    // Envoy: a zero timeout is no timeout.
    let per_try_timeout = per_try_timeout.filter(|time| !time.is_zero());
    Ok(RetryPolicy { per_try_timeout, statuses, ..RetryPolicy::new(on, retries) })
}

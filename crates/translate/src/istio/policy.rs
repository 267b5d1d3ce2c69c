//! What VirtualServices say besides where requests go: times, retries, faults, headers, cross-origin rules.

use std::time::Duration;

use http::{HeaderName, StatusCode};
use plenipo_model::{
    Abort, Backoff, Cors, Fault, Fraction, HeaderEdit, HeaderEdits, OriginMatch, Pattern, RetryOn,
    RetryPolicy, Source, Template,
};
use plenipo_resources::istio::{CorsPolicy, Fault as WrittenFault, HeaderOperations, Percent, Retries};

use crate::findings::Flaw;

fn duration(text: &str, field: &str) -> Result<Duration, Flaw> {
    crate::duration::duration(text).ok_or_else(|| {
        let message = format!("'{text}' is not a time");
        Flaw::new("bad-duration", field, message, "write it as in 1.5s, 100ms or 1h")
    })
}

/// Bound on the whole exchange; zero, as none, is no bound.
pub(super) fn timeout(written: Option<&str>, field: &str) -> Result<Option<Duration>, Flaw> {
    let Some(text) = written else { return Ok(None) };
    let time = duration(text, field)?;
    if !time.is_zero() && time < Duration::from_millis(1) {
        let message = format!("{text} is less than a millisecond");
        return Err(Flaw::new("bad-duration", field, message, "write 1ms or more, or 0s for no bound"));
    }
    Ok(Some(time).filter(|time| !time.is_zero()))
}

/// Istio's default where nothing is written: two retries of what certainly did no work.
pub(super) fn default_retries() -> RetryPolicy {
    RetryPolicy { on: default_conditions(), ..RetryPolicy::new(RetryOn::ConnectFailure, 2) }
}

fn default_conditions() -> Vec<RetryOn> {
    vec![
        RetryOn::ConnectFailure,
        RetryOn::RefusedStream,
        RetryOn::Unavailable,
        RetryOn::Cancelled,
        RetryOn::RetriableStatusCodes,
    ]
}

/// None: nothing is tried again.
pub(super) fn retries(written: &Retries, field: &str) -> Result<Option<RetryPolicy>, Flaw> {
    let attempts = written.attempts.unwrap_or(0);
    let retries = u32::try_from(attempts).map_err(|_| {
        let message = format!("{attempts} is not a number of retries");
        Flaw::new("bad-number", format!("{field}.attempts"), message, "write 0 or more")
    })?;
    if retries == 0 {
        return Ok(None);
    }
    let mut policy = RetryPolicy { retries, ..default_retries() };
    if let Some(text) = written.retry_on.as_deref().filter(|text| !text.trim().is_empty()) {
        (policy.on, policy.statuses) = conditions(text, &format!("{field}.retryOn"))?;
    }
    policy.per_try_timeout = timeout(written.per_try_timeout.as_deref(), &format!("{field}.perTryTimeout"))?;
    if let Some(base) = timeout(written.backoff.as_deref(), &format!("{field}.backoff"))? {
        policy.backoff = Some(Backoff::from_base(base));
    }
    policy.avoid_previous = written.retry_ignore_previous_hosts != Some(false);
    policy.other_priorities = written.retry_remote_localities == Some(true);
    Ok(Some(policy))
}

fn conditions(text: &str, field: &str) -> Result<(Vec<RetryOn>, Vec<u16>), Flaw> {
    let (mut on, mut statuses) = (Vec::new(), Vec::new());
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let condition = match word {
            "5xx" => RetryOn::FiveXx,
            "gateway-error" => RetryOn::GatewayError,
            "reset" => RetryOn::Reset,
            // Before anything was sent, that is.
            "connect-failure" | "reset-before-request" => RetryOn::ConnectFailure,
            "envoy-ratelimited" => RetryOn::EnvoyRateLimited,
            "retriable-4xx" => RetryOn::Retriable4xx,
            "refused-stream" => RetryOn::RefusedStream,
            "retriable-status-codes" => RetryOn::RetriableStatusCodes,
            "cancelled" => RetryOn::Cancelled,
            "deadline-exceeded" => RetryOn::DeadlineExceeded,
            "internal" => RetryOn::Internal,
            "resource-exhausted" => RetryOn::ResourceExhausted,
            "unavailable" => RetryOn::Unavailable,
            // There is neither HTTP/3 to upstreams nor a list of headers.
            "http3-post-connect-failure" | "retriable-headers" => continue,
            other => match other.parse::<u16>().ok().filter(|status| (100..600).contains(status)) {
                Some(status) => {
                    statuses.push(status);
                    RetryOn::RetriableStatusCodes
                }
                None => {
                    let message = format!("'{other}' is no condition for a retry");
                    let fix = "write words like 5xx, connect-failure or a status";
                    return Err(Flaw::new("bad-retry-on", field, message, fix));
                }
            },
        };
        if !on.contains(&condition) {
            on.push(condition);
        }
    }
    Ok((on, statuses))
}

/// A part of the requests; none written is what `absent` says.
pub(super) fn part(written: Option<Percent>, absent: Fraction, field: &str) -> Result<Fraction, Flaw> {
    let Some(Percent { value }) = written else { return Ok(absent) };
    if !(0.0..=100.0).contains(&value) {
        let message = format!("{value} is not a percentage");
        return Err(Flaw::new("bad-number", field, message, "write 0 to 100"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 0 to 1,000,000")]
    let millionths = (value * 10_000.0).round() as u32;
    Ok(Fraction(millionths))
}

/// Faults, and what of them does nothing (a sentence for each).
pub(super) fn fault(written: &WrittenFault, field: &str) -> Result<Fault, Flaw> {
    let missing = |field: String, message: &str, fix| Flaw::new("bad-fault", field, message, fix);
    let mut fault = Fault::default();
    if let Some(delay) = &written.delay {
        let field = format!("{field}.delay");
        let text = delay.fixed_delay.as_deref().ok_or_else(|| {
            missing(format!("{field}.fixedDelay"), "a delay needs a time", "write fixedDelay: 5s")
        })?;
        let time = duration(text, &format!("{field}.fixedDelay"))?;
        let older = delay.percent.map(|percent| Percent { value: f64::from(percent.clamp(0, 100) as i32) });
        let part = part(delay.percentage.or(older), Fraction(0), &format!("{field}.percentage"))?;
        fault.delay = Some((part, time));
    }
    if let Some(abort) = &written.abort {
        let field = format!("{field}.abort");
        let answer = match (abort.http_status, abort.grpc_status.as_deref()) {
            (Some(status), _) => {
                let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
                let status =
                    status.and_then(|status| StatusCode::from_u16(status).ok()).ok_or_else(|| {
                        missing(format!("{field}.httpStatus"), "it is no HTTP status", "write 200 to 599")
                    })?;
                Abort::Http(status)
            }
            (None, Some(text)) => Abort::Grpc(grpc_status(text).ok_or_else(|| {
                missing(
                    format!("{field}.grpcStatus"),
                    "it is no gRPC status",
                    "write a name like UNAVAILABLE",
                )
            })?),
            (None, None) => {
                return Err(missing(field, "an abort needs a status", "write httpStatus or grpcStatus"));
            }
        };
        fault.abort = Some((part(abort.percentage, Fraction(0), &format!("{field}.percentage"))?, answer));
    }
    Ok(fault)
}

/// By number or by name (`google.rpc.Code`).
fn grpc_status(text: &str) -> Option<u32> {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let number = text.parse().ok().filter(|number| *number < 17);
    number.or_else(|| NAMES.iter().zip(0..).find(|(name, _)| **name == text).map(|(_, number)| number))
}

/// Changes to headers, and the new authority if one of them is that.
pub(super) fn headers(
    written: &HeaderOperations,
    field: &str,
    is_request: bool,
) -> Result<(HeaderEdits, Option<String>), Flaw> {
    let mut edits = HeaderEdits::default();
    let mut authority = None;
    let name = |text: &str, list: &str| {
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
            let message = format!("'{text}' is not the name of a header that can be changed");
            Flaw::new("bad-header", format!("{field}.{list}"), message, "write a name like x-user")
        })
    };
    for text in &written.remove {
        edits.remove.push(name(text, "remove")?);
    }
    for (text, value, append) in [(&written.add, true), (&written.set, false)]
        .into_iter()
        .flat_map(|(list, append)| list.iter().map(move |(name, value)| (name, value, append)))
    {
        let list = if append { "add" } else { "set" };
        if is_request && !append && (text.eq_ignore_ascii_case("host") || text == ":authority") {
            authority = Some(value.clone());
            continue;
        }
        let value = Template::parse(value).map_err(|error| {
            let message = format!("the value of '{text}': {error}");
            Flaw::new("bad-header", format!("{field}.{list}"), message, "write %% for a percent sign")
        })?;
        edits.add.push(HeaderEdit { name: name(text, list)?, value, append });
    }
    Ok((edits, authority))
}

/// Cross-origin rules.
pub(super) fn cors(written: &CorsPolicy, source: &Source, field: &str) -> Result<Cors, Flaw> {
    let mut origins: Vec<OriginMatch> = Vec::new();
    let exact = |text: &String| match text.as_str() {
        "*" => OriginMatch::Any,
        other => OriginMatch::Exact(other.to_owned()),
    };
    for (place, origin) in written.allow_origins.iter().enumerate() {
        let field = format!("{field}.allowOrigins[{place}]");
        origins.push(match (&origin.exact, &origin.prefix, &origin.regex) {
            (Some(text), ..) => exact(text),
            (_, Some(text), _) => OriginMatch::Prefix(text.clone()),
            (.., Some(text)) => OriginMatch::Regex(Pattern::new(text).map_err(|error| {
                Flaw::new("bad-regex", field, error.to_string(), "write an expression as RE2 has them")
            })?),
            (None, None, None) => {
                let message = "an origin needs a text to be compared with";
                return Err(Flaw::new("bad-cors", field, message, "write exact, prefix or regex"));
            }
        });
    }
    if origins.is_empty() {
        origins.extend(written.allow_origin.iter().map(exact));
    }
    let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.join(","));
    let max_age = written.max_age.as_deref().map(|text| duration(text, &format!("{field}.maxAge")));
    let forwarded = match written.unmatched_preflights.as_deref() {
        None | Some("UNSPECIFIED" | "FORWARD") => true,
        Some("IGNORE") => false,
        Some(other) => {
            let message = format!("'{other}' is neither FORWARD nor IGNORE");
            let field = format!("{field}.unmatchedPreflights");
            return Err(Flaw::new("bad-cors", field, message, "write FORWARD or IGNORE"));
        }
    };
    Ok(Cors {
        source: source.clone(),
        origins,
        methods: list(&written.allow_methods),
        headers: list(&written.allow_headers),
        exposed_headers: list(&written.expose_headers),
        credentials: written.allow_credentials == Some(true),
        max_age: max_age.transpose()?.map(|time| time.as_secs().to_string()),
        unmatched_preflights_forwarded: forwarded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_among_conditions() {
        let (on, statuses) = conditions("5xx, 503,connect-failure, 429", "spec").unwrap();
        assert_eq!(on, [RetryOn::FiveXx, RetryOn::RetriableStatusCodes, RetryOn::ConnectFailure]);
        assert_eq!(statuses, [503, 429]);
        assert!(conditions("sometimes", "spec").is_err());
    }

    #[test]
    fn grpc_statuses_by_name_and_number() {
        assert_eq!(grpc_status("UNAVAILABLE"), Some(14));
        assert_eq!(grpc_status("14"), Some(14));
        assert_eq!(grpc_status("17"), None);
    }
}

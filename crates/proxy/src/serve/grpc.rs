//! What is known of gRPC: its calls bring a deadline of their own ("gRPC over HTTP2": `grpc-timeout`).

use std::time::Duration;

use http::{HeaderValue, header};
use plenipo_model::Target;

use crate::fields::Fields;

/// Is it a gRPC call?
pub(super) fn is_call(headers: &Fields) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// How long an exchange with this target may take: of its own limit and the call's, where that counts, the shorter one.
pub(super) fn timeout(target: &Target, headers: &Fields) -> Option<Duration> {
    let asked = if target.grpc_timeout && is_call(headers) { deadline(headers) } else { None };
    [target.timeout, asked].into_iter().flatten().min()
}

/// At most eight digits and a unit. One that is malformed says nothing, nor does zero (as Envoy takes it).
fn deadline(headers: &Fields) -> Option<Duration> {
    let (unit, digits) = headers.get("grpc-timeout")?.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let deadline = match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    };
    deadline.filter(|deadline| !deadline.is_zero())
}

#[cfg(test)]
mod tests {
    use plenipo_model::Source;

    use super::*;

    #[test]
    fn the_shorter_one_counts() {
        let seconds = Duration::from_secs;
        for (own, sent, expected) in [
            (None, "5S", Some(seconds(5))),
            (Some(3), "5S", Some(seconds(3))),
            (Some(10), "5S", Some(seconds(5))),
            (Some(10), "1M", Some(seconds(10))),
            (None, "250m", Some(Duration::from_millis(250))),
            (None, "99999999H", Some(seconds(99_999_999 * 3600))),
            (None, "123456789S", None),
            (Some(4), "0S", Some(seconds(4))),
            (None, "5", None),
            (None, "S", None),
            (None, "-5S", None),
            (None, "+5S", None),
            (None, "5s", None),
        ] {
            let mut target = Target::all(Source::new("test"), "c".into());
            target.timeout = own.map(seconds);
            let mut headers = Fields::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(sent));
            assert_eq!(timeout(&target, &headers), target.timeout, "it does not count");
            target.grpc_timeout = true;
            assert_eq!(timeout(&target, &headers), target.timeout, "no gRPC");
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
            assert_eq!(timeout(&target, &headers), expected, "{own:?} {sent}");
        }
    }
}

//! `X-Amzn-Trace-Id`: which requests belong together.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use crate::fields::Fields;
use crate::random::Random;

const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// Begins a trace, or adds this hop to one that has begun.
pub(super) fn write(headers: &mut Fields, random: &Random) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
    let own = format!("1-{now:08x}-{:016x}{:08x}", random.next(), random.next() as u32);
    let given = headers.get(&TRACE_ID).and_then(|value| value.to_str().ok());
    let value = HeaderValue::from_str(&joined(given.unwrap_or_default(), &own));
    // What was a header value stays one.
    headers.insert(TRACE_ID, value.unwrap_or_else(|_| HeaderValue::from_static("")));
}

/// `Self` in front of a trace that has a root, or whose `Self` is the hop before; else a root of our own. All other
/// fields stay.
fn joined(given: &str, own: &str) -> String {
    let fields: Vec<&str> = given.split(';').map(str::trim).filter(|field| !field.is_empty()).collect();
    let begun = fields.iter().any(|field| field.starts_with("Root=") || field.starts_with("Self="));
    let mut value = format!("{}={own}", if begun { "Self" } else { "Root" });
    for field in fields.iter().filter(|field| !field.starts_with("Self=")) {
        value.push(';');
        value.push_str(field);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_begin_and_hops_go_in_front() {
        for (given, expected) in [
            ("", "Root=own"),
            ("Root=1-67891233-abc", "Self=own;Root=1-67891233-abc"),
            ("Root=1-2-3;CalledFrom=app", "Self=own;Root=1-2-3;CalledFrom=app"),
            ("Self=1-1-1;Root=1-2-3;a=b", "Self=own;Root=1-2-3;a=b"),
            ("Self=1-1-1", "Self=own"),
            ("CalledFrom=app", "Root=own;CalledFrom=app"),
            (" ; ;Root=x", "Self=own;Root=x"),
        ] {
            assert_eq!(joined(given, "own"), expected, "{given}");
        }
    }

    #[test]
    fn an_identifier_has_its_time_and_96_bits() {
        let mut headers = Fields::new();
        write(&mut headers, &Random::new());
        let value = headers[TRACE_ID].to_str().expect("text");
        let parts: Vec<_> = value.split('-').collect();
        assert!(
            matches!(&*parts, ["Root=1", time, chance] if time.len() == 8 && chance.len() == 24),
            "{value}"
        );
    }
}

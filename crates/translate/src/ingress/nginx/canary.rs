//! `canary` and what belongs to it.

use http::HeaderName;
use plenipo_model::{Pattern, ValueMatch};

use super::super::policy::Canary;
use super::annotations::Annotations;

/// What makes the Ingress a canary; none when it is not one.
pub(super) fn read(annotations: &mut Annotations<'_, '_>) -> Option<Canary> {
    let is_canary = annotations.flag("canary") == Some(true);
    let header = annotations.text("canary-by-header");
    let value = annotations.text("canary-by-header-value");
    let pattern = annotations.text("canary-by-header-pattern");
    let cookie = annotations.text("canary-by-cookie").map(str::to_owned);
    let weight = annotations.number("canary-weight").unwrap_or(0);
    let total = annotations.number("canary-weight-total").unwrap_or(100).max(1);
    if !is_canary {
        return None;
    }
    if weight > total {
        let message = format!("{weight} is more than the total of {total}: the canary takes everything");
        annotations.bad("canary-weight", message, "write at most the total");
    }
    Some(Canary {
        header: header.and_then(|name| demand(annotations, name, value, pattern)),
        cookie,
        weight,
        total,
    })
}

fn demand(
    annotations: &mut Annotations<'_, '_>,
    name: &str,
    value: Option<&str>,
    pattern: Option<&str>,
) -> Option<(HeaderName, Option<ValueMatch>)> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        annotations.bad("canary-by-header", format!("'{name}' is not a header's name"), "write one");
        return None;
    };
    // The value goes before the pattern, which nginx looks for anywhere in what was sent.
    let wanted = match (value, pattern) {
        (Some(value), _) => Some(ValueMatch::Exact(value.to_owned())),
        (None, Some(text)) => match Pattern::new(&format!(".*(?:{text}).*")) {
            Ok(pattern) => Some(ValueMatch::Regex(pattern)),
            Err(error) => {
                let fix = "use RE2 syntax, without look-around and back-references";
                annotations.bad("canary-by-header-pattern", error.to_string(), fix);
                return None;
            }
        },
        (None, None) => None,
    };
    Some((name, wanted))
}

//! `cors`.

use plenipo_model::{Cors, OriginMatch, Source};
use plenipo_resources::ambassador::Cors as Written;
use serde_json::Value;

use crate::findings::Flaw;

/// Cross-origin rules. Beyond Emissary, an origin may hold one star: `https://*.example.com`.
pub(crate) fn cors(written: &Written, source: &Source, field: &str, flaws: &mut Vec<Flaw>) -> Cors {
    let mut origins = Vec::new();
    for text in written.origins.iter().flatten().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        match text.split_once('*') {
            None => origins.push(OriginMatch::Exact(text.to_owned())),
            Some(("", "")) => origins.push(OriginMatch::Any),
            Some((before, after)) if !after.contains('*') => {
                origins.push(OriginMatch::Wildcard(before.to_owned(), after.to_owned()));
            }
            Some(_) => {
                let message = format!("'{text}' holds more than one star");
                flaws.push(Flaw::new(
                    "bad-cors",
                    format!("{field}.origins"),
                    message,
                    "write one star at most",
                ));
            }
        }
    }
    let max_age = match &written.max_age {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.trim().to_owned()),
        Some(other) => Some(other.to_string()),
    };
    let max_age = max_age.filter(|text| {
        let number = text.parse::<u64>().is_ok();
        if !number {
            let message = format!("{text:?} is not a number of seconds");
            flaws.push(Flaw::new(
                "bad-cors",
                format!("{field}.max_age"),
                message,
                "write a number of seconds",
            ));
        }
        number
    });
    let joined = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.join(", "));
    Cors {
        source: source.clone(),
        origins,
        methods: joined(&written.methods),
        headers: joined(&written.headers),
        exposed_headers: joined(&written.exposed_headers),
        credentials: written.credentials.unwrap_or(false),
        max_age,
        unmatched_preflights_forwarded: true,
    }
}

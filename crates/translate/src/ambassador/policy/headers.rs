//! Headers to add and to remove.

use std::collections::BTreeMap;

use http::HeaderName;
use plenipo_model::{HeaderEdit, Template};
use plenipo_resources::ambassador::AddedHeader;

use crate::findings::Flaw;

/// Headers to add. One that cannot be added is a flaw, the others hold.
pub(crate) fn additions(
    written: &BTreeMap<String, AddedHeader>,
    field: &str,
    flaws: &mut Vec<Flaw>,
) -> Vec<HeaderEdit> {
    written
        .iter()
        .filter_map(|(name, added)| addition(name, added, field).map_err(|flaw| flaws.push(flaw)).ok())
        .collect()
}

fn addition(name: &str, added: &AddedHeader, field: &str) -> Result<HeaderEdit, Flaw> {
    let (value, append) = match added {
        // Emissary appends unless told otherwise.
        AddedHeader::Full { value, append } => (value, append.unwrap_or(true)),
        AddedHeader::Value(value) => (value, true),
    };
    let field = || format!("{field}.{name}");
    let header = header_name(name, &field())?;
    if value.chars().any(|c| c.is_control() && c != '\t') {
        let message = "the value holds a line break or another control character";
        return Err(Flaw::new("bad-header-value", field(), message, "write the value on one line"));
    }
    let value = Template::parse(value).map_err(|error| {
        Flaw::new(
            "bad-header-value",
            field(),
            error.to_string(),
            "use a known operator, write %% for a percent sign",
        )
    })?;
    Ok(HeaderEdit { name: header, value, append })
}

/// Headers to remove. A name that is none is a flaw.
pub(crate) fn removals(written: &[String], field: &str, flaws: &mut Vec<Flaw>) -> Vec<HeaderName> {
    written.iter().filter_map(|name| header_name(name, field).map_err(|flaw| flaws.push(flaw)).ok()).collect()
}

fn header_name(name: &str, field: &str) -> Result<HeaderName, Flaw> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        Flaw::new(
            "bad-header-name",
            field,
            format!("{name:?} is not a header name"),
            "use letters, digits and dashes",
        )
    })
}

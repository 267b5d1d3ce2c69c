//! `error_response_overrides`, with the meaning they had in Emissary 3 (its successor refuses them).

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{ErrorBody, ErrorResponse, Template};
use plenipo_resources::ambassador::ErrorResponseOverride as Written;
use serde_json::Value;

use crate::findings::Flaw;
use crate::options::Options;

/// Own bodies for error answers. One that cannot be made is a flaw, the others hold.
pub(crate) fn error_responses(
    written: &[Written],
    field: &str,
    options: &Options,
    flaws: &mut Vec<Flaw>,
) -> Vec<Arc<ErrorResponse>> {
    let read =
        written.iter().enumerate().map(|(index, one)| response(one, &format!("{field}[{index}]"), options));
    read.filter_map(|result| result.map(Arc::new).map_err(|flaw| flaws.push(flaw)).ok()).collect()
}

fn response(written: &Written, field: &str, options: &Options) -> Result<ErrorResponse, Flaw> {
    let bad = |name: &str, message: String, fix| {
        Flaw::new("bad-error-response", format!("{field}.{name}"), message, fix)
    };
    let status = written.on_status_code.and_then(|code| u16::try_from(code).ok());
    let status = status.filter(|code| (400..=599).contains(code)).ok_or_else(|| {
        bad("on_status_code", "there is no error status".to_owned(), "write a status from 400 to 599")
    })?;
    let template = |text: &str| {
        Template::parse(text).map_err(|error| {
            bad("body", error.to_string(), "use a known operator, write %% for a percent sign")
        })
    };
    let written = &written.body;
    let (body, content_type) = match (&written.text_format, &written.json_format, &written.text_format_source)
    {
        (Some(text), None, None) => (ErrorBody::Text(template(text)?), "text/plain"),
        (None, Some(fields), None) => {
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), template(&text_of(value))?)));
            (ErrorBody::Json(fields.collect::<Result<BTreeMap<_, _>, Flaw>>()?), "application/json")
        }
        (None, None, Some(source)) => {
            let name = source.filename.as_deref().unwrap_or_default();
            let bytes = options.files.get(name).ok_or_else(|| {
                bad(
                    "body.text_format_source.filename",
                    format!("the file '{name}' cannot be read"),
                    "mount the file",
                )
            })?;
            (ErrorBody::Text(template(&String::from_utf8_lossy(bytes))?), "text/plain")
        }
        _ => {
            let message =
                "exactly one of text_format, json_format and text_format_source is needed".to_owned();
            return Err(bad("body", message, "name one of the three"));
        }
    };
    let content_type = written.content_type.clone().unwrap_or_else(|| content_type.to_owned());
    Ok(ErrorResponse { status, body, content_type })
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

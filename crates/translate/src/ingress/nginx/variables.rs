//! nginx's variables, as far as they mean something here.

use plenipo_model::{LocationTemplate, Template};

/// A value with variables, as a template of ours.
///
/// # Errors
/// With the variable that means nothing here.
pub(super) fn template(text: &str) -> Result<Template, String> {
    let text = replaced(&text.replace('%', "%%"), |name| {
        Some(match name {
            "scheme" | "pass_access_scheme" | "best_http_scheme" => "%REQ(:scheme)%".to_owned(),
            "host" | "http_host" | "best_http_host" => "%REQ(:authority)%".to_owned(),
            "request_uri" => "%REQ(:path)%".to_owned(),
            "request_method" => "%REQ(:method)%".to_owned(),
            "remote_addr" | "the_real_ip" => "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%".to_owned(),
            "req_id" | "request_id" => "%REQ(x-request-id)%".to_owned(),
            other => format!("%REQ({})%", other.strip_prefix("http_")?.replace('_', "-")),
        })
    })?;
    Template::parse(&text).map_err(|error| error.to_string())
}

/// A URL with variables.
///
/// # Errors
/// With the variable that means nothing here.
pub(super) fn location(text: &str) -> Result<LocationTemplate, String> {
    if text.contains("#{") {
        return Err("'#{' cannot be in a URL".to_owned());
    }
    let text = replaced(text, |name| {
        Some(match name {
            "scheme" | "pass_access_scheme" => "#{protocol}".to_owned(),
            "host" | "http_host" | "best_http_host" => "#{host}".to_owned(),
            "uri" => "/#{path}".to_owned(),
            "request_uri" => "/#{path}?#{query}".to_owned(),
            "args" | "query_string" => "#{query}".to_owned(),
            _ => return None,
        })
    })?;
    LocationTemplate::parse(&text).map_err(|error| error.to_string())
}

fn replaced(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, next) = match after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
            Some(found) => found,
            None => after.split_at(
                after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len()),
            ),
        };
        out.push_str(&value(name).ok_or_else(|| format!("the variable ${name} means nothing here"))?);
        rest = next;
    }
    out.push_str(rest);
    Ok(out)
}

//! `envoy_log_type`, `envoy_log_path`, `envoy_log_format`.

use std::sync::Arc;

use plenipo_model::{AccessLog, AccessLogFormat, Template};
use serde_json::Value;

use super::fields::Fields;

/// Emissary's own line; people parse it.
const TEXT: &str = "ACCESS [%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
     %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
     %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
     \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

/// Emissary's own keys.
const JSON: [(&str, &str); 22] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("istio_policy_status", "%DYNAMIC_METADATA(istio.mixer:status)%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

const PATH: &str = "/dev/fd/1";

/// The line that is written when nobody says anything.
pub(crate) fn default_access_log() -> Arc<AccessLog> {
    Arc::new(AccessLog { path: PATH.to_owned(), format: AccessLogFormat::Text(own(TEXT)) })
}

fn own(text: &str) -> Template {
    Template::parse(text).expect("our own formats are valid")
}

/// The access log asked for; what is wrong in it is reported and Emissary's own form stays.
pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<Arc<AccessLog>> {
    let kind = fields.text("envoy_log_type").unwrap_or_else(|| "text".to_owned());
    let path = fields.text("envoy_log_path").unwrap_or_else(|| PATH.to_owned());
    let written = fields.value("envoy_log_format");
    let format = match (kind.to_ascii_lowercase().as_str(), written) {
        ("text", None) => AccessLogFormat::Text(own(TEXT)),
        ("text", Some(Value::String(text))) => match Template::parse(text.strip_suffix('\n').unwrap_or(text))
        {
            Ok(template) => AccessLogFormat::Text(template),
            Err(error) => {
                mistake(fields, error.to_string());
                AccessLogFormat::Text(own(TEXT))
            }
        },
        ("json" | "typed_json", Some(Value::Object(map))) => AccessLogFormat::Json {
            fields: columns(map, fields),
            typed: kind.eq_ignore_ascii_case("typed_json"),
        },
        ("json" | "typed_json", other) => {
            if other.is_some() {
                mistake(fields, "a JSON log needs a map of keys and values".to_owned());
            }
            let columns = JSON.iter().map(|(key, text)| ((*key).to_owned(), own(text))).collect();
            AccessLogFormat::Json { fields: columns, typed: kind.eq_ignore_ascii_case("typed_json") }
        }
        ("text", Some(_)) => {
            mistake(fields, "a text log needs a line of text".to_owned());
            AccessLogFormat::Text(own(TEXT))
        }
        _ => {
            let message = format!("'{kind}' is not a kind of log, text is written");
            fields.error(
                "bad-access-log",
                "spec.config.envoy_log_type",
                message,
                "write text, json or typed_json",
            );
            AccessLogFormat::Text(own(TEXT))
        }
    };
    Some(Arc::new(AccessLog { path, format }))
}

fn columns(map: &serde_json::Map<String, Value>, fields: &mut Fields<'_, '_>) -> Vec<(String, Template)> {
    let mut columns = Vec::new();
    for (key, value) in map {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match Template::parse(&text) {
            Ok(template) => columns.push((key.clone(), template)),
            Err(error) => mistake(fields, format!("{key}: {error}")),
        }
    }
    columns
}

fn mistake(fields: &mut Fields<'_, '_>, message: String) {
    let fix = "use Envoy's command operators, write %% for a percent sign";
    fields.error("bad-access-log", "spec.config.envoy_log_format", message, fix);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte for byte what Emissary writes: people have parsers for it.
    #[test]
    fn the_default_line() {
        let AccessLogFormat::Text(line) = &default_access_log().format else { panic!("not a line") };
        let expected = concat!(
            "ACCESS [%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
            "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ",
            "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" ",
            "\"%UPSTREAM_HOST%\"",
        );
        assert_eq!(line.to_string(), expected);
    }

    #[test]
    fn our_own_formats_are_valid() {
        for (key, text) in JSON {
            assert!(Template::parse(text).is_ok(), "{key}");
        }
    }
}

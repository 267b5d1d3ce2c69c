//! Telemetry and the mesh settings: where requests are reported.

use std::sync::Arc;

use plenipo_model::{AccessLog, AccessLogFormat, Template};
use plenipo_resources::istio::{AccessLogging, Telemetry};
use plenipo_resources::{Object, View};
use serde_json::Value;

use super::security::{Meant, Pods};
use super::unknown_fields;
use crate::findings::Findings;

/// The provider that is there without being declared.
const ENVOY: &str = "envoy";
/// Where it writes.
const STDOUT: &str = "/dev/stdout";
/// Istio's format. Of connections, it tells nothing of how they ended but a dash.
const FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% \
%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% - \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% \
%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% \
%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";
/// The same in JSON.
const FIELDS: [(&str, &str); 21] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
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
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("route_name", "%ROUTE_NAME%"),
];

/// Where requests are reported: as the object closest to our pods says, else as the mesh settings do.
pub(super) fn access_log(pods: &Pods<'_>, findings: &mut Findings) -> Option<Arc<AccessLog>> {
    let mut closest: Option<(Meant, &Object, &Telemetry)> = None;
    for object in pods.set.of_kind("Telemetry") {
        let View::Telemetry(spec) = &object.view else { continue };
        let targets = (spec.target_ref.as_ref(), spec.target_refs.as_slice());
        let meant = pods.meant(object, spec.selector.as_ref(), targets, findings);
        if meant == Meant::No {
            findings.ignore(object);
            continue;
        }
        findings.accept(object);
        unknown_fields(object, findings);
        unread(object, spec, findings);
        if spec.access_logging.is_empty() {
            continue;
        }
        match closest {
            Some((other, ..)) if other as u8 >= meant as u8 => {
                if other == meant {
                    let message = "another Telemetry is for the same pods, and goes first".to_owned();
                    findings.warn(
                        object,
                        "telemetry-conflict",
                        "spec.selector",
                        message,
                        "write both in one object",
                    );
                }
            }
            _ => closest = Some((meant, object, spec)),
        }
    }
    match closest {
        Some((_, object, spec)) => said(object, &spec.access_logging, pods, findings),
        None => of_mesh(pods),
    }
}

fn unread(object: &Object, spec: &Telemetry, findings: &mut Findings) {
    for (list, field) in [(&spec.metrics, "spec.metrics"), (&spec.tracing, "spec.tracing")] {
        if !list.is_empty() {
            let message =
                "it is not read: metrics are as docs/metrics.md says, and there is no tracing".to_owned();
            findings.warn(object, "not-supported", field, message, "leave it out");
        }
    }
}

fn said(
    object: &Object,
    list: &[AccessLogging],
    pods: &Pods<'_>,
    findings: &mut Findings,
) -> Option<Arc<AccessLog>> {
    let mut log = None;
    for (place, one) in list.iter().enumerate() {
        let field = format!("spec.accessLogging[{place}]");
        // Gateways only ever call others: they are nobody's server, to Istio.
        if one.r#match.as_ref().and_then(|one| one.mode.as_deref()).is_some_and(|mode| mode == "SERVER") {
            continue;
        }
        if one.filter.as_ref().is_some_and(|filter| filter.expression.is_some()) {
            let message = "filter is not read: all requests are reported".to_owned();
            findings.warn(
                object,
                "not-supported",
                &format!("{field}.filter"),
                message,
                "filter where logs are read",
            );
        }
        if one.disabled == Some(true) {
            log = None;
            continue;
        }
        let named: Vec<&str> = match one.providers.is_empty() {
            true => vec![ENVOY],
            false => one.providers.iter().map(|provider| provider.name.as_str()).collect(),
        };
        let found = named.iter().find_map(|name| provider(name, pods));
        if found.is_none() || named.len() > 1 {
            let message =
                "requests are reported to one file: of the providers, the first that writes one is used";
            let field = format!("{field}.providers");
            findings.warn(
                object,
                "no-log-provider",
                &field,
                message.to_owned(),
                "name `envoy`, or one with envoyFileAccessLog",
            );
        }
        log = found.or(log);
    }
    log
}

/// By `defaultProviders`, or by `accessLogFile`.
fn of_mesh(pods: &Pods<'_>) -> Option<Arc<AccessLog>> {
    let config = &pods.mesh.config;
    let named = config.default_providers.as_ref().map(|defaults| defaults.access_logging.as_slice());
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return named.iter().find_map(|name| provider(name, pods));
    }
    let path = config.access_log_file.as_deref().filter(|path| !path.is_empty())?;
    Some(Arc::new(AccessLog { path: path.to_owned(), format: format_of_mesh(pods) }))
}

/// A provider that writes a file.
fn provider(name: &str, pods: &Pods<'_>) -> Option<Arc<AccessLog>> {
    let all = &pods.mesh.config.extension_providers;
    let declared = all.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name));
    let Some(declared) = declared else {
        let log = || AccessLog { path: STDOUT.to_owned(), format: format_of_mesh(pods) };
        return (name == ENVOY).then(|| Arc::new(log()));
    };
    let file = declared.get("envoyFileAccessLog")?;
    let path = file.get("path").and_then(Value::as_str).unwrap_or(STDOUT).to_owned();
    let labels = file.pointer("/logFormat/labels").and_then(Value::as_object);
    let text = file.pointer("/logFormat/text").and_then(Value::as_str);
    let format = match (labels, text) {
        (Some(labels), _) => {
            let fields = labels.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
            json(fields)
        }
        (None, Some(written)) => line(written),
        (None, None) => None,
    };
    Some(Arc::new(AccessLog { path, format: format.unwrap_or_else(|| format_of_mesh(pods)) }))
}

fn format_of_mesh(pods: &Pods<'_>) -> AccessLogFormat {
    let config = &pods.mesh.config;
    let written = config.access_log_format.as_deref().filter(|text| !text.is_empty());
    let made = if config.access_log_encoding.as_deref() == Some("JSON") {
        let fields =
            written.and_then(|text| serde_json::from_str::<serde_json::Map<String, Value>>(text).ok());
        match &fields {
            Some(fields) => {
                json(fields.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))))
            }
            None => json(FIELDS.into_iter()),
        }
    } else {
        written.and_then(line)
    };
    made.or_else(|| line(FORMAT)).expect("Istio's format is a template")
}

/// Operators that nobody here knows are written as a dash, as Envoy writes what is not there.
fn template(text: &str) -> Option<Template> {
    let text = text
        .replace("%CONNECTION_TERMINATION_DETAILS%", "-")
        .replace("%UPSTREAM_CLUSTER_RAW%", "%UPSTREAM_CLUSTER%");
    Template::parse(&text).ok()
}

/// The format ends its own lines; ours do too.
fn line(text: &str) -> Option<AccessLogFormat> {
    template(text.strip_suffix('\n').unwrap_or(text)).map(AccessLogFormat::Text)
}

fn json<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>) -> Option<AccessLogFormat> {
    let fields = fields.map(|(key, value)| Some((key.to_owned(), template(value)?)));
    Some(AccessLogFormat::Json { fields: fields.collect::<Option<_>>()?, typed: true })
}

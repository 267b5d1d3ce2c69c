//! What the Module says about HTTP towards clients.

use plenipo_model::{ClientCertDetails, ClientCertHeader, HttpServer, UnderscorePolicy};
use plenipo_resources::ambassador::ErrorResponseOverride;
use serde_json::Value;

use super::super::policy;
use super::fields::Fields;
use crate::options::Options;

/// Fills `server` from the Module.
pub(crate) fn read(server: &mut HttpServer, fields: &mut Fields<'_, '_>, options: &Options) {
    let forwarding = &mut server.forwarding;
    forwarding.use_remote_address = fields.flag("use_remote_address").unwrap_or(true);
    if let Some(proxies) = fields.number_in("xff_num_trusted_hops", 0, 255) {
        let proxies = u32::try_from(proxies).unwrap_or_default();
        // Documented as the number of proxies in front, whoever counts as the edge. The last of them wrote the right end of
        // the list; Envoy's own count begins one further to the left, where a client can write what it likes.
        forwarding.trusted_hops =
            if forwarding.use_remote_address { proxies } else { proxies.saturating_sub(1) };
    }
    server.path.merge_slashes = fields.flag("merge_slashes").unwrap_or(false);
    server.path.reject_escaped_slashes = fields.flag("reject_requests_with_escaped_slashes").unwrap_or(false);
    server.strip_matching_port = fields.flag("strip_matching_host_port").unwrap_or(false);
    server.keep_request_id = fields.flag("preserve_external_request_id").unwrap_or(false);
    server.http10 = fields.flag("enable_http10").unwrap_or(false);
    server.allow_chunked_length = fields.flag("allow_chunked_length").unwrap_or(false);
    server.proper_case = fields.flag("proper_case").unwrap_or(false);
    server.suppress_envoy_headers = fields.flag("suppress_envoy_headers").unwrap_or(false);
    if let Some(name) = fields.text("server_name") {
        server.server_name = Some(name);
    }
    server.underscores = underscores(fields);
    server.client_cert = client_cert(fields);
    limits(server, fields);
    if let Some(written) = fields.typed::<Vec<ErrorResponseOverride>>("error_response_overrides") {
        let mut flaws = Vec::new();
        let field = "spec.config.error_response_overrides";
        server.error_responses = policy::error_responses(&written, field, options, &mut flaws);
        fields.flaws(flaws);
    }
}

fn underscores(fields: &mut Fields<'_, '_>) -> UnderscorePolicy {
    match fields.text("headers_with_underscores_action").as_deref() {
        None | Some("ALLOW") => UnderscorePolicy::Allow,
        Some("REJECT_REQUEST") => UnderscorePolicy::Reject,
        Some("DROP_HEADER") => UnderscorePolicy::Drop,
        Some(other) => {
            // Something was to be done about them, so the strict one.
            let message = format!("'{other}' is not an action, such requests are refused");
            let field = "spec.config.headers_with_underscores_action";
            fields.error("bad-module-field", field, message, "write ALLOW, REJECT_REQUEST or DROP_HEADER");
            UnderscorePolicy::Reject
        }
    }
}

fn client_cert(fields: &mut Fields<'_, '_>) -> ClientCertHeader {
    let mut details = ClientCertDetails::default();
    if let Some(Value::Object(map)) = fields.value("set_current_client_cert_details") {
        for (key, value) in map {
            let known = match key.as_str() {
                "subject" => &mut details.subject,
                "cert" => &mut details.cert,
                "chain" => &mut details.chain,
                "dns" => &mut details.dns,
                "uri" => &mut details.uri,
                _ => {
                    let field = format!("spec.config.set_current_client_cert_details.{key}");
                    let fix = "write subject, cert, chain, dns or uri";
                    fields.error("bad-module-field", &field, format!("'{key}' is not a detail"), fix);
                    continue;
                }
            };
            *known = value.as_bool() == Some(true);
        }
    }
    match fields.text("forward_client_cert_details").as_deref() {
        None | Some("SANITIZE") => ClientCertHeader::Sanitize,
        Some("FORWARD_ONLY") => ClientCertHeader::ForwardOnly,
        Some("APPEND_FORWARD") => ClientCertHeader::AppendForward(details),
        Some("SANITIZE_SET") => ClientCertHeader::SanitizeSet(details),
        Some("ALWAYS_FORWARD_ONLY") => ClientCertHeader::AlwaysForwardOnly,
        Some(other) => {
            let message = format!("'{other}' is not a way to forward them, the header is removed");
            let fix = "write SANITIZE, FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET or ALWAYS_FORWARD_ONLY";
            fields.error("bad-module-field", "spec.config.forward_client_cert_details", message, fix);
            ClientCertHeader::Sanitize
        }
    }
}

fn limits(server: &mut HttpServer, fields: &mut Fields<'_, '_>) {
    if let Some(kib) = fields.number_in("max_request_headers_kb", 1, 8192) {
        server.limits.header_bytes = usize::try_from(kib).unwrap_or(60) * 1024;
    }
    // Memory per connection is bounded by the proxy itself.
    fields.number("buffer_limit_bytes");
    let Some(buffer) = fields.value("buffer") else { return };
    match buffer.get("max_request_bytes").and_then(Value::as_u64) {
        Some(bytes) => server.limits.body_bytes = Some(bytes),
        None => {
            let message = "there is no max_request_bytes".to_owned();
            let fix = "write buffer: {max_request_bytes: 1048576}";
            fields.error("bad-module-field", "spec.config.buffer", message, fix);
        }
    }
}

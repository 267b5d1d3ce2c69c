//! Forgives what schemas of older versions, annotations and hurried hands write: `weight: "50"`, one string where a list
//! is meant, a number where a text is. What cannot be forgiven is left as it is, for the typed reading to complain.

use serde_json::{Map, Value};

/// What a field should be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A whole number; `"50"` is one.
    Int,
    /// A boolean; `"true"` is one.
    Bool,
    /// A text; numbers and booleans are.
    Text,
    /// A list of texts; one text is a list of one.
    Texts,
    /// A text of several joined by commas; a list becomes one.
    CommaText,
    /// A map of texts.
    TextMap,
    /// A map of headers to add, `{value, append}`.
    Headers,
    /// A map with fields of its own.
    Fields(&'static [Field]),
    /// A list of such maps.
    Each(&'static [Field]),
}

/// The name of a field and what it should be.
pub(super) type Field = (&'static str, Shape);

use Shape::{Bool, CommaText, Each, Fields, Headers, Int, Text, TextMap, Texts};

const REGEX_REWRITE: &[Field] = &[("pattern", Text), ("substitution", Text)];
const HEALTH_CHECK_KIND: &[Field] = &[
    (
        "http",
        Fields(&[
            ("path", Text),
            ("hostname", Text),
            ("add_request_headers", Headers),
            ("remove_request_headers", Texts),
            ("expected_statuses", Each(&[("min", Int), ("max", Int)])),
        ]),
    ),
    ("grpc", Fields(&[("upstream_name", Text), ("authority", Text)])),
];
const SELECTOR: &[Field] = &[("matchLabels", TextMap)];
const NAME: &[Field] = &[("name", Text), ("namespace", Text)];
const CIRCUIT_BREAKER: &[Field] = &[
    ("priority", Text),
    ("max_connections", Int),
    ("max_pending_requests", Int),
    ("max_requests", Int),
    ("max_retries", Int),
];

pub(super) const MAPPING: &[Field] = &[
    ("prefix", Text),
    ("prefix_regex", Bool),
    ("prefix_exact", Bool),
    ("case_sensitive", Bool),
    ("service", Text),
    ("hostname", Text),
    ("host", Text),
    ("host_regex", Bool),
    ("method", Text),
    ("method_regex", Bool),
    ("headers", TextMap),
    ("regex_headers", TextMap),
    ("query_parameters", TextMap),
    ("regex_query_parameters", TextMap),
    ("precedence", Int),
    ("weight", Int),
    ("rewrite", Text),
    ("regex_rewrite", Fields(REGEX_REWRITE)),
    ("host_redirect", Bool),
    ("path_redirect", Text),
    ("prefix_redirect", Text),
    ("regex_redirect", Fields(REGEX_REWRITE)),
    ("redirect_response_code", Int),
    ("host_rewrite", Text),
    ("auto_host_rewrite", Bool),
    ("add_request_headers", Headers),
    ("add_response_headers", Headers),
    ("remove_request_headers", Texts),
    ("remove_response_headers", Texts),
    ("add_linkerd_headers", Bool),
    ("bypass_auth", Bool),
    ("cors", Fields(&[("credentials", Bool)])),
    ("retry_policy", Fields(&[("retry_on", Text), ("num_retries", Int), ("per_try_timeout", Text)])),
    ("circuit_breakers", Each(CIRCUIT_BREAKER)),
    (
        "load_balancer",
        Fields(&[
            ("policy", Text),
            ("cookie", Fields(&[("name", Text), ("path", Text), ("ttl", Text)])),
            ("header", Text),
            ("source_ip", Bool),
        ]),
    ),
    ("resolver", Text),
    ("timeout_ms", Int),
    ("idle_timeout_ms", Int),
    ("connect_timeout_ms", Int),
    ("cluster_idle_timeout_ms", Int),
    ("cluster_max_connection_lifetime_ms", Int),
    ("grpc", Bool),
    ("allow_upgrade", Texts),
    ("dns_type", Text),
    ("respect_dns_ttl", Bool),
    ("enable_ipv4", Bool),
    ("enable_ipv6", Bool),
    (
        "health_checks",
        Each(&[
            ("timeout", Text),
            ("interval", Text),
            ("unhealthy_threshold", Int),
            ("healthy_threshold", Int),
            ("health_check", Fields(HEALTH_CHECK_KIND)),
        ]),
    ),
    ("priority", Text),
    ("shadow", Bool),
    ("keepalive", Fields(&[("probes", Int), ("idle_time", Int), ("interval", Int)])),
    ("tls", Text),
    ("cluster_tag", Text),
    ("stats_name", Text),
    ("error_response_overrides", Each(&[("on_status_code", Int)])),
    ("bypass_error_response_overrides", Bool),
];

pub(super) const TCP_MAPPING: &[Field] = &[
    ("port", Int),
    ("host", Text),
    ("address", Text),
    ("service", Text),
    ("resolver", Text),
    ("tls", Text),
    ("weight", Int),
    ("cluster_tag", Text),
    ("enable_ipv4", Bool),
    ("enable_ipv6", Bool),
    ("circuit_breakers", Each(CIRCUIT_BREAKER)),
    ("stats_name", Text),
];

/// A TLSContext, and `spec.tls` of a Host.
pub(super) const TLS: &[Field] = &[
    ("hosts", Texts),
    ("secret", Text),
    ("secret_namespacing", Bool),
    ("cert_required", Bool),
    ("alpn_protocols", CommaText),
    ("min_tls_version", Text),
    ("max_tls_version", Text),
    ("cipher_suites", Texts),
    ("ecdh_curves", Texts),
    ("redirect_cleartext_from", Int),
    ("verify_subject_alt_names", Texts),
    ("verify_system_roots", Bool),
];

pub(super) const HOST: &[Field] = &[
    ("hostname", Text),
    ("mappingSelector", Fields(SELECTOR)),
    ("selector", Fields(SELECTOR)),
    ("tlsSecret", Fields(NAME)),
    ("tlsContext", Fields(NAME)),
    ("tls", Fields(TLS)),
    ("requestPolicy", Fields(&[("insecure", Fields(&[("additionalPort", Int)]))])),
];

pub(super) const LISTENER: &[Field] = &[
    ("port", Int),
    ("protocolStack", Texts),
    ("l7Depth", Int),
    ("http2MaxConcurrentStreams", Int),
    ("hostBinding", Fields(&[("selector", Fields(SELECTOR))])),
    ("proxyProtocolFrom", Texts),
];

/// Brings the fields of a map nearer to what they should be.
pub(super) fn forgive(fields: &mut Map<String, Value>, shapes: &[Field]) {
    for (name, shape) in shapes {
        if let Some(value) = fields.get_mut(*name) {
            shape.forgive(value);
        }
    }
}

impl Shape {
    fn forgive(self, value: &mut Value) {
        match (self, &mut *value) {
            (Int, Value::String(digits)) => {
                if let Ok(number) = digits.trim().parse::<i64>() {
                    *value = number.into();
                }
            }
            // `1e3` and `3000.0` are whole; 2^53 is where floats stop telling whole numbers apart.
            (Int, Value::Number(number)) => {
                let whole = number.as_f64().filter(|it| number.is_f64() && it.fract() == 0.0);
                if let Some(whole) = whole.filter(|it| it.abs() < 9_007_199_254_740_992.0) {
                    *value = (whole as i64).into();
                }
            }
            (Bool, Value::String(word)) => {
                if let Ok(truth) = word.parse::<bool>() {
                    *value = truth.into();
                }
            }
            (Text, Value::Number(_) | Value::Bool(_)) => *value = value.to_string().into(),
            (Texts, Value::String(one)) => *value = vec![std::mem::take(one)].into(),
            (Texts, Value::Array(items)) => items.iter_mut().for_each(|item| Text.forgive(item)),
            (CommaText, Value::Array(items)) if items.iter().all(Value::is_string) => {
                let words: Vec<_> = items.iter().filter_map(Value::as_str).collect();
                *value = words.join(",").into();
            }
            (TextMap, Value::Object(map)) => map.values_mut().for_each(|item| Text.forgive(item)),
            (Headers, Value::Object(map)) => headers(map),
            (Fields(shapes), Value::Object(map)) => forgive(map, shapes),
            (Each(shapes), Value::Array(items)) => {
                items.iter_mut().filter_map(Value::as_object_mut).for_each(|item| forgive(item, shapes));
            }
            _ => {}
        }
    }
}

/// A value alone is `{value}`; one that is null adds nothing.
fn headers(map: &mut Map<String, Value>) {
    map.retain(|_, header| !header.is_null());
    for header in map.values_mut() {
        Text.forgive(header);
        match header {
            Value::Object(fields) => {
                // Bookkeeping of Emissary's conversion between versions.
                fields.remove("v2Representation");
                forgive(fields, &[("value", Text), ("append", Bool)]);
            }
            Value::String(value) => {
                let value = std::mem::take(value);
                *header = [("value".to_owned(), Value::from(value))].into_iter().collect();
            }
            _ => {}
        }
    }
}

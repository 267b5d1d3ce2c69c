//! One reader for the Module's free-form `config`: knows which keys were asked for, says what is wrong with the others.

use std::collections::BTreeSet;
use std::time::Duration;

use plenipo_resources::Object;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::policy::{Millis, millis};
use crate::findings::{Findings, Flaw};

/// The fields of `spec.config`.
pub(crate) struct Fields<'a, 'f> {
    object: &'a Object,
    map: &'a Map<String, Value>,
    asked: BTreeSet<&'static str>,
    findings: &'f mut Findings,
}

/// Keys that are of no consequence: inert in Emissary, or about its own processes.
const SILENT: [&str; 10] = [
    "ambassador_id",
    "admin_port",
    "debug_mode",
    "envoy_validation_timeout",
    "regex_max_size",
    "regex_type",
    "prune_unreachable_routes",
    "service_port",
    "auth_enabled",
    "diagnostics",
];

/// Keys whose effect is missing here, with what to do instead.
const UNSUPPORTED: [(&str, &str); 10] = [
    ("lua_scripts", "use add_request_headers, add_response_headers or regex_rewrite"),
    ("enable_grpc_web", "let the service speak grpc-web, or put a bridge beside it"),
    ("enable_grpc_http11_bridge", "let clients speak HTTP/2"),
    ("grpc_stats", "read the metrics of the gateway, they count by route and status"),
    ("gzip", "compress in the service"),
    ("statsd", "scrape the Prometheus metrics"),
    ("runtime_flags", "remove it, there is no Envoy to set them on"),
    ("header_case_overrides", "use proper_case"),
    ("use_proxy_proto", "use 'PROXY' in the Listener's protocolStack"),
    (
        "x_forwarded_proto_redirect",
        "use the Host's requestPolicy.insecure.action with the Listener's l7Depth",
    ),
];

impl<'a, 'f> Fields<'a, 'f> {
    /// None when the config is no map; then that was reported.
    pub(crate) fn of(object: &'a Object, config: &'a Value, findings: &'f mut Findings) -> Option<Self> {
        match config {
            Value::Object(map) => Some(Self { object, map, asked: BTreeSet::new(), findings }),
            Value::Null => None,
            _ => {
                let message = "the config is not a map of settings".to_owned();
                findings.refuse(
                    object,
                    "bad-module",
                    "spec.config",
                    message,
                    "write one setting a line, 'name: value'",
                );
                None
            }
        }
    }

    /// The value as written, unless it is absent or null.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.insert(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// A value of some shape; a wrong one is reported and counts as absent.
    pub(crate) fn typed<T: DeserializeOwned>(&mut self, key: &'static str) -> Option<T> {
        let value = self.value(key);
        self.deserialize(&format!("spec.config.{key}"), value)
    }

    /// As [`Self::typed`], for a value found elsewhere.
    pub(crate) fn deserialize<T: DeserializeOwned>(
        &mut self,
        field: &str,
        value: Option<&Value>,
    ) -> Option<T> {
        let value = value.filter(|value| !value.is_null())?;
        T::deserialize(value)
            .map_err(|error| self.error("bad-module-field", field, error.to_string(), "see the field's type"))
            .ok()
    }

    /// A boolean, which Emissary also takes as text.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        match self.value(key)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            other => {
                let message = format!("{other} is neither true nor false");
                self.error("bad-module-field", &format!("spec.config.{key}"), message, "write true or false");
                None
            }
        }
    }

    /// A whole number, which is also taken as text.
    pub(crate) fn number(&mut self, key: &'static str) -> Option<i64> {
        let value = self.value(key)?;
        let number = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
        if number.is_none() {
            let message = format!("{value} is not a whole number");
            self.error("bad-module-field", &format!("spec.config.{key}"), message, "write a whole number");
        }
        number
    }

    /// A number within bounds.
    pub(crate) fn number_in(&mut self, key: &'static str, least: i64, most: i64) -> Option<i64> {
        let number = self.number(key)?;
        if (least..=most).contains(&number) {
            return Some(number);
        }
        let message = format!("{number} is not between {least} and {most}");
        self.error(
            "bad-module-field",
            &format!("spec.config.{key}"),
            message,
            "write a number within the bounds",
        );
        None
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.typed(key)
    }

    /// Milliseconds: none = not written, `Some(None)` = 0.
    pub(crate) fn millis(&mut self, key: &'static str) -> Option<Option<Duration>> {
        let number = self.number(key)?;
        match millis(number, &format!("spec.config.{key}")) {
            Ok(Millis::Zero) => Some(None),
            Ok(Millis::For(time)) => Some(Some(time)),
            Err(flaw) => {
                self.flaws(vec![flaw]);
                None
            }
        }
    }

    /// The good value, or its flaw reported.
    pub(crate) fn accept<T>(&mut self, result: Result<T, Flaw>) -> Option<T> {
        result.map_err(|flaw| self.findings.flaw(self.object, &flaw)).ok()
    }

    /// Reports flaws.
    pub(crate) fn flaws(&mut self, flaws: Vec<Flaw>) {
        for flaw in flaws {
            self.findings.flaw(self.object, &flaw);
        }
    }

    /// Reports an error.
    pub(crate) fn error(&mut self, code: &'static str, field: &str, message: String, fix: &str) {
        self.findings.error(self.object, code, field, message, fix);
    }

    /// Reports what nobody asked for.
    pub(crate) fn finish(self) {
        for (key, value) in self.map {
            if value.is_null() || self.asked.contains(key.as_str()) || SILENT.contains(&key.as_str()) {
                continue;
            }
            let field = format!("spec.config.{key}");
            match UNSUPPORTED.iter().find(|(known, _)| known == key) {
                Some((_, fix)) => {
                    self.findings.warn(
                        self.object,
                        "not-supported",
                        &field,
                        format!("{key} is not supported"),
                        fix,
                    );
                }
                None => {
                    let message = format!("'{key}' is not a setting of the gateway, it has no effect");
                    self.findings.warn(
                        self.object,
                        "unknown-field",
                        &field,
                        message,
                        "check the spelling, or remove it",
                    );
                }
            }
        }
    }
}

//! What happens to the requests of a Mapping.

use std::sync::Arc;

use http::HeaderName;
use plenipo_model::{
    Cors, ErrorResponse, HeaderEdit, HealthCheck, Limits, PathRewrite, Pattern, Priority, RetryPolicy,
    Source, TcpKeepalive,
};
use plenipo_resources::ambassador::Mapping;
use serde_json::Value;

use super::super::module::Settings;
use super::super::ours::Of;
use super::super::policy::{self, Balancing};
use super::Patterns;
use crate::findings::{Findings, Flaw};
use crate::options::Options;

/// The Mapping's own settings, read; none = not written. What the Module says is not yet mixed in, but for headers,
/// which a Mapping replaces as a whole.
#[derive(Debug)]
pub(crate) struct Policies {
    pub(crate) rewrite: PathRewrite,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) limits: Option<Limits>,
    pub(crate) balancing: Option<Balancing>,
    pub(crate) keepalive: Option<TcpKeepalive>,
    pub(crate) health_checks: Vec<HealthCheck>,
    pub(crate) priority: Option<Priority>,
    pub(crate) upgrades: Option<Vec<String>>,
    pub(crate) add_request_headers: Vec<HeaderEdit>,
    pub(crate) add_response_headers: Vec<HeaderEdit>,
    pub(crate) remove_request_headers: Vec<HeaderName>,
    pub(crate) remove_response_headers: Vec<HeaderName>,
    pub(crate) error_responses: Option<Vec<Arc<ErrorResponse>>>,
    pub(crate) regex_rewrite: Option<(Pattern, String)>,
}

impl Policies {
    /// Reads them.
    ///
    /// # Errors
    /// Where Emissary makes the Mapping inactive: a policy that cannot be what was meant.
    pub(crate) fn read(
        mapping: Of<'_, Mapping>,
        source: &Source,
        settings: &Settings<'_>,
        options: &Options,
        patterns: &mut Patterns,
        findings: &mut Findings,
    ) -> Result<Self, Flaw> {
        let spec = mapping.spec;
        let mut flaws = Vec::new();
        let added =
            |written: &Option<_>, default: &[HeaderEdit], field: &str, flaws: &mut Vec<Flaw>| match written {
                Some(map) => policy::additions(map, field, flaws),
                None => default.to_vec(),
            };
        let removed =
            |written: &Option<Vec<String>>, default: &[HeaderName], field: &str, flaws: &mut Vec<Flaw>| {
                written.as_ref().map_or_else(|| default.to_vec(), |list| policy::removals(list, field, flaws))
            };
        let defaults = &settings.mapping;
        let regex = spec.regex_rewrite.as_ref().filter(|rewrite| !rewrite.pattern.is_empty());
        let policies = Self {
            rewrite: rewrite(spec.rewrite.as_deref()),
            cors: spec
                .cors
                .as_ref()
                .map(|cors| Arc::new(policy::cors(cors, source, "spec.cors", &mut flaws))),
            retry: spec
                .retry_policy
                .as_ref()
                .map(|retry| policy::retry(retry, "spec.retry_policy"))
                .transpose()?,
            limits: written(spec.circuit_breakers.as_ref())
                .map(|breakers| policy::limits(breakers, "spec.circuit_breakers"))
                .transpose()?,
            balancing: spec
                .load_balancer
                .as_ref()
                .map(|balancer| policy::balancing(balancer, "spec.load_balancer"))
                .transpose()?,
            keepalive: spec
                .keepalive
                .as_ref()
                .and_then(|keep| policy::keepalive(keep, "spec.keepalive", &mut flaws)),
            health_checks: spec
                .health_checks
                .as_ref()
                .map(|checks| policy::health_checks(checks, "spec.health_checks", &mut flaws))
                .unwrap_or_default(),
            priority: spec.priority.as_deref().and_then(|text| priority(text, &mut flaws)),
            upgrades: upgrades(spec),
            add_request_headers: added(
                &spec.add_request_headers,
                &defaults.add_request_headers,
                "spec.add_request_headers",
                &mut flaws,
            ),
            add_response_headers: added(
                &spec.add_response_headers,
                &defaults.add_response_headers,
                "spec.add_response_headers",
                &mut flaws,
            ),
            remove_request_headers: removed(
                &spec.remove_request_headers,
                &defaults.remove_request_headers,
                "spec.remove_request_headers",
                &mut flaws,
            ),
            remove_response_headers: removed(
                &spec.remove_response_headers,
                &defaults.remove_response_headers,
                "spec.remove_response_headers",
                &mut flaws,
            ),
            error_responses: spec.error_response_overrides.as_ref().map(|overrides| {
                policy::error_responses(overrides, "spec.error_response_overrides", options, &mut flaws)
            }),
            regex_rewrite: match regex {
                None => None,
                Some(rewrite) => {
                    let pattern = patterns.compile(&rewrite.pattern, "spec.regex_rewrite.pattern")?;
                    Some((pattern, rewrite.substitution.clone()))
                }
            },
        };
        for flaw in &flaws {
            findings.flaw(mapping.object, flaw);
        }
        unsupported(mapping, findings);
        Ok(policies)
    }
}

/// Absent is `/`, empty is no rewrite.
fn rewrite(written: Option<&str>) -> PathRewrite {
    match written {
        None => PathRewrite::Matched("/".to_owned()),
        Some("") => PathRewrite::Keep,
        Some(text) => PathRewrite::Matched(text.to_owned()),
    }
}

fn priority(text: &str, flaws: &mut Vec<Flaw>) -> Option<Priority> {
    match text.to_ascii_lowercase().as_str() {
        "high" => Some(Priority::High),
        "default" | "" => Some(Priority::Default),
        _ => {
            let message = format!("'{text}' is not a priority, the default one is used");
            flaws.push(Flaw::new("bad-priority", "spec.priority", message, "write default or high"));
            None
        }
    }
}

/// Upgrades in lower case; whatever is written for `use_websocket` (but false) asks for it.
fn upgrades(spec: &Mapping) -> Option<Vec<String>> {
    let mut upgrades: Vec<String> =
        spec.allow_upgrade.iter().flatten().map(|name| name.trim().to_ascii_lowercase()).collect();
    let websocket = !matches!(spec.use_websocket, None | Some(Value::Null | Value::Bool(false)));
    if websocket {
        upgrades.push("websocket".to_owned());
    }
    upgrades.sort_unstable();
    upgrades.dedup();
    (websocket || spec.allow_upgrade.is_some()).then_some(upgrades)
}

fn written(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn unsupported(mapping: Of<'_, Mapping>, findings: &mut Findings) {
    let spec = mapping.spec;
    let known =
        |kind: &&str| ["strict_dns", "logical_dns"].iter().any(|known| kind.eq_ignore_ascii_case(known));
    if let Some(kind) = spec.dns_type.as_deref().filter(|kind| !known(kind)) {
        let message = format!("'{kind}' is not a way to use DNS, strict_dns is used");
        let fix = "write strict_dns or logical_dns";
        findings.warn(mapping.object, "bad-dns-type", "spec.dns_type", message, fix);
    }
    if written(spec.labels.as_ref())
        .is_some_and(|labels| labels.as_object().is_none_or(|map| !map.is_empty()))
    {
        let message = "labels are for rate limiting, which is not supported yet".to_owned();
        findings.note(
            mapping.object,
            "not-supported",
            "spec.labels",
            message,
            "limit rates in front of the gateway",
        );
    }
}

//! What happens to the requests of a Mapping.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{
    Cors, ErrorResponse, HeaderEdits, HealthCheck, Limits, Pattern, Priority, RetryPolicy, Source,
    TcpKeepalive,
};
use plenipo_resources::ambassador::{AddedHeader, Mapping, RegexRewrite};
use serde_json::Value;

use super::super::module::Settings;
use super::super::ours::Of;
use super::super::policy::{self, Balancing};
use super::Patterns;
use crate::findings::{Findings, Flaw};
use crate::options::Options;

/// The Mapping's own settings, read; none = not written. What the Module says is not yet mixed in, but for headers,
/// which a Mapping replaces as a whole.
#[derive(PartialEq, Debug, Default)]
pub(crate) struct Policies {
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) limits: Option<Limits>,
    pub(crate) balancing: Option<Balancing>,
    pub(crate) keepalive: Option<TcpKeepalive>,
    pub(crate) health_checks: Vec<HealthCheck>,
    pub(crate) priority: Option<Priority>,
    pub(crate) upgrades: Option<Vec<String>>,
    pub(crate) request_headers: HeaderEdits,
    pub(crate) response_headers: HeaderEdits,
    pub(crate) error_responses: Option<Vec<Arc<ErrorResponse>>>,
    pub(crate) regex_rewrite: Option<(Pattern, String)>,
}

impl Policies {
    /// What holds for a Mapping that [says nothing](Self::is_plain).
    pub(crate) fn plain(settings: &Settings<'_>) -> Self {
        Self {
            request_headers: settings.mapping.request_headers.clone(),
            response_headers: settings.mapping.response_headers.clone(),
            ..Self::default()
        }
    }

    /// Does the Mapping say nothing that this module reads? Most do not, and there are ten thousand of them.
    pub(crate) fn is_plain(spec: &Mapping) -> bool {
        let headers = spec.add_request_headers.is_none()
            && spec.add_response_headers.is_none()
            && spec.remove_request_headers.is_none()
            && spec.remove_response_headers.is_none();
        let exchange = spec.cors.is_none()
            && spec.retry_policy.is_none()
            && spec.priority.is_none()
            && spec.allow_upgrade.is_none()
            && spec.use_websocket.is_none()
            && spec.error_response_overrides.is_none()
            && spec.regex_rewrite.is_none()
            && spec.labels.is_none();
        let upstream = spec.circuit_breakers.is_none()
            && spec.load_balancer.is_none()
            && spec.keepalive.is_none()
            && spec.health_checks.is_none()
            && spec.dns_type.is_none();
        headers && exchange && upstream
    }

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
        let overrides = spec.error_response_overrides.as_ref();
        let policies = Self {
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
            request_headers: edits(
                ("spec.add_request_headers", spec.add_request_headers.as_ref()),
                ("spec.remove_request_headers", spec.remove_request_headers.as_ref()),
                &settings.mapping.request_headers,
                &mut flaws,
            ),
            response_headers: edits(
                ("spec.add_response_headers", spec.add_response_headers.as_ref()),
                ("spec.remove_response_headers", spec.remove_response_headers.as_ref()),
                &settings.mapping.response_headers,
                &mut flaws,
            ),
            error_responses: overrides.map(|list| {
                policy::error_responses(list, "spec.error_response_overrides", options, &mut flaws)
            }),
            regex_rewrite: spec
                .regex_rewrite
                .as_ref()
                .and_then(|r| regex_rewrite(r, patterns))
                .transpose()?,
        };
        for flaw in &flaws {
            findings.flaw(mapping.object, flaw);
        }
        unsupported(mapping, findings);
        Ok(policies)
    }
}

/// Headers to add and to remove; what the Mapping says of either replaces the Module's as a whole.
fn edits(
    (add_field, add): (&str, Option<&BTreeMap<String, AddedHeader>>),
    (remove_field, remove): (&str, Option<&Vec<String>>),
    default: &HeaderEdits,
    flaws: &mut Vec<Flaw>,
) -> HeaderEdits {
    HeaderEdits {
        add: add.map_or_else(|| default.add.clone(), |map| policy::additions(map, add_field, flaws)),
        remove: remove
            .map_or_else(|| default.remove.clone(), |list| policy::removals(list, remove_field, flaws)),
    }
}

fn regex_rewrite(written: &RegexRewrite, patterns: &mut Patterns) -> Option<Result<(Pattern, String), Flaw>> {
    if written.pattern.is_empty() {
        return None;
    }
    let pattern = patterns.compile(&written.pattern, "spec.regex_rewrite.pattern");
    Some(pattern.map(|pattern| (pattern, written.substitution.clone())))
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

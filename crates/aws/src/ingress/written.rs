//! The JSON that users write into annotations: actions, conditions, transforms.

use plenipo_resources::core::IntOrString;
use serde::Deserialize;

use crate::stack::{Condition, Redirect, Transform, Values};

type Valid<T> = Result<T, String>;

/// The names of all fields: old manifests write them in any case.
pub(super) const FIELDS: [&str; 37] = [
    "type",
    "targetGroupARN",
    "targetGroupName",
    "fixedResponseConfig",
    "contentType",
    "messageBody",
    "statusCode",
    "redirectConfig",
    "host",
    "path",
    "port",
    "protocol",
    "query",
    "forwardConfig",
    "targetGroups",
    "serviceName",
    "servicePort",
    "weight",
    "targetGroupStickinessConfig",
    "enabled",
    "durationSeconds",
    "field",
    "hostHeaderConfig",
    "pathPatternConfig",
    "httpHeaderConfig",
    "httpHeaderName",
    "httpRequestMethodConfig",
    "queryStringConfig",
    "sourceIPConfig",
    "values",
    "regexValues",
    "key",
    "value",
    "hostHeaderRewriteConfig",
    "urlRewriteConfig",
    "rewrites",
    "regex",
];

/// What happens to a request, before Services are looked up.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Deed {
    /// It goes to targets; kept to one of them for so many seconds (see [`crate::stack::Forward`]).
    Forward { targets: Vec<Target>, stickiness: Option<Option<u32>> },
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// The load balancer answers.
    FixedResponse { status: String, content_type: Option<String>, body: Option<String> },
}

/// One of the targets of a forward.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Target {
    pub(super) to: To,
    pub(super) weight: Option<u32>,
}

/// Where to.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum To {
    Service { name: String, port: IntOrString },
    Arn(String),
    Name(String),
}

impl Deed {
    /// To one port of a Service.
    pub(super) fn to_service(name: &str, port: IntOrString) -> Self {
        let to = To::Service { name: name.to_owned(), port };
        Self::Forward { targets: vec![Target { to, weight: None }], stickiness: None }
    }

    /// What stands in for a Service or an action that does not exist.
    pub(super) fn unavailable(message: &str) -> Self {
        Self::FixedResponse {
            status: "503".to_owned(),
            content_type: Some("text/plain".to_owned()),
            body: Some(message.to_owned()),
        }
    }
}

/// An action as it is written.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Action {
    #[serde(rename = "type")]
    type_: String,
    #[serde(rename = "targetGroupARN")]
    target_group_arn: Option<String>,
    target_group_name: Option<String>,
    fixed_response_config: Option<FixedResponse>,
    redirect_config: Option<RedirectConfig>,
    forward_config: Option<ForwardConfig>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct FixedResponse {
    content_type: Option<String>,
    message_body: Option<String>,
    status_code: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct RedirectConfig {
    host: Option<String>,
    path: Option<String>,
    port: Option<String>,
    protocol: Option<String>,
    query: Option<String>,
    status_code: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ForwardConfig {
    target_groups: Vec<TargetGroup>,
    target_group_stickiness_config: Option<Stickiness>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TargetGroup {
    #[serde(rename = "targetGroupARN")]
    target_group_arn: Option<String>,
    target_group_name: Option<String>,
    service_name: Option<String>,
    service_port: Option<IntOrString>,
    weight: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Stickiness {
    enabled: Option<bool>,
    duration_seconds: Option<u32>,
}

/// What AWS takes where stickiness is on and no duration is given: an hour, as its console does.
const DEFAULT_STICKINESS: u32 = 3600;

impl Action {
    /// The action, if it is one.
    pub(super) fn valid(self) -> Valid<Deed> {
        match self.type_.as_str() {
            "fixed-response" => {
                let config = self.fixed_response_config.ok_or("missing FixedResponseConfig")?;
                if config.status_code.is_empty() {
                    return Err("invalid FixedResponseConfig: statusCode is required".to_owned());
                }
                Ok(Deed::FixedResponse {
                    status: config.status_code,
                    content_type: config.content_type,
                    body: config.message_body,
                })
            }
            "redirect" => {
                let config = self.redirect_config.ok_or("missing RedirectConfig")?;
                if config.status_code.is_empty() {
                    return Err("invalid RedirectConfig: statusCode is required".to_owned());
                }
                let RedirectConfig { host, path, port, protocol, query, status_code: status } = config;
                Ok(Deed::Redirect(Redirect { protocol, host, port, path, query, status }))
            }
            "forward" => self.forward(),
            other => Err(format!("unknown action type: {other}")),
        }
    }

    fn forward(self) -> Valid<Deed> {
        let simple = match (self.target_group_arn, self.target_group_name) {
            (Some(arn), _) => Some(To::Arn(arn)),
            (None, Some(name)) => Some(To::Name(name)),
            (None, None) => None,
        };
        let config = match (simple, self.forward_config) {
            (None, None) => return Err("missing ForwardConfig or TargetGroupARN/TargetGroupName".to_owned()),
            (Some(_), Some(_)) => {
                let message = "either ForwardConfig or TargetGroupARN/TargetGroupName can be specified";
                return Err(message.to_owned());
            }
            (Some(to), None) => {
                let targets = vec![Target { to, weight: None }];
                return Ok(Deed::Forward { targets, stickiness: None });
            }
            (None, Some(config)) => config,
        };
        let invalid = |reason: String| format!("invalid ForwardConfig: {reason}");
        let targets = config.target_groups.into_iter().map(TargetGroup::valid);
        let targets: Vec<Target> = targets.collect::<Result<_, _>>().map_err(invalid)?;
        if targets.len() > 1 && targets.iter().any(|target| target.weight.is_none()) {
            return Err(invalid("weight must be set when route to multiple target groups".to_owned()));
        }
        let stickiness = config.target_group_stickiness_config.map(|stickiness| {
            let seconds = stickiness.duration_seconds.unwrap_or(DEFAULT_STICKINESS);
            stickiness.enabled.unwrap_or(false).then_some(seconds)
        });
        Ok(Deed::Forward { targets, stickiness })
    }
}

impl TargetGroup {
    fn valid(self) -> Valid<Target> {
        let invalid = |reason: &str| Err(format!("invalid TargetGroupTuple: {reason}"));
        let to = match (self.target_group_arn, self.target_group_name, self.service_name) {
            (None, None, None) => return invalid("missing serviceName or targetGroupARN/targetGroupName"),
            (None, None, Some(name)) => match self.service_port {
                Some(port) => To::Service { name, port: normalized(port) },
                None => return invalid("missing servicePort"),
            },
            (_, _, Some(_)) => {
                return invalid("either serviceName or targetGroupARN/targetGroupName can be specified");
            }
            (Some(arn), _, None) => To::Arn(arn),
            (None, Some(name), None) => To::Name(name),
        };
        Ok(Target { to, weight: self.weight })
    }
}

/// A number in quotes is a number: the controller's predecessor knew ports as texts only.
fn normalized(port: IntOrString) -> IntOrString {
    match port {
        IntOrString::String(text) => text.parse().map(IntOrString::Int).unwrap_or(IntOrString::String(text)),
        number => number,
    }
}

/// A condition as it is written.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WrittenCondition {
    field: String,
    host_header_config: Option<Matching>,
    path_pattern_config: Option<Matching>,
    http_header_config: Option<Matching>,
    http_request_method_config: Option<Listed>,
    query_string_config: Option<Queries>,
    #[serde(rename = "sourceIPConfig")]
    source_ip_config: Option<Listed>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Matching {
    http_header_name: String,
    values: Vec<String>,
    regex_values: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Listed {
    values: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Queries {
    values: Vec<Query>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query {
    key: Option<String>,
    value: String,
}

impl WrittenCondition {
    /// The condition; none where its field is not known, which the controller passes over.
    pub(super) fn valid(self) -> Valid<Option<Condition>> {
        let condition = match self.field.as_str() {
            "host-header" => Condition::Host(matching("hostHeaderConfig", self.host_header_config)?.1),
            "path-pattern" => Condition::Path(matching("pathPatternConfig", self.path_pattern_config)?.1),
            "http-header" => {
                let (name, values) = matching("httpHeaderConfig", self.http_header_config)?;
                Condition::Header { name, values }
            }
            "http-request-method" => {
                Condition::Method(listed("httpRequestMethodConfig", self.http_request_method_config)?)
            }
            "query-string" => Condition::Query(queries(self.query_string_config)?),
            "source-ip" => Condition::SourceIp(listed("sourceIPConfig", self.source_ip_config)?),
            _ => return Ok(None),
        };
        Ok(Some(condition))
    }
}

fn matching(what: &str, config: Option<Matching>) -> Valid<(String, Values)> {
    let config = config.ok_or_else(|| format!("missing {what}"))?;
    let values = match (config.values.is_empty(), config.regex_values.is_empty()) {
        (true, true) => return Err(format!("invalid {what}: values or regexValues must be specified")),
        (false, false) => {
            return Err(format!("invalid {what}: precisely one of values and regexValues can be specified"));
        }
        (false, true) => Values::Wildcards(config.values),
        (true, false) => Values::Regexes(config.regex_values),
    };
    Ok((config.http_header_name, values))
}

fn listed(what: &str, config: Option<Listed>) -> Valid<Vec<String>> {
    let config = config.ok_or_else(|| format!("missing {what}"))?;
    if config.values.is_empty() {
        return Err(format!("invalid {what}: values cannot be empty"));
    }
    Ok(config.values)
}

fn queries(config: Option<Queries>) -> Valid<Vec<(Option<String>, String)>> {
    let invalid = |reason: &str| Err(format!("invalid queryStringConfig: {reason}"));
    let config = config.ok_or("missing queryStringConfig")?;
    if config.values.is_empty() {
        return invalid("Values cannot be empty");
    }
    if config.values.iter().any(|query| query.value.is_empty()) {
        return invalid("value cannot be empty");
    }
    Ok(config.values.into_iter().map(|query| (query.key, query.value)).collect())
}

/// A transform as it is written.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WrittenTransform {
    #[serde(rename = "type")]
    type_: String,
    host_header_rewrite_config: Option<Rewrites>,
    url_rewrite_config: Option<Rewrites>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rewrites {
    rewrites: Vec<Rewrite>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rewrite {
    regex: String,
    replace: String,
}

impl WrittenTransform {
    /// The transform, if it is one.
    pub(super) fn valid(self) -> Valid<Transform> {
        let rewrites = |what: &str, config: Option<Rewrites>| {
            let config = config.ok_or_else(|| format!("missing {what}"))?;
            if config.rewrites.is_empty() {
                return Err(format!("{what}.rewrites cannot be empty"));
            }
            Ok(config.rewrites.into_iter().map(|rewrite| (rewrite.regex, rewrite.replace)).collect())
        };
        match self.type_.as_str() {
            "host-header-rewrite" => {
                Ok(Transform::Host(rewrites("hostHeaderRewriteConfig", self.host_header_rewrite_config)?))
            }
            "url-rewrite" => Ok(Transform::Url(rewrites("urlRewriteConfig", self.url_rewrite_config)?)),
            other => Err(format!("unknown transform type: {other}")),
        }
    }
}

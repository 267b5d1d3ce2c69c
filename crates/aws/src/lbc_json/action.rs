//! Actions, conditions and transforms.

use serde_json::{Map, Value, json};

use super::target::TARGET_GROUP;
use super::{LOAD_BALANCER, reference};
use crate::stack::{
    Action, Condition, Forward, Redirect, Stack, TargetRef, Transform, Values, WeightedTarget,
};

pub(super) fn action(stack: &Stack, action: &Action) -> Value {
    match action {
        Action::Forward(forward) => {
            json!({"type": "forward", "forwardConfig": forward_config(stack, forward)})
        }
        Action::Redirect(redirect) => {
            json!({"type": "redirect", "redirectConfig": redirect_config(redirect)})
        }
        Action::FixedResponse { status, content_type, body } => {
            let mut fields = Map::from_iter([("statusCode".to_owned(), json!(status))]);
            put(&mut fields, "contentType", content_type.as_ref());
            put(&mut fields, "messageBody", body.as_ref());
            json!({"type": "fixed-response", "fixedResponseConfig": fields})
        }
        Action::AuthenticateOidc(settings) => {
            json!({"type": "authenticate-oidc", "authenticateOIDCConfig": settings})
        }
        Action::AuthenticateCognito(settings) => {
            json!({"type": "authenticate-cognito", "authenticateCognitoConfig": settings})
        }
        Action::ValidateJwt(settings) => json!({"type": "jwt-validation", "jwtValidationConfig": settings}),
    }
}

fn forward_config(stack: &Stack, forward: &Forward) -> Value {
    let targets: Vec<Value> = forward.targets.iter().map(|target| weighted(stack, target)).collect();
    let mut fields = Map::from_iter([("targetGroups".to_owned(), targets.into())]);
    if let Some(stickiness) = forward.stickiness {
        let mut settings = Map::from_iter([("enabled".to_owned(), json!(stickiness.is_some()))]);
        put(&mut settings, "durationSeconds", stickiness);
        fields.insert("targetGroupStickinessConfig".to_owned(), settings.into());
    }
    Value::Object(fields)
}

fn weighted(stack: &Stack, target: &WeightedTarget) -> Value {
    let arn = match &target.target {
        // The application load balancer behind a frontend is a resource of the same model.
        TargetRef::Own(id) if stack.target_groups.contains_key(id) => {
            reference(TARGET_GROUP, id, "targetGroupARN")
        }
        TargetRef::Own(_) => reference(LOAD_BALANCER, "LoadBalancer", "loadBalancerARN"),
        TargetRef::Arn(arn) => json!(arn),
        TargetRef::Name(name) => json!(name),
    };
    let mut fields = Map::from_iter([("targetGroupARN".to_owned(), arn)]);
    put(&mut fields, "weight", target.weight);
    Value::Object(fields)
}

fn redirect_config(redirect: &Redirect) -> Value {
    let mut fields = Map::from_iter([("statusCode".to_owned(), json!(redirect.status))]);
    put(&mut fields, "protocol", redirect.protocol.as_ref());
    put(&mut fields, "host", redirect.host.as_ref());
    put(&mut fields, "port", redirect.port.as_ref());
    put(&mut fields, "path", redirect.path.as_ref());
    put(&mut fields, "query", redirect.query.as_ref());
    Value::Object(fields)
}

pub(super) fn condition(condition: &Condition) -> Value {
    match condition {
        Condition::Host(hosts) => json!({"field": "host-header", "hostHeaderConfig": values(hosts)}),
        Condition::Path(paths) => json!({"field": "path-pattern", "pathPatternConfig": values(paths)}),
        Condition::Header { name, values: of_header } => {
            let mut config = values(of_header);
            config.insert("httpHeaderName".to_owned(), json!(name));
            json!({"field": "http-header", "httpHeaderConfig": config})
        }
        Condition::Method(methods) => {
            json!({"field": "http-request-method", "httpRequestMethodConfig": {"values": methods}})
        }
        Condition::Query(pairs) => {
            let pair = |(key, value): &(Option<String>, String)| {
                let mut fields = Map::from_iter([("value".to_owned(), json!(value))]);
                put(&mut fields, "key", key.as_ref());
                Value::Object(fields)
            };
            let pairs: Vec<Value> = pairs.iter().map(pair).collect();
            json!({"field": "query-string", "queryStringConfig": {"values": pairs}})
        }
        Condition::SourceIp(ranges) => json!({"field": "source-ip", "sourceIPConfig": {"values": ranges}}),
    }
}

fn values(values: &Values) -> Map<String, Value> {
    match values {
        Values::Wildcards(patterns) => Map::from_iter([("values".to_owned(), json!(patterns))]),
        Values::Regexes(patterns) => Map::from_iter([("regexValues".to_owned(), json!(patterns))]),
    }
}

pub(super) fn transform(transform: &Transform) -> Value {
    let rewrites = |pairs: &[(String, String)]| -> Value {
        let pairs: Vec<Value> =
            pairs.iter().map(|(regex, replace)| json!({"regex": regex, "replace": replace})).collect();
        json!({"rewrites": pairs})
    };
    match transform {
        Transform::Host(pairs) => {
            json!({"type": "host-header-rewrite", "hostHeaderRewriteConfig": rewrites(pairs)})
        }
        Transform::Url(pairs) => json!({"type": "url-rewrite", "urlRewriteConfig": rewrites(pairs)}),
    }
}

fn put<T: serde::Serialize>(fields: &mut Map<String, Value>, key: &str, value: Option<T>) {
    fields.extend(value.map(|value| (key.to_owned(), json!(value))));
}

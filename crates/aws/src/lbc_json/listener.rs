//! Listeners and their rules.

use serde_json::{Map, Value, json};

use super::action::{action, condition, transform};
use super::{FRONTEND, LOAD_BALANCER, Resources, attributes, insert, reference, tags};
use crate::stack::{AlpnPolicy, Listener, MutualAuthentication, MutualMode, Rule, Stack};

const LISTENER: &str = "AWS::ElasticLoadBalancingV2::Listener";

pub(super) fn add(resources: &mut Resources, stack: &Stack, listener: &Listener, load_balancer: &str) {
    let is_frontend = load_balancer.starts_with(FRONTEND);
    let id = match is_frontend {
        true => format!("{FRONTEND}-ls-{}-{}", listener.protocol.as_str(), listener.port),
        false => listener.port.to_string(),
    };
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    put("loadBalancerARN", reference(LOAD_BALANCER, load_balancer, "loadBalancerARN"));
    put("port", json!(listener.port));
    put("protocol", json!(listener.protocol.as_str()));
    put("defaultActions", listener.default_actions.iter().map(|default| action(stack, default)).collect());
    if !listener.certificates.is_empty() {
        // The controller prints its token for a certificate that it did not make itself so: without any name.
        let certificate = json!({"certificateARN": reference("", "", "certificateARN")});
        put("certificates", vec![certificate; listener.certificates.len()].into());
    }
    if let Some(policy) = &listener.ssl_policy {
        put("sslPolicy", json!(policy));
    }
    if let Some(policy) = listener.alpn {
        put("alpnPolicy", json!([alpn(policy)]));
    }
    if let Some(authentication) = &listener.mutual_authentication {
        put("mutualAuthentication", mutual(authentication));
    }
    attributes(&mut spec, "listenerAttributes", &listener.attributes);
    tags(&mut spec, &listener.tags);
    insert(resources, LISTENER, &id, Value::Object(spec));
    for rule in &listener.rules {
        add_rule(resources, stack, &id, rule);
    }
}

fn add_rule(resources: &mut Resources, stack: &Stack, listener: &str, rule: &Rule) {
    let mut spec = Map::new();
    let mut put = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    put("listenerARN", reference(LISTENER, listener, "listenerARN"));
    put("priority", json!(rule.priority));
    put("actions", rule.actions.iter().map(|next| action(stack, next)).collect());
    put("conditions", rule.conditions.iter().map(condition).collect());
    if !rule.transforms.is_empty() {
        put("transforms", rule.transforms.iter().map(transform).collect());
    }
    tags(&mut spec, &rule.tags);
    let id = format!("{listener}:{}", rule.priority);
    insert(resources, "AWS::ElasticLoadBalancingV2::ListenerRule", &id, Value::Object(spec));
}

fn alpn(policy: AlpnPolicy) -> &'static str {
    match policy {
        AlpnPolicy::None => "None",
        AlpnPolicy::Http1Only => "HTTP1Only",
        AlpnPolicy::Http2Only => "HTTP2Only",
        AlpnPolicy::Http2Optional => "HTTP2Optional",
        AlpnPolicy::Http2Preferred => "HTTP2Preferred",
    }
}

fn mutual(authentication: &MutualAuthentication) -> Value {
    let mode = match authentication.mode {
        MutualMode::Off => "off",
        MutualMode::Passthrough => "passthrough",
        MutualMode::Verify => "verify",
    };
    let store = authentication.trust_store.as_deref().unwrap_or_default();
    let mut fields =
        Map::from_iter([("mode".to_owned(), json!(mode)), ("trustStoreArn".to_owned(), json!(store))]);
    if let Some(ignored) = authentication.ignore_expiry {
        fields.insert("ignoreClientCertificateExpiry".to_owned(), json!(ignored));
    }
    if let Some(sent) = authentication.advertise_names {
        fields.insert("advertiseTrustStoreCaNames".to_owned(), super::on_off(sent));
    }
    Value::Object(fields)
}

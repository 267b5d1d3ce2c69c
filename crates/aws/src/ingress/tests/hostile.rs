//! Whatever stands in an annotation: nothing panics, and the same objects make the same stacks.

use std::sync::Arc;

use plenipo_resources::{Object, Origin, Set, SetBuilder};
use serde_json::{Value, json};

use crate::Account;
use crate::ingress::stacks;

const SUFFIXES: &[&str] = &[
    "group.name",
    "group.order",
    "load-balancer-name",
    "scheme",
    "ip-address-type",
    "subnets",
    "customer-owned-ipv4-pool",
    "ipam-ipv4-pool-id",
    "security-groups",
    "manage-backend-security-group-rules",
    "inbound-cidrs",
    "security-group-prefix-lists",
    "listen-ports",
    "certificate-arn",
    "ssl-policy",
    "ssl-redirect",
    "mutual-authentication",
    "load-balancer-attributes",
    "listener-attributes.HTTP-80",
    "minimum-load-balancer-capacity",
    "tags",
    "wafv2-acl-arn",
    "wafv2-acl-name",
    "waf-acl-id",
    "shield-advanced-protection",
    "enable-frontend-nlb",
    "frontend-nlb-scheme",
    "frontend-nlb-subnets",
    "frontend-nlb-security-groups",
    "frontend-nlb-listener-port-mapping",
    "frontend-nlb-eip-allocations",
    "frontend-nlb-attributes",
    "frontend-nlb-tags",
    "frontend-nlb-healthcheck-port",
    "frontend-nlb-healthcheck-protocol",
    "frontend-nlb-healthcheck-interval-seconds",
    "target-type",
    "backend-protocol",
    "backend-protocol-version",
    "target-group-attributes",
    "healthcheck-port",
    "healthcheck-protocol",
    "healthcheck-path",
    "healthcheck-interval-seconds",
    "healthcheck-timeout-seconds",
    "healthy-threshold-count",
    "unhealthy-threshold-count",
    "success-codes",
    "target-node-labels",
    "multi-cluster-target-group",
    "target-control-port.web.80",
    "use-regex-path-match",
    "actions.act",
    "conditions.web",
    "transforms.web",
    "auth-type",
    "auth-idp-cognito",
    "auth-idp-oidc",
    "auth-session-timeout",
    "jwt-validation",
];

const VALUES: &[&str] = &[
    "",
    " ",
    ",",
    "=",
    "\\",
    "true",
    "oidc",
    "cognito",
    "ip",
    "HTTPS",
    "GRPC",
    "-1",
    "0",
    "443",
    "65536",
    "99999999999999999999",
    "a=b,c",
    "a=1,a=2",
    "80=80,81=80",
    "[",
    "[]",
    "{}",
    "null",
    "[null]",
    "[{}]",
    "[[]]",
    "[{\"HTTP\": 0}]",
    "[{\"HTTPS\": 443, \"HTTP\": 443}]",
    "[{\"field\": \"host-header\"}]",
    "[{\"type\": \"url-rewrite\"}]",
    "{\"type\": \"forward\", \"forwardConfig\": {}}",
    "{\"type\": \"forward\", \"forwardConfig\": {\"targetGroups\": [{\"serviceName\": \"web\", \"servicePort\": -5}]}}",
    "{\"type\": \"redirect\", \"redirectConfig\": {\"statusCode\": \"HTTP_301\"}}",
    "\u{0}\u{202e}ü",
];

fn object(value: Value) -> Arc<Object> {
    let decoded = plenipo_resources::decode(value, Origin::Cluster);
    Arc::new(decoded.objects.into_iter().next().unwrap())
}

/// An Ingress and a Service with one more annotation each, and a sound member of the same group.
fn set(suffix: &str, value: &str) -> Set {
    let key = format!("alb.ingress.kubernetes.io/{suffix}");
    let ingress = |name: &str, more: Value| {
        let mut ingress = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "annotations": {
                "kubernetes.io/ingress.class": "alb",
                "alb.ingress.kubernetes.io/group.name": "all",
                "alb.ingress.kubernetes.io/target-type": "ip",
                "alb.ingress.kubernetes.io/listen-ports": "[{\"HTTP\": 80}, {\"HTTPS\": 443}]",
            }},
            "spec": {"rules": [{"host": "a.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
                {"path": "/x", "backend": {"service": {"name": "act", "port": {"name": "use-annotation"}}}},
            ]}}]},
        });
        let annotations = ingress["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.extend(more.as_object().unwrap().clone());
        object(ingress)
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "annotations": {&key: value}},
        "spec": {"ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080, "name": "http"}]},
    });
    let mut set = SetBuilder::default();
    set.add(ingress("bad", json!({&key: value})));
    set.add(ingress("good", json!({})));
    set.add(object(service));
    set.build()
}

#[test]
fn no_value_of_any_annotation_panics_or_is_read_in_two_ways() {
    let account = Account::default();
    for suffix in SUFFIXES {
        for value in VALUES {
            let set = set(suffix, value);
            let (first, problems) = stacks(&set, &account);
            let (again, _) = stacks(&set, &account);
            assert_eq!(first, again, "{suffix}: {value}");
            // What is wrong in an Ingress takes itself away; what is wrong in the Service takes both.
            let built: usize = first.iter().map(|stack| stack.members.len()).sum();
            assert!(built + problems.len() >= 2, "{suffix}: {value}: {built} built, {problems:?}");
        }
    }
}

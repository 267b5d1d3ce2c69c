//! Annotations that nobody knows: AWS-41.

use super::finding::Findings;
use super::scene::{Scene, annotation};
use crate::annotations::{INGRESS, SERVICE};

/// Annotations under the prefix of Services; one that ends in a dot has more behind it.
const SERVICE_KEYS: [&str; 54] = [
    "aws-load-balancer-access-log-emit-interval",
    "aws-load-balancer-access-log-enabled",
    "aws-load-balancer-access-log-s3-bucket-name",
    "aws-load-balancer-access-log-s3-bucket-prefix",
    "aws-load-balancer-additional-resource-tags",
    "aws-load-balancer-alpn-policy",
    "aws-load-balancer-attributes",
    "aws-load-balancer-backend-protocol",
    "aws-load-balancer-connection-draining-enabled",
    "aws-load-balancer-connection-draining-timeout",
    "aws-load-balancer-connection-idle-timeout",
    "aws-load-balancer-cross-zone-load-balancing-enabled",
    "aws-load-balancer-disable-nlb-sg",
    "aws-load-balancer-eip-allocations",
    "aws-load-balancer-enable-icmp-for-path-mtu-discovery",
    "aws-load-balancer-enable-prefix-for-ipv6-source-nat",
    "aws-load-balancer-enable-tcp-udp-listener",
    "aws-load-balancer-extra-security-groups",
    "aws-load-balancer-healthcheck-healthy-threshold",
    "aws-load-balancer-healthcheck-interval",
    "aws-load-balancer-healthcheck-path",
    "aws-load-balancer-healthcheck-port",
    "aws-load-balancer-healthcheck-protocol",
    "aws-load-balancer-healthcheck-success-codes",
    "aws-load-balancer-healthcheck-timeout",
    "aws-load-balancer-healthcheck-unhealthy-threshold",
    "aws-load-balancer-inbound-sg-rules-on-private-link-traffic",
    "aws-load-balancer-internal",
    "aws-load-balancer-ip-address-type",
    "aws-load-balancer-ipv6-addresses",
    "aws-load-balancer-listener-attributes.",
    "aws-load-balancer-manage-backend-security-group-rules",
    "aws-load-balancer-minimum-load-balancer-capacity",
    "aws-load-balancer-multi-cluster-target-group",
    "aws-load-balancer-name",
    "aws-load-balancer-nlb-target-type",
    "aws-load-balancer-private-ipv4-addresses",
    "aws-load-balancer-proxy-protocol",
    "aws-load-balancer-proxy-protocol-per-target-group",
    "aws-load-balancer-quic-enabled-ports",
    "aws-load-balancer-scheme",
    "aws-load-balancer-security-group-prefix-lists",
    "aws-load-balancer-security-groups",
    "aws-load-balancer-source-nat-ipv6-prefixes",
    "aws-load-balancer-ssl-cert",
    "aws-load-balancer-ssl-negotiation-policy",
    "aws-load-balancer-ssl-ports",
    "aws-load-balancer-subnets",
    "aws-load-balancer-target-group-attributes",
    "aws-load-balancer-target-group-attributes.",
    "aws-load-balancer-target-node-labels",
    "aws-load-balancer-type",
    "actions.",
    "load-balancer-source-ranges",
];

/// Annotations under the prefix of Ingresses.
const INGRESS_KEYS: [&str; 72] = [
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
    "create-acm-cert",
    "acm-pca-arn",
    "ssl-policy",
    "ssl-redirect",
    "mutual-authentication",
    "load-balancer-attributes",
    "listener-attributes.",
    "minimum-load-balancer-capacity",
    "tags",
    "wafv2-acl-arn",
    "wafv2-acl-name",
    "waf-acl-id",
    "web-acl-id",
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
    "frontend-nlb-healthcheck-path",
    "frontend-nlb-healthcheck-interval-seconds",
    "frontend-nlb-healthcheck-timeout-seconds",
    "frontend-nlb-healthcheck-healthy-threshold-count",
    "frontend-nlb-healthcheck-unhealthy-threshold-count",
    "frontend-nlb-healthcheck-success-codes",
    "dry-run-plan",
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
    "target-control-port.",
    "use-regex-path-match",
    "actions.",
    "conditions.",
    "transforms.",
    "auth-type",
    "auth-idp-cognito",
    "auth-idp-oidc",
    "auth-on-unauthenticated-request",
    "auth-scope",
    "auth-session-cookie",
    "auth-session-timeout",
    "jwt-validation",
];

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for object in scene.set.objects() {
        for (key, value) in &object.meta.annotations {
            let Some((prefix, suffix)) = key.split_once('/') else { continue };
            let known: &[&str] = match prefix {
                SERVICE => &SERVICE_KEYS,
                INGRESS => &INGRESS_KEYS,
                _ => continue,
            };
            // Other clouds share the prefix of Services.
            let foreign = prefix == SERVICE && !suffix.contains("aws") && nearest(suffix, known).is_none();
            if foreign || is_known(suffix, known) {
                continue;
            }
            let finding =
                found.on(41, object, annotation(key), format!("nobody knows {key}: it does nothing"));
            match nearest(suffix, known) {
                Some(near) if !near.ends_with('.') => {
                    finding.fix(format!("write {prefix}/{near}")).unset();
                    finding.add(annotation(&format!("{prefix}/{near}")), value.clone());
                }
                _ => drop(finding.fix("look it up in the controller's documentation, or take it out")),
            }
        }
    }
}

fn is_known(suffix: &str, known: &[&str]) -> bool {
    known.iter().any(|key| *key == suffix || (key.ends_with('.') && suffix.starts_with(key)))
}

/// The word that differs least, if it does not differ much.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|key| (distance(word, key), *key)).min()?;
    (near.0 <= 3 && near.0 * 3 <= word.len()).then_some(near.1)
}

/// Letters to change, add or take out to make one word of the other (Levenshtein), in any case.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let a: Vec<u8> = a.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
    let b: Vec<u8> = b.bytes().map(|byte| byte.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (place, left) in a.iter().enumerate() {
        let mut before = row[0];
        row[0] = place + 1;
        for (at, right) in b.iter().enumerate() {
            let changed = before + usize::from(left != right);
            before = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

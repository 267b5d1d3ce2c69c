//! What holds for load balancers of any objects.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use plenipo_aws::{Account, stacks};
use plenipo_resources::{Object, Origin, Set, SetBuilder, decode, documents};
use serde_json::{Value, json};

const PREFIX: &str = "service.beta.kubernetes.io/";

/// Every annotation of a Service that is read.
const SUFFIXES: [&str; 46] = [
    "actions.TCP-443",
    "aws-load-balancer-access-log-enabled",
    "aws-load-balancer-access-log-emit-interval",
    "aws-load-balancer-access-log-s3-bucket-name",
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
    "aws-load-balancer-inbound-sg-rules-on-private-link-traffic",
    "aws-load-balancer-internal",
    "aws-load-balancer-ip-address-type",
    "aws-load-balancer-ipv6-addresses",
    "aws-load-balancer-manage-backend-security-group-rules",
    "aws-load-balancer-minimum-load-balancer-capacity",
    "aws-load-balancer-name",
    "aws-load-balancer-private-ipv4-addresses",
    "aws-load-balancer-proxy-protocol",
    "aws-load-balancer-proxy-protocol-per-target-group",
    "aws-load-balancer-quic-enabled-ports",
    "aws-load-balancer-scheme",
    "aws-load-balancer-security-group-prefix-lists",
    "aws-load-balancer-security-groups",
    "aws-load-balancer-source-nat-ipv6-prefixes",
    "aws-load-balancer-ssl-cert",
    "aws-load-balancer-ssl-ports",
    "aws-load-balancer-subnets",
    "aws-load-balancer-target-group-attributes",
    "aws-load-balancer-target-node-labels",
    "load-balancer-source-ranges",
];

const VALUES: [&str; 14] = [
    "",
    " ",
    "*",
    "-1",
    "0",
    "99999999999999999999",
    "true",
    "a=b,=",
    "a=\\",
    ",,é,",
    "{",
    "{\"type\": \"forward\", \"forwardConfig\": {}}",
    "443, 80",
    "2001:db8::/129",
];

fn set(objects: &[Arc<Object>]) -> Set {
    let mut builder = SetBuilder::default();
    objects.iter().for_each(|object| builder.add(Arc::clone(object)));
    builder.build()
}

fn object(value: Value) -> Arc<Object> {
    Arc::new(decode(value, Origin::Cluster).objects.remove(0))
}

/// Each annotation with each value, for all three makers of load balancers: one bad Service loses only itself.
#[test]
fn strange_values_lose_one_service() {
    let sound = object(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "sound"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }));
    for type_ in ["nlb-ip", "nlb", ""] {
        for suffix in SUFFIXES {
            for value in VALUES {
                let mut annotations = json!({format!("{PREFIX}aws-load-balancer-type"): type_});
                annotations[format!("{PREFIX}{suffix}")] = json!(value);
                let strange = object(json!({
                    "apiVersion": "v1", "kind": "Service",
                    "metadata": {"name": "strange", "annotations": annotations},
                    "spec": {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]},
                }));
                let made = stacks(&set(&[strange, Arc::clone(&sound)]), &Account::default());
                let bad = made.problems.len();
                assert!(bad <= 1, "{type_} {suffix}: {value:?}: {:?}", made.problems);
                assert_eq!(made.stacks.len(), 2 - bad, "{type_} {suffix}: {value:?}");
                assert!(made.problems.iter().all(|problem| !problem.field.is_empty()), "{:?}", made.problems);
            }
        }
    }
}

#[test]
fn ports_that_are_none() {
    for port in [json!(-1), json!(0), json!(65536), json!(i64::MAX)] {
        for field in ["port", "nodePort", "targetPort"] {
            for class in [Value::Null, json!("service.k8s.aws/nlb")] {
                let mut ports = json!([{"port": 443, "nodePort": 30443, "targetPort": 8443}]);
                ports[0][field] = port.clone();
                let service = object(json!({
                    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "strange"},
                    "spec": {"type": "LoadBalancer", "loadBalancerClass": class, "ports": ports},
                }));
                let made = stacks(&set(&[service]), &Account::default());
                assert_eq!(made.stacks.len() + made.problems.len(), 1);
            }
        }
    }
}

#[test]
fn the_order_of_objects_does_not_matter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path().join("in.yaml")).unwrap();
        let values = documents(&text).into_iter().map(|document| document.value().unwrap());
        let mut objects: Vec<Arc<Object>> = values.map(object).collect();
        let first = stacks(&set(&objects), &Account::default());
        objects.reverse();
        let second = stacks(&set(&objects), &Account::default());
        assert_eq!(first.stacks, second.stacks);
        assert_eq!(first.problems, second.problems);
    }
}

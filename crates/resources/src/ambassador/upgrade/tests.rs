#![allow(clippy::needless_pass_by_value, reason = "json!() gives values")]

use serde_json::{Value, json};

use super::Version::{V1, V2, V3alpha1};
use super::*;

#[track_caller]
fn becomes(kind: &str, version: Version, spec: Value, expected: Value) {
    let mut upgraded = spec.clone();
    upgrade(kind, version, &mut upgraded);
    assert_eq!(upgraded, expected, "{kind} {version:?} {spec}");
    let mut again = upgraded.clone();
    upgrade(kind, V3alpha1, &mut again);
    assert_eq!(again, upgraded, "what is in shape stays so: {spec}");
}

#[test]
fn ambassador_ids() {
    for (spec, expected) in [
        (json!({"ambassador_id": "a"}), json!({"ambassador_id": ["a"]})),
        (json!({"ambassador_id": ["a", "b"]}), json!({"ambassador_id": ["a", "b"]})),
        (json!({"ambassador_id": 7}), json!({"ambassador_id": ["7"]})),
        (json!({"ambassador_id": []}), json!({})),
        (json!({"ambassador_id": ["--apiVersion-v3alpha1-only--a"]}), json!({"ambassador_id": ["a"]})),
        (json!({"ambassadorId": ["b"], "ambassador_id": "a"}), json!({"ambassador_id": ["a", "b"]})),
    ] {
        for kind in [
            "Host",
            "Listener",
            "Mapping",
            "TCPMapping",
            "TLSContext",
            "Module",
            "KubernetesEndpointResolver",
        ] {
            becomes(kind, V3alpha1, spec.clone(), expected.clone());
        }
    }
}

#[test]
fn hosts_of_mappings() {
    for version in [V1, V2] {
        for (spec, expected) in [
            (json!({}), json!({"hostname": "*"})),
            (json!({"host": ""}), json!({"hostname": "*"})),
            (json!({"host": "a.b"}), json!({"hostname": "a.b"})),
            (json!({"host": "a.b", "host_regex": false}), json!({"hostname": "a.b", "host_regex": false})),
            (json!({"host": "a.*", "host_regex": true}), json!({"host": "a.*", "host_regex": true})),
            (json!({"host": "a.*", "host_regex": "true"}), json!({"host": "a.*", "host_regex": true})),
            (json!({"host": "_skip_mapping_with_empty_host_"}), json!({})),
            (json!({"hostname": "h", "host": "a.b"}), json!({"hostname": "h"})),
            (json!({"hostname": "h"}), json!({"hostname": "h"})),
            (json!({"headers": {":authority": "a"}}), json!({"headers": {":authority": "a"}})),
        ] {
            becomes("Mapping", version, spec, expected);
        }
    }
    for spec in [json!({}), json!({"host": "a.b"}), json!({"hostname": "h"}), json!({"host": ""})] {
        becomes("Mapping", V3alpha1, spec.clone(), spec);
    }
}

#[test]
fn tls_of_services() {
    for (spec, expected) in [
        (json!({"tls": true, "service": "a"}), json!({"service": "https://a"})),
        (json!({"tls": true, "service": "http://a:80"}), json!({"service": "https://a:80"})),
        (json!({"tls": true, "service": "https://a"}), json!({"service": "https://a"})),
        (json!({"tls": false, "service": "https://a"}), json!({"service": "https://a"})),
        (json!({"tls": "", "service": "a"}), json!({"service": "a"})),
        (json!({"tls": null, "service": "a"}), json!({"service": "a"})),
        (json!({"tls": "ctx", "service": "a"}), json!({"tls": "ctx", "service": "a"})),
        (
            json!({"service": "https://a", "v2ExplicitTLS": {"tls": "bool:true", "serviceScheme": "http://"}}),
            json!({"service": "https://a"}),
        ),
        (json!({"tls": true}), json!({})),
    ] {
        becomes("Mapping", V3alpha1, spec.clone(), expected.clone());
        becomes("TCPMapping", V3alpha1, spec, expected);
    }
    becomes(
        "AuthService",
        V2,
        json!({"tls": true, "auth_service": "http://a:3000"}),
        json!({"auth_service": "https://a:3000"}),
    );
}

#[test]
fn the_scheme_of_an_old_tcp_mapping_says_nothing() {
    becomes("TCPMapping", V2, json!({"service": "https://a:1"}), json!({"service": "a:1"}));
    becomes(
        "TCPMapping",
        V2,
        json!({"service": "http://a:1", "tls": true}),
        json!({"service": "https://a:1"}),
    );
    becomes("TCPMapping", V1, json!({"service": "a:1", "tls": "x"}), json!({"service": "a:1", "tls": "x"}));
    becomes("TCPMapping", V3alpha1, json!({"service": "https://a:1"}), json!({"service": "https://a:1"}));
}

#[test]
fn presence_of_headers_and_parameters() {
    for (exact, regex) in [("headers", "regex_headers"), ("query_parameters", "regex_query_parameters")] {
        for (spec, expected) in [
            (json!({exact: {"a": "b"}}), json!({exact: {"a": "b"}})),
            (json!({exact: {"a": true}}), json!({exact: {}, regex: {"a": ".*"}})),
            (json!({exact: {"a": true, "b": "c"}}), json!({exact: {"b": "c"}, regex: {"a": ".*"}})),
            (json!({exact: {"a": true}, regex: {"a": "x.*"}}), json!({exact: {}, regex: {"a": "x.*"}})),
            (json!({exact: {"a": false}}), json!({exact: {}})),
            (json!({exact: {"a": 5}}), json!({exact: {"a": "5"}})),
            (json!({exact: {"a": 1.5}}), json!({exact: {"a": "1.5"}})),
        ] {
            becomes("Mapping", V3alpha1, spec, expected);
        }
    }
    becomes(
        "Mapping",
        V3alpha1,
        json!({"regex_headers": {"a": ".*"}, "v2BoolHeaders": ["a"], "v2BoolQueryParameters": []}),
        json!({"regex_headers": {"a": ".*"}}),
    );
}

#[test]
fn added_and_removed_headers() {
    for field in ["add_request_headers", "add_response_headers"] {
        for (header, expected) in [
            (json!("v"), json!({"value": "v"})),
            (json!(5), json!({"value": "5"})),
            (json!(true), json!({"value": "true"})),
            (json!({"value": "v", "append": false}), json!({"value": "v", "append": false})),
            (json!({"value": 5, "append": "false"}), json!({"value": "5", "append": false})),
            (json!({"value": "v", "v2Representation": "string"}), json!({"value": "v"})),
        ] {
            becomes("Mapping", V3alpha1, json!({field: {"x-a": header}}), json!({field: {"x-a": expected}}));
        }
        becomes("Mapping", V3alpha1, json!({field: {"x-a": null}}), json!({field: {}}));
    }
    for field in ["remove_request_headers", "remove_response_headers", "allow_upgrade"] {
        becomes("Mapping", V3alpha1, json!({field: "a"}), json!({field: ["a"]}));
        becomes("Mapping", V3alpha1, json!({field: ["a", "b"]}), json!({field: ["a", "b"]}));
    }
}

#[test]
fn names_that_carried_version_3_through_version_2() {
    becomes("Mapping", V3alpha1, json!({"v3StatsName": "s"}), json!({"stats_name": "s"}));
    becomes("Mapping", V3alpha1, json!({"v3health_checks": []}), json!({"health_checks": []}));
    becomes("TCPMapping", V3alpha1, json!({"v3StatsName": "s"}), json!({"stats_name": "s"}));
    becomes("TLSContext", V2, json!({"v3CRLSecret": "s"}), json!({"crl_secret": "s"}));
    becomes("Host", V2, json!({"tls": {"v3CRLSecret": "s"}}), json!({"tls": {"crl_secret": "s"}}));
    becomes(
        "Mapping",
        V3alpha1,
        json!({"cors": {"origins": ["a"], "v2CommaSeparatedOrigins": true}}),
        json!({"cors": {"origins": ["a"]}}),
    );
}

#[test]
fn numbers_texts_and_booleans_are_forgiven() {
    for (spec, expected) in [
        (json!({"weight": "50"}), json!({"weight": 50})),
        (json!({"weight": 50.0}), json!({"weight": 50})),
        (json!({"weight": 0.5}), json!({"weight": 0.5})),
        (json!({"weight": 1e300}), json!({"weight": 1e300})),
        (json!({"weight": "half"}), json!({"weight": "half"})),
        (json!({"timeout_ms": " 3000 "}), json!({"timeout_ms": 3000})),
        (json!({"prefix_regex": "true"}), json!({"prefix_regex": true})),
        (json!({"prefix": 5}), json!({"prefix": "5"})),
        (json!({"prefix": ["/"]}), json!({"prefix": ["/"]})),
        (json!({"retry_policy": {"num_retries": "3"}}), json!({"retry_policy": {"num_retries": 3}})),
        (
            json!({"load_balancer": {"cookie": {"ttl": 5}}}),
            json!({"load_balancer": {"cookie": {"ttl": "5"}}}),
        ),
        (
            json!({"circuit_breakers": [{"max_requests": "9"}]}),
            json!({"circuit_breakers": [{"max_requests": 9}]}),
        ),
        (json!({"keepalive": {"time": "9"}}), json!({"keepalive": {"idle_time": 9}})),
    ] {
        becomes("Mapping", V3alpha1, spec, expected);
    }
    becomes(
        "Listener",
        V3alpha1,
        json!({"port": "8080", "l7Depth": "1"}),
        json!({"port": 8080, "l7Depth": 1}),
    );
    becomes("Host", V3alpha1, json!({"tlsSecret": {"name": 5}}), json!({"tlsSecret": {"name": "5"}}));
}

#[test]
fn tls_settings_in_both_spellings() {
    let camel = json!({
        "certChainFile": "a", "privateKeyFile": "b", "caSecret": "c", "cacertChainFile": "d", "crlSecret": "e",
        "crlFile": "f", "certRequired": true, "alpnProtocols": ["h2", "http/1.1"], "minTLSVersion": "v1.2",
        "maxTLSVersion": "v1.3", "cipherSuites": "x", "ecdhCurves": ["y"], "redirectCleartextFrom": "8080",
    });
    let snake = json!({
        "cert_chain_file": "a", "private_key_file": "b", "ca_secret": "c", "cacert_chain_file": "d", "crl_secret": "e",
        "crl_file": "f", "cert_required": true, "alpn_protocols": "h2,http/1.1", "min_tls_version": "v1.2",
        "max_tls_version": "v1.3", "cipher_suites": ["x"], "ecdh_curves": ["y"], "redirect_cleartext_from": 8080,
    });
    becomes("TLSContext", V3alpha1, camel.clone(), snake.clone());
    becomes("Host", V3alpha1, json!({"tls": camel}), json!({"tls": snake}));
    becomes(
        "TLSContext",
        V3alpha1,
        json!({"caSecret": "loses", "ca_secret": "wins", "hosts": "a"}),
        json!({"ca_secret": "wins", "hosts": ["a"]}),
    );
}

#[test]
fn rate_limit_labels() {
    let old = json!([
        "source_cluster", "destination_cluster", "remote_address", "backend",
        {"x-user": {"header": "x-user-id", "omit_if_not_present": true}},
        {"generic_key": "blue"},
    ]);
    let new = json!([
        {"source_cluster": {"key": "source_cluster"}},
        {"destination_cluster": {"key": "destination_cluster"}},
        {"remote_address": {"key": "remote_address"}},
        {"generic_key": {"value": "backend"}},
        {"request_headers": {"key": "x-user", "header_name": "x-user-id", "omit_if_not_present": true}},
        {"generic_key": {"value": "blue"}},
    ]);
    let labels = |specifiers: Value| json!({"labels": {"ambassador": [{"group": specifiers}]}});
    becomes("Mapping", V3alpha1, labels(old), labels(new));
    becomes("Mapping", V3alpha1, json!({"labels": "odd"}), json!({"labels": "odd"}));
}

#[test]
fn lists_and_what_was_before_them() {
    use crate::ambassador::Cors;
    let read = |cors: Value| serde_json::from_value::<Cors>(cors);
    let cors = read(json!({"origins": "http://a, http://b", "methods": "GET, POST", "headers": ["A", "B"]}));
    let cors = cors.expect("both forms");
    assert_eq!(cors.origins, Some(vec!["http://a".to_owned(), "http://b".to_owned()]));
    assert_eq!(cors.methods, Some(vec!["GET, POST".to_owned()]));
    assert_eq!(cors.headers, Some(vec!["A".to_owned(), "B".to_owned()]));
    assert_eq!(cors.exposed_headers, None);
    assert!(read(json!({"origins": null})).is_ok());
    assert!(read(json!({"origins": 5})).is_err());
}

#[test]
fn versions() {
    let parsed = ["v0", "v1", "v2", "v3alpha1", "v4", ""].map(Version::parse);
    assert_eq!(parsed, [Some(V1), Some(V1), Some(V2), Some(V3alpha1), None, None]);
}

#![allow(clippy::needless_pass_by_value, reason = "json!() gives values")]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ambassador::{AddedHeader, Resolver};

mod arbitrary;

fn here() -> Origin {
    Origin::File { path: "a.yaml".into(), line: 7 }
}

fn read(value: Value) -> Decoded {
    decode(value, here())
}

#[track_caller]
fn sound(value: Value) -> Object {
    let mut decoded = read(value);
    assert_eq!(decoded.problems, [], "no problem expected");
    assert_eq!(decoded.objects.len(), 1);
    decoded.objects.remove(0)
}

#[track_caller]
fn refused(value: Value) -> Problem {
    let mut decoded = read(value);
    assert_eq!(decoded.objects, [], "no object expected");
    assert_eq!(decoded.problems.len(), 1, "{:?}", decoded.problems);
    decoded.problems.remove(0)
}

fn mapping(spec: Value) -> Value {
    json!({"apiVersion": "getambassador.io/v3alpha1", "kind": "Mapping", "metadata": {"name": "m"}, "spec": spec})
}

fn mapping_of(object: &Object) -> &crate::ambassador::Mapping {
    match &object.view {
        View::Mapping(mapping) => mapping,
        other => panic!("a Mapping is expected, not {other:?}"),
    }
}

#[test]
fn every_kind_has_its_view() {
    let kinds = [
        ("getambassador.io/v3alpha1", "Listener", "Listener"),
        ("getambassador.io/v3alpha1", "Host", "Host"),
        ("getambassador.io/v2", "Mapping", "Mapping"),
        ("getambassador.io/v1", "TCPMapping", "TcpMapping"),
        ("ambassador/v1", "TLSContext", "TlsContext"),
        ("getambassador.io/v2", "Module", "Module"),
        ("getambassador.io/v2", "AuthService", "AuthService"),
        ("getambassador.io/v2", "KubernetesServiceResolver", "Resolver(KubernetesService"),
        ("getambassador.io/v2", "KubernetesEndpointResolver", "Resolver(KubernetesEndpoint"),
        ("getambassador.io/v2", "ConsulResolver", "Inactive"),
        ("getambassador.io/v2", "RateLimitService", "Inactive"),
        ("getambassador.io/v2", "LogService", "Inactive"),
        ("getambassador.io/v2", "TracingService", "Inactive"),
        ("getambassador.io/v2", "DevPortal", "Inactive"),
        ("getambassador.io/v2", "SomethingNew", "Inactive"),
        ("v1", "Service", "Service"),
        ("v1", "Secret", "Secret"),
        ("v1", "Endpoints", "Endpoints"),
        ("v1", "Namespace", "Namespace"),
        ("v1", "ConfigMap", "ConfigMap"),
        ("v1", "Pod", "Pod"),
        ("v1", "Node", "Foreign"),
        ("discovery.k8s.io/v1", "EndpointSlice", "EndpointSlice"),
        ("apps/v1", "Deployment", "Written"),
        ("apps/v1", "StatefulSet", "Foreign"),
        ("networking.k8s.io/v1", "Ingress", "Ingress"),
        ("extensions/v1beta1", "Ingress", "Ingress"),
        ("networking.k8s.io/v1", "IngressClass", "IngressClass"),
        ("elbv2.k8s.aws/v1beta1", "IngressClassParams", "IngressClassParams"),
        ("elbv2.k8s.aws/v1beta1", "TargetGroupBinding", "TargetGroupBinding"),
        ("install.istio.io/v1alpha1", "IstioOperator", "Written"),
        ("networking.istio.io/v1", "DestinationRule", "DestinationRule"),
        ("networking.istio.io/v1alpha3", "ServiceEntry", "ServiceEntry"),
        ("networking.istio.io/v1beta1", "WorkloadEntry", "WorkloadEntry"),
        ("security.istio.io/v1", "PeerAuthentication", "PeerAuthentication"),
        ("security.istio.io/v1beta1", "RequestAuthentication", "RequestAuthentication"),
        ("security.istio.io/v1", "AuthorizationPolicy", "AuthorizationPolicy"),
        ("telemetry.istio.io/v1", "Telemetry", "Telemetry"),
    ];
    for (api_version, kind, view) in kinds {
        let object = sound(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}));
        assert!(format!("{:?}", object.view).starts_with(view), "{api_version} {kind}: {:?}", object.view);
        assert_eq!((&*object.id.kind, &*object.id.name), (kind, "x"));
        let cluster_scoped = ["Namespace", "Node", "IngressClass", "IngressClassParams"].contains(&kind);
        assert_eq!(&*object.id.namespace, if cluster_scoped { "" } else { "default" });
        assert_eq!(object.meta.api_version, api_version);
        assert_eq!(object.origin, here());
    }
}

#[test]
fn a_foreign_kind_with_a_known_name_is_told_apart() {
    let knative =
        sound(json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "x"}}));
    assert_eq!(knative.id.to_string(), "Service.serving.knative.dev default/x");
    assert_eq!(knative.view, View::Foreign);
}

#[test]
fn metadata() {
    let object = sound(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "x", "namespace": "n", "generation": 3,
            "labels": {"a": "b", "version": 1.5, "odd": {}},
            "annotations": {"c": "d", "e": true, "kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
    }));
    assert_eq!(object.id, ObjectId::new("Service", "n", "x"));
    assert_eq!(
        object.meta.labels,
        [("a", "b"), ("version", "1.5")].map(|(k, v)| (k.into(), v.into())).into()
    );
    assert_eq!(
        object.meta.annotations,
        [("c", "d"), ("e", "true")].map(|(k, v)| (k.into(), v.into())).into()
    );
    assert_eq!(object.meta.generation, 3);
    assert_eq!(object.meta.unquoted_annotations, ["e"]);
}

#[test]
fn what_is_no_object_is_a_problem() {
    for (value, code, field) in [
        (json!("text"), "not-an-object", ""),
        (json!([1]), "not-an-object", ""),
        (json!({"kind": "Service"}), "missing-api-version", "apiVersion"),
        (json!({"apiVersion": 1, "kind": "Service"}), "missing-api-version", "apiVersion"),
        (json!({"apiVersion": "v1"}), "missing-kind", "kind"),
        (json!({"apiVersion": "v1", "kind": []}), "missing-kind", "kind"),
        (json!({"apiVersion": "v1", "kind": "Service"}), "missing-name", "metadata.name"),
        (json!({"apiVersion": "v1", "kind": "Service", "metadata": "x"}), "missing-name", "metadata.name"),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": ""}}),
            "missing-name",
            "metadata.name",
        ),
        (
            json!({"apiVersion": "getambassador.io/v9", "kind": "Mapping", "metadata": {"name": "x"}}),
            "unknown-api-version",
            "apiVersion",
        ),
    ] {
        let problem = refused(value);
        assert_eq!((problem.code.0, &*problem.field), (code, field), "{problem}");
        assert_eq!(problem.origin, Some(here()));
    }
    assert!(read(Value::Null).problems.is_empty());
    // The values.yaml of a chart, a list of test requests: to be told, and no reason to fail.
    let other = refused(json!({"replicas": 3}));
    assert_eq!((other.severity, other.code.0), (Severity::Warning, "not-an-object"));
}

#[test]
fn wrong_types_are_named_by_path() {
    for (spec, field, message) in [
        (
            json!({"timeout_ms": "soon"}),
            "spec.timeout_ms",
            "found string \"soon\" where a whole number is expected",
        ),
        (json!({"prefix": ["/"]}), "spec.prefix", "found a list where a string is expected"),
        (json!({"retry_policy": 5}), "spec.retry_policy", "found integer `5` where a map is expected"),
        (
            json!({"retry_policy": {"num_retries": []}}),
            "spec.retry_policy.num_retries",
            "found a list where a whole number is expected",
        ),
        (
            json!({"health_checks": [{}, {"healthy_threshold": true}]}),
            "spec.health_checks[1].healthy_threshold",
            "found boolean `true` where a whole number is expected",
        ),
        (
            json!({"add_request_headers": {"x-a": {"value": []}}}),
            "spec.add_request_headers.x-a.value",
            "found a list where a string is expected",
        ),
        (
            json!({"add_request_headers": {"x-a": []}}),
            "spec.add_request_headers.x-a",
            "found a list where a header value or {value, append} is expected",
        ),
        (json!([]), "spec", "found a list where a map is expected"),
    ] {
        let problem = refused(mapping(spec));
        assert_eq!((problem.code.0, &*problem.field, &*problem.message), ("wrong-type", field, message));
        assert_eq!(problem.object, Some(ObjectId::new("Mapping", "default", "m")));
        assert!(!problem.fix.is_empty());
    }
    let context = json!({
        "apiVersion": "getambassador.io/v2", "kind": "TLSContext", "metadata": {"name": "c"},
        "spec": {"hosts": ["a"], "cert_required": []},
    });
    assert_eq!(refused(context).field, "spec.cert_required");
}

#[test]
fn a_mapping() {
    let object = sound(mapping(json!({
        "ambassador_id": "edge", "hostname": "*", "prefix": "/a/", "service": "a:80", "weight": "20", "tls": null,
        "add_request_headers": {"x-a": "1", "x-b": {"value": "2", "append": false}}, "headers": {"x-c": true},
        "cors": {"origins": "http://a,http://b"}, "surprise": 1,
    })));
    let mapping = mapping_of(&object);
    assert_eq!(mapping.ambassador_id, ["edge"]);
    assert_eq!(mapping.weight, Some(20));
    assert_eq!(mapping.tls, None);
    assert_eq!(mapping.regex_headers["x-c"], ".*");
    let added = mapping.add_request_headers.as_ref().expect("headers");
    assert_eq!(added["x-a"], AddedHeader::Full { value: "1".into(), append: None });
    assert_eq!(added["x-b"], AddedHeader::Full { value: "2".into(), append: Some(false) });
    assert_eq!(object.unknown_fields, ["spec.surprise"]);
}

#[test]
fn unknown_fields_within_fields() {
    let object = sound(mapping(json!({
        "hostname": "*", "prefix": "/a/", "service": "a:80",
        "cors": {"orgins": ["http://a"], "methods": ["GET"]},
        "retry_policy": {"retry_on": "5xx", "retries": 3},
        "circuit_breakers": [{"max_requests": 1}, {"max_request": 1}],
        "load_balancer": {"policy": "ring_hash", "cookie": {"name": "c", "tll": "5s"}},
        "health_checks": [{"health_check": {"http": {"path": "/", "expected_statuses": [{"min": 1, "mx": 2}]}}}],
        "add_request_headers": {"x-a": {"value": "1", "apend": true}},
    })));
    assert_eq!(
        object.unknown_fields,
        [
            "spec.add_request_headers.x-a.apend",
            "spec.cors.orgins",
            "spec.health_checks[0].health_check.http.expected_statuses[0].mx",
            "spec.load_balancer.cookie.tll",
            "spec.retry_policy.retries",
            "spec.circuit_breakers[1].max_request",
        ]
    );
}

#[test]
fn unknown_fields_of_the_parts_of_a_host() {
    let object = sound(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": "h"},
        "spec": {
            "hostname": "a", "previewUrl": {}, "mappingSelector": {"matchLabels": {"a": "b"}, "matchExpressions": []},
            "tls": {"sni": "x", "made_up": 1}, "authentication": {"mTLS": {"caSecret": "c"}, "other": 2},
        },
    }));
    assert_eq!(
        object.unknown_fields,
        [
            "spec.previewUrl",
            "spec.mappingSelector.matchExpressions",
            "spec.tls.made_up",
            "spec.authentication.other"
        ]
    );
}

#[test]
fn a_tls_context_has_fields_of_its_own_and_tls_settings() {
    let object = sound(json!({
        "apiVersion": "getambassador.io/v2", "kind": "TLSContext", "metadata": {"name": "c"},
        "spec": {"hosts": ["a"], "secret": "s", "ca_secret": "ca", "alpnProtocols": "h2", "odd": 1},
    }));
    let View::TlsContext(context) = &object.view else { panic!("{:?}", object.view) };
    assert_eq!((&*context.hosts, context.secret.as_deref()), (&["a".to_owned()][..], Some("s")));
    assert_eq!(context.tls.ca_secret.as_deref(), Some("ca"));
    assert_eq!(context.tls.alpn_protocols.as_deref(), Some("h2"));
    assert_eq!(object.unknown_fields, ["spec.odd"]);
}

#[test]
fn a_resolver() {
    let object = sound(json!({
        "apiVersion": "getambassador.io/v2", "kind": "KubernetesEndpointResolver", "metadata": {"name": "e"},
        "spec": {"ambassador_id": "x"},
    }));
    assert_eq!(object.view, View::Resolver(Resolver::KubernetesEndpoint(vec!["x".to_owned()])));
}

#[test]
fn the_modules_config_is_left_alone() {
    let config = json!({"enable_grpc_web": null, "cors": {"origins": "*"}, "xff_num_trusted_hops": "1"});
    let object = sound(json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Module", "metadata": {"name": "ambassador"},
        "spec": {"config": config},
    }));
    let View::Module(module) = &object.view else { panic!("{:?}", object.view) };
    assert_eq!(module.config, config);
}

#[test]
fn secrets_are_decoded_and_never_shown() {
    let object = sound(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": "kubernetes.io/tls",
        "data": {"tls.crt": "aGVs\nbG8=", "empty": ""}, "stringData": {"tls.key": "hunter2"},
    }));
    let View::Secret(secret) = &object.view else { panic!("a Secret is expected") };
    assert_eq!(secret.type_, "kubernetes.io/tls");
    assert_eq!(secret.data["tls.crt"], b"hello");
    assert_eq!(secret.data["tls.key"], b"hunter2");
    assert_eq!(secret.data["empty"], b"");
    let shown = format!("{object:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("hello"), "{shown}");

    for (data, field) in [
        (json!({"data": {"tls.key": "hunter2!"}}), "data[tls.key]"),
        (json!({"data": {"tls.key": 12345}}), "data[tls.key]"),
        (json!({"stringData": {"tls.key": 12345}}), "stringData[tls.key]"),
        (json!({"data": "hunter2"}), "data"),
    ] {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
        secret.as_object_mut().expect("a map").extend(data.as_object().expect("a map").clone());
        let problem = refused(secret);
        assert_eq!(problem.field, field);
        let shown = format!("{problem} {problem:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("12345"), "{shown}");
    }
}

#[test]
fn endpoint_slices_as_the_apiserver_writes_them() {
    let slice = |endpoints: Value| {
        let object = sound(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "a-x7", "labels": {"kubernetes.io/service-name": "a"}},
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}, {"name": null, "port": null}],
            "endpoints": endpoints,
        }));
        match object.view {
            View::EndpointSlice(slice) => slice,
            other => panic!("{other:?}"),
        }
    };
    let one = slice(json!([{"addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": null}}]));
    assert_eq!(one.service, "a");
    assert_eq!(one.endpoints[0].conditions.ready, Some(true));
    assert_eq!(one.ports[1].port, None);
    assert!(slice(Value::Null).endpoints.is_empty());
}

#[test]
fn lists_are_expanded() {
    let decoded = read(json!({
        "apiVersion": "v1", "kind": "List",
        "items": [mapping(json!({"prefix": "/"})), {"kind": "odd"}, {
            "apiVersion": "getambassador.io/v2", "kind": "MappingList",
            "items": [{"metadata": {"name": "inner"}, "spec": {"host": "h"}}],
        }],
    }));
    let names: Vec<_> = decoded.objects.iter().map(|object| object.id.to_string()).collect();
    assert_eq!(names, ["Mapping default/m", "Mapping default/inner"]);
    assert_eq!(mapping_of(&decoded.objects[1]).hostname.as_deref(), Some("h"));
    assert_eq!(decoded.problems.len(), 1);
    assert_eq!(decoded.problems[0].code.0, "missing-api-version");
}

#[test]
fn a_flat_document_is_unfolded() {
    let object = sound(json!({
        "apiVersion": "ambassador/v1", "kind": "Mapping", "name": "m", "namespace": "n", "prefix": "/", "service": "a",
        "metadata_labels": {"a": "b"}, "labels": {"ambassador": []},
    }));
    assert_eq!(object.id, ObjectId::new("Mapping", "n", "m"));
    assert_eq!(object.meta.labels["a"], "b");
    let mapping = mapping_of(&object);
    assert_eq!((mapping.prefix.as_deref(), mapping.hostname.as_deref()), (Some("/"), Some("*")));
    assert_eq!(mapping.labels, Some(json!({"ambassador": []})));
}

fn annotated(kind: &str, api_version: &str, annotation: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": "parent", "namespace": "n", "labels": {"app": "x"},
            "annotations": {"getambassador.io/config": annotation},
        },
    })
}

#[test]
fn annotations_hold_objects() {
    let annotation = "
---
apiVersion: ambassador/v1
kind: Mapping
name: flat
prefix: /flat/
service: flat
---
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {name: whole, namespace: other, labels: {own: z}}
spec: {prefix: /whole/, service: whole}
";
    for (kind, api_version) in [("Service", "v1"), ("Ingress", "networking.k8s.io/v1")] {
        let decoded = read(annotated(kind, api_version, annotation));
        assert_eq!(decoded.problems, []);
        let [parent, flat, whole] = &decoded.objects[..] else { panic!("{:?}", decoded.objects) };
        assert_eq!(parent.origin, here());
        for (object, id, label) in
            [(flat, "Mapping n/flat", ("app", "x")), (whole, "Mapping other/whole", ("own", "z"))]
        {
            assert_eq!(object.id.to_string(), id);
            let (id, place) = (Box::new(parent.id.clone()), Box::new(here()));
            assert_eq!(object.origin, Origin::Annotation { parent: id, place });
            assert_eq!(object.meta.labels, [(label.0.to_owned(), label.1.to_owned())].into());
        }
        assert_eq!(mapping_of(flat).hostname.as_deref(), Some("*"));
        assert_eq!(mapping_of(whole).hostname, None);
    }
}

#[test]
fn a_bad_object_in_an_annotation_costs_only_itself() {
    let annotation = "
apiVersion: getambassador.io/v2
kind: Mapping
name: bad
prefix: []
---
apiVersion: getambassador.io/v2
kind: Mapping
name: good
prefix: /
---
broken: [
---
just text
---
apiVersion: v1
kind: Secret
metadata: {name: smuggled}
---
apiVersion: getambassador.io/v2
kind: Mapping
";
    let decoded = read(annotated("Service", "v1", annotation));
    let names: Vec<_> = decoded.objects.iter().map(|object| &*object.id.name).collect();
    assert_eq!(names, ["parent", "good"]);
    let problems: Vec<_> = decoded
        .problems
        .iter()
        .map(|problem| (problem.code.0, problem.object.as_ref().map(ToString::to_string).unwrap_or_default()))
        .collect();
    let parent = || "Service n/parent".to_owned();
    assert_eq!(
        problems,
        [
            ("wrong-type", "Mapping n/bad".to_owned()),
            ("broken-yaml", parent()),
            ("not-an-object", parent()),
            ("bad-annotation", parent()),
            ("missing-name", parent()),
        ]
    );
    assert!(decoded.problems[1].message.contains("line 1"), "{}", decoded.problems[1]);
}

proptest! {
    #[test]
    fn never_panics_on_any_json(value in arbitrary::json()) {
        read(value);
    }

    #[test]
    fn never_panics_on_nearly_sound_objects(value in arbitrary::mutated()) {
        let decoded = read(value);
        for object in &decoded.objects {
            prop_assert!(!object.id.name.is_empty());
        }
    }

    #[test]
    fn never_panics_on_any_text(text in "[-a{}\\[\\]:&*|>\"'#%! \n.]{0,80}") {
        for document in crate::documents(&text) {
            if let Ok(value) = document.value() {
                read(value);
            }
        }
    }

    #[test]
    fn reading_what_was_upgraded_gives_the_same(value in arbitrary::mutated()) {
        prop_assert_eq!(read(value.clone()).objects, read(value).objects);
    }
}

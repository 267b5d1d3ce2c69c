use serde_json::json;

use super::*;
use crate::{Origin, decode};

fn of(value: Value) -> Vec<String> {
    let decoded = decode(value, Origin::Cluster);
    assert!(decoded.problems.is_empty(), "{:?}", decoded.problems);
    let gateways = ["edge".to_owned()];
    decoded.objects.iter().flat_map(|object| references(object, &gateways)).map(|id| id.to_string()).collect()
}

#[test]
fn secrets_of_getambassador_io() {
    let host = json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Host",
        "metadata": {"name": "h", "namespace": "shop"},
        "spec": {"hostname": "a.example", "tlsSecret": {"name": "cert.web"}, "tls": {"caSecret": "roots"},
                 "authentication": {"mTLS": {"caSecret": {"name": "clients", "namespace": "ca"}}}},
    });
    assert_eq!(
        of(host),
        ["Secret ca/clients", "Secret shop/cert.web", "Secret shop/roots", "Secret web/cert"]
    );
    let elsewhere = json!({
        "apiVersion": "getambassador.io/v2", "kind": "Host",
        "metadata": {"name": "h", "namespace": "shop"},
        "spec": {"tlsSecret": {"name": "a.b", "namespace": "certs"}},
    });
    assert_eq!(of(elsewhere), ["Secret certs/a.b"]);
    let context = json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "TLSContext",
        "metadata": {"name": "c", "namespace": "shop"},
        "spec": {"secret": "cert", "ca_secret": "roots", "crl_secret": "revoked"},
    });
    assert_eq!(of(context), ["Secret shop/cert", "Secret shop/revoked", "Secret shop/roots"]);
    let module = json!({
        "apiVersion": "getambassador.io/v3alpha1", "kind": "Module",
        "metadata": {"name": "ambassador", "namespace": "shop"},
        "spec": {"config": {"tls": {"server": {"secret": "cert"}, "upstream": {"ca_secret": "roots"}}}},
    });
    assert_eq!(
        of(module),
        [
            "Secret shop/ambassador-cacert",
            "Secret shop/ambassador-certs",
            "Secret shop/cert",
            "Secret shop/roots"
        ]
    );
}

#[test]
fn credentials_of_istio() {
    let gateway = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": "g", "namespace": "shop"},
        "spec": {"servers": [{"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["*"],
                 "tls": {"mode": "MUTUAL", "credentialName": "cert"}}]},
    });
    assert_eq!(
        of(gateway),
        ["Secret edge/cert", "Secret edge/cert-cacert", "Secret shop/cert", "Secret shop/cert-cacert"]
    );
    let rule = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "r", "namespace": "shop"},
        "spec": {"host": "a", "trafficPolicy": {
            "tls": {"mode": "MUTUAL", "credentialName": "kubernetes://edge/one"},
            "portLevelSettings": [{"port": {"number": 1}, "tls": {"mode": "SIMPLE", "credentialName": "builtin://"}}]}},
    });
    assert_eq!(of(rule), ["Secret edge/one", "Secret edge/one-cacert"]);
}

#[test]
fn ingresses_and_what_is_annotated() {
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "i", "namespace": "shop", "annotations": {
            "nginx.ingress.kubernetes.io/auth-tls-secret": "shop/clients",
            "nginx.ingress.kubernetes.io/custom-headers": "headers"}},
        "spec": {"tls": [{"hosts": ["a.example"], "secretName": "cert"}]},
    });
    assert_eq!(
        of(ingress),
        ["ConfigMap shop/headers", "Secret edge/cert", "Secret shop/cert", "Secret shop/clients"]
    );
}

#[test]
fn what_is_written_in_annotations_of_services_counts() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "s", "namespace": "shop", "annotations": {"getambassador.io/config":
            "{apiVersion: getambassador.io/v2, kind: TLSContext, name: c, secret: cert}"}},
        "spec": {},
    });
    assert_eq!(of(service), ["Secret shop/cert"]);
}

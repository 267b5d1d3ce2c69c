//! Gateway.

#![allow(missing_docs, reason = "the fields are those of Istio's API, and described there")]

use std::collections::BTreeMap;

use serde::Deserialize;

/// `spec` of a Gateway: where gateways listen, and for which hosts.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Gateway {
    /// Labels of the gateways' pods.
    pub selector: BTreeMap<String, String>,
    pub servers: Vec<Server>,
}

/// One of `servers`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Server {
    pub name: Option<String>,
    pub bind: Option<String>,
    pub port: Option<Port>,
    pub hosts: Vec<String>,
    pub default_endpoint: Option<String>,
    pub tls: Option<ServerTls>,
}

/// `port` of a server.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Port {
    pub number: Option<i64>,
    pub name: Option<String>,
    pub protocol: Option<String>,
    pub target_port: Option<i64>,
}

/// `tls` of a server.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerTls {
    pub https_redirect: Option<bool>,
    pub mode: Option<String>,
    pub server_certificate: Option<String>,
    pub private_key: Option<String>,
    pub ca_certificates: Option<String>,
    pub ca_crl: Option<String>,
    pub credential_name: Option<String>,
    pub credential_names: Vec<String>,
    pub ca_cert_credential_name: Option<String>,
    pub tls_certificates: Vec<CertificateFiles>,
    pub subject_alt_names: Vec<String>,
    pub verify_certificate_spki: Vec<String>,
    pub verify_certificate_hash: Vec<String>,
    pub min_protocol_version: Option<String>,
    pub max_protocol_version: Option<String>,
    pub cipher_suites: Vec<String>,
    pub ecdh_curves: Vec<String>,
    pub insecure_skip_verify: Option<bool>,
}

/// One of `tlsCertificates`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CertificateFiles {
    pub server_certificate: Option<String>,
    pub private_key: Option<String>,
    pub ca_certificates: Option<String>,
}

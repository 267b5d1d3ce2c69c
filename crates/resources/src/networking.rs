//! `networking.k8s.io/v1`, and the older spellings of the same kinds.

#![allow(missing_docs, reason = "the fields are those of the Kubernetes API, and described there")]

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::core::IntOrString;

/// `spec` of an Ingress.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ingress {
    pub ingress_class_name: Option<String>,
    /// Of `v1beta1` it is called `backend`.
    #[serde(alias = "backend")]
    pub default_backend: Option<IngressBackend>,
    pub rules: Vec<IngressRule>,
    pub tls: Vec<IngressTls>,
}

/// One of `spec.rules`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressRule {
    pub host: Option<String>,
    pub http: Option<IngressPaths>,
}

/// `http` of a rule.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressPaths {
    pub paths: Vec<IngressPath>,
}

/// One of the paths of a rule.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressPath {
    pub path: Option<String>,
    /// Exact, Prefix, ImplementationSpecific.
    pub path_type: Option<String>,
    pub backend: IngressBackend,
}

/// Where the requests of a path go.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressBackend {
    pub service: Option<IngressService>,
    pub resource: Option<BTreeMap<String, serde_json::Value>>,
    /// The `v1beta1` spelling.
    pub service_name: Option<String>,
    /// The `v1beta1` spelling.
    pub service_port: Option<IntOrString>,
}

/// `service` of a backend.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressService {
    pub name: String,
    pub port: IngressPort,
}

/// `port` of a backend's service.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressPort {
    pub name: Option<String>,
    pub number: Option<i64>,
}

/// One of `spec.tls`.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IngressTls {
    pub hosts: Vec<String>,
    pub secret_name: Option<String>,
}

/// `spec` of an IngressClass.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IngressClass {
    pub controller: String,
    pub parameters: Option<ClassParameters>,
}

/// `spec.parameters` of an IngressClass.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClassParameters {
    pub api_group: Option<String>,
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
    pub scope: Option<String>,
}

impl IngressBackend {
    /// Name of the Service, in either spelling.
    pub fn name(&self) -> Option<&str> {
        self.service.as_ref().map(|service| service.name.as_str()).or(self.service_name.as_deref())
    }

    /// Port of the Service, in either spelling.
    pub fn port(&self) -> Option<IntOrString> {
        let Some(service) = &self.service else { return self.service_port.clone() };
        let name = service.port.name.clone().filter(|name| !name.is_empty()).map(IntOrString::String);
        name.or(service.port.number.map(IntOrString::Int))
    }
}

//! Kubernetes' own kinds, and those that belong to its load balancers.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Fields;
use super::typed::{Fault, describe, drop_nulls, typed};
use crate::core::{EndpointSlice, Pod, Secret, Service};
use crate::object::{Meta, View};

/// The kinds of the core group that are read.
pub(super) const KINDS: [&str; 6] = ["ConfigMap", "Endpoints", "Namespace", "Pod", "Secret", "Service"];

/// The label by which an EndpointSlice names its Service (`discovery.k8s.io/v1`).
const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub(super) fn view(kind: &str, meta: &Meta, mut fields: Fields) -> Result<View, Fault> {
    if kind == "Secret" {
        return secret(&fields).map(|secret| View::Secret(Box::new(secret)));
    }
    fields.values_mut().for_each(drop_nulls);
    // The apiserver writes `endpoints: null` for a Service without any.
    fields.retain(|_, value| !value.is_null());
    Ok(match kind {
        "Service" => {
            let mut service: Box<Service> = typed(&spec(&mut fields), "spec")?;
            service.status_addresses = status_addresses(&fields);
            View::Service(service)
        }
        "ConfigMap" => View::ConfigMap(typed(&Value::Object(fields), "")?),
        "Pod" => {
            let mut pod: Box<Pod> = typed(&spec(&mut fields), "spec")?;
            pod.addresses = pod_addresses(&fields);
            View::Pod(pod)
        }
        "Ingress" => View::Ingress(typed(&spec(&mut fields), "spec")?),
        "IngressClass" => View::IngressClass(typed(&spec(&mut fields), "spec")?),
        "IngressClassParams" => View::IngressClassParams(typed(&spec(&mut fields), "spec")?),
        "TargetGroupBinding" => View::TargetGroupBinding(typed(&spec(&mut fields), "spec")?),
        "Endpoints" => View::Endpoints(typed(&Value::Object(fields), "")?),
        "EndpointSlice" => {
            let mut slice: Box<EndpointSlice> = typed(&Value::Object(fields), "")?;
            slice.service = meta.labels.get(SERVICE_NAME).cloned().unwrap_or_default();
            View::EndpointSlice(slice)
        }
        _ => View::Namespace,
    })
}

fn spec(fields: &mut Fields) -> Value {
    fields.remove("spec").unwrap_or_else(|| Value::Object(Fields::new()))
}

/// Host names and addresses that a load balancer has given the object.
fn status_addresses(fields: &Fields) -> Vec<String> {
    let entries = fields.get("status").and_then(|status| status.pointer("/loadBalancer/ingress"));
    let entries = entries.and_then(Value::as_array).into_iter().flatten();
    let address =
        |entry: &Value| Some(entry.get("hostname").or_else(|| entry.get("ip"))?.as_str()?.to_owned());
    entries.filter_map(address).collect()
}

/// `status.podIPs`, else `status.podIP`.
fn pod_addresses(fields: &Fields) -> Vec<String> {
    let Some(status) = fields.get("status") else { return Vec::new() };
    let several = status.get("podIPs").and_then(Value::as_array).into_iter().flatten();
    let several: Vec<String> =
        several.filter_map(|entry| Some(entry.get("ip")?.as_str()?.to_owned())).collect();
    let one = status.get("podIP").and_then(Value::as_str).map(str::to_owned);
    if several.is_empty() { one.into_iter().collect() } else { several }
}

/// By hand, because a message must never show a value.
fn secret(fields: &Fields) -> Result<Secret, Fault> {
    let mut data = BTreeMap::new();
    for (key, value) in map(fields, "data")? {
        let field = || format!("data[{key}]");
        let encoded = scalar(value, field)?;
        let decoded = STANDARD.decode(encoded.replace(['\n', '\r'], "")).map_err(|_| {
            Fault::new("bad-base64", field(), format!("the value of {key} is not base64"))
                .fix("encode it with base64, or move it to stringData as it is")
        })?;
        data.insert(key.clone(), decoded);
    }
    for (key, value) in map(fields, "stringData")? {
        let value = scalar(value, || format!("stringData[{key}]"))?;
        data.insert(key.clone(), value.as_bytes().to_vec());
    }
    let type_ = fields.get("type").and_then(Value::as_str).unwrap_or("Opaque").to_owned();
    Ok(Secret { type_, data })
}

fn map<'a>(fields: &'a Fields, name: &str) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, Fault> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None.into_iter().flatten()),
        Some(Value::Object(map)) => Ok(Some(map).into_iter().flatten()),
        Some(_) => {
            Err(Fault::new("wrong-type", name, "found something else where a map is expected".to_owned()))
        }
    }
}

fn scalar(value: &Value, field: impl Fn() -> String) -> Result<&str, Fault> {
    match value {
        Value::Null => Ok(""),
        Value::String(text) => Ok(text),
        Value::Array(_) | Value::Object(_) => Err(Fault::new(
            "wrong-type",
            field(),
            format!("found {} where a text is expected", describe(value)),
        )),
        Value::Bool(_) | Value::Number(_) => Err(Fault::new(
            "wrong-type",
            field(),
            "found a value without quotes where a text is expected".to_owned(),
        )
        .fix("put the value in quotes")),
    }
}

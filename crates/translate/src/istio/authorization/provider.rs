//! `extensionProviders` of the mesh settings that are asked whether a request may pass.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use plenipo_model::{
    CheckHeader, CheckPath, CheckedBody, ExternalAuthorization, ExternalProtocol, GrpcCheck, HttpCheck,
    NameMatch, Template,
};
use plenipo_resources::Object;
use plenipo_resources::istio::AuthorizationPolicy;
use serde::Deserialize;
use serde_json::Value;

use super::super::destinations::{Carries, Wanted};
use super::super::security::Pods;
use super::super::source_of;
use super::super::world::World;
use super::Carried;
use crate::duration::duration;

/// How long Istio waits where nobody says.
const TIMEOUT: Duration = Duration::from_secs(600);
/// What Envoy sends a service by HTTP, whatever is asked for.
const ALWAYS: &str = "authorization";

/// `envoyExtAuthzHttp` and `envoyExtAuthzGrpc`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    service: String,
    port: u16,
    timeout: Option<String>,
    path_prefix: Option<String>,
    fail_open: bool,
    clear_route_cache: bool,
    status_on_error: Option<Value>,
    include_headers_in_check: Vec<String>,
    include_request_headers_in_check: Vec<String>,
    include_additional_headers_in_check: std::collections::BTreeMap<String, String>,
    include_request_body_in_check: Option<WrittenBody>,
    headers_to_upstream_on_allow: Vec<String>,
    headers_to_downstream_on_deny: Vec<String>,
    headers_to_downstream_on_allow: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WrittenBody {
    max_request_bytes: u32,
    allow_partial_message: bool,
    pack_as_bytes: bool,
}

/// The service that a CUSTOM policy names.
///
/// # Errors
/// When it cannot be asked: then nobody is let in, and this is why.
pub(super) fn service(
    object: &Object,
    spec: &AuthorizationPolicy,
    pods: &Pods<'_>,
    carried: Carried,
    world: &mut World<'_, '_>,
) -> Result<Arc<ExternalAuthorization>, String> {
    let name = spec.provider.as_ref().map_or("", |provider| provider.name.as_str());
    let made = found(name, pods).and_then(|(written, grpc)| {
        let mut cluster = cluster(object, &written, carried, world)?;
        if grpc {
            cluster = world.destinations.over_http2(&cluster);
        }
        made(object, &written, grpc, cluster)
    });
    made.map(Arc::new).map_err(|why| {
        if carried == Carried::Requests {
            let message = format!("{why}: nobody is let in");
            let fix = "write the provider into extensionProviders of the mesh settings, and name it here";
            world.findings.refuse(object, "no-provider", "spec.provider.name", message, fix);
        }
        why
    })
}

fn found(name: &str, pods: &Pods<'_>) -> Result<(Written, bool), String> {
    let providers = &pods.mesh.config.extension_providers;
    let provider = providers.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name));
    let provider =
        provider.filter(|_| !name.is_empty()).ok_or_else(|| format!("there is no provider '{name}'"))?;
    let (written, grpc) = match (provider.get("envoyExtAuthzHttp"), provider.get("envoyExtAuthzGrpc")) {
        (Some(http), None) => (http, false),
        (None, Some(grpc)) => (grpc, true),
        _ => {
            return Err(format!(
                "provider '{name}' is none that can be asked (envoyExtAuthzHttp, envoyExtAuthzGrpc)"
            ));
        }
    };
    let written = Written::deserialize(written).map_err(|error| format!("provider '{name}': {error}"))?;
    Ok((written, grpc))
}

/// `[namespace/]host`, which is the name of a service.
fn cluster(
    object: &Object,
    written: &Written,
    carried: Carried,
    world: &mut World<'_, '_>,
) -> Result<Arc<str>, String> {
    let host = written.service.rsplit('/').next().unwrap_or_default();
    if host.is_empty() || written.port == 0 {
        return Err("the provider names no service, or no port".to_owned());
    }
    let wanted = Wanted {
        object,
        field: "spec.provider.name",
        host,
        namespace: written.service.split_once('/').map_or(&object.id.namespace, |(namespace, _)| namespace),
        subset: None,
        port: Some(written.port),
        listener_port: written.port,
        carries: Carries::Http,
    };
    let mut silent = crate::findings::Findings::default();
    let findings = if carried == Carried::Requests { &mut *world.findings } else { &mut silent };
    let reached = world.destinations.reach(&wanted, world.secrets, findings);
    reached.map(|reached| reached.cluster).map_err(|_| format!("there is no service {}", written.service))
}

fn made(
    object: &Object,
    written: &Written,
    grpc: bool,
    cluster: Arc<str>,
) -> Result<ExternalAuthorization, String> {
    let host = written.service.rsplit('/').next().unwrap_or_default();
    let protocol = if grpc {
        ExternalProtocol::Grpc(GrpcCheck { authority: format!("{host}:{}", written.port) })
    } else {
        ExternalProtocol::Http(Box::new(http_check(written)?))
    };
    let mut service = ExternalAuthorization::new(source_of(object), cluster, protocol);
    service.timeout = match &written.timeout {
        None => TIMEOUT,
        Some(text) => {
            let time = duration(text).filter(|time| !time.is_zero());
            time.ok_or_else(|| format!("the provider's timeout '{text}' is not a time"))?
        }
    };
    service.fail_open = written.fail_open;
    service.body = written.include_request_body_in_check.as_ref().map(|body| CheckedBody {
        max_bytes: usize::try_from(body.max_request_bytes).unwrap_or(usize::MAX),
        partial: body.allow_partial_message,
        raw: body.pack_as_bytes,
    });
    if let Some(status) = &written.status_on_error {
        let number = status.as_u64().or_else(|| status.as_str().and_then(|text| text.parse().ok()));
        let status = number.and_then(|number| StatusCode::from_u16(u16::try_from(number).ok()?).ok());
        let status = status.filter(|status| status.as_u16() >= 400);
        service.status_on_error = status.ok_or("the provider's statusOnError is no status of an error")?;
    }
    Ok(service)
}

fn http_check(written: &Written) -> Result<HttpCheck, String> {
    let names = |list: &[String]| list.iter().map(|name| NameMatch::parse(name)).collect::<Vec<_>>();
    let mut request_headers = vec![NameMatch::parse(ALWAYS)];
    request_headers.extend(names(&written.include_headers_in_check));
    request_headers.extend(names(&written.include_request_headers_in_check));
    let added = written.include_additional_headers_in_check.iter().map(|(name, value)| {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("'{name}' is no header field"))?;
        let value = Template::parse(value).map_err(|error| error.to_string())?;
        Ok(CheckHeader { name, value })
    });
    // Envoy adds these to what is asked for.
    let mut refusal = names(&written.headers_to_downstream_on_deny);
    if !refusal.is_empty() {
        refusal.extend(["location", "www-authenticate"].map(NameMatch::parse));
    }
    Ok(HttpCheck {
        path: CheckPath::Prefix(written.path_prefix.clone().unwrap_or_default()),
        request_headers,
        added: added.collect::<Result<_, String>>()?,
        upstream_headers: names(&written.headers_to_upstream_on_allow),
        client_headers_on_success: names(&written.headers_to_downstream_on_allow),
        client_headers_on_refusal: (!refusal.is_empty()).then_some(refusal),
        ..HttpCheck::new()
    })
}

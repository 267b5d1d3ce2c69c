//! `getambassador.io`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Fields;
use super::typed::{Fault, drop_nulls, typed, typed_noting};
use crate::ambassador::{
    AmbassadorId, CircuitBreaker, Host, Listener, Mapping, Module, OnlyId, Resolver, TcpMapping, TlsConfig,
    TlsContext, Version, upgrade,
};
use crate::object::View;

/// Every kind of the group, read or not.
pub(crate) const KINDS: [&str; 14] = [
    "AuthService",
    "ConsulResolver",
    "DevPortal",
    "Host",
    "KubernetesEndpointResolver",
    "KubernetesServiceResolver",
    "Listener",
    "LogService",
    "Mapping",
    "Module",
    "RateLimitService",
    "TCPMapping",
    "TLSContext",
    "TracingService",
];

/// Reads `spec`; the fields in it that are not understood go to `unknown`.
pub(super) fn view(
    kind: &str,
    version: Version,
    mut fields: Fields,
    unknown: &mut Vec<String>,
) -> Result<View, Fault> {
    let mut spec = match fields.remove("spec") {
        None | Some(Value::Null) => Value::Object(Fields::new()),
        Some(spec) => spec,
    };
    // In the Module's `config` a key can mean something by being there.
    if kind != "Module" {
        drop_nulls(&mut spec);
    }
    upgrade(kind, version, &mut spec);
    let mut nested = Vec::new();
    let mut rest = |at: &str, rest: &BTreeMap<String, Value>| {
        unknown.extend(rest.keys().map(|field| format!("{at}.{field}")));
    };
    let view = match kind {
        "Listener" => {
            let listener: Box<Listener> = typed_noting(&spec, "spec", &mut nested)?;
            rest("spec", &listener.rest);
            if let Some(selector) = listener.host_binding.as_ref().and_then(|it| it.selector.as_ref()) {
                rest("spec.hostBinding.selector", &selector.rest);
            }
            View::Listener(listener)
        }
        "Host" => {
            let host: Box<Host> = typed_noting(&spec, "spec", &mut nested)?;
            unknown_of_host(&host, rest);
            View::Host(host)
        }
        "Mapping" => {
            let mapping: Box<Mapping> = typed_noting(&spec, "spec", &mut nested)?;
            rest("spec", &mapping.rest);
            if let Some(breakers) = &mapping.circuit_breakers {
                // What is wrong with them is told when they are made into limits.
                let _ = typed_noting::<Vec<CircuitBreaker>>(breakers, "spec.circuit_breakers", &mut nested);
            }
            View::Mapping(mapping)
        }
        "TCPMapping" => {
            let mapping: Box<TcpMapping> = typed_noting(&spec, "spec", &mut nested)?;
            rest("spec", &mapping.rest);
            View::TcpMapping(mapping)
        }
        "TLSContext" => {
            let context = tls_context(spec)?;
            rest("spec", &context.tls.rest);
            View::TlsContext(Box::new(context))
        }
        "Module" => {
            let module: Box<Module> = typed(&spec, "spec")?;
            rest("spec", &module.rest);
            View::Module(module)
        }
        // What of it is not read yet is not unknown, so its `rest` is nothing to report.
        "AuthService" => View::AuthService(typed(&spec, "spec")?),
        "KubernetesServiceResolver" => View::Resolver(Resolver::KubernetesService(resolver(&spec, rest)?)),
        "KubernetesEndpointResolver" => View::Resolver(Resolver::KubernetesEndpoint(resolver(&spec, rest)?)),
        _ => View::Inactive,
    };
    unknown.append(&mut nested);
    Ok(view)
}

fn unknown_of_host(host: &Host, mut rest: impl FnMut(&str, &BTreeMap<String, Value>)) {
    rest("spec", &host.rest);
    for (at, selector) in
        [("spec.mappingSelector", &host.mapping_selector), ("spec.selector", &host.selector)]
    {
        if let Some(selector) = selector {
            rest(at, &selector.rest);
        }
    }
    if let Some(tls) = &host.tls {
        rest("spec.tls", &tls.rest);
    }
    if let Some(authentication) = &host.authentication {
        rest("spec.authentication", &authentication.rest);
    }
}

/// In two steps, because serde forgets the path of fields of a flattened structure.
fn tls_context(mut spec: Value) -> Result<TlsContext, Fault> {
    let mut context: TlsContext = typed(&spec, "spec")?;
    if let Value::Object(fields) = &mut spec {
        for own in ["ambassador_id", "hosts", "secret", "secret_namespacing"] {
            fields.remove(own);
        }
    }
    context.tls = typed::<TlsConfig>(&spec, "spec")?;
    Ok(context)
}

fn resolver(
    spec: &Value,
    mut rest: impl FnMut(&str, &BTreeMap<String, Value>),
) -> Result<AmbassadorId, Fault> {
    let spec: OnlyId = typed(spec, "spec")?;
    rest("spec", &spec.rest);
    Ok(spec.ambassador_id)
}

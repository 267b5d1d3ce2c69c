//! Services beside the gateway: authorisation, rate limits, logs, traces.

use std::collections::BTreeSet;

use plenipo_resources::{Object, Severity, View};

use crate::difference::Rule;
use crate::draft::Draft;
use crate::rules;

pub(super) fn read(draft: &mut Draft<'_>) {
    let set = draft.set;
    for object in set.objects().iter().filter(|object| matches!(object.view, View::Inactive)) {
        let rule: &'static Rule = match &*object.id.kind {
            "RateLimitService" => &rules::RATE_LIMIT,
            "LogService" => &rules::LOG_SERVICE,
            "TracingService" => &rules::TRACING_SERVICE,
            // What names a Consul resolver is told so; developer portals do nothing in Emissary.
            _ => continue,
        };
        draft.say(rule, object, "", String::new());
    }
    for object in draft.ours() {
        let View::AuthService(service) = &object.view else { continue };
        if !service.allowed_authorization_headers.is_empty() && !draft.is_refused(&object.id) {
            let about = service.allowed_authorization_headers.join(", ");
            draft.say(&rules::AUTH_HEADERS, object, "spec.allowed_authorization_headers", about);
        }
        refused(draft, object);
    }
    by_name(draft);
}

/// Services that are in the set, and are found by name.
fn by_name(draft: &mut Draft<'_>) {
    let services = draft.set.of_kind("Service");
    let plain = services.iter().filter(|service| match &service.view {
        View::Service(spec) => {
            spec.type_.as_deref() != Some("ExternalName") && spec.cluster_ip.as_deref() != Some("None")
        }
        _ => false,
    });
    let names: BTreeSet<&str> = plain.map(|service| &*service.id.name).collect();
    let is_named = |service: &str| {
        let host = service.split_once("://").map_or(service, |(_, rest)| rest);
        names.contains(host.split(['.', ':', '/']).next().unwrap_or_default())
    };
    let found = draft.ours().filter(|object| match &object.view {
        View::Mapping(mapping) => {
            let service = mapping.service.as_deref().unwrap_or_default();
            let by_endpoints = mapping.resolver.as_deref().is_some_and(|name| name != "kubernetes-service");
            !by_endpoints && mapping.host_redirect != Some(true) && is_named(service)
        }
        _ => false,
    });
    let count = found.count();
    if count > 0 {
        draft.say_of_all(&rules::ENDPOINTS, format!("{count} Mappings name a Service"));
    }
}

fn refused(draft: &mut Draft<'_>, object: &Object) {
    for problem in draft.problems(&object.id).iter().filter(|it| it.severity == Severity::Error) {
        match problem.code.0 {
            "auth-service-twice" => {
                // The routes of before are those behind one of them.
                let first = draft.ours().find(|other| matches!(other.view, View::AuthService(_)));
                if first.is_some_and(|first| first.id != object.id) {
                    draft.remove(&object.id);
                }
                draft.say(&rules::SEVERAL_AUTH_SERVICES, object, &problem.field, String::new());
            }
            // Emissary does the same: version 2 of the protocol is its default, and it cannot speak it.
            "bad-auth-service" if problem.field == "spec.protocol_version" => {}
            _ => draft.say(&rules::AUTH_SERVICE_REFUSED, object, &problem.field, problem.message.clone()),
        }
    }
}

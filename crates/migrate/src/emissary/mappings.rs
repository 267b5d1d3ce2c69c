//! Mappings, one by one.

use plenipo_resources::ambassador::Mapping;
use plenipo_resources::{Object, View};

use crate::draft::Draft;
use crate::rules;

pub(super) fn read(draft: &mut Draft<'_>) {
    for object in draft.ours() {
        let View::Mapping(mapping) = &object.view else { continue };
        if draft.is_refused(&object.id) {
            continue;
        }
        one(draft, object, mapping);
    }
}

fn one(draft: &mut Draft<'_>, object: &Object, mapping: &Mapping) {
    if mapping.error_response_overrides.as_ref().is_some_and(|list| !list.is_empty()) {
        draft.say(&rules::ERROR_RESPONSES, object, "spec.error_response_overrides", String::new());
        draft.remove(&object.id);
    }
    let written = [("spec.hostname", &mapping.hostname), ("spec.host", &mapping.host)];
    let host = written.into_iter().find_map(|(field, text)| Some((field, text.as_deref()?)));
    if let Some((field, text)) = host
        && mapping.host_regex != Some(true)
        && text.chars().any(|c| c.is_ascii_uppercase())
    {
        draft.say(&rules::UPPER_CASE, object, field, text.to_owned());
    }
    let service = mapping.service.as_deref().unwrap_or_default();
    if mapping.host_redirect == Some(true) && service.contains("://") {
        draft.say(&rules::REDIRECT_SCHEME, object, "spec.service", service.to_owned());
    }
    let encrypted = service.trim().to_ascii_lowercase().starts_with("https://") || mapping.tls.is_some();
    let bad_port = draft.problems(&object.id).iter().any(|problem| problem.code.0 == "bad-port");
    if encrypted && bad_port {
        draft.say(&rules::PORT, object, "spec.service", service.to_owned());
        draft.edit(object, |view| {
            if let View::Mapping(mapping) = view {
                mapping.service = mapping.service.as_deref().map(on_port_80);
            }
        });
    }
    if mapping.keepalive.as_ref().is_some_and(|keepalive| keepalive.idle_time.is_some()) {
        draft.say(&rules::KEEPALIVE, object, "spec.keepalive.idle_time", String::new());
    }
}

/// The same host, on port 80.
fn on_port_80(service: &str) -> String {
    let (scheme, rest) = service.split_once("://").map_or(("", service), |(_, rest)| ("https://", rest));
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    format!("{scheme}{host}:80")
}

//! `$NAME`: Emissary replaces it by its environment, everywhere.

use plenipo_resources::{Object, View};
use serde_json::Value;

use crate::draft::Draft;
use crate::rules;

pub(super) fn read(draft: &mut Draft<'_>) {
    for object in draft.ours() {
        for (field, name) in found(object) {
            draft.say(&rules::VARIABLES, object, field, format!("${name}"));
        }
    }
}

/// Fields that name a place, with the variable in them. (In an expression a dollar is no variable to anybody else.)
fn found(object: &Object) -> Vec<(&'static str, String)> {
    let texts: Vec<(&'static str, Option<&str>)> = match &object.view {
        View::Mapping(mapping) => vec![
            ("spec.service", mapping.service.as_deref()),
            ("spec.hostname", mapping.hostname.as_deref()),
            ("spec.host", mapping.host.as_deref().filter(|_| mapping.host_regex != Some(true))),
            ("spec.host_rewrite", mapping.host_rewrite.as_deref()),
            ("spec.rewrite", mapping.rewrite.as_deref()),
            ("spec.prefix", mapping.prefix.as_deref().filter(|_| mapping.prefix_regex != Some(true))),
        ],
        View::Host(host) => vec![("spec.hostname", host.hostname.as_deref())],
        View::TcpMapping(mapping) => {
            vec![("spec.service", mapping.service.as_deref()), ("spec.host", mapping.host.as_deref())]
        }
        View::AuthService(service) => vec![("spec.auth_service", service.auth_service.as_deref())],
        View::TlsContext(context) => vec![("spec.secret", context.secret.as_deref())],
        View::Module(module) => {
            return in_value(&module.config).map(|name| ("spec.config", name)).into_iter().collect();
        }
        _ => Vec::new(),
    };
    texts.into_iter().filter_map(|(field, text)| Some((field, variable(text?)?))).collect()
}

fn in_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => variable(text),
        Value::Array(items) => items.iter().find_map(in_value),
        Value::Object(fields) => fields.values().find_map(in_value),
        _ => None,
    }
}

/// The first variable in a text: `$NAME` or `${NAME}`.
fn variable(text: &str) -> Option<String> {
    text.split('$').skip(1).find_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        (!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())).then(|| name.to_owned())
    })
}

//! Names and values that Kubernetes refuses: AWS-23, -31, -59, -96.

use plenipo_resources::ambassador::Host;
use plenipo_resources::{Object, View};
use serde_json::Value;

use super::finding::Findings;
use super::scene::{Scene, annotation};

/// Kinds whose names are DNS labels that begin with a letter (RFC 1035); others are DNS names (RFC 1123).
const LABELS: [&str; 1] = ["Service"];
/// Kinds whose names may hold anything that fits a path.
const FREE: [&str; 4] = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for object in scene.set.objects() {
        name(object, found);
        unquoted(object, found);
        match &object.view {
            View::Mapping(mapping) if mapping.hostname.is_none() && mapping.host.is_none() => {
                without_hostname(object, found);
            }
            View::Host(host) => selectors(scene, object, host, found),
            _ => {}
        }
    }
}

/// AWS-59.
fn without_hostname(object: &Object, found: &mut Findings) {
    if object.meta.api_version.ends_with("/v3alpha1") {
        found
            .on(
                59,
                object,
                "/spec/hostname",
                "a Mapping of v3alpha1 needs a hostname: without one no Host takes it",
            )
            .fix("write hostname: \"*\", or the name it is for")
            .set("*");
    }
}

/// AWS-96.
fn selectors(scene: &Scene<'_>, object: &Object, host: &Host, found: &mut Findings) {
    for (field, selector) in [("mappingSelector", &host.mapping_selector), ("selector", &host.selector)] {
        let Some(labels) = selector.as_ref().and_then(|selector| selector.match_labels.as_ref()) else {
            continue;
        };
        let fits =
            |mapping: &Object| labels.iter().all(|(key, value)| mapping.meta.labels.get(key) == Some(value));
        if labels.is_empty() || scene.set.of_kind("Mapping").iter().any(|mapping| fits(mapping)) {
            continue;
        }
        let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let message = format!("no Mapping has the label {}: the Host serves nothing", wanted.join(", "));
        found
            .on(96, object, format!("/spec/{field}"), message)
            .fix("label the Mappings, or leave the selector out: the hostname selects as well")
            .unset();
    }
}

/// AWS-31.
fn name(object: &Object, found: &mut Findings) {
    let id = &object.id;
    if FREE.contains(&&*id.kind) {
        return;
    }
    let label = LABELS.contains(&&*id.kind);
    let sound = |name: &str| {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| edge(byte) || byte == b'-' || (byte == b'.' && !label);
        let ends = name.bytes().next().is_some_and(|first| edge(first) && !(label && first.is_ascii_digit()))
            && name.bytes().last().is_some_and(edge);
        ends && name.bytes().all(inner) && name.len() <= if label { 63 } else { 253 }
    };
    if sound(&id.name) {
        return;
    }
    let mut better = String::new();
    for letter in id.name.chars() {
        if letter.is_ascii_uppercase() && better.chars().last().is_some_and(|last| last.is_ascii_lowercase())
        {
            better.push('-');
        }
        better.push(if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    }
    let finding = found.on(
        31,
        object,
        "/metadata/name",
        format!(
            "Kubernetes refuses the name {}: {} are lower-case letters, digits and dashes",
            id.name,
            if label { "names of Services" } else { "names" }
        ),
    );
    finding.fix(format!("call it {better}, where it is referred to as well"));
    if sound(&better) {
        finding.set(better);
    }
}

/// AWS-23.
fn unquoted(object: &Object, found: &mut Findings) {
    for key in &object.meta.unquoted_annotations {
        let value = object.meta.annotations.get(key).cloned().unwrap_or_default();
        found
            .on(
                23,
                object,
                annotation(key),
                format!("annotations are texts: Kubernetes refuses {value} without quotes"),
            )
            .fix(format!("write \"{value}\""))
            .set(value);
    }
    if let View::Written(written) = &object.view {
        let mut places = Vec::new();
        nested(written, "", &mut places);
        for (place, value) in places {
            found
                .on(
                    23,
                    object,
                    place,
                    format!("annotations are texts: Kubernetes refuses {value} without quotes"),
                )
                .fix(format!("write \"{value}\""))
                .set(value.to_string());
        }
    }
}

/// Annotations that an object holds for another.
fn nested<'a>(value: &'a Value, at: &str, places: &mut Vec<(String, &'a Value)>) {
    let Value::Object(map) = value else { return };
    for (key, inner) in map {
        let path = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        if key == "serviceAnnotations" || key == "annotations" {
            let entries = inner.as_object().into_iter().flatten();
            for (name, value) in entries.filter(|(_, value)| value.is_boolean() || value.is_number()) {
                places.push((format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), value));
            }
        } else {
            nested(inner, &path, places);
        }
    }
}

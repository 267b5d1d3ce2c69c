//! Paths, sizes, times and fields of requests.

use http::{HeaderName, HeaderValue};
use plenipo_model::{HeaderEdit, HostPattern, Template};
use plenipo_resources::{Set, View};

use super::super::policy::{Https, Policy};
use super::annotations::Annotations;

const BODY_SIZE: &str = "proxy-body-size";

pub(super) fn read(annotations: &mut Annotations<'_, '_>, policy: &mut Policy, set: &Set) {
    rewrites(annotations, policy);
    if annotations.flag("ssl-redirect") == Some(false) {
        policy.https = Https::Open;
    }
    if annotations.flag("force-ssl-redirect") == Some(true) {
        policy.https = Https::Always;
    }
    if let Some(text) = annotations.text(BODY_SIZE) {
        match bytes(text) {
            Some(0) => policy.body_bytes = None,
            Some(bytes) => policy.body_bytes = Some(bytes),
            None => {
                let message = format!("'{text}' is not a size");
                annotations.bad(BODY_SIZE, message, "write bytes, or a number with k, m or g, as in \"8m\"");
            }
        }
    }
    policy.passthrough = annotations.flag("ssl-passthrough") == Some(true);
    policy.host = annotations.text("upstream-vhost").map(str::to_owned);
    if let Some(prefix) = annotations.text("x-forwarded-prefix") {
        match HeaderValue::from_str(prefix) {
            Ok(_) => policy.request_headers.add.push(HeaderEdit {
                name: HeaderName::from_static("x-forwarded-prefix"),
                value: Template::literal(prefix),
                append: false,
            }),
            Err(_) => annotations.bad(
                "x-forwarded-prefix",
                "it cannot be a header's value".to_owned(),
                "write a path",
            ),
        }
    }
    for alias in annotations.list("server-alias").unwrap_or_default() {
        match HostPattern::parse_one_label(alias) {
            Ok(host) if !alias.contains(['~', ':']) => policy.aliases.push(host),
            _ => {
                let message = format!("'{alias}' is not a host name (expressions are not understood here)");
                annotations.bad("server-alias", message, "write names, or *. and a name");
            }
        }
    }
    policy.www = annotations.flag("from-to-www-redirect") == Some(true);
    custom_headers(annotations, policy, set);
}

fn rewrites(annotations: &mut Annotations<'_, '_>, policy: &mut Policy) {
    let target = annotations.text("rewrite-target");
    policy.regex = annotations.flag("use-regex") == Some(true) || target.is_some();
    let Some(target) = target else { return };
    if !target.starts_with(['/', '$']) {
        let fix = "write a path, as in /$1; to send clients elsewhere use permanent-redirect";
        annotations.bad("rewrite-target", format!("'{target}' is not a path"), fix);
        return;
    }
    policy.rewrite = Some(substitution(target));
}

/// nginx's `$1` as ours, `\1`.
fn substitution(target: &str) -> String {
    let mut out = String::new();
    let mut chars = target.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push_str("\\\\"),
            '$' => match chars.peek().and_then(|next| next.to_digit(10)) {
                Some(digit) => {
                    chars.next();
                    out.push('\\');
                    out.push_str(&digit.to_string());
                }
                None => out.push('$'),
            },
            other => out.push(other),
        }
    }
    out
}

/// `8m`, `512k`, `1g`, `1048576`, as nginx reads sizes.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// `custom-headers`: a ConfigMap whose entries are fields of every response.
fn custom_headers(annotations: &mut Annotations<'_, '_>, policy: &mut Policy, set: &Set) {
    const NAME: &str = "custom-headers";
    let Some(text) = annotations.text(NAME) else { return };
    let own = &*annotations.object.id.namespace;
    let (namespace, name) = text.split_once('/').unwrap_or((own, text));
    if namespace != own {
        let message = format!("the ConfigMap is in {namespace}, an Ingress reads those of its own namespace");
        annotations.bad(NAME, message, "create it beside the Ingress");
        return;
    }
    let map = set.get("ConfigMap", namespace, name).and_then(|object| match &object.view {
        View::ConfigMap(map) => Some(map),
        _ => None,
    });
    let Some(map) = map else {
        annotations.bad(NAME, format!("there is no ConfigMap {namespace}/{name}"), "create it");
        return;
    };
    for (name, value) in &map.data {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(_)) => {
                let value = Template::literal(value);
                policy.response_headers.add.push(HeaderEdit { name, value, append: false });
            }
            _ => {
                annotations.bad(
                    NAME,
                    format!("'{name}' of the ConfigMap is not a header field"),
                    "repair it",
                );
            }
        }
    }
}

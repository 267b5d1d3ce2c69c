//! Where a redirect points.

use plenipo_model::{LocationPart, LocationTemplate, PathMatch, PortFrom, Redirect, RedirectPath};

use super::incoming::Arrived;

/// The same URL with `https`. A port stays, but for `:80`, which cannot be meant.
pub(super) fn to_https(arrived: &Arrived) -> String {
    let authority = &arrived.exchange.authority;
    let authority = authority.strip_suffix(":80").unwrap_or(authority);
    let path = arrived.parts.uri.path_and_query().map_or("/", |path| path.as_str());
    format!("https://{authority}{path}")
}

/// Where a redirect route points.
pub(super) fn location(rule: &Redirect, matched: &PathMatch, arrived: &Arrived) -> String {
    if let Some(template) = &rule.location {
        return filled(template, arrived);
    }
    let scheme = rule.scheme.as_deref().unwrap_or(arrived.exchange.scheme);
    let authority = authority(rule, scheme, arrived);
    let path = arrived.path();
    let path = match &rule.path {
        RedirectPath::Keep => path.to_owned(),
        RedirectPath::To(path) => path.clone(),
        RedirectPath::Matched(replacement) => format!("{replacement}{}", &path[matched.matched_len(path)..]),
        RedirectPath::Regex(pattern, substitution) => pattern.replace_all(path, substitution),
    };
    let mut location = format!("{scheme}://{authority}{path}");
    if let Some(query) = arrived.query()
        && !rule.strip_query
        && !path.contains('?')
    {
        location.push('?');
        location.push_str(query);
    }
    location
}

fn authority(rule: &Redirect, scheme: &str, arrived: &Arrived) -> String {
    let asked = &arrived.exchange.authority;
    let authority = rule.host.as_ref().unwrap_or(asked);
    let (name, written) = match authority.rsplit_once(':') {
        Some((name, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (name, digits.parse().ok())
        }
        _ => (authority.as_str(), None),
    };
    let port = match (rule.port, rule.port_from) {
        (Some(port), _) => Some(port),
        (None, PortFrom::Scheme) => None,
        (None, PortFrom::Request) => arrived.host.port.or(Some(arrived.exchange.connection.declared_port)),
        (None, PortFrom::Host) => {
            let from = arrived.exchange.scheme;
            let stale = rule.host.is_none() && scheme != from && written == default_port(from);
            return if stale { name.to_owned() } else { authority.clone() };
        }
    };
    match port.filter(|port| Some(*port) != default_port(scheme)) {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn filled(template: &LocationTemplate, arrived: &Arrived) -> String {
    let mut location = String::new();
    for part in template.parts() {
        match part {
            LocationPart::Literal(text) => location.push_str(text),
            LocationPart::Protocol => location.push_str(arrived.exchange.scheme),
            LocationPart::Host => location.push_str(&arrived.host.name),
            LocationPart::Port => location.push_str(&arrived.exchange.connection.declared_port.to_string()),
            LocationPart::Path => {
                let path = arrived.path();
                location.push_str(path.strip_prefix('/').unwrap_or(path));
            }
            LocationPart::Query => location.push_str(arrived.query().unwrap_or_default()),
        }
    }
    if location.ends_with('?') && template.parts().last() == Some(&LocationPart::Query) {
        location.pop();
    }
    location
}

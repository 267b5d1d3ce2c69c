//! HTTP routes, with those that one VirtualService takes from another.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use plenipo_resources::istio::{Delegate, HttpMatch, HttpRoute, StringMatch, VirtualService};
use plenipo_resources::{Object, ObjectId, Set, View};

use super::mesh::Mesh;
use super::virtual_service::is_exported;
use crate::findings::Findings;

/// One of `http`, as it counts.
#[derive(Clone, Debug)]
pub(super) struct Rule<'a> {
    /// The object in which it stands: short names in it are of its namespace.
    pub(super) object: &'a Object,
    /// Where it stands there: `spec.http[0]`.
    pub(super) field: String,
    pub(super) route: Cow<'a, HttpRoute>,
}

/// The HTTP routes of a VirtualService, with those of its delegates in their places. Says which objects it delegated to.
pub(super) fn rules<'a>(
    set: &'a Set,
    mesh: &Mesh,
    object: &'a Object,
    written: &'a VirtualService,
    used: &mut BTreeSet<ObjectId>,
    findings: &mut Findings,
) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    for (place, root) in written.http.iter().enumerate() {
        let field = format!("spec.http[{place}]");
        let Some(delegate) = &root.delegate else {
            rules.push(Rule { object, field, route: Cow::Borrowed(root) });
            continue;
        };
        if !root.route.is_empty() || root.redirect.is_some() {
            let message = "a route that delegates may not have a destination or redirect of its own: those do not count";
            let fix = "keep one of the two";
            findings.error(object, "bad-delegate", &field, message.to_owned(), fix);
        }
        let Some((other, theirs)) = found(set, mesh, object, delegate, &field, findings) else { continue };
        used.insert(other.id.clone());
        rules.extend(merged(root, object, other, theirs, findings));
    }
    rules
}

/// The VirtualService delegated to.
fn found<'a>(
    set: &'a Set,
    mesh: &Mesh,
    root: &Object,
    delegate: &Delegate,
    field: &str,
    findings: &mut Findings,
) -> Option<(&'a Object, &'a VirtualService)> {
    let namespace =
        delegate.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or(&root.id.namespace);
    let field = format!("{field}.delegate");
    let mut skip = |code, message: String, fix| {
        findings.error(root, code, &field, format!("{message}: the route is left out"), fix);
    };
    let place = format!("{namespace}/{}", delegate.name);
    let Some(object) = set.get("VirtualService", namespace, &delegate.name) else {
        skip("unknown-delegate", format!("there is no VirtualService {place}"), "create it");
        return None;
    };
    let View::VirtualService(written) = &object.view else { return None };
    if !is_exported(object, written, &root.id.namespace, mesh) {
        let message = format!("VirtualService {place} is not exported to {}", root.id.namespace);
        skip("not-exported", message, "write the namespace into its exportTo");
        return None;
    }
    let is_leaf = written.hosts.is_empty() && written.gateways.is_empty();
    if !is_leaf || !written.tls.is_empty() || !written.tcp.is_empty() {
        let message = format!("VirtualService {place} is no delegate: it has hosts, gateways, tls or tcp");
        skip("bad-delegate", message, "leave them out there");
        return None;
    }
    Some((object, written))
}

/// The routes of a delegate, each narrowed to what the root takes, and with what it inherits.
fn merged<'a>(
    root: &HttpRoute,
    root_object: &Object,
    object: &'a Object,
    written: &'a VirtualService,
    findings: &mut Findings,
) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    for (place, theirs) in written.http.iter().enumerate() {
        let field = format!("spec.http[{place}]");
        if theirs.delegate.is_some() {
            let message =
                "one that is delegated to may not delegate further: the route is left out".to_owned();
            findings.error(object, "bad-delegate", &field, message, "write the routes themselves");
            continue;
        }
        let Some(matches) = matches(&root.r#match, &theirs.r#match) else {
            let message = format!(
                "it takes what its root route in {} does not, so that it is left out",
                root_object.id
            );
            let fix = "write matches that lie within those of the root route";
            findings.error(object, "delegate-conflict", &format!("{field}.match"), message, fix);
            continue;
        };
        let mut route = theirs.clone();
        route.r#match = matches;
        route.name = joined(root.name.as_deref(), theirs.name.as_deref());
        inherit(&mut route, root);
        rules.push(Rule { object, field, route: Cow::Owned(route) });
    }
    rules
}

fn joined(root: Option<&str>, leaf: Option<&str>) -> Option<String> {
    let names: Vec<&str> = [root, leaf].into_iter().flatten().filter(|name| !name.is_empty()).collect();
    (!names.is_empty()).then(|| names.join("-"))
}

/// What the delegate left open is as the root says.
fn inherit(route: &mut HttpRoute, root: &HttpRoute) {
    fn or<T: Clone>(field: &mut Option<T>, root: &Option<T>) {
        if field.is_none() {
            field.clone_from(root);
        }
    }
    or(&mut route.rewrite, &root.rewrite);
    or(&mut route.direct_response, &root.direct_response);
    or(&mut route.timeout, &root.timeout);
    or(&mut route.retries, &root.retries);
    or(&mut route.fault, &root.fault);
    or(&mut route.cors_policy, &root.cors_policy);
    or(&mut route.headers, &root.headers);
    if route.mirror.is_none() && route.mirrors.is_empty() {
        route.mirror.clone_from(&root.mirror);
        route.mirror_percent = root.mirror_percent;
        route.mirror_percentage = root.mirror_percentage;
        route.mirrors.clone_from(&root.mirrors);
    }
}

/// Every match of the delegate within every one of the root that has room for it; none when one has no place at all.
fn matches(root: &[HttpMatch], leaf: &[HttpMatch]) -> Option<Vec<HttpMatch>> {
    if root.is_empty() || leaf.is_empty() {
        return Some([root, leaf].concat());
    }
    let mut all = Vec::new();
    for theirs in leaf {
        let before = all.len();
        all.extend(root.iter().filter(|ours| !conflict(ours, theirs)).map(|ours| within(ours, theirs)));
        if all.len() == before {
            return None;
        }
    }
    Some(all)
}

fn within(root: &HttpMatch, leaf: &HttpMatch) -> HttpMatch {
    fn both<T: Clone>(root: &BTreeMap<String, T>, leaf: &BTreeMap<String, T>) -> BTreeMap<String, T> {
        root.iter().chain(leaf).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
    HttpMatch {
        name: joined(root.name.as_deref(), leaf.name.as_deref()),
        uri: leaf.uri.clone().or_else(|| root.uri.clone()),
        scheme: leaf.scheme.clone().or_else(|| root.scheme.clone()),
        method: leaf.method.clone().or_else(|| root.method.clone()),
        authority: leaf.authority.clone().or_else(|| root.authority.clone()),
        headers: both(&root.headers, &leaf.headers),
        without_headers: both(&root.without_headers, &leaf.without_headers),
        query_params: both(&root.query_params, &leaf.query_params),
        ignore_uri_case: leaf.ignore_uri_case.or(root.ignore_uri_case),
        port: leaf.port.or(root.port),
        gateways: if leaf.gateways.is_empty() { root.gateways.clone() } else { leaf.gateways.clone() },
        source_labels: both(&root.source_labels, &leaf.source_labels),
        source_namespace: leaf.source_namespace.clone().or_else(|| root.source_namespace.clone()),
        stat_prefix: leaf.stat_prefix.clone().or_else(|| root.stat_prefix.clone()),
    }
}

/// Does the delegate ask for something that the root does not take?
fn conflict(root: &HttpMatch, leaf: &HttpMatch) -> bool {
    let one = |root: &Option<StringMatch>, leaf: &Option<StringMatch>| match (root, leaf) {
        (Some(root), Some(leaf)) => !narrows(root, leaf),
        _ => false,
    };
    let several = |root: &BTreeMap<String, StringMatch>, leaf: &BTreeMap<String, StringMatch>| {
        leaf.iter().any(|(key, theirs)| root.get(key).is_some_and(|ours| !narrows(ours, theirs)))
    };
    one(&root.uri, &leaf.uri)
        || one(&root.scheme, &leaf.scheme)
        || one(&root.method, &leaf.method)
        || one(&root.authority, &leaf.authority)
        || several(&root.headers, &leaf.headers)
        || several(&root.without_headers, &leaf.without_headers)
        || several(&root.query_params, &leaf.query_params)
        || root.ignore_uri_case.unwrap_or(false) != leaf.ignore_uri_case.unwrap_or(false)
        || matches!((root.port, leaf.port), (Some(root), Some(leaf)) if root != leaf)
}

/// Is everything that `leaf` takes also taken by `root`, as far as can be told? (Of expressions it cannot.)
fn narrows(root: &StringMatch, leaf: &StringMatch) -> bool {
    if root.regex.is_some() || leaf.regex.is_some() {
        return false;
    }
    match (root, leaf) {
        (StringMatch { exact: Some(root), .. }, StringMatch { exact: Some(leaf), .. }) => root == leaf,
        (StringMatch { prefix: Some(root), .. }, StringMatch { exact: Some(leaf), .. })
        | (StringMatch { prefix: Some(root), .. }, StringMatch { prefix: Some(leaf), .. }) => {
            leaf.starts_with(root.as_str())
        }
        (StringMatch { exact: None, prefix: None, .. }, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;

//! Is every request that one match takes also taken by another?

use std::collections::BTreeMap;

use plenipo_resources::istio::{HttpMatch, StringMatch};

/// Does `wide` take every request that `narrow` takes? None for a route without matches, which takes all. When in doubt it
/// does not.
pub(super) fn covers(wide: Option<&HttpMatch>, narrow: Option<&HttpMatch>) -> bool {
    let Some(wide) = wide else { return true };
    let all = HttpMatch::default();
    let narrow = narrow.unwrap_or(&all);
    path(wide, narrow)
        && text(wide.method.as_ref(), narrow.method.as_ref())
        && text(wide.scheme.as_ref(), narrow.scheme.as_ref())
        && text(wide.authority.as_ref(), narrow.authority.as_ref())
        && texts(&wide.headers, &narrow.headers)
        && wide.without_headers.iter().all(|(name, value)| narrow.without_headers.get(name) == Some(value))
        && texts(&wide.query_params, &narrow.query_params)
        && wide.port.is_none_or(|port| narrow.port == Some(port))
        && wide.source_labels.iter().all(|(key, value)| narrow.source_labels.get(key) == Some(value))
        && (wide.source_namespace.is_none() || wide.source_namespace == narrow.source_namespace)
        && within(&wide.gateways, &narrow.gateways)
}

/// Is it only by characters, not by segments, that a prefix takes the other's path? (`/foo` takes `/foobar`.)
pub(super) fn splits_segment(wide: Option<&HttpMatch>, narrow: Option<&HttpMatch>) -> bool {
    let uri = |one: Option<&HttpMatch>| one.and_then(|one| one.uri.clone()).unwrap_or_default();
    let Some(prefix) = uri(wide).prefix else { return false };
    let path = uri(narrow);
    let rest = path.exact.or(path.prefix).and_then(|path| path.strip_prefix(&prefix).map(str::to_owned));
    !prefix.ends_with('/') && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?']))
}

/// Takes it every request?
pub(super) fn takes_all(one: Option<&HttpMatch>) -> bool {
    covers(one, None)
}

fn path(wide: &HttpMatch, narrow: &HttpMatch) -> bool {
    let Some(uri) = &wide.uri else { return true };
    if uri.prefix.as_deref() == Some("/") || any(uri) {
        return true;
    }
    match (wide.ignore_uri_case == Some(true), narrow.ignore_uri_case == Some(true)) {
        (false, true) => false,
        (true, _) => text(Some(&lower(uri)), narrow.uri.as_ref().map(lower).as_ref()),
        (false, false) => text(Some(uri), narrow.uri.as_ref()),
    }
}

fn lower(one: &StringMatch) -> StringMatch {
    let lower = |text: &Option<String>| text.as_deref().map(str::to_ascii_lowercase);
    StringMatch { exact: lower(&one.exact), prefix: lower(&one.prefix), regex: one.regex.clone() }
}

fn any(one: &StringMatch) -> bool {
    one.exact.is_none() && one.prefix.is_none() && one.regex.as_deref().is_none_or(|regex| regex == ".*")
}

fn text(wide: Option<&StringMatch>, narrow: Option<&StringMatch>) -> bool {
    let (Some(wide), Some(narrow)) = (wide, narrow) else { return wide.is_none() };
    match (wide, narrow) {
        (StringMatch { exact: Some(one), .. }, StringMatch { exact: Some(other), .. }) => one == other,
        (StringMatch { exact: Some(_), .. }, _) => false,
        (StringMatch { prefix: Some(prefix), .. }, StringMatch { exact: Some(text), .. })
        | (StringMatch { prefix: Some(prefix), .. }, StringMatch { exact: None, prefix: Some(text), .. }) => {
            text.starts_with(prefix.as_str())
        }
        _ => wide == narrow || any(wide),
    }
}

fn texts(wide: &BTreeMap<String, StringMatch>, narrow: &BTreeMap<String, StringMatch>) -> bool {
    wide.iter().all(|(name, value)| narrow.get(name).is_some_and(|other| text(Some(value), Some(other))))
}

fn within(wide: &[String], narrow: &[String]) -> bool {
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|name| wide.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Option<HttpMatch> {
        (!json.is_null()).then(|| serde_json::from_value(json).unwrap())
    }

    #[test]
    fn wide_and_narrow() {
        use serde_json::json;
        let uri = |how: &str, text: &str| json!({"uri": {how: text}});
        let table = [
            (json!(null), uri("prefix", "/a"), true),
            (uri("prefix", "/a"), json!(null), false),
            (uri("prefix", "/"), json!(null), true),
            (uri("regex", ".*"), json!(null), true),
            (uri("prefix", "/a"), uri("prefix", "/ab"), true),
            (uri("prefix", "/ab"), uri("prefix", "/a"), false),
            (uri("prefix", "/a"), uri("exact", "/a/b"), true),
            (uri("exact", "/a"), uri("prefix", "/a"), false),
            (uri("prefix", "/a"), uri("regex", "/a/.*"), false),
            (uri("prefix", "/a"), json!({"uri": {"prefix": "/A"}, "ignoreUriCase": true}), false),
            (json!({"uri": {"prefix": "/A"}, "ignoreUriCase": true}), uri("prefix", "/a"), true),
            (json!({"headers": {"x": {"exact": "1"}}}), uri("prefix", "/"), false),
            (json!({"headers": {"x": {}}}), json!({"headers": {"x": {"exact": "1"}}}), true),
            (json!({"headers": {"x": {"exact": "1"}}}), json!({"headers": {"x": {}}}), false),
            (json!({"withoutHeaders": {"x": {}}}), json!(null), false),
            (json!({"port": 80}), json!(null), false),
            (json!({"method": {"exact": "GET"}}), json!({"method": {"exact": "GET"}, "port": 80}), true),
            (json!({"gateways": ["a"]}), json!(null), false),
            (json!({"gateways": ["a", "b"]}), json!({"gateways": ["a"]}), true),
        ];
        for (wide, narrow, expected) in table {
            let covered = covers(read(wide.clone()).as_ref(), read(narrow.clone()).as_ref());
            assert_eq!(covered, expected, "{wide} {narrow}");
        }
    }

    #[test]
    fn prefixes_are_of_characters() {
        let uri = |how: &str, text: &str| read(serde_json::json!({"uri": {how: text}}));
        let splits = |wide: &Option<HttpMatch>, narrow: &Option<HttpMatch>| {
            splits_segment(wide.as_ref(), narrow.as_ref())
        };
        assert!(splits(&uri("prefix", "/foo"), &uri("exact", "/foobar")));
        assert!(!splits(&uri("prefix", "/foo"), &uri("prefix", "/foo/bar")));
        assert!(!splits(&uri("prefix", "/foo"), &uri("prefix", "/foo")));
        assert!(!splits(&uri("prefix", "/"), &uri("prefix", "/foo")));
    }
}

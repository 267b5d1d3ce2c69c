//! Matches of HTTP routes.

use http::HeaderName;
use plenipo_model::{ClaimMatch, HeaderMatch, PathMatch, Pattern, QueryMatch, RouteMatch, ValueMatch};
use plenipo_resources::istio::{HttpMatch, StringMatch};

use super::virtual_service::GatewayName;
use crate::findings::Flaw;
use crate::options::Options;

/// Through which servers a match holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Only {
    /// Instead of those of the VirtualService.
    pub(super) gateways: Option<Vec<GatewayName>>,
    /// The port of the server.
    pub(super) port: Option<i64>,
    /// Our pods are not among the sources it is for.
    pub(super) never: bool,
}

/// A match, read.
#[derive(Debug)]
pub(super) struct Matching {
    pub(super) only: Only,
    pub(super) matches: RouteMatch,
    /// What could not be read. It is left out of `matches`, so that these take more than was asked for.
    pub(super) flaws: Vec<Flaw>,
}

/// All requests.
pub(super) fn everything() -> RouteMatch {
    RouteMatch::new(PathMatch::Prefix("/".to_owned()))
}

/// Does it take every request, so that nothing after it is ever reached?
pub(super) fn is_catch_all(matches: &RouteMatch) -> bool {
    let path = match &matches.path {
        PathMatch::Prefix(text) | PathMatch::PrefixIgnoreCase(text) | PathMatch::Segments(text) => {
            text == "/"
        }
        PathMatch::Regex(pattern) => pattern.as_str() == ".*",
        PathMatch::Exact(_) | PathMatch::ExactIgnoreCase(_) => false,
    };
    path && RouteMatch { path: everything().path, ..matches.clone() } == everything()
}

/// Reads a match that stands at `field` in an object of `namespace`.
pub(super) fn read(written: &HttpMatch, field: &str, namespace: &str, options: &Options) -> Matching {
    let mut reading = Reading { field, flaws: Vec::new() };
    let path = reading.path(written);
    let mut matches = RouteMatch::new(path.unwrap_or_else(|| everything().path));
    matches.method = reading.value("method", written.method.as_ref());
    matches.scheme = reading.value("scheme", written.scheme.as_ref());
    matches.authority = reading.value("authority", written.authority.as_ref());
    reading.headers(written, &mut matches);
    for (name, value) in &written.query_params {
        if let Some(value) = reading.value(&format!("queryParams.{name}"), Some(value)) {
            matches.query.push(QueryMatch { name: name.clone(), value });
        }
    }
    Matching { only: only(written, namespace, options), matches, flaws: reading.flaws }
}

fn only(written: &HttpMatch, namespace: &str, options: &Options) -> Only {
    let names = written.gateways.iter().filter_map(|text| GatewayName::parse(text, namespace));
    let ours = &options.istio;
    let labels = written.source_labels.iter().all(|(key, value)| ours.labels.get(key) == Some(value));
    let source = written.source_namespace.as_deref().filter(|name| !name.is_empty());
    Only {
        gateways: (!written.gateways.is_empty()).then(|| names.collect()),
        port: written.port.filter(|port| *port != 0),
        never: !labels || source.is_some_and(|namespace| namespace != ours.namespace),
    }
}

struct Reading<'r> {
    field: &'r str,
    flaws: Vec<Flaw>,
}

impl Reading<'_> {
    fn flaw(&mut self, code: &'static str, field: &str, message: String, fix: &'static str) {
        self.flaws.push(Flaw::new(code, format!("{}.{field}", self.field), message, fix));
    }

    fn path(&mut self, written: &HttpMatch) -> Option<PathMatch> {
        let uri = written.uri.as_ref()?;
        let any_case = written.ignore_uri_case == Some(true);
        match (&uri.exact, &uri.prefix, &uri.regex) {
            (Some(text), ..) if any_case => Some(PathMatch::ExactIgnoreCase(text.clone())),
            (Some(text), ..) => Some(PathMatch::Exact(text.clone())),
            (_, Some(text), _) if text.is_empty() => {
                let message = "an empty prefix is no prefix of a path".to_owned();
                self.flaw("bad-prefix", "uri.prefix", message, "write '/'");
                None
            }
            (_, Some(text), _) if any_case => Some(PathMatch::PrefixIgnoreCase(text.clone())),
            (_, Some(text), _) => Some(PathMatch::Prefix(text.clone())),
            (.., Some(text)) => self.pattern("uri.regex", text).map(PathMatch::Regex),
            (None, None, None) => None,
        }
    }

    fn pattern(&mut self, field: &str, text: &str) -> Option<Pattern> {
        let error = match Pattern::new(text) {
            Ok(_) if text.is_empty() => "an empty expression matches nothing".to_owned(),
            Ok(pattern) => return Some(pattern),
            Err(error) => error.to_string(),
        };
        self.flaw("bad-regex", field, error, "write an expression as RE2 has them");
        None
    }

    /// None without a condition, or with one that cannot be read.
    fn value(&mut self, field: &str, written: Option<&StringMatch>) -> Option<ValueMatch> {
        let written = written?;
        match (&written.exact, &written.prefix, &written.regex) {
            (Some(text), ..) => Some(ValueMatch::Exact(text.clone())),
            (_, Some(text), _) => Some(ValueMatch::Prefix(text.clone())),
            // What people write who mean anything (and what Istio understands).
            (.., Some(text)) if text == "*" => Some(ValueMatch::Present),
            (.., Some(text)) => self.pattern(&format!("{field}.regex"), text).map(ValueMatch::Regex),
            (None, None, None) => Some(ValueMatch::Present),
        }
    }

    fn headers(&mut self, written: &HttpMatch, matches: &mut RouteMatch) {
        let asked = written.headers.iter().map(|entry| ("headers", entry, false));
        let without = written.without_headers.iter().map(|entry| ("withoutHeaders", entry, true));
        for (list, (name, value), invert) in asked.chain(without) {
            let field = format!("{list}.{name}");
            if let Some(path) = claim(name) {
                let Some(path) = path.filter(|path| !path.is_empty()) else {
                    let message = format!("'{name}' names no claim");
                    self.flaw("bad-claim", &field, message, "write @request.auth.claims.name");
                    continue;
                };
                if let Some(value) = self.value(&field, Some(value)) {
                    matches.claims.push(ClaimMatch { path, value, invert });
                }
                continue;
            }
            // Istio leaves these out: they have fields of their own.
            if ["uri", "scheme", "method", "authority"].contains(&name.as_str()) {
                continue;
            }
            let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
                let message = format!("'{name}' is not the name of a header");
                self.flaw("bad-header", &field, message, "write a name like x-user");
                continue;
            };
            let Some(value) = self.value(&field, Some(value)) else { continue };
            let missing_is_empty = invert && value != ValueMatch::Present;
            matches.headers.push(HeaderMatch { name: header, value, invert, missing_is_empty });
        }
    }
}

/// `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`: the names in it; of something else nothing.
#[allow(clippy::option_option, reason = "no claim, one that is written wrongly, and a claim")]
fn claim(name: &str) -> Option<Option<Vec<String>>> {
    let rest = name.strip_prefix("@request.auth.claims")?;
    if let Some(dotted) = rest.strip_prefix('.') {
        let parts: Vec<String> = dotted.split('.').map(str::to_owned).collect();
        return Some(parts.iter().all(|part| !part.is_empty()).then_some(parts));
    }
    let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    Some(inner.map(|inner| inner.split("][").map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_have_two_spellings() {
        assert_eq!(claim("x-user"), None);
        assert_eq!(claim("@request.auth.claims.a.b"), Some(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(
            claim("@request.auth.claims[https://a.b/c][d]"),
            Some(Some(vec!["https://a.b/c".to_owned(), "d".to_owned()]))
        );
        assert_eq!(claim("@request.auth.claims"), Some(None));
        assert_eq!(claim("@request.auth.claims.a."), Some(None));
    }
}

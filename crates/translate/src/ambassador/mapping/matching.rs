//! Which requests a Mapping takes.

use std::collections::HashMap;

use http::HeaderName;
use plenipo_model::{HeaderMatch, HostPattern, PathMatch, Pattern, QueryMatch, ValueMatch};
use plenipo_resources::ambassador::Mapping;

use super::super::ours::Of;
use crate::findings::{Findings, Flaw};

/// What a request must be like.
#[derive(Debug)]
pub(crate) struct Matching {
    pub(crate) path: PathMatch,
    /// None: no host was written, and only Hosts that select the Mapping by label take it.
    pub(crate) host: Option<HostRule>,
    pub(crate) method: Option<ValueMatch>,
    pub(crate) headers: Vec<HeaderMatch>,
    pub(crate) query: Vec<QueryMatch>,
}

/// The host a Mapping is for.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct HostRule {
    /// As written.
    pub(crate) text: String,
    kind: HostKind,
}

#[derive(Clone, PartialEq, Debug)]
enum HostKind {
    Glob(HostPattern),
    Regex(Pattern),
}

impl HostRule {
    pub(crate) fn is_regex(&self) -> bool {
        matches!(self.kind, HostKind::Regex(_))
    }

    /// The pattern, unless it is a regex (which is for every Host).
    pub(crate) fn glob(&self) -> Option<&HostPattern> {
        match &self.kind {
            HostKind::Glob(pattern) => Some(pattern),
            HostKind::Regex(_) => None,
        }
    }

    /// Can one host satisfy both this and `pattern`?
    pub(crate) fn overlaps(&self, pattern: &HostPattern) -> bool {
        self.glob().is_none_or(|glob| glob.overlaps(pattern))
    }
}

/// What is left to check of a Mapping's host in the virtual host of `host`: nothing, when whatever that one accepts is
/// accepted by the Mapping too.
pub(crate) fn unless_implied(rule: Option<&HostRule>, host: &HostPattern) -> Option<ValueMatch> {
    use HostPattern::{Any, Exact, Prefix, Suffix};
    match &rule?.kind {
        HostKind::Regex(pattern) => Some(ValueMatch::Regex(pattern.clone())),
        HostKind::Glob(wanted) => {
            let implied = match (wanted, host) {
                (Any, _) => true,
                (wanted, Exact(name)) => wanted.matches(name),
                (Suffix(wanted), Suffix(given)) => given.ends_with(wanted.as_str()),
                (Prefix(wanted), Prefix(given)) => given.starts_with(wanted.as_str()),
                _ => false,
            };
            (!implied).then(|| ValueMatch::Host(wanted.clone()))
        }
    }
}

/// Expressions compiled once per text, for as long as somebody uses them.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    known: HashMap<String, Known>,
    /// Texts asked for since they were taken last.
    asked: Vec<String>,
}

#[derive(Debug)]
struct Known {
    compiled: Result<Pattern, String>,
    users: usize,
}

impl Patterns {
    /// Compiles `text`, or remembers that it was.
    ///
    /// # Errors
    /// When it is no expression, or too large.
    pub(crate) fn compile(&mut self, text: &str, field: &str) -> Result<Pattern, Flaw> {
        if !self.known.contains_key(text) {
            let compiled = Pattern::new(text).map_err(|error| error.to_string().replace(": error:", ":"));
            self.known.insert(text.to_owned(), Known { compiled, users: 0 });
        }
        let known = self.known.get_mut(text).expect("it was put there if it was not");
        known.users += 1;
        self.asked.push(text.to_owned());
        let compiled = known.compiled.clone();
        compiled
            .map_err(|message| Flaw::new("bad-regex", field, message, "use RE2 syntax, without look-around"))
    }

    /// The texts asked for since the last time, each as often as it was asked for: they are kept until they are
    /// [released](Self::release).
    pub(crate) fn take_asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    /// Nobody uses these any more who once asked for them.
    pub(crate) fn release(&mut self, texts: &[String]) {
        for text in texts {
            let Some(known) = self.known.get_mut(text) else { continue };
            known.users -= 1;
            if known.users == 0 {
                self.known.remove(text);
            }
        }
    }
}

impl Matching {
    pub(crate) fn read(
        mapping: Of<'_, Mapping>,
        patterns: &mut Patterns,
        findings: &mut Findings,
    ) -> Result<Self, Flaw> {
        let spec = mapping.spec;
        let mut named = Named::default();
        for (name, value) in &spec.headers {
            named.add(name, value, false, "spec.headers", patterns)?;
        }
        for (name, value) in &spec.regex_headers {
            named.add(name, value, true, "spec.regex_headers", patterns)?;
        }
        if let Some(method) = spec.method.as_deref().filter(|method| !method.is_empty()) {
            named.method = Some(method_match(method, spec.method_regex == Some(true), patterns)?);
        }
        Ok(Self {
            path: path(mapping, patterns, findings)?,
            host: host(mapping, named.authority, patterns, findings)?,
            method: named.method,
            headers: named.headers,
            query: query(spec, patterns)?,
        })
    }
}

/// Headers, with the pseudo headers among them told apart.
#[derive(Default)]
struct Named {
    headers: Vec<HeaderMatch>,
    authority: Option<(String, bool)>,
    method: Option<ValueMatch>,
}

impl Named {
    fn add(
        &mut self,
        name: &str,
        value: &str,
        regex: bool,
        field: &str,
        patterns: &mut Patterns,
    ) -> Result<(), Flaw> {
        let field = format!("{field}.{name}");
        match name.to_ascii_lowercase().as_str() {
            ":authority" | "host" => self.authority = Some((value.to_owned(), regex)),
            ":method" => self.method = Some(method_match(value, regex, patterns)?),
            lower => {
                let name = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| {
                    let message = format!("{name:?} is not a header name");
                    Flaw::new("bad-header-name", &field, message, "use letters, digits and dashes")
                })?;
                let value = value_match(value, regex, &field, patterns)?;
                self.headers.push(HeaderMatch::new(name, value));
            }
        }
        Ok(())
    }
}

fn value_match(value: &str, regex: bool, field: &str, patterns: &mut Patterns) -> Result<ValueMatch, Flaw> {
    Ok(if regex {
        ValueMatch::Regex(patterns.compile(value, field)?)
    } else {
        ValueMatch::Exact(value.to_owned())
    })
}

fn method_match(method: &str, regex: bool, patterns: &mut Patterns) -> Result<ValueMatch, Flaw> {
    if regex {
        return value_match(method, true, "spec.method", patterns);
    }
    ValueMatch::method(method).map_err(|_| {
        Flaw::new("bad-method", "spec.method", format!("{method:?} is not a method"), "write GET, POST, …")
    })
}

fn query(spec: &Mapping, patterns: &mut Patterns) -> Result<Vec<QueryMatch>, Flaw> {
    let mut query = Vec::new();
    for (name, value) in &spec.query_parameters {
        query.push(QueryMatch { name: name.clone(), value: ValueMatch::Exact(value.clone()) });
    }
    for (name, value) in &spec.regex_query_parameters {
        let value = value_match(value, true, &format!("spec.regex_query_parameters.{name}"), patterns)?;
        query.push(QueryMatch { name: name.clone(), value });
    }
    Ok(query)
}

/// Regex goes before exact when both are asked for.
fn path(
    mapping: Of<'_, Mapping>,
    patterns: &mut Patterns,
    findings: &mut Findings,
) -> Result<PathMatch, Flaw> {
    let spec = mapping.spec;
    let prefix = spec.prefix.as_deref().unwrap_or_default();
    if prefix.is_empty() {
        let message = "a Mapping needs a prefix";
        return Err(Flaw::new(
            "missing-prefix",
            "spec.prefix",
            message,
            "write the beginning of the paths it takes",
        ));
    }
    if spec.prefix_regex == Some(true) {
        return Ok(PathMatch::Regex(patterns.compile(prefix, "spec.prefix")?));
    }
    if !prefix.starts_with('/') {
        let message = format!("no path begins with '{prefix}', so that the Mapping takes nothing");
        findings.warn(
            mapping.object,
            "prefix-without-slash",
            "spec.prefix",
            message,
            "begin it with a slash",
        );
    }
    let text = prefix.to_owned();
    Ok(match (spec.prefix_exact == Some(true), spec.case_sensitive != Some(false)) {
        (true, true) => PathMatch::Exact(text),
        (true, false) => PathMatch::ExactIgnoreCase(text),
        (false, true) => PathMatch::Prefix(text),
        (false, false) => PathMatch::PrefixIgnoreCase(text),
    })
}

/// `hostname` goes before `host`, which goes before `headers: {":authority": …}`.
fn host(
    mapping: Of<'_, Mapping>,
    authority: Option<(String, bool)>,
    patterns: &mut Patterns,
    findings: &mut Findings,
) -> Result<Option<HostRule>, Flaw> {
    let spec = mapping.spec;
    let written = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let found = match (written(&spec.hostname), written(&spec.host)) {
        (Some(hostname), other) => {
            if other.is_some_and(|other| other != hostname) {
                let message = "hostname is there too, which is the one that is used".to_owned();
                findings.warn(
                    mapping.object,
                    "both-hosts",
                    "spec.host",
                    message,
                    "remove it, it is deprecated",
                );
            }
            Some(("spec.hostname", hostname, false, true))
        }
        (None, Some(host)) => Some(("spec.host", host, spec.host_regex == Some(true), false)),
        (None, None) => authority.map(|(host, regex)| ("spec.headers.:authority", host, regex, false)),
    };
    let Some((field, text, regex, glob)) = found else { return Ok(None) };
    if regex {
        let kind = HostKind::Regex(patterns.compile(&text, field)?);
        return Ok(Some(HostRule { text, kind }));
    }
    if !glob && text.contains('*') && text != "*" {
        let message = format!("'{text}' is an exact host here, no host has a star");
        return Err(Flaw::new("bad-hostname", field, message, "write it as 'hostname'"));
    }
    let pattern = HostPattern::parse(&text).map_err(|error| {
        Flaw::new("bad-hostname", field, error.to_string(), "write a name, or a star at its beginning or end")
    })?;
    Ok(Some(HostRule { text: text.to_ascii_lowercase(), kind: HostKind::Glob(pattern) }))
}

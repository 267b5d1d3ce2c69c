//! Conditions of rules as matches of routes.

use std::net::IpAddr;

use ipnet::IpNet;
use plenipo_model::{HeaderMatch, PathMatch, Pattern, RouteMatch, ValueMatch};

use crate::stack::{Condition, Values};

/// A request that every rule takes.
pub(super) fn anything() -> RouteMatch {
    // Every target begins so, `*` (OPTIONS) too.
    RouteMatch::new(PathMatch::Prefix(String::new()))
}

/// The requests that meet all conditions.
///
/// # Errors
/// What is wrong with a condition. A rule is never made wider than it is written.
pub(super) fn matches(conditions: &[Condition]) -> Result<RouteMatch, String> {
    let mut found = anything();
    let mut seen = [false; 4];
    let mut once = |index: usize, what: &str| match std::mem::replace(&mut seen[index], true) {
        true => Err(format!("a rule has one condition on the {what} at most")),
        false => Ok(()),
    };
    for condition in conditions {
        match condition {
            Condition::Host(values) => {
                once(0, "host")?;
                found.host = Some(ValueMatch::Regex(pattern(values, Case::Lower)?));
            }
            Condition::Path(values) => {
                once(1, "path")?;
                found.path = path(values)?;
            }
            Condition::Header { name, values } => found.headers.push(HeaderMatch::new(
                name.parse().map_err(|_| format!("{name:?} is no header name"))?,
                ValueMatch::Regex(pattern(values, Case::Any)?),
            )),
            Condition::Method(methods) => {
                once(2, "method")?;
                found.method = Some(method(methods)?);
            }
            Condition::Query(parameters) => found.parameters.push(query(parameters)?),
            Condition::SourceIp(networks) => {
                once(3, "source address")?;
                found.peers = networks.iter().map(|text| network(text)).collect::<Result<_, _>>()?;
                if found.peers.is_empty() {
                    return Err("a condition has no values".to_owned());
                }
            }
        }
    }
    Ok(found)
}

/// How letters compare.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// As they are.
    Exact,
    /// In any case.
    Any,
    /// What is compared is in lower case already.
    Lower,
}

fn pattern(values: &Values, case: Case) -> Result<Pattern, String> {
    let alternatives: Vec<String> = match values {
        Values::Wildcards(texts) if case == Case::Lower => {
            texts.iter().map(|text| wildcards(&text.to_ascii_lowercase())).collect()
        }
        Values::Wildcards(texts) => texts.iter().map(|text| wildcards(text)).collect(),
        // Anywhere in the value, unless they say otherwise.
        Values::Regexes(texts) => texts.iter().map(|text| format!(".*(?:{text}).*")).collect(),
    };
    let any_case = case == Case::Any || (case == Case::Lower && matches!(values, Values::Regexes(_)));
    compiled(&alternatives, any_case)
}

fn compiled(alternatives: &[String], any_case: bool) -> Result<Pattern, String> {
    if alternatives.is_empty() {
        return Err("a condition has no values".to_owned());
    }
    let flags = if any_case { "(?is)" } else { "(?s)" };
    Pattern::new(&format!("{flags}{}", alternatives.join("|"))).map_err(|error| error.to_string())
}

/// `*` stands for any characters, `?` for one.
fn wildcards(text: &str) -> String {
    let mut result = String::new();
    for character in text.chars() {
        match character {
            '*' => result.push_str(".*"),
            '?' => result.push('.'),
            other => result.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    result
}

/// A single path is looked up in the tree of paths where that can be.
fn path(values: &Values) -> Result<PathMatch, String> {
    if let Values::Wildcards(texts) = values
        && let [only] = texts.as_slice()
    {
        let (start, star) = only.strip_suffix('*').map_or((only.as_str(), false), |start| (start, true));
        if !start.contains(['*', '?']) {
            return Ok(if star {
                PathMatch::Prefix(start.to_owned())
            } else {
                PathMatch::Exact(start.to_owned())
            });
        }
    }
    pattern(values, Case::Exact).map(PathMatch::Regex)
}

fn method(methods: &[String]) -> Result<ValueMatch, String> {
    match methods {
        [only] => ValueMatch::method(only).map_err(|_| format!("{only:?} is no method")),
        several => {
            let texts: Vec<String> = several.iter().map(|method| regex::escape(method)).collect();
            compiled(&texts, false).map(ValueMatch::Regex)
        }
    }
}

/// Over `key=value`. A backslash takes its meaning from a following `*`, `?` or backslash.
fn query(parameters: &[(Option<String>, String)]) -> Result<Pattern, String> {
    let alternatives: Vec<String> = parameters
        .iter()
        .map(|(key, value)| {
            let key = key.as_deref().map_or_else(|| "[^=]*".to_owned(), |key| escaped(key, "[^=]*", "[^=]"));
            format!("{key}={}", escaped(value, ".*", "."))
        })
        .collect();
    compiled(&alternatives, true)
}

fn escaped(text: &str, any: &str, one: &str) -> String {
    let mut result = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let literal = match character {
            '*' => {
                result.push_str(any);
                continue;
            }
            '?' => {
                result.push_str(one);
                continue;
            }
            '\\' => characters.next_if(|next| matches!(next, '*' | '?' | '\\')).unwrap_or('\\'),
            other => other,
        };
        result.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
    }
    result
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| format!("{text:?} is no network"))
}

#[cfg(test)]
mod tests;

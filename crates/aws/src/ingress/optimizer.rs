//! Rules that are left out: redirects that would never end, and rules behind a redirect that takes all their requests.
//!
//! That is what makes one action `ssl-redirect`, written for a plain and an encrypted listener, work on both.

use std::collections::BTreeSet;

use crate::stack::{Action, Condition, ListenerProtocol, Redirect, Rule, Values};

/// The rules of one listener that are worth having.
pub(super) fn optimized(port: u16, protocol: ListenerProtocol, rules: Vec<Rule>) -> Vec<Rule> {
    let mut kept: Vec<Rule> = Vec::with_capacity(rules.len());
    for rule in rules {
        let shadowed = |earlier: &Rule| {
            redirect(&earlier.actions).is_some() && takes_all(&earlier.conditions, &rule.conditions)
        };
        if !is_endless(port, protocol, &rule) && !kept.iter().any(shadowed) {
            kept.push(rule);
        }
    }
    kept
}

/// The first redirect among the actions.
pub(super) fn redirect(actions: &[Action]) -> Option<&Redirect> {
    actions.iter().find_map(|action| match action {
        Action::Redirect(redirect) => Some(redirect),
        _ => None,
    })
}

/// Would a redirected request be redirected again, for ever?
pub(super) fn is_endless(port: u16, protocol: ListenerProtocol, rule: &Rule) -> bool {
    let Some(redirect) = redirect(&rule.actions) else { return false };
    let matched = Matched::of(&rule.conditions);
    if !matched.host_regexes.is_empty() || !matched.path_regexes.is_empty() {
        return false;
    }
    let port = port.to_string();
    let same = |part: &Option<String>, placeholder: &str, here: &dyn Fn(&str) -> bool| {
        part.as_deref().is_none_or(|part| part == placeholder || here(part))
    };
    same(&redirect.host, "#{host}", &|host| matched.hosts.contains(host))
        && same(&redirect.path, "/#{path}", &|path| matched.paths.contains(path))
        && same(&redirect.port, "#{port}", &|there| there == port)
        && same(&redirect.protocol, "#{protocol}", &|there| there == protocol.as_str())
        && same(&redirect.query, "#{query}", &|_| false)
}

/// Does every request that meets `rhs` meet `lhs`? Only hosts and paths are compared, as they are written.
pub(super) fn takes_all(lhs: &[Condition], rhs: &[Condition]) -> bool {
    let plain = |condition: &Condition| matches!(condition, Condition::Host(_) | Condition::Path(_));
    if !lhs.iter().all(plain) {
        return false;
    }
    let (lhs, rhs) = (Matched::of(lhs), Matched::of(rhs));
    let covers = |all: &BTreeSet<&str>, some: &BTreeSet<&str>| !some.is_empty() && all.is_superset(some);
    let hosts =
        !lhs.has_host || covers(&lhs.hosts, &rhs.hosts) || covers(&lhs.host_regexes, &rhs.host_regexes);
    let paths = !lhs.has_path
        || lhs.paths.contains("/*")
        || covers(&lhs.paths, &rhs.paths)
        || covers(&lhs.path_regexes, &rhs.path_regexes);
    hosts && paths
}

/// The hosts and paths of a rule's conditions.
#[derive(Default)]
struct Matched<'a> {
    has_host: bool,
    has_path: bool,
    hosts: BTreeSet<&'a str>,
    host_regexes: BTreeSet<&'a str>,
    paths: BTreeSet<&'a str>,
    path_regexes: BTreeSet<&'a str>,
}

impl<'a> Matched<'a> {
    fn of(conditions: &'a [Condition]) -> Self {
        let mut matched = Self::default();
        for condition in conditions {
            match condition {
                Condition::Host(Values::Wildcards(hosts)) => {
                    matched.hosts.extend(hosts.iter().map(String::as_str));
                }
                Condition::Host(Values::Regexes(hosts)) => {
                    matched.host_regexes.extend(hosts.iter().map(String::as_str));
                }
                Condition::Path(Values::Wildcards(paths)) => {
                    matched.paths.extend(paths.iter().map(String::as_str));
                }
                Condition::Path(Values::Regexes(paths)) => {
                    matched.path_regexes.extend(paths.iter().map(String::as_str));
                }
                _ => {}
            }
        }
        matched.has_host = !matched.hosts.is_empty() || !matched.host_regexes.is_empty();
        matched.has_path = !matched.paths.is_empty() || !matched.path_regexes.is_empty();
        matched
    }
}

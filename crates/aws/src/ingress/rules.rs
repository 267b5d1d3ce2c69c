//! Rules: what a request must be like for a path of an Ingress, and in which order they are tried.

use plenipo_resources::networking::{IngressPath, IngressRule};

use super::agree::go_list;
use super::group::Member;
use crate::stack::{Condition, Values};

type Read<T> = Result<T, String>;

/// The paths of one host with their places: exact ones, then prefixes from the longest, then the others as they stand.
/// (Nothing is sorted across hosts or Ingresses: what stands first is tried first.)
pub(super) fn in_order(paths: &[IngressPath]) -> Read<Vec<(usize, &IngressPath)>> {
    let mut ranked = Vec::with_capacity(paths.len());
    for (at, path) in paths.iter().enumerate() {
        let text = path.path.as_deref().unwrap_or_default();
        let rank = match path.path_type.as_deref() {
            Some("Exact") => (0, 0),
            Some("Prefix") => (1, usize::MAX - text.len()),
            Some("ImplementationSpecific") | None => (2, 0),
            Some(_) => return Err(format!("unknown pathType for path {text}")),
        };
        ranked.push((rank, at, path));
    }
    ranked.sort_by_key(|(rank, at, _)| (*rank, *at));
    Ok(ranked.into_iter().map(|(_, at, path)| (at, path)).collect())
}

/// The patterns of a path.
pub(super) fn patterns(path: &str, path_type: Option<&str>, regex: bool) -> Read<Values> {
    let plain = |kind: &str| match path.contains(['*', '?']) {
        true => Err(format!("{kind} path shouldn't contain wildcards: {path}")),
        false => Ok(()),
    };
    Ok(match path_type.unwrap_or("ImplementationSpecific") {
        // An Ingress path must begin with a slash; the regular expression begins behind it.
        "ImplementationSpecific" if regex => {
            Values::Regexes(vec![path.strip_prefix('/').unwrap_or(path).to_owned()])
        }
        "ImplementationSpecific" => Values::Wildcards(vec![path.to_owned()]),
        "Exact" => {
            plain("exact")?;
            Values::Wildcards(vec![path.to_owned()])
        }
        "Prefix" if path == "/" => Values::Wildcards(vec!["/*".to_owned()]),
        "Prefix" => {
            plain("prefix")?;
            let path = path.strip_suffix('/').unwrap_or(path);
            Values::Wildcards(vec![path.to_owned(), format!("{path}/*")])
        }
        other => return Err(format!("unsupported pathType: {other}")),
    })
}

/// The conditions of one path: what annotations add, host, path. Hosts and paths of annotations join those of the Ingress.
pub(super) fn conditions(
    member: &Member<'_>,
    rule: &IngressRule,
    path: &IngressPath,
    added: &[Condition],
) -> Read<Vec<Condition>> {
    let mut hosts = Collected::default();
    let mut paths = Collected::default();
    let mut conditions = Vec::new();
    if let Some(host) = rule.host.as_ref().filter(|host| !host.is_empty()) {
        hosts.wildcards.push(host.clone());
    }
    if let Some(text) = path.path.as_ref().filter(|path| !path.is_empty()) {
        // A value that is no boolean is none, as in the controller.
        let regex = member.notes().flag("use-regex-path-match").ok().flatten().unwrap_or(false);
        paths.add(patterns(text, path.path_type.as_deref(), regex)?);
    }
    for condition in added {
        match condition {
            Condition::Host(values) => hosts.add(values.clone()),
            Condition::Path(values) => paths.add(values.clone()),
            other => conditions.push(other.clone()),
        }
    }
    conditions.extend(hosts.values("host")?.map(Condition::Host));
    conditions.extend(paths.values("path")?.map(Condition::Path));
    if conditions.is_empty() {
        conditions.push(Condition::Path(Values::Wildcards(vec!["/*".to_owned()])));
    }
    Ok(conditions)
}

/// Values of one field from several places.
#[derive(Default)]
struct Collected {
    wildcards: Vec<String>,
    regexes: Vec<String>,
}

impl Collected {
    fn add(&mut self, values: Values) {
        match values {
            Values::Wildcards(values) => self.wildcards.extend(values),
            Values::Regexes(values) => self.regexes.extend(values),
        }
    }

    fn values(self, field: &str) -> Read<Option<Values>> {
        match (self.wildcards.is_empty(), self.regexes.is_empty()) {
            (true, true) => Ok(None),
            (false, true) => Ok(Some(Values::Wildcards(self.wildcards))),
            (true, false) => Ok(Some(Values::Regexes(self.regexes))),
            (false, false) => Err(format!(
                "{field} condition must specify exactly one of Values and RegexValues, got both Values {} and \
                 RegexValues {}",
                go_list(self.wildcards),
                go_list(self.regexes)
            )),
        }
    }
}

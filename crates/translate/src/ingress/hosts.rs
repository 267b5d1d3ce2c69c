//! Which paths each host has, put together from all Ingresses, whatever the order they were read in.

use std::collections::BTreeMap;

use plenipo_model::HostPattern;
use plenipo_resources::networking::IngressBackend;

use super::Entry;
use super::path::Path;
use crate::findings::{Findings, Flaw};

/// A path of a host, and who has it.
#[derive(Debug)]
pub(super) struct Claim<'e, 'a> {
    pub(super) entry: &'e Entry<'a>,
    pub(super) path: Path,
    pub(super) backend: &'a IngressBackend,
    /// Where the backend is written.
    pub(super) field: String,
    /// An Ingress that takes part of the requests of this path.
    pub(super) canary: Option<Box<Self>>,
}

/// The paths of a host, in the order in which they are tried.
#[derive(Debug, Default)]
pub(super) struct HostPaths<'e, 'a> {
    pub(super) claims: Vec<Claim<'e, 'a>>,
    /// Who has a rule for it, oldest first.
    pub(super) entries: Vec<&'e Entry<'a>>,
    /// Who only listens to it to send elsewhere, to this host.
    pub(super) sends_to: Option<(&'e Entry<'a>, String)>,
}

pub(super) type Hosts<'e, 'a> = BTreeMap<HostPattern, HostPaths<'e, 'a>>;

/// All hosts of these Ingresses, oldest first.
pub(super) fn gather<'e, 'a>(entries: &'e [Entry<'a>], findings: &mut Findings) -> Hosts<'e, 'a> {
    let mut hosts: Hosts<'e, 'a> = BTreeMap::new();
    for entry in entries {
        rules(entry, &mut hosts, findings);
    }
    aliases(entries, &mut hosts, findings);
    for (host, paths) in &mut hosts {
        settle(host, paths, findings);
    }
    defaults(entries, &mut hosts);
    senders(entries, &mut hosts);
    hosts
}

fn rules<'e, 'a>(entry: &'e Entry<'a>, hosts: &mut Hosts<'e, 'a>, findings: &mut Findings) {
    for (place, rule) in entry.spec.rules.iter().enumerate() {
        let field = format!("spec.rules[{place}]");
        let host = match host(rule.host.as_deref().unwrap_or_default(), &field) {
            Ok(host) => host,
            Err(flaw) => {
                findings.flaw(entry.object, &flaw);
                continue;
            }
        };
        let paths = hosts.entry(host).or_default();
        if !paths.entries.iter().any(|known| std::ptr::eq(*known, entry)) {
            paths.entries.push(entry);
        }
        for (place, path) in rule.http.iter().flat_map(|http| &http.paths).enumerate() {
            let field = format!("{field}.http.paths[{place}]");
            match Path::read(path, entry.flavour, entry.policy.regex, &field) {
                Ok(read) => paths.claims.push(Claim {
                    entry,
                    path: read,
                    backend: &path.backend,
                    field: format!("{field}.backend"),
                    canary: None,
                }),
                Err(flaw) => findings.flaw(entry.object, &flaw),
            }
        }
    }
}

/// `rules[].host`: a name, or `*.` and a name, where the star is one label. Addresses and ports are not allowed.
fn host(text: &str, field: &str) -> Result<HostPattern, Flaw> {
    let field = format!("{field}.host");
    let bad = |message: String| {
        Flaw::new("bad-hostname", field.clone(), message, "write a name without a port, or *. and a name")
    };
    if text.is_empty() || text == "*" {
        return Ok(HostPattern::Any);
    }
    if text.contains(':') || text.parse::<std::net::IpAddr>().is_ok() {
        return Err(bad(format!("'{text}' is not a name: addresses and ports are not allowed")));
    }
    HostPattern::parse_one_label(text).map_err(|error| bad(error.to_string()))
}

/// `server-alias`: the same paths by further names, which Ingresses that have a rule for them keep.
fn aliases<'e, 'a>(entries: &'e [Entry<'a>], hosts: &mut Hosts<'e, 'a>, findings: &mut Findings) {
    let field = "metadata.annotations[nginx.ingress.kubernetes.io/server-alias]";
    let mut added: Hosts<'e, 'a> = BTreeMap::new();
    for entry in entries {
        for alias in &entry.policy.aliases {
            if let Some(taken) = hosts.get(alias) {
                let owner =
                    taken.entries.first().map_or_else(String::new, |entry| entry.object.id.to_string());
                let message = format!("{owner} has a rule for {alias}, which goes before an alias");
                findings.warn(
                    entry.object,
                    "duplicate-host",
                    field,
                    message,
                    "remove the alias, or the rule",
                );
                continue;
            }
            let paths = added.entry(alias.clone()).or_default();
            paths.entries.push(entry);
            let own =
                hosts.values().flat_map(|host| &host.claims).filter(|claim| std::ptr::eq(claim.entry, entry));
            paths.claims.extend(own.map(|claim| Claim {
                path: claim.path.clone(),
                field: claim.field.clone(),
                canary: None,
                ..*claim
            }));
        }
    }
    hosts.append(&mut added);
}

/// Puts the paths of a host in order. Of two for the same path the one of the older Ingress stays, and a canary stands
/// beside the one that it is for.
fn settle<'e, 'a>(host: &HostPattern, paths: &mut HostPaths<'e, 'a>, findings: &mut Findings) {
    // Stable: of equal paths, that of the older Ingress stays before the other.
    paths.claims.sort_by(|a, b| a.path.cmp(&b.path));
    let mut kept: Vec<Claim<'e, 'a>> = Vec::new();
    let mut canaries = Vec::new();
    for claim in std::mem::take(&mut paths.claims) {
        if claim.entry.policy.canary.is_some() {
            canaries.push(claim);
            continue;
        }
        match kept.last().filter(|winner| winner.path == claim.path) {
            None => kept.push(claim),
            Some(winner) => twice(host, &claim, winner, "duplicate-path", findings),
        }
    }
    for canary in canaries {
        let Some(main) = kept.iter_mut().find(|claim| claim.path == canary.path) else {
            let message = format!(
                "no other Ingress has the path {} of {host}: there is nothing that this could be a canary of",
                canary.path.text()
            );
            let fix = "create the Ingress that it is a canary of, or remove the annotation canary";
            findings.error(canary.entry.object, "canary-without-main", &canary.field, message, fix);
            continue;
        };
        match &main.canary {
            None => main.canary = Some(Box::new(canary)),
            Some(winner) => twice(host, &canary, winner, "duplicate-canary", findings),
        }
    }
    paths.claims = kept;
}

fn twice(
    host: &HostPattern,
    loser: &Claim<'_, '_>,
    winner: &Claim<'_, '_>,
    code: &'static str,
    findings: &mut Findings,
) {
    let path = winner.path.text();
    let message = if std::ptr::eq(loser.entry, winner.entry) {
        format!("{} has the path {path} of {host} already", winner.field.trim_end_matches(".backend"))
    } else {
        format!("{} has the path {path} of {host} already, and was there first", winner.entry.object.id)
    };
    let field = loser.field.trim_end_matches(".backend");
    findings.warn(loser.entry.object, code, field, message, "use one path once");
}

/// `spec.defaultBackend`: for what no path of the Ingress' hosts takes; and for hosts that nobody has a rule for, where an
/// Ingress without rules goes before one with rules.
fn defaults<'e, 'a>(entries: &'e [Entry<'a>], hosts: &mut Hosts<'e, 'a>) {
    let claim = |entry: &'e Entry<'a>| {
        let backend = entry.spec.default_backend.as_ref()?;
        let field = "spec.defaultBackend".to_owned();
        Some(Claim { entry, path: Path::all(), backend, field, canary: None })
    };
    let takes_all = |paths: &HostPaths<'_, '_>| paths.claims.iter().any(|claim| claim.path == Path::all());
    for paths in hosts.values_mut().filter(|paths| !takes_all(paths)) {
        paths.claims.extend(paths.entries.iter().find_map(|entry| claim(entry)));
    }
    let without_rules = entries.iter().filter(|entry| entry.spec.rules.is_empty());
    let with_rules = entries.iter().filter(|entry| !entry.spec.rules.is_empty());
    if let Some(last) = without_rules.chain(with_rules).find_map(claim)
        && hosts.get(&HostPattern::Any).is_none_or(|paths| !takes_all(paths))
    {
        let paths = hosts.entry(HostPattern::Any).or_default();
        if !paths.entries.iter().any(|known| std::ptr::eq(*known, last.entry)) {
            paths.entries.push(last.entry);
        }
        paths.claims.push(last);
    }
}

/// `from-to-www-redirect`: `www.a.example` sends to `a.example`, or the other way round, where nobody has a rule for it.
fn senders<'e, 'a>(entries: &'e [Entry<'a>], hosts: &mut Hosts<'e, 'a>) {
    for entry in entries.iter().filter(|entry| entry.policy.www) {
        for rule in &entry.spec.rules {
            let Some(name) = rule.host.as_deref().filter(|name| !name.is_empty() && !name.starts_with('*'))
            else {
                continue;
            };
            let name = name.to_ascii_lowercase();
            let other = name.strip_prefix("www.").map_or_else(|| format!("www.{name}"), str::to_owned);
            hosts.entry(HostPattern::Exact(other)).or_insert_with(|| HostPaths {
                claims: Vec::new(),
                entries: vec![entry],
                sends_to: Some((entry, name)),
            });
        }
    }
}

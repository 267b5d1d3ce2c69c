//! Mappings that take the same requests share them: canaries, shadows and redirects become one route.

mod route;
mod weights;

use std::collections::HashMap;

use super::hosts::Taken;
use super::mapping::{Rank, Requests, Rule, Work};
use crate::findings::{Findings, Flaw};

pub(crate) use route::{Routes, own_route};
pub(crate) use weights::shares;

/// Mappings that take the same requests, on the same Hosts.
#[derive(Debug)]
pub(crate) struct Group<'r, 'a> {
    /// At least one, in load order; all forward, or there is one and it redirects.
    pub(crate) members: Vec<&'r Rule<'a>>,
    pub(crate) shadow: Option<&'r Rule<'a>>,
    pub(crate) hosts: &'r Taken,
    pub(crate) rank: &'r Rank<'a>,
}

/// What makes two Mappings share their requests.
#[derive(PartialEq, Eq, Hash)]
struct Identity<'r> {
    requests: Requests<'r>,
    /// Hosts that select them by label: Mappings for different ones have nothing to do with each other.
    hosts: &'r [usize],
}

/// Groups the rules, which come in load order with their Hosts. What cannot be in its group is refused.
/// The groups come in the order in which they are tried.
pub(crate) fn group<'r, 'a>(rules: &'r [(Rule<'a>, Taken)], findings: &mut Findings) -> Vec<Group<'r, 'a>> {
    let mut places: HashMap<Identity<'r>, usize> = HashMap::with_capacity(rules.len());
    let mut gathered: Vec<(Vec<&'r Rule<'a>>, &'r Taken)> = Vec::with_capacity(rules.len());
    for (rule, hosts) in rules {
        let identity = Identity { requests: rule.rank.requests(), hosts: &hosts.by_label };
        let place = *places.entry(identity).or_insert(gathered.len());
        match gathered.get_mut(place) {
            Some((members, _)) => members.push(rule),
            None => gathered.push((vec![rule], hosts)),
        }
    }
    let mut groups: Vec<Group<'r, 'a>> =
        gathered.into_iter().filter_map(|(rules, hosts)| Group::of(&rules, hosts, findings)).collect();
    // Greater ranks first; of two equal ones the one that was loaded later (the stable sort keeps load order, and then
    // everything is turned round, as Emissary does).
    groups.sort_by(|a, b| a.rank.cmp(b.rank));
    groups.reverse();
    groups
}

impl<'r, 'a> Group<'r, 'a> {
    fn of(rules: &[&'r Rule<'a>], hosts: &'r Taken, findings: &mut Findings) -> Option<Self> {
        let mut members: Vec<&'r Rule<'a>> = Vec::with_capacity(rules.len());
        let mut shadow: Option<&'r Rule<'a>> = None;
        for rule in rules {
            let conflict = match (&rule.work, members.first(), shadow) {
                (Work::Shadow(..), _, Some(other)) => Some(second_shadow(other)),
                (Work::Shadow(..), ..) | (_, None, _) => None,
                (_, Some(first), _) => conflict(first, rule),
            };
            match (conflict, &rule.work) {
                (Some(flaw), _) => findings.fatal(rule.mapping.object, &flaw),
                (None, Work::Shadow(..)) => shadow = Some(rule),
                (None, _) => members.push(rule),
            }
        }
        if let (true, Some(shadow)) = (members.is_empty(), shadow) {
            let message = "there is no Mapping for the same requests that this one could shadow";
            let flaw = Flaw::new("shadow-alone", "spec.shadow", message, "create it, or remove 'shadow'");
            findings.fatal(shadow.mapping.object, &flaw);
        }
        let rank = members.iter().map(|rule| &rule.rank).max()?;
        Some(Self { members, shadow, hosts, rank })
    }
}

fn second_shadow(first: &Rule<'_>) -> Flaw {
    let message = format!("{} shadows these requests already", first.mapping.object.id);
    Flaw::new("second-shadow", "spec.shadow", message, "keep one of the two")
}

/// Why `rule` cannot take the same requests as `first`.
fn conflict(first: &Rule<'_>, rule: &Rule<'_>) -> Option<Flaw> {
    let name = &first.mapping.object.id;
    let redirects = |rule: &Rule<'_>| matches!(rule.work, Work::Redirect(_));
    match (redirects(first), redirects(rule)) {
        (true, true) => {
            let message = format!("{name} redirects these requests already");
            return Some(Flaw::new("second-redirect", "spec.host_redirect", message, "keep one of the two"));
        }
        (true, false) | (false, true) => {
            let message = format!("{name} takes the same requests, and one of the two redirects them");
            return Some(Flaw::new(
                "redirect-and-forward",
                "spec.host_redirect",
                message,
                "keep one of the two",
            ));
        }
        (false, false) => {}
    }
    let (ours, theirs) = (first.mapping.spec, rule.mapping.spec);
    let flag = |value: Option<bool>| value.unwrap_or(false);
    // A member may leave out what the first one says, and has it then; it may not say something else.
    let differs = [
        ("prefix_regex", flag(theirs.prefix_regex) && !flag(ours.prefix_regex)),
        ("prefix_exact", flag(theirs.prefix_exact) && !flag(ours.prefix_exact)),
        ("regex_headers", theirs.regex_headers != ours.regex_headers),
        ("headers", theirs.headers != ours.headers),
        ("regex_query_parameters", theirs.regex_query_parameters != ours.regex_query_parameters),
        ("method_regex", flag(theirs.method_regex) != flag(ours.method_regex)),
        ("bypass_auth", flag(theirs.bypass_auth) && !flag(ours.bypass_auth)),
        ("load_balancer", theirs.load_balancer.is_some() && theirs.load_balancer != ours.load_balancer),
    ];
    let (field, _) = differs.into_iter().find(|(_, differs)| *differs)?;
    let message = format!("{name} takes the same requests with another {field}, and was there first");
    Some(Flaw::new(
        "group-conflict",
        format!("spec.{field}"),
        message,
        "write the same in both, or change what they take",
    ))
}

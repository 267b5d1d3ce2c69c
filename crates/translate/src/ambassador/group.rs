//! Mappings that take the same requests share them: canaries, shadows and redirects become one route.

mod route;
mod table;
mod weights;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::hosts::Taken;
use super::mapping::{Reading, Requests, Rule, Work};
use crate::findings::{Findings, Flaw};

pub(crate) use route::{Routes, own_route};
pub(crate) use table::{Change, Groups, Ranked};
pub(crate) use weights::shares;

/// A Mapping that can be used, with the Hosts that take it: at least one.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) reading: Arc<Reading>,
    pub(crate) rule: Arc<Rule>,
    pub(crate) hosts: Taken,
}

/// Mappings that take the same requests, on the same Hosts.
#[derive(Debug)]
pub(crate) struct Group<'r> {
    /// At least one, in load order; all forward, or there is one and it redirects.
    pub(crate) members: Vec<&'r Arc<Rule>>,
    pub(crate) shadow: Option<&'r Arc<Rule>>,
}

/// What makes two Mappings share their requests: those, and the Hosts that select them by label. (Mappings for different
/// ones have nothing to do with each other.)
#[derive(Clone, Debug)]
struct Identity(Arc<Candidate>);

impl Identity {
    fn parts(&self) -> (Requests<'_>, &[usize]) {
        (self.0.rule.rank.requests(), &self.0.hosts.by_label)
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl<'r> Group<'r> {
    /// Of rules in load order. What cannot be in the group is refused; none when nothing is left.
    fn of(rules: impl Iterator<Item = &'r Arc<Rule>>, findings: &mut Findings) -> Option<Self> {
        let mut members: Vec<&'r Arc<Rule>> = Vec::new();
        let mut shadow: Option<&'r Arc<Rule>> = None;
        for rule in rules {
            let conflict = match (&rule.work, members.first(), shadow) {
                (Work::Shadow(..), _, Some(other)) => Some(second_shadow(other)),
                (Work::Shadow(..), ..) | (_, None, _) => None,
                (_, Some(first), _) => conflict(first, rule),
            };
            match (conflict, &rule.work) {
                (Some(flaw), _) => findings.fatal(&rule.object, &flaw),
                (None, Work::Shadow(..)) => shadow = Some(rule),
                (None, _) => members.push(rule),
            }
        }
        if let (true, Some(shadow)) = (members.is_empty(), shadow) {
            let message = "there is no Mapping for the same requests that this one could shadow";
            let flaw = Flaw::new("shadow-alone", "spec.shadow", message, "create it, or remove 'shadow'");
            findings.fatal(&shadow.object, &flaw);
        }
        (!members.is_empty()).then_some(Self { members, shadow })
    }
}

fn second_shadow(first: &Rule) -> Flaw {
    let message = format!("{} shadows these requests already", first.object.id);
    Flaw::new("second-shadow", "spec.shadow", message, "keep one of the two")
}

/// Why `rule` cannot take the same requests as `first`.
fn conflict(first: &Rule, rule: &Rule) -> Option<Flaw> {
    let name = &first.object.id;
    let redirects = |rule: &Rule| matches!(rule.work, Work::Redirect(_));
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
    let (ours, theirs) = (first.spec(), rule.spec());
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

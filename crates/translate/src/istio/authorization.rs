//! AuthorizationPolicy: who may do what.
//!
//! What cannot be read closes: a rule of an ALLOW that has it takes nobody, one of a DENY (or CUSTOM) takes whoever the rest of
//! it takes.

mod conditions;
mod provider;

use std::sync::Arc;

use plenipo_model::{AccessPolicy, AccessRule, AccessTest, Authorization, ExternalRule, Fact};
use plenipo_resources::istio::{AuthorizationPolicy, AuthorizationRule};
use plenipo_resources::{Object, View};

use super::security::{Meant, Pods};
use super::world::World;
use super::{source_of, unknown_fields, unknown_within};
use crate::findings::{Findings, Flaw};
use conditions::Tests;

/// A policy with this annotation is tried out: nobody is denied by it.
const DRY_RUN: &str = "istio.io/dry-run";

/// What the rules are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carried {
    Requests,
    /// Bytes: nothing is known but the connection.
    Bytes,
}

/// What a policy does with those it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Allow,
    Deny,
    Custom,
    Audit,
}

/// All policies for our pods together. Findings are told once, for requests.
pub(super) fn read(
    pods: &Pods<'_>,
    carried: Carried,
    world: &mut World<'_, '_>,
) -> Option<Arc<Authorization>> {
    let mut silent = Findings::default();
    let mut rules = Authorization::default();
    let mut any = false;
    for object in pods.set.of_kind("AuthorizationPolicy") {
        let View::AuthorizationPolicy(spec) = &object.view else { continue };
        let findings = if carried == Carried::Requests { &mut *world.findings } else { &mut silent };
        let targets = (spec.target_ref.as_ref(), spec.target_refs.as_slice());
        let meant = pods.meant(object, spec.selector.as_ref(), targets, findings);
        if meant == Meant::No {
            findings.ignore(object);
            continue;
        }
        findings.accept(object);
        unknown_fields(object, findings);
        let Some(action) = action(object, spec, findings) else {
            (any, rules.refuse) = (true, Some(format!("{} cannot be understood", object.id)));
            continue;
        };
        if is_tried_out(object, findings) || action == Action::Audit {
            continue;
        }
        any = true;
        if !is_understood(object, findings) {
            rules.refuse = Some(format!("{} cannot be understood", object.id));
            continue;
        }
        let policy = policy(object, spec, action, (pods, carried), findings);
        match action {
            Action::Allow => rules.allow.get_or_insert_default().push(policy),
            Action::Deny => rules.deny.push(policy),
            Action::Custom => match provider::service(object, spec, pods, carried, world) {
                Ok(service) => rules.external.push(ExternalRule { policies: vec![policy], service }),
                Err(why) => rules.refuse = Some(why),
            },
            Action::Audit => {}
        }
    }
    if pods.lost("AuthorizationPolicy") {
        (any, rules.refuse) = (true, Some("an AuthorizationPolicy cannot be read".to_owned()));
    }
    any.then(|| Arc::new(rules))
}

fn action(object: &Object, spec: &AuthorizationPolicy, findings: &mut Findings) -> Option<Action> {
    match spec.action.as_deref() {
        None | Some("" | "ALLOW") => Some(Action::Allow),
        Some("DENY") => Some(Action::Deny),
        Some("CUSTOM") => Some(Action::Custom),
        Some("AUDIT") => {
            let message = "AUDIT only marks requests for a log of Istio's: nothing is done".to_owned();
            findings.note(object, "not-supported", "spec.action", message, "use DENY or ALLOW to decide");
            Some(Action::Audit)
        }
        Some(other) => {
            let message = format!("'{other}' is no action: nobody is let in until it is one");
            findings.refuse(object, "bad-action", "spec.action", message, "write ALLOW, DENY or CUSTOM");
            None
        }
    }
}

/// Beside `rules` there is nothing that may be misspelled: it could be the action, or whom the policy is for.
fn is_understood(object: &Object, findings: &mut Findings) -> bool {
    let beside = object.unknown_fields.iter().find(|field| !field.starts_with("spec.rules["));
    if let Some(field) = beside {
        let message = "what it says may be what the policy is for: nobody is let in".to_owned();
        findings.refuse(object, "bad-policy", field, message, "check the spelling, or remove it");
    }
    beside.is_none()
}

/// Does it decide nothing?
pub(super) fn only_watches(object: &Object, spec: &AuthorizationPolicy) -> bool {
    spec.action.as_deref() == Some("AUDIT") || is_tried_out(object, &mut Findings::default())
}

fn is_tried_out(object: &Object, findings: &mut Findings) -> bool {
    let tried = object.meta.annotations.get(DRY_RUN).is_some_and(|value| value == "true");
    if tried {
        let message = "it is only tried out: nobody is denied by it".to_owned();
        let field = format!("metadata.annotations[{DRY_RUN}]");
        findings.note(object, "dry-run", &field, message, "take the annotation off to enforce it");
    }
    tried
}

fn policy(
    object: &Object,
    spec: &AuthorizationPolicy,
    action: Action,
    (pods, carried): (&Pods<'_>, Carried),
    findings: &mut Findings,
) -> AccessPolicy {
    let written = spec.rules.as_deref().unwrap_or_default();
    if written.is_empty() && action == Action::Deny {
        let message = "a DENY without rules denies nobody".to_owned();
        findings.warn(object, "no-rules", "spec.rules", message, "write `- {}` to deny everybody");
    }
    let rules = written.iter().enumerate().filter_map(|(place, written)| {
        let field = format!("spec.rules[{place}]");
        let mut reading = Reading { object, action, pods, carried, findings, unread: false };
        reading.rule(written, &field)
    });
    AccessPolicy { source: source_of(object), rules: rules.collect() }
}

/// A rule being read.
struct Reading<'r> {
    object: &'r Object,
    action: Action,
    pods: &'r Pods<'r>,
    carried: Carried,
    findings: &'r mut Findings,
    /// Something in it could not be read, or says nothing about connections.
    unread: bool,
}

impl Reading<'_> {
    /// None when it takes nobody.
    fn rule(&mut self, written: &AuthorizationRule, field: &str) -> Option<AccessRule> {
        if let Some(unknown) = unknown_within(self.object, field) {
            self.flaw(&Flaw::new(
                "bad-rule",
                unknown.clone(),
                "it is no field that is known here",
                "check the spelling, or remove it",
            ));
        }
        let mut groups = Vec::new();
        if let Some(list) = self.listed(written.from.as_deref(), &format!("{field}.from")) {
            let read = list.iter().enumerate().map(|(place, one)| {
                let field = format!("{field}.from[{place}].source");
                self.alternative(&field, one.source.as_ref(), Self::source)
            });
            groups.push(read.collect());
        }
        if let Some(list) = self.listed(written.to.as_deref(), &format!("{field}.to")) {
            let read = list.iter().enumerate().map(|(place, one)| {
                let field = format!("{field}.to[{place}].operation");
                self.alternative(&field, one.operation.as_ref(), Self::operation)
            });
            groups.push(read.collect());
        }
        if let Some(list) = self.listed(written.when.as_deref(), &format!("{field}.when")) {
            for (place, one) in list.iter().enumerate() {
                let field = format!("{field}.when[{place}]");
                groups.push(vec![self.alternative(&field, Some(one), Self::condition)]);
            }
        }
        (!self.unread || self.action != Action::Allow).then_some(AccessRule { groups })
    }

    /// An empty list is a mistake: it would take nobody, and reads as if it took everybody.
    fn listed<'w, T>(&mut self, written: Option<&'w [T]>, field: &str) -> Option<&'w [T]> {
        let list = written?;
        if list.is_empty() {
            self.flaw(&Flaw::new(
                "bad-rule",
                field,
                "the list is empty",
                "write what it is for, or leave it out",
            ));
            return None;
        }
        Some(list)
    }

    /// The tests of one alternative; what cannot be read is left out.
    fn alternative<T>(
        &mut self,
        field: &str,
        written: Option<&T>,
        read: impl Fn(&mut Self, &T, &str) -> Tests,
    ) -> Vec<AccessTest> {
        let tests = written.map(|written| read(self, written, field)).unwrap_or_default();
        if tests.said == 0 {
            self.flaw(&Flaw::new(
                "bad-rule",
                field,
                "it says nothing",
                "write what it is for, or leave it out",
            ));
        }
        let is_known = |test: &AccessTest| self.carried == Carried::Requests || test.fact.is_of_connection();
        let all = tests.tests.len();
        let known: Vec<AccessTest> = tests.tests.into_iter().filter(is_known).collect();
        self.unread |= known.len() < all;
        // Where nothing is left of it, a rule that denies takes everybody.
        if known.is_empty() { vec![Fact::Anything.into()] } else { known }
    }

    fn flaw(&mut self, flaw: &Flaw) {
        self.unread = true;
        let closes = match self.action {
            Action::Allow => "the rule takes nobody",
            _ => "the rule takes whoever the rest of it takes",
        };
        let message = format!("{}: {closes}", flaw.message);
        self.findings.error(self.object, flaw.code, &flaw.field, message, flaw.fix);
    }
}

#[cfg(test)]
mod tests;

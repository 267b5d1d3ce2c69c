//! Application load balancers: what the AWS Load Balancer Controller makes of Ingresses.
//!
//! Ingresses form groups; a group is one load balancer. The controller builds all of a group or nothing: one bad member,
//! and every other member keeps what it had, even when it is changed or deleted. [`build()`] does the same, with the same
//! texts. [`stacks`] leaves the bad member out, says so, and says whom the controller would have kept waiting.

mod agree;
mod auth;
mod backend;
mod build;
mod certificates;
mod class;
mod fault;
mod frontend;
mod group;
mod health;
mod load_balancer;
mod mutual;
mod optimizer;
mod ports;
mod rules;
mod security;
mod tags;
mod target_group;
mod written;

pub(crate) use backend::MISSING_SERVICE;

use plenipo_resources::core::IntOrString;
use plenipo_resources::{Code, ObjectId, Problem, Set, Severity};

use crate::{Account, Stack};
use build::Reading;
pub use certificates::DISCOVERED;
pub use fault::GroupError;
pub use group::{Group, GroupId, Member, Params, groups};

/// What the controller makes of a group: all of it, or nothing.
///
/// # Errors
/// When anything in the group is wrong, in the controller's words.
pub fn build(group: &Group<'_>, set: &Set, account: &Account) -> Result<Option<Stack>, GroupError> {
    build::stack(Reading { set, account, lenient: false }, group)
}

/// The load balancers of all Ingresses, by group: members that cannot be built are left out, and named among the
/// problems with what the controller would do.
#[must_use]
pub fn stacks(set: &Set, account: &Account) -> (Vec<Stack>, Vec<Problem>) {
    let reading = Reading { set, account, lenient: true };
    let (groups, mut problems) = groups(set, account);
    let mut stacks = Vec::new();
    for mut group in groups {
        // Every turn of the loop ends it or takes a member out.
        loop {
            match build::stack(reading, &group) {
                Ok(stack) => {
                    stacks.extend(stack);
                    break;
                }
                Err(error) => {
                    problems.push(problem(set, &group, &error));
                    if !take_out(&mut group, &error) {
                        break;
                    }
                }
            }
        }
    }
    (stacks, problems)
}

/// Takes out whoever an error is about; false when there is nobody, and the group fails as a whole.
fn take_out(group: &mut Group<'_>, error: &GroupError) -> bool {
    let before = group.members.len() + group.leaving.len();
    match (&error.member, &error.object) {
        (Some(wrong), _) => group.members.retain(|member| member.object.id != **wrong),
        (None, Some(leaving)) => group.leaving.retain(|object| object.id != **leaving),
        (None, None) => {}
    }
    group.members.len() + group.leaving.len() < before
}

fn problem(set: &Set, group: &Group<'_>, error: &GroupError) -> Problem {
    let others: Vec<&ObjectId> = group
        .members
        .iter()
        .map(|member| &member.object.id)
        .filter(|id| error.member.as_deref() != Some(*id))
        .collect();
    let kept_waiting = match others.as_slice() {
        [] => String::new(),
        others => format!(
            "; in AWS this stops every change of the whole group {}: {}",
            group.id,
            build::names(others)
        ),
    };
    let id = error.object.as_deref().cloned().or_else(|| Some(group.members.first()?.object.id.clone()));
    let origin = id.as_ref().and_then(|id| set.get(&id.kind, &id.namespace, &id.name));
    let about = error.member.as_deref().filter(|member| Some(*member) != id.as_ref());
    let about = about.map(|member| format!("{member}: ")).unwrap_or_default();
    Problem {
        severity: Severity::Error,
        code: Code(if error.member.is_some() { "ingress-not-built" } else { "ingress-group-not-built" }),
        origin: origin.map(|object| object.origin.clone()),
        object: id,
        field: error.field.clone(),
        message: format!("{about}{}{kept_waiting}", error.message),
        fix: fix(&error.message, others.is_empty()).to_owned(),
    }
}

/// What to do about what the controller says.
fn fix(message: &str, alone: bool) -> &'static str {
    let known = [
        ("conflicting", "let all Ingresses of the group say the same, or only one of them say it"),
        ("When using Instance targets", "give the Service type: NodePort, or the Ingress target-type: ip"),
        ("lb not dual-stack", "give the Ingress ip-address-type: dualstack, or the Service IPv4"),
        ("unable to find port", "name a port that the Service has"),
        ("deletion_protection is enabled", "switch deletion_protection.enabled off first, then delete it"),
    ];
    if let Some((_, fix)) = known.iter().find(|(part, _)| message.contains(part)) {
        return fix;
    }
    match alone {
        true => "correct it: until then no load balancer is made",
        false => "correct it; an Ingress that must not wait for others belongs in a group of its own",
    }
}

/// A port as it is written.
fn port_text(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests;

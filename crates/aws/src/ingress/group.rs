//! Which Ingresses belong together.

use std::collections::BTreeMap;
use std::fmt;

use plenipo_resources::elbv2::IngressClassParams;
use plenipo_resources::networking::Ingress;
use plenipo_resources::{Code, Object, Problem, Set, Severity, View};

use super::class::{Class, classify};
use super::fault::{GroupError, Result};
use crate::account::Account;
use crate::annotations::Annotations;

/// Orders that `group.order` may give.
const ORDERS: std::ops::RangeInclusive<i32> = -1000..=1000;

/// Longest name of a group.
const LONGEST_NAME: usize = 63;

/// What a group is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GroupId {
    /// One Ingress by itself.
    Implicit {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Any Ingresses of the cluster that name it.
    Explicit(String),
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Implicit { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Explicit(name) => f.write_str(name),
        }
    }
}

/// The parameters of an Ingress' class.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    /// The IngressClassParams.
    pub object: &'a Object,
    /// Its content.
    pub spec: &'a IngressClassParams,
}

/// One Ingress of a group.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The Ingress.
    pub object: &'a Object,
    /// Its content.
    pub ingress: &'a Ingress,
    /// The parameters of its class: they beat annotations.
    pub params: Option<Params<'a>>,
}

impl<'a> Member<'a> {
    /// Its annotations.
    pub(super) fn notes(&self) -> Annotations<'a> {
        Annotations::ingress(&self.object.meta.annotations)
    }

    /// `namespace/name`.
    pub(super) fn key(&self) -> String {
        key(self.object)
    }

    /// What its class says.
    pub(super) fn class(&self) -> Option<&'a IngressClassParams> {
        self.params.map(|params| params.spec)
    }
}

/// `namespace/name`.
pub(super) fn key(object: &Object) -> String {
    format!("{}/{}", object.id.namespace, object.id.name)
}

/// Ingresses that share one load balancer.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// What it is called.
    pub id: GroupId,
    /// Who belongs to it, by name.
    pub members: Vec<Member<'a>>,
    /// Ingresses of the group that are being deleted.
    pub leaving: Vec<&'a Object>,
}

/// The groups of a set, by name, and what is wrong with Ingresses that belong to none for it.
pub fn groups<'a>(set: &'a Set, account: &Account) -> (Vec<Group<'a>>, Vec<Problem>) {
    let mut groups: BTreeMap<GroupId, Group<'a>> = BTreeMap::new();
    let mut problems = Vec::new();
    for object in set.of_kind("Ingress") {
        let View::Ingress(ingress) = &object.view else { continue };
        let params = match classify(set, account, object, ingress) {
            Ok(Class::Ours(params)) => params,
            Ok(Class::Foreign) => continue,
            Err(reason) => {
                problems.push(outside(object, "spec.ingressClassName", reason));
                continue;
            }
        };
        let member = Member { object, ingress, params };
        let id = match id(&member) {
            Ok(id) => id,
            Err(error) => {
                problems.push(outside(object, &error.field, error.message));
                continue;
            }
        };
        let group = groups.entry(id).or_insert_with_key(|id| Group {
            id: id.clone(),
            members: Vec::new(),
            leaving: Vec::new(),
        });
        if object.meta.deleting {
            group.leaving.push(object);
        } else {
            group.members.push(member);
        }
    }
    (groups.into_values().collect(), problems)
}

fn outside(object: &Object, field: &str, reason: String) -> Problem {
    let fix = "correct it: until then no load balancer serves this Ingress, and where one did, its whole group stands \
               still";
    object.problem(Severity::Error, Code("ingress-without-load-balancer"), field, reason, fix)
}

/// The group an Ingress belongs to: its class decides before its annotation does.
pub(super) fn id(member: &Member<'_>) -> Result<GroupId> {
    let named = |name: &str, fault: &dyn Fn(String) -> GroupError| match valid_name(name) {
        Ok(()) => Ok(GroupId::Explicit(name.to_owned())),
        Err(reason) => Err(fault(format!("invalid ingress group: {reason}"))),
    };
    if let Some(group) = member.class().and_then(|class| class.group.as_ref()) {
        return named(&group.name, &|message| member.class_fault("spec.group.name", message));
    }
    if let Some(name) = member.notes().text("group.name") {
        return named(name, &|message| member.fault("group.name", message));
    }
    Ok(GroupId::Implicit {
        namespace: member.object.id.namespace.to_string(),
        name: member.object.id.name.to_string(),
    })
}

/// May a group be called so?
pub(super) fn valid_name(name: &str) -> std::result::Result<(), String> {
    let outer =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let bytes = name.as_bytes();
    if !outer(bytes.first()) || !outer(bytes.last()) || !name.bytes().all(inner) {
        return Err(
            "groupName must consist of lower case alphanumeric characters, '-' or '.', and must start and \
                    end with an alphanumeric character"
                .to_owned(),
        );
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("groupName must be no more than {LONGEST_NAME} characters"));
    }
    Ok(())
}

/// The members by `group.order`, then by name: rules are tried in this order.
pub(super) fn in_order<'a>(members: &[Member<'a>]) -> Result<Vec<Member<'a>>> {
    let mut ordered = Vec::with_capacity(members.len());
    for member in members {
        let key = member.key();
        let order = member.notes().int32("group.order").map_err(|error| {
            member.grammar(&error).within(&format!("failed to load Ingress group order for ingress: {key}"))
        })?;
        let order = order.unwrap_or(0);
        if !ORDERS.contains(&order) {
            let (from, to) = (ORDERS.start(), ORDERS.end());
            let message = format!(
                "explicit Ingress group order must be within [{from}:{to}], Ingress: {key}, order: {order}"
            );
            return Err(member.fault("group.order", message));
        }
        ordered.push((order, key, *member));
    }
    ordered.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    Ok(ordered.into_iter().map(|(_, _, member)| member).collect())
}

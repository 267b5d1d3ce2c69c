//! Tags: of annotations, of the class (which wins over them), of the controller.

use std::collections::BTreeMap;

use plenipo_resources::Object;

use super::agree;
use super::fault::{Result, of_backend, words};
use super::group::{Member, key};
use crate::account::Account;
use crate::annotations::Annotations;

const SUFFIX: &str = "tags";

type Tags = BTreeMap<String, String>;

/// Tags of what belongs to several Ingresses: load balancer, security group, listener.
pub(super) fn of_group(members: &[Member<'_>], account: &Account) -> Result<Tags> {
    let tags = agree::map(
        members,
        |member| own(member, account),
        |member, key, a, b| Some(member.fault(SUFFIX, format!("conflicting tag {key}: {a} | {b}"))),
    )?;
    Ok(with_defaults(account, tags))
}

/// Tags of what belongs to one Ingress: its rules.
pub(super) fn of_member(member: &Member<'_>, account: &Account) -> Result<Tags> {
    Ok(with_defaults(account, own(member, account)?))
}

/// Tags of what belongs to a Service behind an Ingress: the target group. The Service's win over the Ingress'.
pub(super) fn of_backend_service(member: &Member<'_>, service: &Object, account: &Account) -> Result<Tags> {
    let read = Annotations::ingress(&service.meta.annotations)
        .map(SUFFIX)
        .map_err(|error| of_backend(member, service, SUFFIX, words(&error)))?;
    let mut tags = agree::read(member, member.notes().map(SUFFIX))?.unwrap_or_default();
    tags.extend(read.unwrap_or_default());
    not_foreign(&tags, account).map_err(|reason| {
        let (ingress, backend) = (member.key(), key(service));
        let message = format!("failed build tags for Ingress {ingress} and Service {backend}: {reason}");
        of_backend(member, service, SUFFIX, message)
    })?;
    tags.extend(of_class(member, account)?);
    Ok(with_defaults(account, tags))
}

fn own(member: &Member<'_>, account: &Account) -> Result<Tags> {
    let mut tags = agree::read(member, member.notes().map(SUFFIX))?.unwrap_or_default();
    not_foreign(&tags, account).map_err(|reason| {
        member.fault(SUFFIX, format!("failed build tags for Ingress {}: {reason}", member.key()))
    })?;
    tags.extend(of_class(member, account)?);
    Ok(tags)
}

fn of_class(member: &Member<'_>, account: &Account) -> Result<Tags> {
    let Some(params) = member.params else { return Ok(Tags::new()) };
    let tags: Tags = params.spec.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    not_foreign(&tags, account).map_err(|reason| {
        let name = &params.object.id.name;
        member.class_fault("spec.tags", format!("failed build tags for IngressClassParams {name}: {reason}"))
    })?;
    Ok(tags)
}

fn not_foreign(tags: &Tags, account: &Account) -> std::result::Result<(), String> {
    match tags.keys().find(|key| account.external_tag_keys.contains(key)) {
        Some(key) => Err(format!("external managed tag key {key} cannot be specified")),
        None => Ok(()),
    }
}

/// The controller's default tags win, unless a gate says the reverse.
pub(super) fn with_defaults(account: &Account, mut tags: Tags) -> Tags {
    for (key, value) in &account.default_tags {
        if account.gates.default_tags_low_priority {
            tags.entry(key.clone()).or_insert_with(|| value.clone());
        } else {
            tags.insert(key.clone(), value.clone());
        }
    }
    tags
}

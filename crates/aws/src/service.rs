//! The network load balancer that the AWS Load Balancer Controller makes out of a Service.
//!
//! Rules and messages are those of its `pkg/service` (module v3). Whatever it would ask AWS for is in the [`Account`].

mod action;
mod addresses;
mod health;
mod listener;
mod load_balancer;
mod networking;
mod port;
mod security;
mod target;

use std::collections::BTreeMap;

use plenipo_resources::core::Service;
use plenipo_resources::{Object, Set, View};

use crate::account::{Account, ExistingLoadBalancer, Subnet};
use crate::annotations::{Annotations, boolean};
use crate::build_error::BuildError;
use crate::names;
use crate::owner;
use crate::stack::{
    AddressType, Controller, GroupRef, Kind, LoadBalancer, Scheme, SecurityGroupSpec, Stack, TargetGroup,
};
use crate::subnets::{self, Need};

/// Builds the load balancer of a Service; none when it is not the controller's.
///
/// # Errors
/// When the controller would refuse: which field is wrong, and why.
pub fn build(set: &Set, object: &Object, account: &Account) -> Result<Option<Stack>, BuildError> {
    let View::Service(service) = &object.view else { return Ok(None) };
    let annotations = Annotations::service(&object.meta.annotations);
    if object.meta.deleting {
        let mut alive = object.clone();
        alive.meta.deleting = false;
        let was_ours = is_ours(&alive, service, account);
        return if was_ours { deleted(object, annotations).map(|()| None) } else { Ok(None) };
    }
    if !is_ours(object, service, account) {
        return Ok(None);
    }
    let request = Request {
        set,
        account,
        object,
        service,
        annotations,
        uid: uid(object, account),
        tags: tags(annotations, account)?,
        existing: account.existing.get(&stack_id(object)).and_then(|found| found.first()),
    };
    request.stack().map(Some)
}

fn is_ours(object: &Object, service: &Service, account: &Account) -> bool {
    let owner = owner::service(object, service, &account.gates).owner;
    owner.is_some_and(|owner| owner.controller == Controller::LoadBalancerController)
}

/// An object with a deletion time is there only because a finalizer holds it: the controller's.
fn deleted(object: &Object, annotations: Annotations<'_>) -> Result<(), BuildError> {
    let attributes = annotations.map("aws-load-balancer-attributes")?.unwrap_or_default();
    let is_protected = attributes.get("deletion_protection.enabled").and_then(|value| boolean(value));
    if is_protected == Some(true) {
        return Err(BuildError::new(
            annotations.field("aws-load-balancer-attributes"),
            format!("deletion_protection is enabled, cannot delete the service: {}", object.id.name),
        ));
    }
    Ok(())
}

/// One Service that asks for a load balancer.
struct Request<'a> {
    set: &'a Set,
    account: &'a Account,
    object: &'a Object,
    service: &'a Service,
    annotations: Annotations<'a>,
    uid: String,
    /// Of everything that is made.
    tags: BTreeMap<String, String>,
    existing: Option<&'a ExistingLoadBalancer>,
}

/// What is settled about the load balancer when its listeners are built.
struct Frame {
    scheme: Scheme,
    addresses: AddressType,
    subnets: Vec<Subnet>,
    /// The load balancer has security groups at all.
    is_guarded: bool,
    /// Whose members the targets admit; none = rules towards the targets are not managed.
    backend: Option<GroupRef>,
}

/// Target groups by their ids, while they are built.
type TargetGroups = BTreeMap<String, TargetGroup>;

impl Request<'_> {
    fn stack(&self) -> Result<Stack, BuildError> {
        let scheme = self.scheme()?;
        let addresses = self.address_type()?;
        let subnets = self.subnets(scheme, addresses)?;
        let source_nat = self.source_nat(addresses, &subnets)?;
        let attributes = self.attributes()?;
        let minimum_capacity = self.minimum_capacity()?;
        let guard = self.guard(addresses)?;
        let load_balancer = LoadBalancer {
            name: self.name(scheme)?,
            kind: Kind::Network,
            scheme,
            addresses,
            subnets: self.mappings(scheme, addresses, source_nat, &subnets)?,
            security_groups: guard.groups,
            attributes,
            tags: self.tags.clone(),
            private_link_rules: self.private_link_rules()?,
            ipv6_source_nat: Some(source_nat),
            minimum_capacity,
            ipam_pool: None,
            customer_owned_pool: None,
        };
        let is_guarded = !load_balancer.security_groups.is_empty();
        let frame = Frame { scheme, addresses, subnets, is_guarded, backend: guard.backend };
        let (listeners, target_groups) = self.listeners(&frame)?;
        Ok(self.whole(load_balancer, listeners, target_groups, guard.managed))
    }

    fn whole(
        &self,
        load_balancer: LoadBalancer,
        listeners: Vec<crate::stack::Listener>,
        target_groups: TargetGroups,
        security_group: Option<SecurityGroupSpec>,
    ) -> Stack {
        Stack {
            id: stack_id(self.object),
            controller: Controller::LoadBalancerController,
            members: vec![self.object.id.clone()],
            load_balancer,
            listeners,
            target_groups,
            security_group,
            web_acl: None,
            shield: None,
            frontend: None,
        }
    }

    /// Those that are named; those of the load balancer that exists, as long as it keeps its scheme; those that are
    /// found.
    fn subnets(&self, scheme: Scheme, addresses: AddressType) -> Result<Vec<Subnet>, BuildError> {
        const SUFFIX: &str = "aws-load-balancer-subnets";
        let need = Need { kind: Kind::Network, scheme, addresses };
        let found = match (self.annotations.list(SUFFIX), self.existing) {
            (Some(names), _) => subnets::named(self.account, &names, need),
            (None, Some(existing)) if existing.scheme == load_balancer::scheme_name(scheme) => {
                subnets::named(self.account, &existing.subnets, need)
            }
            _ => subnets::discovered(self.account, need),
        };
        found.map_err(|message| BuildError::new(self.annotations.field(SUFFIX), message))
    }

    fn fault(&self, suffix: &str, message: impl Into<String>) -> BuildError {
        BuildError::new(self.annotations.field(suffix), message)
    }
}

fn stack_id(object: &Object) -> String {
    format!("{}/{}", object.id.namespace, object.id.name)
}

/// Objects in files have no UID, and without one the names of two load balancers could be the same.
pub(crate) fn uid(object: &Object, account: &Account) -> String {
    match object.meta.uid.as_str() {
        "" if !account.complete => names::stand_in_uid(&object.id.namespace, &object.id.name),
        uid => uid.to_owned(),
    }
}

fn tags(annotations: Annotations<'_>, account: &Account) -> Result<BTreeMap<String, String>, BuildError> {
    const SUFFIX: &str = "aws-load-balancer-additional-resource-tags";
    let own = annotations.map(SUFFIX)?.unwrap_or_default();
    if let Some(key) = own.keys().find(|key| account.external_tag_keys.contains(key)) {
        let message = format!("external managed tag key {key} cannot be specified on Service");
        return Err(BuildError::new(annotations.field(SUFFIX), message));
    }
    let (mut tags, winning) = match account.gates.default_tags_low_priority {
        true => (account.default_tags.clone(), own),
        false => (own, account.default_tags.clone()),
    };
    tags.extend(winning);
    Ok(tags)
}

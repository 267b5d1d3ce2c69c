//! One group, from its members to its stack.

use std::collections::BTreeMap;

use plenipo_resources::core::IntOrString;
use plenipo_resources::networking::{IngressBackend, IngressPath, IngressRule};
use plenipo_resources::{ObjectId, Set};

use super::agree::{self, go_list, go_sorted};
use super::backend::{self, Backend};
use super::fault::{GroupError, Result};
use super::group::{Group, Member};
use super::ports::{self, Port};
use super::target_group::{self, Common};
use super::written::{Deed, Target, To};
use super::{frontend, load_balancer, optimizer, rules, security, tags};
use crate::account::Account;
use crate::annotations::boolean;
use crate::stack::{
    Action, Controller, Forward, Listener, ListenerProtocol, Redirect, Rule, TargetGroup, TargetRef,
    WeightedTarget,
};
use crate::{Stack, annotations::Annotations};

/// How a set is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) set: &'a Set,
    pub(super) account: &'a Account,
    /// Secrets may be missing.
    pub(super) lenient: bool,
}

/// The stack of a group; none when it has no members any more.
pub(super) fn stack(reading: Reading<'_>, group: &Group<'_>) -> Result<Option<Stack>> {
    let members = super::group::in_order(&group.members)?;
    deletion_allowed(group)?;
    if members.is_empty() {
        return Ok(None);
    }
    let Reading { account, .. } = reading;
    let asked = asked(&members, account)?;
    let ports = merged(&members, &asked, account)?;
    let mut load_balancer = load_balancer::build(&group.id, &members, account)?;
    let security = security::build(&group.id, &members, account, &ports, load_balancer.addresses)?;
    load_balancer.security_groups = security.groups;
    let redirect = ports::ssl_redirect(&members, &ports)?;
    let common =
        Common { id: &group.id, account, addresses: load_balancer.addresses, admitted: security.admitted };
    let mut task = Task { reading, common, redirect, target_groups: BTreeMap::new() };
    let mut listeners = Vec::with_capacity(ports.len());
    for (number, port) in &ports {
        let here = listening(&members, &asked, *number);
        listeners.push(task.listener(*number, port, &here)?);
    }
    let target_groups = task.target_groups;
    let frontend = frontend::build(&group.id, &members, account, &load_balancer, &asked)?;
    Ok(Some(Stack {
        id: group.id.to_string(),
        controller: Controller::LoadBalancerController,
        members: members.iter().map(|member| member.object.id.clone()).collect(),
        load_balancer,
        listeners,
        target_groups,
        security_group: security.managed,
        web_acl: web_acl(&members)?,
        shield: agree::flag(
            &members,
            "shield-advanced-protection",
            "conflicting enable shield advanced protection",
        )?,
        frontend: frontend.map(Box::new),
    }))
}

/// A load balancer that is protected keeps the Ingress that asks for it.
fn deletion_allowed(group: &Group<'_>) -> Result<()> {
    const SUFFIX: &str = "load-balancer-attributes";
    for object in &group.leaving {
        let notes = Annotations::ingress(&object.meta.annotations);
        let attributes = notes.map(SUFFIX).unwrap_or_default().unwrap_or_default();
        let protected = attributes.get("deletion_protection.enabled").map(|value| boolean(value));
        if protected.flatten() == Some(true) {
            let name = &object.id.name;
            return Err(GroupError {
                member: None,
                object: Some(Box::new(object.id.clone())),
                field: notes.field(SUFFIX),
                message: format!("deletion_protection is enabled, cannot delete the ingress: {name}"),
            });
        }
    }
    Ok(())
}

/// What each member asks for, by its place.
pub(super) type Asked = Vec<BTreeMap<u16, Port>>;

fn asked(members: &[Member<'_>], account: &Account) -> Result<Asked> {
    let of = |member: &Member<'_>| {
        ports::of_member(member, account).map_err(|error| error.within(&format!("ingress: {}", member.key())))
    };
    members.iter().map(of).collect()
}

fn listening<'a>(members: &[Member<'a>], asked: &Asked, port: u16) -> Vec<Member<'a>> {
    let here = members.iter().zip(asked).filter(|(_, ports)| ports.contains_key(&port));
    here.map(|(member, _)| *member).collect()
}

fn merged(members: &[Member<'_>], asked: &Asked, account: &Account) -> Result<BTreeMap<u16, Port>> {
    let mut said: BTreeMap<u16, Vec<(&Member<'_>, &Port)>> = BTreeMap::new();
    for (member, ports) in members.iter().zip(asked) {
        for (number, port) in ports {
            said.entry(*number).or_default().push((member, port));
        }
    }
    let merge = |(number, said): (u16, Vec<(&Member<'_>, &Port)>)| {
        let wrong = |error: GroupError| {
            error.within(&format!("failed to merge listenPort config for port: {number}"))
        };
        Ok((number, ports::merged(&said, account).map_err(wrong)?))
    };
    said.into_iter().map(merge).collect()
}

/// The web ACL: by ARN, by name, or of the older firewall.
fn web_acl(members: &[Member<'_>]) -> Result<Option<String>> {
    let arn = agree::text(
        members,
        "wafv2-acl-arn",
        |member| member.class()?.wafv2_acl_arn.clone().filter(|arn| !arn.is_empty()),
        ("conflicting WAFv2 WebACL ARNs", go_sorted),
    )?;
    let name = agree::text(
        members,
        "wafv2-acl-name",
        |member| member.class()?.wafv2_acl_name.clone().filter(|name| !name.is_empty()),
        ("conflicting WAFv2 WebACL names", go_sorted),
    )?;
    let regional = agree::said(members, |member| {
        let notes = member.notes();
        Ok(notes.text("waf-acl-id").or_else(|| notes.text("web-acl-id")).map(str::to_owned))
    })?;
    let regional = agree::agreed(regional, |member, ids| {
        let ids = go_sorted(&ids.iter().map(|id| id.as_str()).collect());
        member.fault("waf-acl-id", format!("conflicting WAFRegional WebACL IDs: {ids}"))
    })?;
    Ok(arn.or(name).or(regional).filter(|acl| !acl.is_empty()))
}

/// The building of one group's listeners.
struct Task<'a> {
    reading: Reading<'a>,
    common: Common<'a>,
    /// Where plain listeners redirect to.
    redirect: Option<u16>,
    target_groups: BTreeMap<String, TargetGroup>,
}

impl Task<'_> {
    fn listener(&mut self, number: u16, port: &Port, members: &[Member<'_>]) -> Result<Listener> {
        let protocol = port.protocol;
        let redirected = self.redirect.filter(|_| protocol == ListenerProtocol::Http);
        let (default_actions, rules) = match redirected {
            Some(there) => (vec![ssl_redirect(there)], Vec::new()),
            None => (self.default_actions(protocol, members)?, self.rules(number, protocol, members)?),
        };
        Ok(Listener {
            port: number,
            protocol,
            certificates: port.certificates.clone(),
            ssl_policy: port.ssl_policy.clone(),
            alpn: None,
            mutual_authentication: port.mutual.clone(),
            default_actions,
            rules,
            attributes: listener_attributes(number, protocol, members)?,
            tags: tags::of_group(members, self.reading.account)?,
        })
    }

    fn default_actions(&mut self, protocol: ListenerProtocol, members: &[Member<'_>]) -> Result<Vec<Action>> {
        let with =
            members.iter().filter_map(|member| Some((member, member.ingress.default_backend.as_ref()?)));
        let with: Vec<(&Member<'_>, &IngressBackend)> = with.collect();
        match with.as_slice() {
            [] => Ok(vec![Action::FixedResponse {
                status: "404".to_owned(),
                content_type: Some("text/plain".to_owned()),
                body: None,
            }]),
            [(member, default)] => {
                let backend = self.backend(member, default, "spec.defaultBackend")?;
                self.actions(protocol, member, &backend)
            }
            [_, (second, _), ..] => {
                let keys = go_list(with.iter().map(|(member, _)| member.key()));
                let message = format!("multiple ingress defined default backend: {keys}");
                Err(second.fault_at("spec.defaultBackend", message))
            }
        }
    }

    fn rules(
        &mut self,
        number: u16,
        protocol: ListenerProtocol,
        members: &[Member<'_>],
    ) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for member in members {
            for (at, rule) in member.ingress.rules.iter().enumerate() {
                let Some(http) = &rule.http else { continue };
                let field = format!("spec.rules[{at}].http.paths");
                let paths = rules::in_order(&http.paths)
                    .map_err(|message| member.fault_at(format!("{field}.pathType"), message))?;
                for (at, path) in paths {
                    let field = format!("{field}[{at}]");
                    let made = self.rule(protocol, member, (rule, path), &field);
                    rules.push(made.map_err(|error| error.within(&format!("ingress: {}", member.key())))?);
                }
            }
        }
        let mut rules = optimizer::optimized(number, protocol, rules);
        for (priority, rule) in (1..).zip(&mut rules) {
            rule.priority = priority;
        }
        Ok(rules)
    }

    fn rule(
        &mut self,
        protocol: ListenerProtocol,
        member: &Member<'_>,
        (rule, path): (&IngressRule, &IngressPath),
        field: &str,
    ) -> Result<Rule> {
        let backend = self.backend(member, &path.backend, &format!("{field}.backend"))?;
        let conditions = rules::conditions(member, rule, path, &backend.conditions)
            .map_err(|message| member.fault_at(format!("{field}.path"), message))?;
        let actions = self.actions(protocol, member, &backend)?;
        Ok(Rule {
            priority: 0,
            source: member.object.id.clone(),
            conditions,
            actions,
            transforms: backend.transforms,
            tags: tags::of_member(member, self.reading.account)?,
        })
    }

    fn backend(&self, member: &Member<'_>, written: &IngressBackend, field: &str) -> Result<Backend> {
        let Reading { set, account, .. } = self.reading;
        backend::read(set, account, member, written, field)
    }

    /// Who may pass, on encrypted listeners; then what happens.
    fn actions(
        &mut self,
        protocol: ListenerProtocol,
        member: &Member<'_>,
        backend: &Backend,
    ) -> Result<Vec<Action>> {
        let mut actions = Vec::new();
        if protocol.ends_tls() {
            if backend.auth.is_on() && backend.jwt.is_some() {
                let message = "authentication and jwt validation can't both be configured";
                return Err(member.fault("jwt-validation", message));
            }
            let Reading { set, lenient, .. } = self.reading;
            let sign_in = backend
                .auth
                .action(set, &member.object.id.namespace, lenient)
                .map_err(|(suffix, message)| member.fault(suffix, message))?;
            actions.extend(sign_in);
            actions.extend(backend.jwt.clone());
        }
        actions.push(match &backend.deed {
            Deed::Redirect(redirect) => Action::Redirect(redirect.clone()),
            Deed::FixedResponse { status, content_type, body } => Action::FixedResponse {
                status: status.clone(),
                content_type: content_type.clone(),
                body: body.clone(),
            },
            Deed::Forward { targets, stickiness } => Action::Forward(Forward {
                targets: targets.iter().map(|target| self.target(member, target)).collect::<Result<_>>()?,
                stickiness: *stickiness,
                other: None,
            }),
        });
        Ok(actions)
    }

    fn target(&mut self, member: &Member<'_>, target: &Target) -> Result<WeightedTarget> {
        let reference = match &target.to {
            To::Arn(arn) => TargetRef::Arn(arn.clone()),
            To::Name(name) => TargetRef::Name(name.clone()),
            To::Service { name, port } => TargetRef::Own(self.target_group(member, name, port)?),
        };
        Ok(WeightedTarget { target: reference, weight: target.weight })
    }

    /// The id of the target group of a Service's port, which is made when it is first sent to.
    fn target_group(&mut self, member: &Member<'_>, name: &str, port: &IntOrString) -> Result<String> {
        let namespace = &member.object.id.namespace;
        let found = backend::service(self.reading.set, namespace, name);
        let (object, service) =
            found.ok_or_else(|| member.fault_at("spec", format!("services {name:?} not found")))?;
        let id = target_group::resource_id(member, object, port);
        if !self.target_groups.contains_key(&id) {
            let made = target_group::build(&self.common, member, (object, service), port)
                .map_err(|error| error.through(member))?;
            self.target_groups.insert(id.clone(), made);
        }
        Ok(id)
    }
}

fn ssl_redirect(port: u16) -> Action {
    Action::Redirect(Redirect {
        protocol: Some("HTTPS".to_owned()),
        host: None,
        port: Some(port.to_string()),
        path: None,
        query: None,
        status: "HTTP_301".to_owned(),
    })
}

/// `listener-attributes.<protocol>-<port>`; what the class says of this listener wins.
pub(super) fn listener_attributes(
    number: u16,
    protocol: ListenerProtocol,
    members: &[Member<'_>],
) -> Result<BTreeMap<String, String>> {
    let suffix = format!("listener-attributes.{}-{number}", protocol.as_str());
    let class: BTreeMap<String, String> = members
        .iter()
        .filter_map(Member::class)
        .flat_map(|class| &class.listeners)
        .filter(|there| there.port == i64::from(number) && there.protocol == protocol.as_str())
        .flat_map(|there| &there.listener_attributes)
        .map(|attribute| (attribute.key.clone(), attribute.value.clone()))
        .collect();
    let read =
        |member: &Member<'_>| agree::read(member, member.notes().map(&suffix)).map(Option::unwrap_or_default);
    let mut attributes = agree::map(members, read, |member, key, a, b| {
        let message = format!("conflicting listener attributes {key}: {a} | {b}");
        (!class.contains_key(key)).then(|| member.fault(&suffix, message))
    })?;
    attributes.extend(class);
    Ok(attributes)
}

/// Names of members, for people.
pub(super) fn names(ids: &[&ObjectId]) -> String {
    ids.iter().map(|id| format!("{}/{}", id.namespace, id.name)).collect::<Vec<_>>().join(", ")
}

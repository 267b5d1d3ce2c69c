//! What stands behind a path: a Service, or an action of an annotation; with its conditions and who may pass.

use std::collections::{BTreeMap, BTreeSet};

use plenipo_resources::core::{IntOrString, Service};
use plenipo_resources::networking::IngressBackend;
use plenipo_resources::{Object, Set, View};

use super::auth::{self, Auth};
use super::fault::{Result, of_backend, words};
use super::group::Member;
use super::written::{Action as WrittenAction, Deed, FIELDS, To, WrittenCondition, WrittenTransform};
use crate::account::Account;
use crate::annotations::Annotations;
use crate::stack::{Action, Condition, Transform};

/// The name of a port that means: do what the annotation `actions.<service>` says.
const USE_ANNOTATION: &str = "use-annotation";

/// What stands behind a path.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Backend {
    pub(super) conditions: Vec<Condition>,
    pub(super) transforms: Vec<Transform>,
    pub(super) deed: Deed,
    pub(super) auth: Auth,
    pub(super) jwt: Option<Action>,
}

/// Reads what stands behind a path (`field` names it).
pub(super) fn read(
    set: &Set,
    account: &Account,
    member: &Member<'_>,
    backend: &IngressBackend,
    field: &str,
) -> Result<Backend> {
    let Some(name) = backend.name() else {
        return Err(member.fault_at(field, "missing required \"service\" field"));
    };
    let port = backend.port().unwrap_or(IntOrString::Int(0));
    let conditions = conditions(member, name)?;
    let transforms = transforms(member, name)?;
    let mut deed = match &port {
        IntOrString::String(port) if port == USE_ANNOTATION => action(member, account, name)?,
        _ => Deed::to_service(name, port),
    };
    load(set, account, member, &mut deed, field)?;
    let auth = sign_in(set, member, &deed)?;
    let jwt = auth::jwt(&member.notes()).map_err(|(suffix, message)| member.fault(suffix, message))?;
    Ok(Backend { conditions, transforms, deed, auth, jwt })
}

/// `conditions.<service>`.
pub(super) fn conditions(member: &Member<'_>, service: &str) -> Result<Vec<Condition>> {
    let suffix = format!("conditions.{service}");
    let fault = |message: String| member.fault(&suffix, message);
    let written: Option<Vec<WrittenCondition>> =
        member.notes().json(&suffix, &FIELDS).map_err(|error| fault(words(&error)))?;
    let valid = written.into_iter().flatten().map(WrittenCondition::valid);
    let valid: Vec<Option<Condition>> = valid.collect::<std::result::Result<_, _>>().map_err(fault)?;
    Ok(valid.into_iter().flatten().collect())
}

/// `transforms.<service>`.
pub(super) fn transforms(member: &Member<'_>, service: &str) -> Result<Vec<Transform>> {
    let suffix = format!("transforms.{service}");
    let fault = |message: String| member.fault(&suffix, message);
    let written: Option<Vec<WrittenTransform>> =
        member.notes().json(&suffix, &FIELDS).map_err(|error| fault(words(&error)))?;
    written.into_iter().flatten().map(|transform| transform.valid().map_err(fault)).collect()
}

/// `actions.<service>`.
pub(super) fn action(member: &Member<'_>, account: &Account, service: &str) -> Result<Deed> {
    let suffix = format!("actions.{service}");
    let fault = |message: String| member.fault(&suffix, message);
    let written: Option<WrittenAction> =
        member.notes().json(&suffix, &FIELDS).map_err(|error| fault(words(&error)))?;
    match written {
        Some(written) => written.valid().map_err(fault),
        None if account.gates.tolerate_missing_backend => {
            Ok(Deed::unavailable("Backend action does not exist"))
        }
        None => Err(fault(format!("missing {suffix} configuration"))),
    }
}

/// What clients read in place of a Service that does not exist, in the controller's words.
pub(crate) const MISSING_SERVICE: &str = "Backend service does not exist";

/// Looks up the Services that requests go to. One that is the only target and does not exist is answered for.
pub(super) fn load(
    set: &Set,
    account: &Account,
    member: &Member<'_>,
    deed: &mut Deed,
    field: &str,
) -> Result<()> {
    let Deed::Forward { targets, .. } = deed else { return Ok(()) };
    let names = targets.iter().filter_map(|target| match &target.to {
        To::Service { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let names: BTreeSet<&str> = names.collect();
    let missing = names.into_iter().find(|name| service(set, &member.object.id.namespace, name).is_none());
    let Some(missing) = missing else { return Ok(()) };
    if account.gates.tolerate_missing_backend && targets.len() == 1 {
        *deed = Deed::unavailable(MISSING_SERVICE);
        return Ok(());
    }
    Err(member.fault_at(field, format!("services {missing:?} not found")))
}

/// A Service.
pub(super) fn service<'a>(set: &'a Set, namespace: &str, name: &str) -> Option<(&'a Object, &'a Service)> {
    let object = set.get("Service", namespace, name)?;
    match &object.view {
        View::Service(service) => Some((object, service)),
        _ => None,
    }
}

/// The annotations of a Service over those of the Ingress in front of it.
pub(super) fn over(service: &Object, ingress: &Object) -> BTreeMap<String, String> {
    let mut both = ingress.meta.annotations.clone();
    both.extend(service.meta.annotations.iter().map(|(key, value)| (key.clone(), value.clone())));
    both
}

/// Who signs in: where all requests go to one Service, its annotations come first.
pub(super) fn sign_in(set: &Set, member: &Member<'_>, deed: &Deed) -> Result<Auth> {
    let only = match deed {
        Deed::Forward { targets, .. } => match targets.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        _ => None,
    };
    let behind = only.and_then(|target| match &target.to {
        To::Service { name, .. } => service(set, &member.object.id.namespace, name),
        _ => None,
    });
    let Some((object, _)) = behind else {
        return Auth::read(&member.notes()).map_err(|(suffix, message)| member.fault(suffix, message));
    };
    let both = over(object, member.object);
    Auth::read(&Annotations::ingress(&both))
        .map_err(|(suffix, message)| of_backend(member, object, suffix, message))
}

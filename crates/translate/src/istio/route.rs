//! HTTP routes of VirtualServices.

use std::sync::Arc;

use http::StatusCode;
use plenipo_model::{Action, Cors, Fault, HeaderEdits, Payload, Respond, Route, RouteMatch, Source};
use plenipo_resources::istio::HttpRoute;

use super::action;
use super::delegate::Rule;
use super::matching::{self, Only};
use super::policy;
use super::virtual_service::Service;
use super::world::World;
use crate::findings::{Flaw, source_of};

/// A route of a virtual host, and through which servers it is there.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub(super) only: Only,
    pub(super) route: Arc<Route>,
    /// Nothing after it is ever reached.
    pub(super) ends: bool,
}

/// Everything about a rule but its matches.
struct Deed {
    /// Where it is written: in the delegate, if there is one.
    source: Source,
    action: Action,
    headers: (HeaderEdits, HeaderEdits),
    cors: Option<Arc<Cors>>,
    fault: Option<Arc<Fault>>,
}

/// The HTTP routes of a VirtualService behind a server of this port, in their order.
pub(super) fn routes(service: &Service<'_>, port: u16, world: &mut World<'_, '_>) -> Vec<Offered> {
    let mut offered = Vec::new();
    for (place, rule) in service.http.iter().enumerate() {
        let deed = deed(rule, port, world);
        let name = rule.route.name.clone().filter(|name| !name.is_empty());
        let id = &service.object.id;
        let name = name.unwrap_or_else(|| format!("{}/{}/{place}", id.namespace, id.name));
        if rule.route.r#match.is_empty() {
            offered.push(offer(Only::default(), &name, matching::everything(), &deed));
        }
        for (at, written) in rule.route.r#match.iter().enumerate() {
            let field = format!("{}.match[{at}]", rule.field);
            let namespace = &rule.object.id.namespace;
            let found = matching::read(written, &field, namespace, world.options);
            let closed = !found.flaws.is_empty();
            for flaw in &found.flaws {
                world.findings.fatal(rule.object, flaw);
            }
            if found.only.never {
                let message = "the gateway's pods are not among these sources: the match has no effect here";
                let fix = "leave sourceLabels and sourceNamespace to sidecars";
                world.findings.note(rule.object, "no-effect", &field, message.to_owned(), fix);
                continue;
            }
            let name = match &written.name {
                Some(own) if !own.is_empty() => format!("{name}.{own}"),
                _ => name.clone(),
            };
            let closing = closed.then(|| Deed::closed(rule));
            offered.push(offer(found.only, &name, found.matches, closing.as_ref().unwrap_or(&deed)));
        }
    }
    offered
}

fn offer(only: Only, name: &str, matches: RouteMatch, deed: &Deed) -> Offered {
    let mut route = Route::new(name, deed.source.clone(), matches.path.clone(), deed.action.clone());
    let ends = matching::is_catch_all(&matches);
    route.matches = matches;
    (route.request_headers, route.response_headers) = deed.headers.clone();
    route.cors.clone_from(&deed.cors);
    route.fault.clone_from(&deed.fault);
    Offered { only, route: Arc::new(route), ends }
}

impl Deed {
    /// What was asked for cannot be done: nothing else is done instead.
    fn closed(rule: &Rule<'_>) -> Self {
        let source = source_in(&source_of(rule.object), &rule.field);
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let action = Action::Respond(Respond { status, content_type: None, body: Payload::default() });
        Self {
            source,
            action,
            headers: (HeaderEdits::default(), HeaderEdits::default()),
            cors: None,
            fault: None,
        }
    }
}

fn deed(rule: &Rule<'_>, port: u16, world: &mut World<'_, '_>) -> Deed {
    let found = sound(rule).and_then(|()| attempt(rule, port, world));
    found.unwrap_or_else(|flaw| {
        world.findings.fatal(rule.object, &flaw);
        Deed::closed(rule)
    })
}

fn attempt(rule: &Rule<'_>, port: u16, world: &mut World<'_, '_>) -> Result<Deed, Flaw> {
    let (route, field) = (&*rule.route, rule.field.as_str());
    let headers = route.headers.clone().unwrap_or_default();
    let place = format!("{field}.headers.request");
    let (request, authority) = policy::headers(&headers.request, &place, true)?;
    let (response, _) = policy::headers(&headers.response, &format!("{field}.headers.response"), false)?;
    let source = &source_in(&source_of(rule.object), &rule.field);
    let cors = route.cors_policy.as_ref();
    let cors = cors.map(|cors| policy::cors(cors, source, &format!("{field}.corsPolicy"))).transpose()?;
    let fault =
        route.fault.as_ref().map(|fault| policy::fault(fault, &format!("{field}.fault"))).transpose()?;
    let idle = |fault: &Fault| {
        fault.delay.is_some_and(|(part, _)| part.0 == 0) || fault.abort.is_some_and(|(part, _)| part.0 == 0)
    };
    if fault.as_ref().is_some_and(idle) {
        let message = "without a percentage (or with 0) no request is delayed or aborted".to_owned();
        let fix = "write percentage: {value: 100}";
        world.findings.warn(rule.object, "no-effect", &format!("{field}.fault"), message, fix);
    }
    let action = match (&route.redirect, &route.direct_response) {
        (Some(redirect), _) => action::redirect(redirect, rule)?,
        (None, Some(response)) => action::respond(response, field)?,
        (None, None) => action::forward(rule, source, authority.as_deref(), port, world)?,
    };
    Ok(Deed {
        source: source.clone(),
        action,
        headers: (request, response),
        cors: cors.map(Arc::new),
        fault: fault.map(Arc::new),
    })
}

/// What may not stand beside what else is written.
fn sound(rule: &Rule<'_>) -> Result<(), Flaw> {
    let HttpRoute { route, redirect, direct_response, fault, rewrite, mirror, mirrors, .. } = &*rule.route;
    let conflict = |one: &str, other: &str| {
        let message = format!("{one} and {other} cannot both be: its requests are answered 500");
        Err(Flaw::new("route-conflict", format!("{}.{one}", rule.field), message, "keep one of the two"))
    };
    let name = match (redirect, direct_response) {
        (Some(_), Some(_)) => return conflict("redirect", "directResponse"),
        (Some(_), None) => "redirect",
        (None, Some(_)) => "directResponse",
        (None, None) if route.is_empty() => {
            let message = "it says nothing about where requests go: they are answered 500";
            let fix = "write route, redirect or directResponse";
            return Err(Flaw::new("no-destination", rule.field.clone(), message, fix));
        }
        (None, None) if mirror.is_some() && !mirrors.is_empty() => return conflict("mirror", "mirrors"),
        (None, None) => return Ok(()),
    };
    match (route.is_empty(), fault, rewrite) {
        (false, ..) => conflict(name, "route"),
        (_, Some(_), _) => conflict(name, "fault"),
        (_, _, Some(_)) => conflict(name, "rewrite"),
        (true, None, None) => Ok(()),
    }
}

/// For objects that a route was made for.
pub(super) fn source_in(source: &Source, field: &str) -> Source {
    Source::new(format!("{source} {field}"))
}

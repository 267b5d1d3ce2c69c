//! One group as one route.

use std::sync::{Arc, OnceLock};

use http::{HeaderName, StatusCode};
use plenipo_model::{
    Action, Forward, Fraction, Guard, HeaderEdit, HeaderEdits, HostPattern, Mirror, PathMatch, PathRewrite,
    Respond, Route, Source, Target, Template,
};

use super::super::auth_service::Authorisation;
use super::super::mapping::{HostRule, Rule, Work, unless_implied};
use super::super::module::Settings;
use super::Group;
use super::weights::shares;
use crate::findings::Findings;

/// The route of one group. It stands in many virtual hosts, which share it.
#[derive(Debug)]
pub(crate) struct Routes {
    /// The host asked for.
    host: Option<HostRule>,
    /// Without a check of the host, for virtual hosts that imply it.
    bare: Arc<Route>,
    /// With it, for the others; made when one is met.
    checked: OnceLock<Arc<Route>>,
}

/// Paths that must be reachable in clear text: ACME's HTTP-01 challenge (RFC 8555 §8.3).
const ACME: &str = "/.well-known/acme-challenge/";

impl Routes {
    /// The group's route; none when no request can ever take it.
    pub(crate) fn of(
        group: &Group<'_>,
        settings: &Settings<'_>,
        authorisation: &Authorisation,
        findings: &mut Findings,
    ) -> Option<Self> {
        let first = group.members.first()?;
        let spec = first.spec();
        let is_asked = spec.bypass_auth != Some(true);
        let action = match &first.work {
            Work::Redirect(redirect) => Action::Redirect(redirect.clone()),
            _ if is_asked && *authorisation == Authorisation::Missing => no_authorisation(),
            _ => Action::Forward(Box::new(forward(group, settings, findings)?)),
        };
        let matching = &first.matching;
        let id = &first.object.id;
        let name = [&*id.namespace, "/", &*id.name].concat();
        let mut route = Route::new(&name, first.source.clone(), matching.path.clone(), action);
        route.matches.method.clone_from(&matching.method);
        route.matches.headers.clone_from(&matching.headers);
        route.matches.query.clone_from(&matching.query);
        route.clear_text_allowed = spec.prefix.as_deref() == Some(ACME);
        route.request_headers = request_headers(group, settings, findings);
        route.response_headers = HeaderEdits {
            remove: removals(group, |rule| &rule.policies.response_headers),
            add: union(group, |rule| &rule.policies.response_headers.add),
        };
        route.cors = last(group, |rule| rule.policies.cors.as_ref()).or(settings.cors.as_ref()).cloned();
        route.error_responses =
            last(group, |rule| rule.policies.error_responses.as_ref()).cloned().unwrap_or_default();
        route.plain_errors =
            last(group, |rule| rule.spec().bypass_error_response_overrides.as_ref()) == Some(&true);
        if let (Authorisation::By(service), true, Action::Forward(_)) =
            (authorisation, is_asked, &route.action)
        {
            let context = spec.auth_context_extensions.clone().unwrap_or_default();
            route.guard =
                Some(Arc::new(Guard { external: Some(Arc::clone(service)), context, ..Guard::default() }));
        }
        mixed_case(group, findings);
        let host = matching.host.clone();
        Some(Self { host, bare: Arc::new(route), checked: OnceLock::new() })
    }

    /// The route as it stands in the virtual host of `host`.
    pub(crate) fn on(&self, host: &HostPattern) -> Arc<Route> {
        let rule = self.host.as_ref();
        match (unless_implied(rule, host), unless_implied(rule, &HostPattern::Any)) {
            (Some(_), Some(check)) => Arc::clone(self.checked.get_or_init(|| {
                let mut checked = (*self.bare).clone();
                checked.matches.host = Some(check);
                Arc::new(checked)
            })),
            _ => Arc::clone(&self.bare),
        }
    }

    /// The clusters it names, each as often as it does.
    pub(crate) fn clusters(&self) -> Vec<Arc<str>> {
        let Action::Forward(forward) = &self.bare.action else { return Vec::new() };
        let targets = forward.targets.iter().map(|target| &target.cluster);
        targets.chain(forward.mirrors.iter().map(|mirror| &mirror.cluster)).cloned().collect()
    }
}

impl PartialEq for Routes {
    fn eq(&self, other: &Self) -> bool {
        self.host == other.host && self.bare == other.bare
    }
}

/// A route of the gateway's own, for every host: a fixed answer.
pub(crate) fn own_route(name: &str, prefix: &str, body: &str) -> Arc<Route> {
    let answer =
        Respond { status: StatusCode::OK, content_type: Some("text/plain".to_owned()), body: body.into() };
    let path = PathMatch::Prefix(prefix.to_owned());
    Arc::new(Route::new(&format!("internal/{name}"), Source::new("gateway"), path, Action::Respond(answer)))
}

/// The last member in load order that says something decides for all: Emissary lays the members' settings over each
/// other in that order.
fn last<'r, T>(group: &Group<'r>, of: impl Fn(&'r Rule) -> Option<&'r T>) -> Option<&'r T> {
    group.members.iter().rev().find_map(|rule| of(rule))
}

/// Everything the members add; of one header added twice, the last one's.
fn union<'r>(group: &Group<'r>, of: impl Fn(&'r Rule) -> &'r Vec<HeaderEdit>) -> Vec<HeaderEdit> {
    let mut all: Vec<HeaderEdit> = Vec::new();
    for member in &group.members {
        for edit in of(member) {
            match all.iter_mut().find(|known| known.name == edit.name && group.members.len() > 1) {
                Some(known) => *known = edit.clone(),
                None => all.push(edit.clone()),
            }
        }
    }
    all
}

fn request_headers(group: &Group<'_>, settings: &Settings<'_>, findings: &mut Findings) -> HeaderEdits {
    let mut add = union(group, |rule| &rule.policies.request_headers.add);
    let linkerd = last(group, |rule| rule.spec().add_linkerd_headers.as_ref()).copied();
    if linkerd.unwrap_or(settings.add_linkerd_headers) {
        let mut authorities = group.members.iter().filter_map(|rule| match &rule.work {
            Work::Forward(_, plan) => Some((rule, plan.address.with_port(plan.port))),
            _ => None,
        });
        if let Some((_, authority)) = authorities.next() {
            let name = HeaderName::from_static("l5d-dst-override");
            add.push(HeaderEdit { name, value: Template::literal(&authority), append: false });
            if let Some((rule, _)) = authorities.find(|(_, other)| *other != authority) {
                let message = format!("Linkerd is told {authority} for every Mapping of the group");
                let fix = "do not add Linkerd headers where weights choose the service";
                findings.warn(&rule.object, "linkerd-in-canary", "spec.add_linkerd_headers", message, fix);
            }
        }
    }
    HeaderEdits { remove: removals(group, |rule| &rule.policies.request_headers), add }
}

fn removals<'r>(group: &Group<'r>, of: impl Fn(&'r Rule) -> &'r HeaderEdits) -> Vec<HeaderName> {
    let found = last(group, |rule| Some(&of(rule).remove).filter(|list| !list.is_empty()));
    found.cloned().unwrap_or_default()
}

/// Where the group's requests go; none when its weights give nobody anything.
fn forward(group: &Group<'_>, settings: &Settings<'_>, findings: &mut Findings) -> Option<Forward> {
    let (weighted, unweighted): (Vec<_>, Vec<_>) =
        group.members.iter().partition(|rule| rule.spec().weight.is_some());
    let members: Vec<&Arc<Rule>> = weighted.into_iter().chain(unweighted).copied().collect();
    let written: Vec<Option<i64>> = members.iter().map(|rule| rule.spec().weight).collect();
    let shares = shares(&written);
    judge_weights(&members, shares.excess, findings);
    if shares.weights.iter().all(|weight| *weight == 0) {
        let object = &members.first()?.object;
        let message = "all Mappings for these requests have weight 0, so that none takes them".to_owned();
        findings.note(object, "no-weight", "spec.weight", message, "give one of them a weight");
        return None;
    }
    let rewrite = last(group, |rule| rule.policies.regex_rewrite.as_ref());
    let targets = members.iter().zip(&shares.weights).filter_map(|(rule, weight)| match &rule.work {
        Work::Forward(target, _) => {
            let mut target: Target = (**target).clone();
            target.weight = *weight;
            if let Some((pattern, substitution)) = rewrite {
                target.rewrite = PathRewrite::Regex(pattern.clone(), substitution.clone());
            }
            Some(target)
        }
        _ => None,
    });
    let balancing = group.members.first().and_then(|first| first.policies.balancing.as_ref());
    Some(Forward {
        targets: targets.collect(),
        total: shares.total,
        mirrors: group.shadow.and_then(|shadow| mirror(shadow)).into_iter().collect(),
        retry: last(group, |rule| rule.policies.retry.as_ref()).or(settings.retry.as_ref()).cloned(),
        hash: balancing.or(settings.balancing.as_ref()).and_then(|balancing| balancing.hash.clone()),
        upgrades: last(group, |rule| rule.policies.upgrades.as_ref()).cloned().unwrap_or_default(),
        priority: last(group, |rule| rule.policies.priority.as_ref()).copied().unwrap_or_default(),
        client_protocol: None,
        sticky: None,
    })
}

fn mirror(shadow: &Rule) -> Option<Mirror> {
    match &shadow.work {
        Work::Shadow(plan, percent) => Some(Mirror {
            source: shadow.source.clone(),
            cluster: Arc::clone(plan.name()),
            part: Fraction::percent(*percent),
            host_suffix: true,
        }),
        _ => None,
    }
}

fn judge_weights(members: &[&Arc<Rule>], excess: bool, findings: &mut Findings) {
    for rule in members {
        let weight = rule.spec().weight;
        let object = &rule.object;
        if let Some(weight) = weight.filter(|weight| !(0..=100).contains(weight)) {
            let message = format!("{weight} is not a share of 100");
            findings.error(object, "bad-weight", "spec.weight", message, "write 0 to 100");
        } else if excess && weight.is_some() {
            let message = "the weights of the Mappings for these requests sum to more than 100: each gets its part of the sum";
            findings.error(
                object,
                "weights-over-100",
                "spec.weight",
                message.to_owned(),
                "make them sum to 100",
            );
        }
    }
}

fn mixed_case(group: &Group<'_>, findings: &mut Findings) {
    let sensitive = |rule: &Rule| rule.spec().case_sensitive != Some(false);
    let Some(first) = group.members.first() else { return };
    for rule in group.members.iter().filter(|rule| sensitive(rule) != sensitive(first)) {
        let message =
            format!("{} takes the same requests, and its case_sensitive holds for both", first.object.id);
        let fix = "write the same in both";
        findings.warn(&rule.object, "mixed-case-sensitivity", "spec.case_sensitive", message, fix);
    }
}

/// Authorisation was asked for and is not there: refuse, as Emissary does when its AuthService is misconfigured.
fn no_authorisation() -> Action {
    Action::Respond(Respond {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        content_type: Some("application/json".to_owned()),
        body: "{\"message\":\"authorisation is not available\",\"status_code\":500}\n".into(),
    })
}

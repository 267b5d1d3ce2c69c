//! Routes: what is made of the paths of a host.

mod canary;

use std::sync::Arc;

use http::StatusCode;
use plenipo_model::{
    Action, Forward, HashKey, HeaderEdits, HostPattern, HostRewrite, PathMatch, PathRewrite, Pattern,
    Redirect, RedirectPath, Respond, Route, RouteMatch, Target, ValueMatch,
};

use super::backend::Clusters;
use super::class::Flavour;
use super::hosts::{Claim, HostPaths};
use super::path::Path;
use super::policy::{Https, Policy};
use super::tls::HostTls;
use crate::findings::Findings;
use crate::secrets::Secrets;

/// Makes routes.
pub(super) struct Writer<'w, 'a> {
    pub(super) clusters: &'w mut Clusters<'a>,
    pub(super) secrets: &'w mut Secrets<'a>,
    pub(super) findings: &'w mut Findings,
}

/// What a route of a path is like before its action is known.
struct Outline<'o, 'e, 'a> {
    claim: &'o Claim<'e, 'a>,
    /// `ingress/default/shop/a.example/cart`.
    name: String,
    matches: RouteMatch,
}

impl<'a> Writer<'_, 'a> {
    /// The routes of a host, in the order in which they are tried.
    pub(super) fn host(
        &mut self,
        host: &HostPattern,
        paths: &HostPaths<'_, 'a>,
        tls: &HostTls,
    ) -> Arc<[Arc<Route>]> {
        if let Some((entry, name)) = &paths.sends_to {
            let redirect =
                Redirect { host: Some(name.clone()), ..Redirect::new(StatusCode::PERMANENT_REDIRECT) };
            let route = format!("{}/www", route_name(entry, host, "/"));
            let action = Action::Redirect(Box::new(redirect));
            let path = PathMatch::Prefix("/".to_owned());
            return Arc::from([Arc::new(Route::new(&route, entry.source.clone(), path, action))]);
        }
        let mut routes = Vec::new();
        self.app_root(host, paths, tls, &mut routes);
        for claim in &paths.claims {
            self.claim(host, claim, tls, paths, &mut routes);
        }
        routes.into_iter().map(Arc::new).collect()
    }

    /// `app-root`: `/` itself sends there.
    fn app_root(
        &mut self,
        host: &HostPattern,
        paths: &HostPaths<'_, 'a>,
        tls: &HostTls,
        routes: &mut Vec<Route>,
    ) {
        let Some((entry, place)) =
            paths.entries.iter().find_map(|entry| Some((entry, entry.policy.app_root.as_ref()?)))
        else {
            return;
        };
        let path = PathMatch::Exact("/".to_owned());
        let name = format!("{}/app-root", route_name(entry, host, "/"));
        if sends_to_https(&entry.policy, tls, paths) {
            routes.push(to_https(&name, entry.source.clone(), RouteMatch::new(path.clone())));
        }
        let redirect = Redirect { path: RedirectPath::To(place.clone()), ..Redirect::new(StatusCode::FOUND) };
        routes.push(Route::new(&name, entry.source.clone(), path, Action::Redirect(Box::new(redirect))));
    }

    fn claim(
        &mut self,
        host: &HostPattern,
        claim: &Claim<'_, 'a>,
        tls: &HostTls,
        paths: &HostPaths<'_, 'a>,
        routes: &mut Vec<Route>,
    ) {
        let Some(matches) = claim.path.matches() else { return };
        let policy = &claim.entry.policy;
        let matches = RouteMatch::new(matches);
        let name = route_name(claim.entry, host, &claim.path.name());
        let (first, is_challenge) = (routes.len(), claim.path.is_challenge());
        if sends_to_https(policy, tls, paths) && !is_challenge {
            routes.push(to_https(&name, claim.entry.source.clone(), matches.clone()));
        }
        let outline = Outline { claim, name, matches };
        if is_closed(claim, tls) {
            // Whoever asks gets the answer that the report speaks of.
            routes.push(Route { guard: None, ..outline.route(unavailable(), policy) });
            return;
        }
        if let Some(redirect) = &policy.redirect {
            routes.push(outline.route(Action::Redirect(Box::new(redirect.clone())), policy));
            return;
        }
        let Some((main, hash)) = self.target(claim, policy) else {
            routes.push(outline.route(unavailable(), policy));
            return;
        };
        let hashed = hash.map(|hash| Policy { hash: Some(hash), ..policy.clone() });
        let policy = hashed.as_ref().unwrap_or(policy);
        let canary = claim.canary.as_deref().and_then(|canary| {
            let (target, _) = self.target(
                canary,
                &Policy { upstream: canary.entry.policy.upstream.clone(), ..policy.clone() },
            )?;
            Some((canary.entry.policy.canary.as_ref()?, target))
        });
        match canary {
            Some((terms, canary)) => canary::routes(&outline, policy, terms, main, canary, routes),
            None => routes.push(outline.route(forward(policy, vec![main], 100), policy)),
        }
        for route in &mut routes[first..] {
            route.clear_text_allowed = is_challenge;
        }
    }

    /// Where the requests of a path go, and what they are hashed by there; none when nobody could be asked.
    fn target(&mut self, claim: &Claim<'_, 'a>, policy: &Policy) -> Option<(Target, Option<HashKey>)> {
        let entry = claim.entry;
        let (object, field, backend) = (entry.object, &claim.field, claim.backend);
        let asked = match entry.flavour {
            Flavour::Istio => self.clusters.in_mesh(object, field, backend, self.secrets, self.findings),
            _ => self
                .clusters
                .of_backend(object, field, backend, &policy.upstream, self.findings)
                .map(|cluster| Some((cluster, None))),
        };
        let (cluster, hash) = match asked {
            Ok(cluster) => cluster?,
            Err(mut flaw) => {
                flaw.message.push_str(": its requests are answered 503");
                self.findings.flaw(entry.object, &flaw);
                return None;
            }
        };
        let target = Target {
            rewrite: rewrite(&claim.path, policy, entry.flavour),
            host: policy.host.clone().map_or(HostRewrite::Keep, HostRewrite::To),
            timeout: policy.timeout,
            idle_timeout: policy.idle_timeout,
            ..Target::all(entry.source.clone(), cluster)
        };
        Some((target, hash))
    }
}

impl Outline<'_, '_, '_> {
    /// A route with everything that its Ingress asks for.
    fn route(&self, action: Action, policy: &Policy) -> Route {
        let path = self.matches.path.clone();
        let mut route = Route::new(&self.name, self.claim.entry.source.clone(), path, action);
        route.pattern = self.claim.path.text().into();
        route.matches = self.matches.clone();
        route.request_headers = policy.request_headers.clone();
        route.response_headers = policy.response_headers.clone();
        route.cors = policy.cors.clone();
        route.body_bytes = policy.body_bytes;
        if !self.claim.path.is_challenge() {
            route.guard = policy.guard.clone();
        }
        if !matches!(route.action, Action::Forward(_)) {
            route.request_headers = HeaderEdits::default();
        }
        route
    }
}

fn route_name(entry: &super::Entry<'_>, host: &HostPattern, path: &str) -> String {
    let id = &entry.object.id;
    let host = match host {
        HostPattern::OneLabel(suffix) => format!("*{suffix}"),
        host => host.to_string(),
    };
    format!("ingress/{}/{}/{host}{path}", id.namespace, id.name)
}

/// Is a path closed, for want of protection that was asked for?
fn is_closed(claim: &Claim<'_, '_>, tls: &HostTls) -> bool {
    let policy = &claim.entry.policy;
    let uncertain = policy.client_auth.is_some() && !matches!(tls, HostTls::Terminate(_));
    !claim.path.is_challenge() && (policy.closed || uncertain)
}

/// Is somebody who comes in clear text sent to TLS? Where client certificates are asked for, always.
fn sends_to_https(policy: &Policy, tls: &HostTls, paths: &HostPaths<'_, '_>) -> bool {
    let certain = paths.entries.iter().any(|entry| entry.policy.client_auth.is_some());
    match policy.https {
        Https::Always => true,
        Https::WithTls => tls.is_asked(),
        Https::Open => certain && tls.is_asked(),
    }
}

fn to_https(name: &str, source: plenipo_model::Source, matches: RouteMatch) -> Route {
    let redirect = Redirect {
        scheme: Some("https".to_owned()),
        port: Some(443),
        ..Redirect::new(StatusCode::PERMANENT_REDIRECT)
    };
    let action = Action::Redirect(Box::new(redirect));
    let mut route = Route::new(&format!("{name}/https"), source, matches.path.clone(), action);
    route.matches = RouteMatch { scheme: Some(ValueMatch::Exact("http".to_owned())), ..matches };
    route
}

/// The answer of a route that cannot do what was asked for. The reason is in the report, not for clients.
fn unavailable() -> Action {
    Action::Respond(Respond { status: StatusCode::SERVICE_UNAVAILABLE, content_type: None, body: "".into() })
}

fn forward(policy: &Policy, targets: Vec<Target>, total: u32) -> Action {
    let mut targets = targets.into_iter();
    let first = targets.next().expect("callers give one or two");
    let mut forward = Forward::to(first);
    forward.targets.extend(targets);
    forward.total = total;
    forward.retry.clone_from(&policy.retry);
    forward.hash.clone_from(&policy.hash);
    forward.upgrades = vec!["websocket".to_owned()];
    Action::Forward(Box::new(forward))
}

fn rewrite(path: &Path, policy: &Policy, flavour: Flavour) -> PathRewrite {
    match &policy.rewrite {
        None => PathRewrite::Keep,
        // A solver answers at the path that it was asked for and no other.
        Some(_) if flavour == Flavour::Emissary && path.is_challenge() => PathRewrite::Keep,
        // What matched is replaced, the rest of the path stays.
        Some(to) if flavour == Flavour::Emissary => PathRewrite::Matched(to.clone()),
        Some(to) => match path.pattern().or_else(|| Pattern::new("^.*$").ok()) {
            Some(pattern) => PathRewrite::Regex(pattern, to.clone()),
            None => PathRewrite::Matched(to.clone()),
        },
    }
}

//! Lists of routes put together.

use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;
use plenipo_model::{
    Action, Authorization, Fraction, Guard, InsecureAction, PathMatch, Redirect, Respond, Route, RouteMatch,
    ValueMatch, VirtualHost,
};

use super::conflict::Conflicts;

type Routes = Arc<[Arc<Route>]>;

/// What routes must have that leave the server that gave it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// What becomes of requests that are not secure.
    pub(super) insecure: InsecureAction,
    /// Who may ask.
    pub(super) authorization: Option<Arc<Authorization>>,
}

/// The same two lists often meet behind several chains: they are put together once, so that they stay one list.
#[derive(Default)]
pub(super) struct Lists(HashMap<(usize, usize), Vec<Made>>);

struct Made {
    /// Kept, so that no other list gets their addresses.
    _of: [Routes; 2],
    condition: Condition,
    routes: Routes,
}

impl Lists {
    /// The routes under this condition.
    pub(super) fn under(&mut self, routes: &Routes, condition: &Condition) -> Routes {
        if condition.is_nothing() {
            Arc::clone(routes)
        } else {
            self.united(&Arc::from([]), routes, condition)
        }
    }

    /// The first ones, then the second ones under this condition.
    pub(super) fn united(&mut self, first: &Routes, second: &Routes, condition: &Condition) -> Routes {
        let key = (address(first), address(second));
        let known = self.0.entry(key).or_default();
        if let Some(made) = known.iter().find(|made| made.condition == *condition) {
            return Arc::clone(&made.routes);
        }
        let second_under = second.iter().flat_map(|route| condition.of(route));
        let routes: Routes = first.iter().cloned().chain(second_under).collect();
        known.push(Made {
            _of: [Arc::clone(first), Arc::clone(second)],
            condition: condition.clone(),
            routes: Arc::clone(&routes),
        });
        routes
    }

    /// Tells of routes that no request reaches, because earlier ones take them all.
    pub(super) fn tell_shadowed(
        &self,
        mine: &VirtualHost,
        theirs: &VirtualHost,
        conflicts: &mut Conflicts<'_>,
    ) {
        let key = (address(&mine.routes), address(&theirs.routes));
        if self.0.contains_key(&key) {
            return;
        }
        let all = mine.routes.iter().find(|route| takes_all(route) && is_any(&route.matches));
        let mut by_path: HashMap<&str, Vec<&Arc<Route>>> = HashMap::new();
        for route in mine.routes.iter().filter(|route| takes_all(route)) {
            by_path.entry(route.matches.path.text()).or_default().push(route);
        }
        for route in &*theirs.routes {
            let before = all.or_else(|| wider(&by_path, &route.matches).copied());
            if let Some(before) = before {
                let message = shadow(before, &mine.host.to_string(), &route.pattern, all.is_some());
                conflicts.idle(&route.source, message, "use another host or path for one of the two");
            }
        }
    }
}

/// The route that takes the same requests, or all requests that begin as these do.
fn wider<'m, 'r>(
    by_path: &'m HashMap<&str, Vec<&'r Arc<Route>>>,
    matches: &RouteMatch,
) -> Option<&'m &'r Arc<Route>> {
    let text = matches.path.text();
    let ends = (0..=text.len()).rev().filter(|end| text.is_char_boundary(*end));
    let alike = ends.filter_map(|end| by_path.get(&text[..end])).flatten();
    let takes = |other: &RouteMatch| {
        let by_path_alone =
            RouteMatch { fraction: None, ..other.clone() } == RouteMatch::new(other.path.clone());
        same_requests(other, matches) || (by_path_alone && other.path.covers(&matches.path))
    };
    alike.into_iter().find(|route| takes(&route.matches))
}

fn shadow(winner: &Route, host: &str, pattern: &str, all: bool) -> String {
    let which = if all {
        "all requests".to_owned()
    } else if *winner.pattern == *pattern {
        "the same requests".to_owned()
    } else {
        format!("all requests under {}", winner.pattern)
    };
    format!("{pattern} is never tried: {} takes {which} for {host} and goes first", winner.source)
}

fn address(routes: &Routes) -> usize {
    if routes.is_empty() { 0 } else { routes.as_ptr().addr() }
}

/// Does it leave none of the requests that it matches to others?
fn takes_all(route: &Route) -> bool {
    let all = match &route.action {
        Action::Forward(forward) => {
            forward.targets.iter().map(|target| target.weight).sum::<u32>() >= forward.total
        }
        Action::Redirect(_) | Action::Respond(_) => true,
    };
    all && route.matches.fraction.is_none_or(|fraction| fraction.0 >= Fraction::ALL.0)
}

/// Does it match every request?
fn is_any(matches: &RouteMatch) -> bool {
    let root = match &matches.path {
        PathMatch::Prefix(text) | PathMatch::Segments(text) | PathMatch::PrefixIgnoreCase(text) => {
            matches!(text.as_str(), "" | "/")
        }
        PathMatch::Regex(pattern) => matches!(pattern.as_str(), ".*" | "/.*"),
        PathMatch::Exact(_) | PathMatch::ExactIgnoreCase(_) => false,
    };
    root && same_requests(matches, &RouteMatch::new(matches.path.clone()))
}

fn same_requests(a: &RouteMatch, b: &RouteMatch) -> bool {
    let whole = |matches: &RouteMatch| RouteMatch { fraction: None, ..matches.clone() };
    whole(a) == whole(b)
}

impl Condition {
    /// Routes are as they are.
    pub(super) const NONE: Self = Self { insecure: InsecureAction::Route, authorization: None };

    fn is_nothing(&self) -> bool {
        self.insecure == InsecureAction::Route && self.authorization.is_none()
    }

    /// The route, as it has to be under this condition.
    fn of(&self, route: &Arc<Route>) -> Vec<Arc<Route>> {
        if self.is_nothing() {
            return vec![Arc::clone(route)];
        }
        let mut guarded = (**route).clone();
        if let Some(rules) = &self.authorization {
            guarded.guard = Some(Arc::new(both(route.guard.as_deref(), rules)));
        }
        let mut routes = Vec::new();
        if self.insecure != InsecureAction::Route && !route.clear_text_allowed {
            let mut stopped = guarded.clone();
            stopped.name = format!("{} (not secure)", route.name).into();
            stopped.matches.scheme = Some(ValueMatch::Exact("http".to_owned()));
            // Who may not ask is told so where the request would be answered.
            stopped.guard = None;
            stopped.fault = None;
            stopped.action = if self.insecure == InsecureAction::Redirect {
                let to = Redirect {
                    scheme: Some("https".to_owned()),
                    ..Redirect::new(StatusCode::MOVED_PERMANENTLY)
                };
                Action::Redirect(Box::new(to))
            } else {
                let nothing = Respond { status: StatusCode::NOT_FOUND, content_type: None, body: "".into() };
                Action::Respond(nothing)
            };
            routes.push(Arc::new(stopped));
        }
        routes.push(Arc::new(guarded));
        routes
    }
}

/// What guards the route, and what guarded its server.
fn both(guard: Option<&Guard>, server: &Arc<Authorization>) -> Guard {
    let mut guard = guard.cloned().unwrap_or_default();
    guard.authorization = Some(match &guard.authorization {
        None => Arc::clone(server),
        // Two lists of who is allowed cannot be one; `demands` does not let it come to this.
        Some(_) => Arc::new(Authorization {
            refuse: Some("the route and its server both say who may ask".to_owned()),
            ..Authorization::default()
        }),
    });
    guard
}

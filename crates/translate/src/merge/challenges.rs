//! ACME's HTTP-01 challenges (RFC 8555 §8.3) beside what another dialect serves.
//!
//! Whoever asks for one comes in clear text, cannot say who it is, and follows no rule of the host's: it must reach its route
//! whoever has the host, or there will be no certificate for it.

use std::sync::Arc;

use plenipo_model::{HostPattern, HttpServer, Route, VirtualHost};

use super::names::within;
use super::unite::{Condition, Lists};

type Routes = Arc<[Arc<Route>]>;

/// Takes the routes of challenges out of a host; none when it has none.
pub(super) fn take(host: &mut VirtualHost) -> Option<Routes> {
    if !host.routes.iter().any(|route| route.clear_text_allowed) {
        return None;
    }
    let (challenges, others): (Vec<_>, Vec<_>) =
        host.routes.iter().cloned().partition(|route| route.clear_text_allowed);
    host.routes = others.into();
    Some(challenges.into())
}

/// A host that is there for challenges only: whoever has it, or all like it, keeps everything else.
pub(super) fn admit(mine: &mut HttpServer, theirs: &VirtualHost, challenges: &Routes, lists: &mut Lists) {
    if mine.hosts.iter().all(|other| other.host != theirs.host) {
        let wider =
            mine.hosts.iter().find(|other| other.host > theirs.host && within(&theirs.host, &other.host));
        let host = match wider {
            Some(wider) => VirtualHost { host: theirs.host.clone(), ..wider.clone() },
            None => theirs.clone(),
        };
        super::hosts::insert(&mut mine.hosts, host);
    }
    put_first(mine, &theirs.host, challenges, lists);
}

/// Before all routes of that host, which would take what is asked of these.
pub(super) fn put_first(
    mine: &mut HttpServer,
    pattern: &HostPattern,
    challenges: &Routes,
    lists: &mut Lists,
) {
    for host in mine.hosts.iter_mut().filter(|host| host.host == *pattern) {
        host.routes = lists.united(challenges, &host.routes, &Condition::NONE);
    }
}

#[cfg(test)]
mod tests {
    use plenipo_model::{Action, InsecureAction, PathMatch, Redirect, Source};

    use super::*;

    fn route(name: &str, challenge: bool) -> Arc<Route> {
        let action = Action::Redirect(Box::new(Redirect::new(http::StatusCode::FOUND)));
        let mut route =
            Route::new(name, Source::new("Ingress a/i"), PathMatch::Prefix("/".to_owned()), action);
        route.clear_text_allowed = challenge;
        Arc::new(route)
    }

    fn host(name: &str, routes: Vec<Arc<Route>>) -> VirtualHost {
        VirtualHost::new(Source::new("Host a/h"), HostPattern::parse(name).expect("it is one"), routes)
    }

    fn names(server: &HttpServer) -> Vec<(String, Vec<&str>)> {
        server.hosts.iter().map(|host| (host.host.to_string(), of(host))).collect()
    }

    fn of(host: &VirtualHost) -> Vec<&str> {
        host.routes.iter().map(|route| &*route.name).collect()
    }

    /// A server with a wildcard that sends everybody to TLS, after a solver for this name came.
    fn with_solver(name: &str) -> HttpServer {
        let mut any = host("*.example.com", vec![route("app", false)]);
        any.insecure = InsecureAction::Redirect;
        let own = host("own.example.com", vec![route("own", false)]);
        let mut mine = HttpServer::new(Source::new("Listener a/l"), vec![own, any]);
        let mut solver = host(name, vec![route("token", true)]);
        let challenges = take(&mut solver).expect("it has one");
        assert!(solver.routes.is_empty());
        admit(&mut mine, &solver, &challenges, &mut Lists::default());
        mine
    }

    #[test]
    fn a_host_that_is_there_keeps_everything_else() {
        let server = with_solver("own.example.com");
        assert_eq!(
            names(&server),
            [("own.example.com".into(), vec!["token", "own"]), ("*.example.com".into(), vec!["app"])]
        );
    }

    #[test]
    fn a_name_under_a_wildcard_is_served_as_before() {
        let server = with_solver("new.example.com");
        let found = server.hosts.iter().find(|host| host.host.to_string() == "new.example.com");
        let found = found.expect("it is there");
        assert_eq!(found.insecure, InsecureAction::Redirect);
        assert_eq!(of(found), ["token", "app"]);
    }

    #[test]
    fn a_name_that_nobody_has_answers_challenges_only() {
        let server = with_solver("www.example.org");
        let found = names(&server).into_iter().find(|(name, _)| name == "www.example.org");
        assert_eq!(found.map(|(_, routes)| routes), Some(vec!["token"]));
    }

    #[test]
    fn a_host_without_challenges_is_left_as_it_is() {
        let mut plain = host("a.example.com", vec![route("app", false)]);
        let before = Arc::clone(&plain.routes);
        assert!(take(&mut plain).is_none());
        assert!(Arc::ptr_eq(&before, &plain.routes));
    }
}

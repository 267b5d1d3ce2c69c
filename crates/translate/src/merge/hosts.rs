//! The hosts of one server.

use std::sync::Arc;

use http::StatusCode;
use plenipo_model::{Action, HttpServer, InsecureAction, Refusal, Respond, Route, Source, VirtualHost};

use super::conflict::Conflicts;
use super::names::within;
use super::unite::{Condition, Lists};
use super::{challenges, demands};

/// Puts hosts of another server, as far as they are given, behind a server that is there already.
pub(super) fn join(
    mine: &mut HttpServer,
    theirs: &HttpServer,
    hosts: Vec<VirtualHost>,
    conflicts: &mut Conflicts<'_>,
    lists: &mut Lists,
) {
    if !same_settings(mine, theirs) {
        let message = format!("what is set for a whole address is taken from {} there", mine.source);
        conflicts.changed(&theirs.source, message, "use a port of its own, if that matters");
    }
    let winner = mine.source.clone();
    let guarding = guarding(mine);
    for mut host in hosts {
        let challenges = if theirs.refuse.is_none() { challenges::take(&mut host) } else { None };
        if let Some(challenges) = challenges.as_ref().filter(|_| host.routes.is_empty()) {
            challenges::admit(mine, &host, challenges, lists);
            continue;
        }
        let pattern = host.host.clone();
        if host.refuse.is_none() {
            host.refuse.clone_from(&theirs.refuse);
        }
        if let Some(weaker) = demands::of_host(mine, theirs, &host).filter(|_| host.refuse.is_none()) {
            host.refuse = Some(refused(&host, &winner, weaker, conflicts));
        }
        if let Some(guard) = guarding.as_ref().filter(|_| theirs.authorization.is_none()) {
            let message =
                format!("{guard} guards routes at the address that it shares with {winner}, and not its own");
            conflicts.changed(
                &host.source,
                message,
                "nothing, if it needs no guard; else use an address of its own",
            );
        }
        let condition = Condition {
            insecure: if demands::is_laxer(mine, theirs) { host.insecure } else { InsecureAction::Route },
            authorization: theirs
                .authorization
                .clone()
                .filter(|rules| mine.authorization.as_ref() != Some(rules)),
        };
        match mine.hosts.iter_mut().find(|other| other.host == host.host) {
            Some(other) => unite(other, &host, condition, conflicts, lists),
            None => {
                host.routes = match host.refuse {
                    Some(_) => Arc::from([]),
                    None => lists.under(&host.routes, &condition),
                };
                tell_wider(mine, theirs, &host, conflicts);
                insert(&mut mine.hosts, host);
            }
        }
        if let Some(challenges) = challenges {
            challenges::put_first(mine, &pattern, &challenges, lists);
        }
    }
}

/// What asks who may come to some of the routes, for all that its dialect serves there.
fn guarding(mine: &HttpServer) -> Option<Source> {
    let guards =
        mine.hosts.iter().flat_map(|host| host.routes.iter()).filter_map(|route| route.guard.as_ref());
    let mut sources = guards.flat_map(|guard| {
        let asked = guard.external.iter().map(|service| &service.source);
        asked.chain(guard.authorization.iter().flat_map(|rules| rules.sources()))
    });
    // Of an Ingress they are for its own routes only.
    sources.find(|source| !source.as_str().starts_with("Ingress ")).cloned()
}

/// Tells a wildcard that some of what it had is a closer host's now.
fn tell_wider(mine: &HttpServer, theirs: &HttpServer, host: &VirtualHost, conflicts: &mut Conflicts<'_>) {
    let wider = mine.hosts.iter().find(|other| other.host > host.host && within(&host.host, &other.host));
    let foreign = |wider: &&VirtualHost| theirs.hosts.iter().all(|own| own.source != wider.source);
    if let Some(wider) = wider.filter(foreign) {
        let message =
            format!("requests for {} are {}'s, which is closer than {}", host.host, host.source, wider.host);
        conflicts.changed(&wider.source, message, "write routes for that host, if it is to have them");
    }
}

/// The hosts serve nothing behind this server; of those that are another's already, what they had routes for is refused.
pub(super) fn close(mine: &mut HttpServer, hosts: Vec<VirtualHost>, refusal: &Refusal, lists: &mut Lists) {
    for host in hosts {
        match mine.hosts.iter_mut().find(|other| other.host == host.host) {
            Some(other) => {
                other.routes = lists.united(&other.routes, &closed(&host.routes), &Condition::NONE);
            }
            None => {
                let refuse = Some(refusal.clone());
                insert(&mut mine.hosts, VirtualHost { refuse, routes: Arc::from([]), ..host });
            }
        }
    }
}

/// In the order of their patterns.
pub(super) fn insert(hosts: &mut Vec<VirtualHost>, host: VirtualHost) {
    let at = hosts.partition_point(|other| other.host < host.host);
    hosts.insert(at, host);
}

/// The routes of a host that two want: those of the earlier go first.
fn unite(
    mine: &mut VirtualHost,
    theirs: &VirtualHost,
    mut condition: Condition,
    conflicts: &mut Conflicts<'_>,
    lists: &mut Lists,
) {
    if theirs.refuse.is_some() {
        mine.routes = lists.united(&mine.routes, &closed(&theirs.routes), &Condition::NONE);
        return;
    }
    let identity = theirs.client_identity.is_some() && mine.client_identity != theirs.client_identity;
    let weaker = match () {
        () if mine.refuse.is_some() => Some("refuses it"),
        () if identity => Some("asks for clients in another way there"),
        () => None,
    };
    if let Some(weaker) = weaker {
        refused(theirs, &mine.source, weaker, conflicts);
        mine.routes = lists.united(&mine.routes, &closed(&theirs.routes), &Condition::NONE);
        return;
    }
    match (mine.insecure, theirs.insecure) {
        (mine, theirs) if mine == theirs => {}
        (InsecureAction::Route, theirs) => condition.insecure = theirs,
        (_, InsecureAction::Route) => {
            let message =
                format!("{} wants TLS for {}, clear text does not reach the routes", mine.source, mine.host);
            conflicts.changed(&theirs.source, message, "ask for a redirect to https in both");
        }
        _ => {}
    }
    lists.tell_shadowed(mine, theirs, conflicts);
    mine.routes = lists.united(&mine.routes, &theirs.routes, &condition);
}

/// Routes that are refused: nobody who comes later, and has routes for more, takes their requests.
fn closed(routes: &[Arc<Route>]) -> Arc<[Arc<Route>]> {
    let answer = || {
        Action::Respond(Respond {
            status: StatusCode::SERVICE_UNAVAILABLE,
            content_type: None,
            body: "".into(),
        })
    };
    let close = |route: &Route| Route { action: answer(), guard: None, fault: None, ..route.clone() };
    routes.iter().map(|route| Arc::new(close(route))).collect()
}

fn refused(host: &VirtualHost, winner: &Source, weaker: &str, conflicts: &mut Conflicts<'_>) -> Refusal {
    let message = format!("{} is refused where {winner} serves too, which {weaker}", host.host);
    let fix = "use a port of its own, or ask for the same in both";
    conflicts.lost(&host.source, message.clone(), fix);
    Refusal { status: 503, reason: message }
}

/// Is what holds for all hosts the same?
fn same_settings(mine: &HttpServer, theirs: &HttpServer) -> bool {
    let bare = |server: &HttpServer| HttpServer {
        source: mine.source.clone(),
        hosts: Vec::new(),
        elsewhere: Arc::from([]),
        ..server.clone()
    };
    bare(mine) == bare(theirs)
}

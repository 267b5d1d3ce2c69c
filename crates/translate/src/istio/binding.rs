//! Which VirtualServices stand behind a server, under which names, and in which order.

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{HostPattern, InsecureAction, Route, Source, VirtualHost};

use super::gateway::{Kind, Server, ServerHost};
use super::matching::is_catch_all;
use super::route::{self, Offered};
use super::virtual_service::Service;
use super::world::World;

/// What is in both patterns: the narrower one.
pub(super) fn narrower(one: &HostPattern, other: &HostPattern) -> Option<HostPattern> {
    if covers(one, other) { Some(other.clone()) } else { covers(other, one).then(|| one.clone()) }
}

/// Is every name of `inner` one of `outer`?
pub(super) fn covers(outer: &HostPattern, inner: &HostPattern) -> bool {
    match (outer, inner) {
        (HostPattern::Any, _) => true,
        (HostPattern::Suffix(suffix), HostPattern::Suffix(other)) => other.ends_with(suffix.as_str()),
        (pattern, HostPattern::Exact(name)) => pattern.matches(name),
        (one, other) => one == other,
    }
}

/// The names that a VirtualService has behind these hosts of a server.
pub(super) fn names<'h>(
    hosts: impl IntoIterator<Item = &'h ServerHost>,
    service: &Service<'_>,
) -> Vec<HostPattern> {
    let namespace = &*service.object.id.namespace;
    let mut names: Vec<HostPattern> = Vec::new();
    for host in hosts {
        if host.namespace.as_deref().is_some_and(|only| only != namespace) {
            continue;
        }
        for (_, wanted) in &service.hosts {
            let name = narrower(&host.pattern, wanted);
            names.extend(name.filter(|name| !names.contains(name)));
        }
    }
    names
}

/// The routes of all VirtualServices, made once for every port of a server.
#[derive(Default)]
pub(super) struct Offers {
    made: BTreeMap<(usize, u16), Vec<Offered>>,
}

impl Offers {
    /// The routes of one VirtualService behind a server, in their order.
    fn behind(
        &mut self,
        place: usize,
        service: &Service<'_>,
        server: &Server<'_>,
        world: &mut World<'_, '_>,
    ) -> Vec<Arc<Route>> {
        let made = self.made.entry((place, server.number));
        let offered = made.or_insert_with(|| route::routes(service, server.number, world));
        let mut routes = Vec::new();
        for one in offered.iter() {
            let gateways = one.only.gateways.as_ref();
            let here = gateways.is_none_or(|names| names.iter().any(|name| name.is(server.gateway)))
                && one.only.port.is_none_or(|port| port == i64::from(server.number));
            if here {
                routes.push(Arc::clone(&one.route));
                if one.ends {
                    break;
                }
            }
        }
        routes
    }
}

/// A virtual host in the making.
struct Gathered {
    source: Source,
    redirect: bool,
    /// With the places of their VirtualServices, in the order in which they came.
    routes: Vec<(usize, Arc<Route>)>,
}

impl Gathered {
    fn new(source: &Source) -> Self {
        Self { source: source.clone(), redirect: false, routes: Vec::new() }
    }

    /// A route that comes through two servers comes once.
    fn take(&mut self, place: usize, routes: Vec<Arc<Route>>) {
        let has_some = self.routes.iter().any(|(other, _)| *other == place);
        for route in routes {
            let known = |(other, known): &(usize, Arc<Route>)| *other == place && *known == route;
            if !(has_some && self.routes.iter().any(known)) {
                self.routes.push((place, route));
            }
        }
    }

    /// Routes in the order in which they are tried: those that take every request are last.
    fn finish(self, host: HostPattern) -> VirtualHost {
        let all = self.routes.into_iter().map(|(_, route)| route);
        let (last, first): (Vec<_>, Vec<_>) = all.partition(|route| is_catch_all(&route.matches));
        let routes: Vec<Arc<Route>> = first.into_iter().chain(last).collect();
        let mut made = VirtualHost::new(self.source, host, routes);
        if self.redirect {
            (made.insecure, made.redirect_unmatched) = (InsecureAction::Redirect, true);
        }
        made
    }
}

/// A server and the hosts of it that count.
pub(super) struct Open<'s, 'a> {
    pub(super) server: &'s Server<'a>,
    pub(super) hosts: Vec<&'s ServerHost>,
}

/// The virtual hosts of servers that share them.
pub(super) fn virtual_hosts(
    servers: &[Open<'_, '_>],
    services: &[Service<'_>],
    offers: &mut Offers,
    world: &mut World<'_, '_>,
) -> BTreeMap<HostPattern, VirtualHost> {
    let mut hosts: BTreeMap<HostPattern, Gathered> = BTreeMap::new();
    for Open { server, hosts: open } in servers {
        let redirect = server.kind == Kind::Http { redirect: true };
        for (place, service) in services.iter().enumerate().filter(|(_, service)| is_bound(service, server)) {
            let names = names(open.iter().copied(), service);
            if names.is_empty() || service.http.is_empty() {
                continue;
            }
            let routes = offers.behind(place, service, server, world);
            for name in names {
                let gathered = hosts.entry(name).or_insert_with(|| Gathered::new(&service.source));
                gathered.take(place, routes.clone());
                gathered.redirect |= redirect;
            }
        }
        // Clients of a name that no VirtualService has are sent to https all the same; and behind TLS each name is here,
        // so that requests for it are answered on its own connections and not on others.
        if redirect || server.kind.is_tls() {
            for host in open {
                let gathered = hosts.entry(host.pattern.clone());
                gathered.or_insert_with(|| Gathered::new(&server.source)).redirect |= redirect;
            }
        }
    }
    hosts.into_iter().map(|(host, gathered)| (host.clone(), gathered.finish(host))).collect()
}

/// Does the VirtualService name the server's Gateway?
pub(super) fn is_bound(service: &Service<'_>, server: &Server<'_>) -> bool {
    service.gateways.iter().any(|(_, name)| name.is(server.gateway))
}

#[cfg(test)]
mod tests;

//! `tcp` and `tls` routes of VirtualServices: where the bytes of connections go.

use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{HostPattern, TcpRoute, TcpTarget};
use plenipo_resources::istio::{ConnectionMatch, RouteDestination};

use super::action::shares;
use super::binding::{covers, is_bound, names, narrower};
use super::destinations::Carries;
use super::gateway::{Server, host_pattern};
use super::route::source_in;
use super::virtual_service::{GatewayName, Service};
use super::world::{Asked, World};
use crate::findings::{Findings, Flaw};

/// Envoy's default of a TCP proxy.
const IDLE: Duration = Duration::from_secs(3600);

/// TLS connections for some names, and where they go.
pub(super) struct Passed {
    pub(super) names: Vec<HostPattern>,
    pub(super) route: Arc<TcpRoute>,
}

/// Where the connections of a server go that has no HTTP: the first route for it, of the first VirtualService.
pub(super) fn tcp(
    server: &Server<'_>,
    services: &[Service<'_>],
    world: &mut World<'_, '_>,
) -> Option<Arc<TcpRoute>> {
    let mut found: Option<(Arc<TcpRoute>, &Service<'_>)> = None;
    for service in services.iter().filter(|service| is_bound(service, server)) {
        if names(&server.hosts, service).is_empty() {
            continue;
        }
        for (place, route) in service.written.tcp.iter().enumerate() {
            let field = format!("spec.tcp[{place}]");
            let here = |one: &ConnectionMatch| is_here(one, service, server);
            if !(route.r#match.is_empty() || route.r#match.iter().any(here)) {
                continue;
            }
            match &found {
                Some((_, first)) => {
                    let message = format!("{} has the connections of port {}", first.source, server.number);
                    let fix = "use another port for one of the two";
                    world.findings.error(service.object, "tcp-route-not-used", &field, message, fix);
                }
                None => {
                    let made = relay(&route.route, service, server, &field, Carries::Tcp, world);
                    found = Some((made, service));
                }
            }
        }
    }
    if found.is_none() {
        let message =
            format!("no VirtualService has a tcp route for it: port {} is not opened", server.number);
        let fix = "write a VirtualService with this gateway, one of these hosts, and tcp";
        world.findings.warn(server.gateway, "no-tcp-route", &server.field, message, fix);
    }
    found.map(|(route, _)| route)
}

/// Where the TLS connections of a server go that are passed on as they are.
pub(super) fn tls(
    server: &Server<'_>,
    services: &[Service<'_>],
    world: &mut World<'_, '_>,
) -> Vec<(Passed, plenipo_resources::ObjectId)> {
    let mut passed = Vec::new();
    for service in services.iter().filter(|service| is_bound(service, server)) {
        if names(&server.hosts, service).is_empty() {
            continue;
        }
        for (place, route) in service.written.tls.iter().enumerate() {
            let field = format!("spec.tls[{place}]");
            if route.r#match.is_empty() {
                let message = "a tls route needs a match with sniHosts: it takes nothing";
                let fix = "write match: [{sniHosts: […]}]";
                let flaw = Flaw::new("missing-sni", format!("{field}.match"), message, fix);
                world.findings.fatal(service.object, &flaw);
            }
            let mut names: Vec<HostPattern> = Vec::new();
            for (at, one) in route.r#match.iter().enumerate() {
                let field = format!("{field}.match[{at}]");
                let found = server_names(one, service, server, &field, world.findings);
                names.extend(found.into_iter().filter(|_| is_here(one, service, server)));
            }
            names.sort_unstable();
            names.dedup();
            if !names.is_empty() {
                let route = relay(&route.route, service, server, &field, Carries::Tls, world);
                passed.push((Passed { names, route }, service.object.id.clone()));
            }
        }
    }
    if passed.is_empty() {
        let message = format!(
            "no VirtualService has a tls route for it: TLS connections to port {} for these hosts are closed",
            server.number
        );
        let fix = "write a VirtualService with this gateway and tls, or mode: SIMPLE with credentialName";
        world.findings.warn(server.gateway, "no-tls-route", &server.field, message, fix);
    }
    passed
}

/// The names of a match that its VirtualService may have, and the server has.
fn server_names(
    written: &ConnectionMatch,
    service: &Service<'_>,
    server: &Server<'_>,
    field: &str,
    findings: &mut Findings,
) -> Vec<HostPattern> {
    let mut names = Vec::new();
    let field = format!("{field}.sniHosts");
    let mut bad = |code, message: String, fix| {
        findings.fatal(service.object, &Flaw::new(code, field.clone(), message, fix));
    };
    if written.sni_hosts.is_empty() {
        bad("missing-sni", "a tls route needs sniHosts".to_owned(), "write the names of the servers");
    }
    for text in &written.sni_hosts {
        let pattern = match host_pattern(text) {
            Ok(pattern) => pattern,
            Err(message) => {
                bad("bad-host", message, "write a full name, *.example.com or *");
                continue;
            }
        };
        if !service.hosts.iter().any(|(_, host)| covers(host, &pattern)) {
            bad(
                "bad-sni",
                format!("'{text}' is not within the hosts of the VirtualService"),
                "write it there too",
            );
            continue;
        }
        let namespace = &*service.object.id.namespace;
        let open =
            server.hosts.iter().filter(|host| host.namespace.as_deref().is_none_or(|only| only == namespace));
        names.extend(open.filter_map(|host| narrower(&host.pattern, &pattern)));
    }
    names
}

/// Does the match hold for connections to this server? (Its sources and destinations are for sidecars.)
fn is_here(written: &ConnectionMatch, service: &Service<'_>, server: &Server<'_>) -> bool {
    let namespace = &service.object.id.namespace;
    let mut gateways = written.gateways.iter().filter_map(|text| GatewayName::parse(text, namespace));
    written.port.is_none_or(|port| port == 0 || port == i64::from(server.number))
        && (written.gateways.is_empty() || gateways.any(|name| name.is(server.gateway)))
}

/// A route whose destinations cannot be used closes its connections.
fn relay(
    written: &[RouteDestination],
    service: &Service<'_>,
    server: &Server<'_>,
    field: &str,
    carries: Carries,
    world: &mut World<'_, '_>,
) -> Arc<TcpRoute> {
    let targets = targets(written, service, server, field, carries, world).unwrap_or_else(|flaw| {
        world.findings.fatal(service.object, &flaw);
        Vec::new()
    });
    let id = &service.object.id;
    let name = format!("{}/{}/{}", id.namespace, id.name, field.trim_start_matches("spec."));
    let mut route = TcpRoute::new(&name, source_in(&service.source, field), targets);
    route.idle_timeout = Some(IDLE);
    route.authorization.clone_from(&world.relays);
    route.access_log.clone_from(&world.access_log);
    Arc::new(route)
}

fn targets(
    written: &[RouteDestination],
    service: &Service<'_>,
    server: &Server<'_>,
    field: &str,
    carries: Carries,
    world: &mut World<'_, '_>,
) -> Result<Vec<TcpTarget>, Flaw> {
    let weights: Vec<Option<i64>> = written.iter().map(|one| one.weight).collect();
    let mut targets = Vec::new();
    for (place, weight) in shares(&weights, field)? {
        let field = format!("{field}.route[{place}].destination");
        let destination = written[place].destination.as_ref().filter(|to| !to.host.is_empty());
        let destination = destination.ok_or_else(|| {
            let message = "a destination needs a host";
            Flaw::new("no-destination", format!("{field}.host"), message, "write the name of a service")
        })?;
        let listener_port = server.number;
        let asked = Asked { object: service.object, field: &field, destination, listener_port, carries };
        let (cluster, _) = world.cluster(&asked)?;
        targets.push(TcpTarget { source: source_in(&service.source, &field), weight, cluster });
    }
    Ok(targets)
}

//! VirtualServices that do not get what they ask for, since no server gives it to them.

use plenipo_model::HostPattern;

use super::binding::{covers, is_bound, narrower};
use super::gateway::{Kind, Server, ServerHost};
use super::virtual_service::Service;
use crate::findings::Findings;

/// Tells of hosts that no server has, of routes of a kind that no server takes, and of TLS names whose connections go to
/// another server.
pub(super) fn judge(services: &[Service<'_>], servers: &[Server<'_>], findings: &mut Findings) {
    for service in services {
        let bound: Vec<&Server<'_>> = servers.iter().filter(|server| is_bound(service, server)).collect();
        hosts(service, &bound, findings);
        kinds(service, &bound, findings);
        shadowed(service, &bound, servers, findings);
    }
}

fn hosts(service: &Service<'_>, bound: &[&Server<'_>], findings: &mut Findings) {
    let namespace = &*service.object.id.namespace;
    for (place, wanted) in &service.hosts {
        let hosts = bound.iter().flat_map(|server| &server.hosts);
        let meets: Vec<_> = hosts.filter(|host| narrower(&host.pattern, wanted).is_some()).collect();
        if meets.iter().any(|host| is_for(host, service)) {
            continue;
        }
        let message = if meets.is_empty() {
            format!("no server of its gateways is for {wanted}: requests for it are answered 404")
        } else {
            format!(
                "the servers for {wanted} are for VirtualServices of other namespaces than {namespace}: requests for \
                it do not get here"
            )
        };
        let fix = "write the host into a server of the Gateway, or correct it here";
        findings.warn(service.object, "host-not-in-gateway", &format!("spec.hosts[{place}]"), message, fix);
    }
}

fn is_for(host: &ServerHost, service: &Service<'_>) -> bool {
    host.namespace.as_deref().is_none_or(|only| *service.object.id.namespace == *only)
}

fn kinds(service: &Service<'_>, bound: &[&Server<'_>], findings: &mut Findings) {
    let written = service.written;
    let lists = [
        ("http", !written.http.is_empty(), "HTTP, or HTTPS with a mode that ends TLS"),
        ("tls", !written.tls.is_empty(), "TLS with mode: PASSTHROUGH"),
        ("tcp", !written.tcp.is_empty(), "TCP, or TLS with a mode that ends it"),
    ];
    for (name, is_written, wanted) in lists {
        let takes = |server: &&Server<'_>| match server.kind {
            Kind::Http { .. } | Kind::Https => name == "http",
            Kind::Passthrough => name == "tls",
            Kind::TlsToTcp | Kind::Tcp => name == "tcp",
        };
        if !is_written || bound.is_empty() || bound.iter().any(takes) {
            continue;
        }
        let message =
            format!("no server of its gateways takes these routes: they are for servers of {wanted}");
        let fix =
            "correct the protocol or the mode of the server, or write the routes of the kind that it takes";
        findings.warn(service.object, "routes-without-server", &format!("spec.{name}"), message, fix);
    }
}

/// TLS connections for a name go to the server with the most specific host over it; one for less gets none of them.
fn shadowed(service: &Service<'_>, bound: &[&Server<'_>], servers: &[Server<'_>], findings: &mut Findings) {
    if service.written.http.is_empty() {
        return;
    }
    for (place, wanted) in &service.hosts {
        for server in bound.iter().filter(|server| server.kind == Kind::Https) {
            let open =
                server.hosts.iter().filter(|host| is_for(host, service) && covers(&host.pattern, wanted));
            let Some(own) = open.map(|host| &host.pattern).min() else { continue };
            let Some(other) = narrowest(servers, server, own, wanted) else { continue };
            if is_bound(service, other) {
                continue;
            }
            let message = format!(
                "TLS connections for {wanted} go to {} {}, which has a narrower name than {} {} and does not have these \
                routes",
                other.source, other.field, server.source, server.field
            );
            let fix = "name that gateway too";
            let field = format!("spec.hosts[{place}]");
            findings.warn(service.object, "shadowed-by-server", &field, message, fix);
        }
    }
}

/// The TLS server at the same address whose name over `wanted` is the narrowest, if it is narrower than `than`.
fn narrowest<'s, 'a>(
    servers: &'s [Server<'a>],
    server: &Server<'_>,
    than: &HostPattern,
    wanted: &HostPattern,
) -> Option<&'s Server<'a>> {
    let others = servers.iter().filter(|other| other.kind.is_tls() && other.bind == server.bind);
    let names = others.flat_map(|other| other.hosts.iter().map(move |host| (&host.pattern, other)));
    let over = names.filter(|(name, _)| covers(name, wanted) && *name < than);
    over.min_by_key(|(name, _)| *name).map(|(_, other)| other)
}

//! Health checks: AWS-33, -75.

use plenipo_model::{
    Accepts, Action, HostPattern, HttpServer, InsecureAction, PathMatch, SecurityModel, VirtualHost,
};

use super::finding::Findings;
use super::scene::{Passage, Scene, ServiceView, ingress_note, service_note};
use crate::stack::{HealthPort, Kind, TargetProtocol, TargetType};

/// Where the gateway says whether it is ready.
const READY: &str = "/ambassador/v0/check_ready";
/// Its port for that, where no Host and no redirect is in the way.
const ADMIN_PORT: &str = "8877";

pub(super) fn find(scene: &Scene<'_>, found: &mut Findings) {
    for service in scene.services.iter().filter(|service| service.is_lbc() && !service.has_ip_targets()) {
        connects_only(service, found);
    }
    for passage in &scene.passages {
        answered(scene, passage, found);
    }
}

/// AWS-33: kube-proxy takes connections on every node, and says by HTTP whether there are pods.
fn connects_only(service: &ServiceView<'_>, found: &mut Findings) {
    let protocol = service.note("aws-load-balancer-healthcheck-protocol").unwrap_or_default();
    let elsewhere = service.note("aws-load-balancer-healthcheck-port").is_some();
    if service.is_local() && protocol.eq_ignore_ascii_case("tcp") && !elsewhere {
        found
            .on(33, service.object, service_note("aws-load-balancer-healthcheck-protocol"), "the node's health port takes \
                connections whether it has pods or not, and only its HTTP answer tells: with externalTrafficPolicy: Local \
                traffic goes to nodes without pods")
            .fix("check by HTTP, the default here")
            .set("http");
    }
}

/// AWS-75: the check comes as a request for an IP address, by the traffic port's protocol.
fn answered(scene: &Scene<'_>, passage: &Passage<'_>, found: &mut Findings) {
    let check = &passage.group.health_check;
    let http = passage.servers().next().is_some();
    let Some(path) = check.path.as_deref().filter(|_| http) else { return };
    let local = passage.service.id.clone();
    let traffic = match check.port {
        HealthPort::Traffic => true,
        HealthPort::Port(port) => {
            let node = scene.service(&local).and_then(|service| service.spec.health_check_node_port);
            if node == Some(i64::from(port)) || port == passage.group.port {
                port == passage.group.port
            } else {
                return;
            }
        }
    };
    if !traffic || !matches!(check.protocol, TargetProtocol::Http | TargetProtocol::Https) {
        return;
    }
    let tls = check.protocol == TargetProtocol::Https;
    let Some(why) = unanswered(passage, path, tls, check.success_codes.as_deref().unwrap_or("200")) else {
        return;
    };
    let source = passage.rule.map(|rule| &rule.source).or(passage.stack.members.first());
    let application = passage.stack.load_balancer.kind == Kind::Application;
    let (object, field) = match source.and_then(|id| scene.ingress(id)) {
        Some(ingress) if application => (ingress.object, ingress_note("healthcheck-path")),
        _ => (passage.service, service_note("aws-load-balancer-healthcheck-path")),
    };
    let finding = found.on(
        75,
        object,
        field,
        format!(
            "the check asks port {} of the gateway for {path}, under its IP address: {why}",
            passage.gateway.declared_port
        ),
    );
    finding.fix("ask for the gateway's own answer (/ambassador/v0/check_ready): on its port 8877 always, on this one with a Host \
        for \"*\" that does not redirect");
    if application {
        finding.set(READY);
        if passage.group.target_type == TargetType::Ip {
            finding
                .add(ingress_note("healthcheck-port"), ADMIN_PORT)
                .add(ingress_note("healthcheck-protocol"), "HTTP");
        } else if why.contains("301") {
            finding.add(ingress_note("success-codes"), "200,301");
        }
    } else if own_answer(passage, tls).is_some() {
        finding.set(READY);
    }
}

/// The hosts that a request for an address comes to.
fn nameless<'a>(passage: &Passage<'a>, tls: bool) -> Option<(&'a HttpServer, &'a VirtualHost)> {
    let chains = passage.gateway.chains.iter().filter(|chain| match &chain.accepts {
        Accepts::Tls(names) => tls && names.contains(&HostPattern::Any),
        Accepts::ClearText => !tls,
        Accepts::Anything => true,
    });
    let servers = chains.filter_map(|chain| match &chain.serve {
        plenipo_model::Serve::Http(server) => Some(&**server),
        _ => None,
    });
    let mut hosts = servers.flat_map(|server| server.hosts.iter().map(move |host| (server, host)));
    hosts.find(|(_, host)| host.host == HostPattern::Any)
}

/// Why the check fails; none when it is answered.
fn unanswered(passage: &Passage<'_>, path: &str, tls: bool, codes: &str) -> Option<String> {
    let Some((server, host)) = nameless(passage, tls) else {
        return Some("there is no Host for it (404)".to_owned());
    };
    let path = path.split('?').next().unwrap_or_default();
    let route = host.routes.iter().find(|route| {
        route.matches.headers.is_empty()
            && route.matches.host.is_none()
            && matches_path(&route.matches.path, path)
    });
    let Some(route) = route else { return Some("no route is for it (404)".to_owned()) };
    let secure = match server.security {
        SecurityModel::Secure => true,
        SecurityModel::Insecure => false,
        SecurityModel::Forwarded => tls,
    };
    if secure || route.clear_text_allowed {
        return None;
    }
    match host.insecure {
        InsecureAction::Redirect if !codes.contains("399") && !codes.contains("301") => {
            Some(format!("it is redirected to https (301), and {codes} is what passes"))
        }
        InsecureAction::Reject => Some("it is refused for want of https (404)".to_owned()),
        InsecureAction::Redirect | InsecureAction::Route => None,
    }
}

fn matches_path(wanted: &PathMatch, path: &str) -> bool {
    match wanted {
        PathMatch::Exact(exact) => exact == path,
        PathMatch::Prefix(prefix) => path.starts_with(prefix.as_str()),
        PathMatch::Segments(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        PathMatch::ExactIgnoreCase(exact) => exact.eq_ignore_ascii_case(path),
        PathMatch::PrefixIgnoreCase(prefix) => {
            path.to_ascii_lowercase().starts_with(&prefix.to_ascii_lowercase())
        }
        PathMatch::Regex(_) => true,
    }
}

/// A path that the gateway answers itself.
fn own_answer(passage: &Passage<'_>, tls: bool) -> Option<String> {
    let (_, host) = nameless(passage, tls)?;
    let own = host
        .routes
        .iter()
        .find(|route| matches!(route.action, Action::Respond(_)) && route.pattern.contains("ready"))?;
    Some(own.pattern.to_string())
}

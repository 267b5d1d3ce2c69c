//! Target groups as clusters.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use plenipo_model::{
    Balance, Cluster, Endpoints, FailOpen, LimitSet, Limits, ProxyTlvs, SendProxyProtocol, Source,
    StickyEndpoint, TlsClient, Transport, UpstreamProtocol,
};

use super::attributes::Attributes;
use super::targets::of_gateway;
use super::{Builder, Remarks, Site, health, policies};
use crate::binding::bindings;
use crate::reach;
use crate::stack::{Kind, Listener, TargetGroup, TargetRef, TargetType};

/// Time to connect to a target, by AWS's documentation of 504 answers.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle time of an application or classic load balancer that sets none.
const IDLE: Duration = Duration::from_secs(60);
/// Time that a target group gives to targets that leave.
const DRAIN: Duration = Duration::from_secs(300);
/// A load balancer has no circuit breakers.
const NO_LIMITS: LimitSet =
    LimitSet { connections: u32::MAX, pending: u32::MAX, requests: u32::MAX, retries: u32::MAX };

/// A cluster for a target group.
pub(super) struct Target<'a> {
    /// Its name in the edge.
    pub(super) cluster: Arc<str>,
    /// The target group; none when it is somebody else's.
    pub(super) group: Option<&'a TargetGroup>,
}

impl Builder<'_> {
    /// The cluster for a target group, made the first time.
    pub(super) fn target<'s>(
        &mut self,
        site: Site<'s>,
        listener: &Listener,
        target: &TargetRef,
        transport: Transport,
        remarks: &mut Remarks,
    ) -> Target<'s> {
        let own = match target {
            TargetRef::Own(id) => site.stack.target_groups.get(id),
            TargetRef::Arn(_) | TargetRef::Name(_) => None,
        };
        let Some(group) = own else { return self.foreign(site, target, remarks) };
        let suffix = if transport == Transport::Udp { " (UDP)" } else { "" };
        let name: Arc<str> = format!("{}/{}{suffix}", site.stack.load_balancer.name, group.name).into();
        let found = self.targets(site, group, transport);
        let addresses: Vec<String> = found.addresses.iter().map(SocketAddr::to_string).collect();
        let spoken = spoken(group);
        remarks.targets.push(match addresses.as_slice() {
            [] => format!("{} ({spoken}): nothing", found.what),
            _ => format!("{} at {} ({spoken})", found.what, addresses.join(", ")),
        });
        let source = Source::new(group.service.to_string());
        let tls = unverified(&source, listener);
        let kind = site.stack.load_balancer.kind;
        let port = self.check_port(group, &found);
        let check = health::check(kind, group, port, tls.clone(), found.addresses.first().copied(), remarks);
        let cluster = Cluster {
            from_client: self.preserves(site, group, remarks),
            tls: group.protocol.is_tls().then(|| Arc::new(tls)),
            health_checks: vec![check],
            ..cluster(site, listener, group, &name, remarks)
        };
        let cluster = Cluster { endpoints: Endpoints::addresses(found.addresses), source, ..cluster };
        self.clusters.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(cluster));
        Target { cluster: name, group: Some(group) }
    }

    /// A target group that is not the stack's: the targets of whoever binds a Service to it.
    fn foreign<'s>(&mut self, site: Site<'s>, target: &TargetRef, remarks: &mut Remarks) -> Target<'s> {
        let (TargetRef::Arn(text) | TargetRef::Name(text) | TargetRef::Own(text)) = target;
        let name: Arc<str> = format!("{}/{text}", site.stack.load_balancer.name).into();
        let addresses: Vec<_> = self.binding(target).into_iter().collect();
        if addresses.is_empty() {
            let message =
                format!("the target group {text} belongs to somebody else, and nothing tells its targets");
            let fix =
                "add the TargetGroupBinding that names it, and a Service that the gateway or --resolve knows";
            self.warn("edge-no-targets", site.member(), message, fix);
        }
        let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        remarks
            .targets
            .push(format!("{text}: {}", if texts.is_empty() { "nothing".into() } else { texts.join(", ") }));
        let source = Source::new(format!("target group {text}"));
        let cluster = Cluster {
            connect_timeout: CONNECT,
            limits: Limits { default: NO_LIMITS, high: NO_LIMITS },
            fail_open: FailOpen::WhenNone,
            ..Cluster::new(&name, source, Endpoints::addresses(addresses))
        };
        self.clusters.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(cluster));
        Target { cluster: name, group: None }
    }

    /// Would targets see the client's address? Here they do when it is one of this machine's.
    fn preserves(&self, site: Site<'_>, group: &TargetGroup, remarks: &mut Remarks) -> bool {
        let preserves = site.stack.load_balancer.kind == Kind::Network
            && group.target_type != TargetType::Alb
            && group.preserves_client()
            && !reach::masquerades(self.set, group);
        if preserves {
            let told = if group.proxy_version().is_some() { " (the PROXY header tells it)" } else { "" };
            remarks.deviations.push(format!(
                "{}: targets see the addresses of this machine's clients, as in AWS; others come from this machine{told}",
                group.name,
            ));
        }
        preserves
    }

    /// The gateway's listener that a TargetGroupBinding makes the target of this group.
    fn binding(&self, group: &TargetRef) -> Option<SocketAddr> {
        let bindings = bindings(self.set).bindings;
        let binding = bindings.iter().find(|binding| binding.target_group == *group)?;
        let gateway = self.options.gateway;
        let listener = reach::listener(self.set, gateway, &binding.service, &binding.service_port)?;
        Some(of_gateway(self.options, listener.bind))
    }
}

/// The cluster, but for where its targets are and how they are checked.
fn cluster(
    site: Site<'_>,
    listener: &Listener,
    group: &TargetGroup,
    name: &str,
    remarks: &mut Remarks,
) -> Cluster {
    let kind = site.stack.load_balancer.kind;
    let attributes = Attributes(&group.attributes);
    Cluster {
        balance: balance(kind, listener, attributes, remarks),
        protocol: match group.protocol_version.as_deref() {
            Some("HTTP2" | "GRPC") => UpstreamProtocol::Http2,
            _ => UpstreamProtocol::Http1,
        },
        send_proxy: send_proxy(site, group),
        connect_timeout: CONNECT,
        idle_timeout: Some(idle(site)),
        limits: Limits { default: NO_LIMITS, high: NO_LIMITS },
        fail_open: if kind == Kind::Classic { FailOpen::Never } else { FailOpen::WhenNone },
        sticky: sticky(attributes),
        slow_start: attributes.seconds("slow_start.duration_seconds").filter(|time| !time.is_zero()),
        drain: drain(site, attributes),
        ..Cluster::new(name, Source::new(group.service.to_string()), Endpoints::addresses([]))
    }
}

/// Idle time of connections to targets, and of exchanges with them, where HTTP is spoken.
pub(super) fn idle(site: Site<'_>) -> Duration {
    site.attributes().seconds("idle_timeout.timeout_seconds").unwrap_or(IDLE)
}

fn spoken(group: &TargetGroup) -> String {
    let mut text = group.protocol.as_str().to_owned();
    if let Some(version) = group.protocol_version.as_deref().filter(|version| *version != "HTTP1") {
        text = format!("{text}, {version}");
    }
    if group.protocol.is_tls() {
        text.push_str(", encrypted but to anybody, no server name");
    }
    match group.proxy_version() {
        Some(version) => format!("{text}, PROXY v{version}"),
        None => text,
    }
}

fn send_proxy(site: Site<'_>, group: &TargetGroup) -> Option<SendProxyProtocol> {
    // Preserves the client's address, which on one machine a PROXY header must carry.
    if group.target_type == TargetType::Alb {
        return Some(SendProxyProtocol::V2(ProxyTlvs::default()));
    }
    match group.proxy_version()? {
        1 => Some(SendProxyProtocol::V1),
        _ if site.stack.load_balancer.kind == Kind::Application => None,
        _ => Some(SendProxyProtocol::V2(ProxyTlvs::network_load_balancer())),
    }
}

/// Load balancers verify no target and name none (the reason why a gateway that needs a server name does not answer them).
fn unverified(source: &Source, listener: &Listener) -> TlsClient {
    TlsClient {
        max_version: policies::towards_targets(listener.ssl_policy.as_deref()),
        ..TlsClient::unverified(source.clone())
    }
}

fn balance(kind: Kind, listener: &Listener, attributes: Attributes<'_>, remarks: &mut Remarks) -> Balance {
    let by_source =
        attributes.is("stickiness.enabled") && attributes.text("stickiness.type") == Some("source_ip");
    if by_source {
        return Balance::Maglev;
    }
    match attributes.text("load_balancing.algorithm.type") {
        Some("least_outstanding_requests") => Balance::LeastOutstanding,
        Some("weighted_random") => {
            if attributes.text("load_balancing.algorithm.anomaly_mitigation") == Some("on") {
                let text = "weighted_random: anomalies of targets are not looked for, all keep their weight";
                remarks.deviations.push(text.to_owned());
            }
            Balance::Random
        }
        _ if kind == Kind::Classic && listener.protocol.is_http() => Balance::LeastOutstanding,
        _ => Balance::RoundRobin,
    }
}

fn sticky(attributes: Attributes<'_>) -> Option<StickyEndpoint> {
    if !attributes.is("stickiness.enabled") {
        return None;
    }
    const DAY: Duration = Duration::from_secs(86_400);
    match attributes.text("stickiness.type")? {
        "lb_cookie" => Some(StickyEndpoint {
            cookie: "AWSALB".to_owned(),
            companion: Some("AWSALBCORS".to_owned()),
            duration: Some(attributes.seconds("stickiness.lb_cookie.duration_seconds").unwrap_or(DAY)),
            app_cookie: None,
        }),
        "app_cookie" => Some(StickyEndpoint {
            cookie: "AWSALBAPP-0".to_owned(),
            companion: None,
            duration: Some(attributes.seconds("stickiness.app_cookie.duration_seconds").unwrap_or(DAY)),
            app_cookie: attributes.text("stickiness.app_cookie.cookie_name").map(str::to_owned),
        }),
        _ => None,
    }
}

/// How long a target that is gone may finish: a network load balancer leaves its connections alone unless told otherwise.
fn drain(site: Site<'_>, attributes: Attributes<'_>) -> Option<Duration> {
    let group = attributes.seconds("deregistration_delay.timeout_seconds").unwrap_or(DRAIN);
    match site.stack.load_balancer.kind {
        Kind::Application => Some(group),
        Kind::Network => {
            attributes.is("deregistration_delay.connection_termination.enabled").then_some(group)
        }
        Kind::Classic => {
            let own = site.attributes();
            let delay = own.seconds("connection_draining.timeout_seconds").unwrap_or(DRAIN);
            Some(if own.is("connection_draining.enabled") { delay } else { Duration::ZERO })
        }
    }
}

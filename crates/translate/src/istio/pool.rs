//! Connections to a cluster: `connectionPool`, `outlierDetection`, `retryBudget` and `proxyProtocol`.

use std::time::Duration;

use plenipo_model::{
    Cluster, Http2Keepalive, LimitSet, Limits, OutlierDetection, ProxyTlvs, RetryBudget, SendProxyProtocol,
    TcpKeepalive, UpstreamProtocol,
};
use plenipo_resources::istio::{self, ConnectionPool, HttpPool, TcpPool};

use super::destination_rule::{Part, Policy};
use super::mesh::Mesh;
use super::registry::Protocol;
use crate::duration::duration;
use crate::findings::Findings;

/// What a relayed connection may be silent, where nobody says anything (Envoy's default).
const RELAY_IDLE: Duration = Duration::from_secs(3600);

/// Everything about connections that has its default in a mesh, and not in [`Cluster::new`].
pub(super) fn with_defaults(mut cluster: Cluster, mesh: &Mesh, protocol: Protocol) -> Cluster {
    const UNLIMITED: LimitSet =
        LimitSet { connections: u32::MAX, pending: u32::MAX, requests: u32::MAX, retries: u32::MAX };
    cluster.limits = Limits { default: UNLIMITED, high: UNLIMITED };
    cluster.connect_timeout = mesh.connect_timeout;
    cluster.relay_idle_timeout = Some(RELAY_IDLE);
    let upgrades = mesh.config.h2_upgrade_policy.as_deref() == Some("UPGRADE");
    if protocol == Protocol::Http2 || (protocol == Protocol::Http && upgrades) {
        cluster.protocol = UpstreamProtocol::Http2;
    }
    if let Some(keepalive) = &mesh.config.tcp_keepalive {
        cluster.keepalive = Some(quiet_keepalive(keepalive));
    }
    cluster
}

/// Puts the policy's settings into the cluster.
pub(super) fn apply(policy: &Policy<'_>, protocol: Protocol, cluster: &mut Cluster, findings: &mut Findings) {
    if let Some(part) = &policy.pool {
        let mut reading = Reading { part, findings };
        reading.tcp(&part.spec.tcp, cluster);
        reading.http(&part.spec.http, protocol, cluster);
    }
    if let Some(part) = &policy.outlier {
        let mut reading = Reading { part, findings };
        cluster.outlier = Some(reading.outlier(part.spec));
    }
    if let Some(part) = &policy.retry_budget {
        let percent = part.spec.percent.filter(|percent| (0.0..=100.0).contains(percent)).unwrap_or(20.0);
        let least =
            part.spec.min_retry_concurrency.and_then(|number| u32::try_from(number).ok()).unwrap_or(3);
        cluster.retry_budget = Some(RetryBudget { part: (percent * 10_000.0) as u32, least });
    }
    if let Some(part) = &policy.proxy_protocol {
        cluster.send_proxy = match part.spec.version.as_deref() {
            Some("V2") => Some(SendProxyProtocol::V2(ProxyTlvs::default())),
            _ => Some(SendProxyProtocol::V1),
        };
    }
    if let Some(part) = &policy.tunnel {
        let message =
            "connections are not tunnelled through a proxy, they go to the service itself".to_owned();
        findings.error(
            part.object,
            "not-supported",
            &part.field,
            message,
            "remove it, or let the proxy be the service",
        );
    }
}

/// A part of a rule as it is read. What makes no sense is told, and the default stands in its place.
struct Reading<'r, 'a, T> {
    part: &'r Part<'a, T>,
    findings: &'r mut Findings,
}

impl<T> Reading<'_, '_, T> {
    /// A number that is more than zero; zero stands for "not set" in Istio's API.
    fn number(&mut self, written: Option<i64>, name: &str) -> Option<u32> {
        let written = written.filter(|number| *number != 0)?;
        let number = u32::try_from(written).ok();
        if number.is_none() {
            let message = format!("{written} is not such a number, it has no effect");
            self.findings.error(
                self.part.object,
                "bad-number",
                &self.part.field(name),
                message,
                "write a number above 0",
            );
        }
        number
    }

    fn time(&mut self, written: Option<&str>, name: &str) -> Option<Duration> {
        let text = written?;
        let time = duration(text);
        if time.is_none() {
            let message = format!("'{text}' is not a time, it has no effect");
            self.findings.error(
                self.part.object,
                "bad-duration",
                &self.part.field(name),
                message,
                "write 30s",
            );
        }
        time
    }

    /// As [`Self::time`], where nothing is meant by zero.
    fn some_time(&mut self, written: Option<&str>, name: &str) -> Option<Duration> {
        self.time(written, name).filter(|time| !time.is_zero())
    }
}

impl Reading<'_, '_, ConnectionPool> {
    fn tcp(&mut self, tcp: &TcpPool, cluster: &mut Cluster) {
        if let Some(connections) = self.number(tcp.max_connections, "tcp.maxConnections") {
            cluster.limits.default.connections = connections;
        }
        if let Some(time) = self.some_time(tcp.connect_timeout.as_deref(), "tcp.connectTimeout") {
            cluster.connect_timeout = time;
        }
        if let Some(keepalive) = &tcp.tcp_keepalive {
            cluster.keepalive = Some(TcpKeepalive {
                probes: self.number(keepalive.probes, "tcp.tcpKeepalive.probes"),
                idle: self.some_time(keepalive.time.as_deref(), "tcp.tcpKeepalive.time"),
                interval: self.some_time(keepalive.interval.as_deref(), "tcp.tcpKeepalive.interval"),
            });
        }
        let whole = self.some_time(tcp.max_connection_duration.as_deref(), "tcp.maxConnectionDuration");
        cluster.max_connection_lifetime = whole;
        cluster.max_relay_duration = whole;
        if let Some(time) = self.time(tcp.idle_timeout.as_deref(), "tcp.idleTimeout") {
            cluster.relay_idle_timeout = Some(time).filter(|time| !time.is_zero());
        }
    }

    fn http(&mut self, http: &HttpPool, protocol: Protocol, cluster: &mut Cluster) {
        let limits = &mut cluster.limits.default;
        if let Some(number) = self.number(http.http1_max_pending_requests, "http.http1MaxPendingRequests") {
            limits.pending = number;
        }
        if let Some(number) = self.number(http.http2_max_requests, "http.http2MaxRequests") {
            limits.requests = number;
        }
        if let Some(number) = self.number(http.max_retries, "http.maxRetries") {
            limits.retries = number;
        }
        cluster.max_requests_per_connection =
            self.number(http.max_requests_per_connection, "http.maxRequestsPerConnection");
        cluster.max_concurrent_streams =
            self.number(http.max_concurrent_streams, "http.maxConcurrentStreams");
        if let Some(time) = self.time(http.idle_timeout.as_deref(), "http.idleTimeout") {
            cluster.idle_timeout = Some(time).filter(|time| !time.is_zero());
        }
        if let Some(keepalive) = &http.http2_keep_alive {
            let interval = self.some_time(keepalive.interval.as_deref(), "http.http2KeepAlive.interval");
            let timeout = self.some_time(keepalive.timeout.as_deref(), "http.http2KeepAlive.timeout");
            let timeout = timeout.unwrap_or(Duration::from_secs(20));
            cluster.http2_keepalive = interval.map(|interval| Http2Keepalive { interval, timeout });
        }
        match http.h2_upgrade_policy.as_deref() {
            None | Some("DEFAULT") => {}
            Some("UPGRADE") => cluster.protocol = UpstreamProtocol::Http2,
            Some("DO_NOT_UPGRADE") if protocol != Protocol::Http2 => {
                cluster.protocol = UpstreamProtocol::Http1;
            }
            Some("DO_NOT_UPGRADE") => {}
            Some(other) => {
                let message = format!("'{other}' is not known, it has no effect");
                let field = self.part.field("http.h2UpgradePolicy");
                let fix = "write UPGRADE or DO_NOT_UPGRADE";
                self.findings.error(self.part.object, "bad-upgrade-policy", &field, message, fix);
            }
        }
        if http.use_client_protocol == Some(true) {
            // What is offered in TLS is by this protocol, and by the client's for HTTP/2.
            cluster.protocol = UpstreamProtocol::Http1;
            cluster.as_client = true;
        }
    }
}

impl Reading<'_, '_, istio::OutlierDetection> {
    fn outlier(&mut self, written: &istio::OutlierDetection) -> OutlierDetection {
        let usual = OutlierDetection::default();
        if written.consecutive_errors.is_some() {
            let message = "it has no effect any more".to_owned();
            let fix = "write consecutiveGatewayErrors or consecutive5xxErrors";
            let field = self.part.field("consecutiveErrors");
            self.findings.warn(self.part.object, "deprecated-field", &field, message, fix);
        }
        let interval = self.time(written.interval.as_deref(), "interval").filter(|interval| {
            let usable = *interval >= Duration::from_millis(1);
            if !usable {
                let message = "it is below 1 ms, 10 s is used".to_owned();
                let field = self.part.field("interval");
                self.findings.error(self.part.object, "bad-duration", &field, message, "write 10s");
            }
            usable
        });
        let split = written.split_external_local_origin_errors == Some(true);
        let any = |number: Option<i64>, usual: Option<u32>| match number {
            None => usual,
            Some(number) => u32::try_from(number).ok().filter(|number| *number > 0),
        };
        let percent = |number: Option<i64>| {
            number.and_then(|number| u32::try_from(number).ok()).map(|part| part.min(100))
        };
        OutlierDetection {
            consecutive_5xx: any(written.consecutive_5xx_errors, usual.consecutive_5xx),
            consecutive_gateway: any(written.consecutive_gateway_errors, None),
            consecutive_local_origin: any(
                written.consecutive_local_origin_failures,
                usual.consecutive_local_origin,
            ),
            split_local_origin: split,
            interval: interval.unwrap_or(usual.interval),
            base_ejection: self
                .some_time(written.base_ejection_time.as_deref(), "baseEjectionTime")
                .unwrap_or(usual.base_ejection),
            max_ejection_percent: percent(written.max_ejection_percent)
                .filter(|part| *part > 0)
                .unwrap_or(usual.max_ejection_percent),
            min_health_percent: percent(written.min_health_percent).unwrap_or(usual.min_health_percent),
        }
    }
}

/// Without a word on what cannot be read: mesh settings are told of elsewhere.
fn quiet_keepalive(written: &istio::TcpKeepalive) -> TcpKeepalive {
    let time = |text: &Option<String>| text.as_deref().and_then(duration).filter(|time| !time.is_zero());
    let probes = written.probes.and_then(|probes| u32::try_from(probes).ok()).filter(|probes| *probes > 0);
    TcpKeepalive { probes, idle: time(&written.time), interval: time(&written.interval) }
}

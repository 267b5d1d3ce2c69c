//! Requests, connections and endpoints, with OpenTelemetry's names where it has one and ours elsewhere.

use crate::exposition::{Kind, Page};
use crate::metrics::{Facts, SECONDS, family};

pub(super) fn write(page: &mut Page, facts: &Facts<'_>) {
    served(page, facts);
    listeners(page, facts);
    upstreams(page, facts);
}

fn served(page: &mut Page, facts: &Facts<'_>) {
    let help = "Time from the head of a request to the end of its response.";
    let mut duration = page.family("http_server_request_duration_seconds", Kind::Histogram, help);
    for (request, histogram) in &facts.measured.requests {
        let labels: [(&str, &dyn std::fmt::Display); 6] = [
            ("http_request_method", &request.method),
            ("http_response_status_code", &request.status),
            ("http_route", &request.route),
            ("url_scheme", &request.scheme),
            ("network_protocol_version", &request.version),
            ("error_type", &request.error),
        ];
        SECONDS.write(&mut duration, &labels, [histogram]);
    }
}

fn listeners(page: &mut Page, facts: &Facts<'_>) {
    let listeners = &facts.measured.listeners;
    let rows = listeners.iter().map(|(name, numbers)| ([("listener", name as _)], numbers.requests_active));
    family(page, "plenipo_requests_active", Kind::Gauge, "Requests under way.", rows);
    let rows = listeners.iter().map(|(name, numbers)| ([("listener", name as _)], numbers.connections));
    family(page, "plenipo_connections", Kind::Gauge, "Open connections.", rows);
    page.family("plenipo_tasks", Kind::Gauge, "Tasks of the data threads.").sample(&[], facts.measured.tasks);
    let rows = listeners.iter().map(|(name, numbers)| ([("listener", name as _)], numbers.connections_total));
    family(page, "plenipo_connections_total", Kind::Counter, "Connections accepted.", rows);
    let rows = listeners.iter().flat_map(|(name, numbers)| {
        [("success", numbers.tls_connections), ("failure", numbers.tls_failures)]
            .map(|(result, count)| (name, result, count))
    });
    let mut handshakes =
        page.family("plenipo_tls_handshakes_total", Kind::Counter, "TLS handshakes with clients.");
    for (name, result, count) in rows {
        handshakes.sample(&[("listener", name), ("result", &result)], count);
    }
    let rows =
        listeners.iter().map(|(name, numbers)| ([("listener", name as _)], numbers.proxy_protocol_failures));
    let help = "Connections closed for a missing or malformed PROXY header.";
    family(page, "plenipo_proxy_protocol_failures_total", Kind::Counter, help, rows);
    let help = "Connections closed before they served anything, or for breaking their protocol's rules.";
    let mut refused = page.family("plenipo_connections_refused_total", Kind::Counter, help);
    for (name, numbers) in listeners {
        for (reason, count) in &numbers.refused {
            refused.sample(&[("listener", name), ("reason", reason)], count);
        }
    }
}

fn upstreams(page: &mut Page, facts: &Facts<'_>) {
    let help = "Time from sending a request upstream to the head of its response, for every attempt.";
    let mut duration = page.family("http_client_request_duration_seconds", Kind::Histogram, help);
    for (name, numbers) in facts.measured.clusters.iter().filter(|(_, numbers)| numbers.time.count() > 0) {
        SECONDS.write(&mut duration, &[("server_address", name)], [&numbers.time]);
    }
    let mut endpoints = page.family("plenipo_endpoints", Kind::Gauge, "Endpoints of a cluster by health.");
    for (name, known) in &facts.measured.endpoints {
        let known = known.as_deref().unwrap_or_default();
        let healthy = known.iter().filter(|endpoint| endpoint.healthy).count();
        endpoints
            .sample(&[("cluster", name), ("health", &"healthy")], healthy)
            .sample(&[("cluster", name), ("health", &"unhealthy")], known.len() - healthy);
    }
    let help = "Access-log lines lost because they came faster than they could be written.";
    let dropped = facts.measured.log_lines_dropped;
    page.family("plenipo_access_log_dropped_lines_total", Kind::Counter, help).sample(&[], dropped);
}

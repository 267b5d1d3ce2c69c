//! The families of Envoy's `/stats/prometheus` that dashboards, alerts and rollout tools ask for.
//!
//! Counters of Envoy's have names without `_total` where Envoy's do. Several clusters may have one Envoy name (a service
//! reached with and without TLS): their numbers are added.

use std::collections::BTreeMap;

use plenipo_proxy::metrics::{ClusterNumbers, EndpointHealth, ListenerNumbers, Measurements, OutlierNumbers};

use crate::exposition::{Kind, Page};
use crate::metrics::{Facts, MILLISECONDS};

type ListenerFamily = (&'static str, Kind, &'static str, fn(&ListenerNumbers) -> u64);
type OutlierFamily = (&'static str, Kind, &'static str, fn(&OutlierNumbers) -> u64);
type ClusterFamily = (&'static str, Kind, &'static str, fn(&ClusterNumbers) -> u64);

const HTTP: &[ListenerFamily] = &[
    ("envoy_http_downstream_rq_total", Kind::Counter, "Requests that ended.", |n| n.classes.iter().sum()),
    ("envoy_http_downstream_rq_active", Kind::Gauge, "Requests under way.", |n| n.requests_active),
    ("envoy_http_downstream_cx_total", Kind::Counter, "Connections accepted.", |n| n.connections_total),
    ("envoy_http_downstream_cx_active", Kind::Gauge, "Open connections.", |n| n.connections),
    ("envoy_http_downstream_cx_ssl_total", Kind::Counter, "TLS connections.", |n| n.tls_connections),
    ("envoy_http_downstream_cx_rx_bytes_total", Kind::Counter, "Bytes received.", |n| n.received),
    ("envoy_http_downstream_cx_tx_bytes_total", Kind::Counter, "Bytes sent.", |n| n.sent),
];

const LISTENER: &[ListenerFamily] = &[
    ("envoy_listener_downstream_cx_total", Kind::Counter, "Connections accepted.", |n| n.connections_total),
    ("envoy_listener_downstream_cx_active", Kind::Gauge, "Open connections.", |n| n.connections),
    ("envoy_listener_ssl_handshake", Kind::Counter, "TLS handshakes.", |n| n.tls_connections),
    ("envoy_listener_ssl_connection_error", Kind::Counter, "TLS handshakes that failed.", |n| n.tls_failures),
];

const CLUSTER: &[ClusterFamily] = &[
    ("envoy_cluster_upstream_rq_total", Kind::Counter, "Attempts.", |n| n.statuses.values().sum()),
    ("envoy_cluster_upstream_rq_active", Kind::Gauge, "Requests under way.", |n| n.active),
    ("envoy_cluster_upstream_rq_retry", Kind::Counter, "Attempts after the first.", |n| n.retries),
    ("envoy_cluster_upstream_rq_timeout", Kind::Counter, "Attempts that took too long.", |n| n.timeouts),
    ("envoy_cluster_upstream_rq_pending_overflow", Kind::Counter, "Turned away by circuit breakers.", |n| {
        n.overflows
    }),
    ("envoy_cluster_upstream_cx_active", Kind::Gauge, "Open connections.", |n| n.connections),
    ("envoy_cluster_upstream_cx_total", Kind::Counter, "Connections made.", |n| n.connections_total),
    ("envoy_cluster_upstream_cx_connect_fail", Kind::Counter, "Connections not made.", |n| {
        n.connect_failures
    }),
    ("envoy_cluster_upstream_cx_rx_bytes_total", Kind::Counter, "Bytes received.", |n| n.received),
    ("envoy_cluster_upstream_cx_tx_bytes_total", Kind::Counter, "Bytes sent.", |n| n.sent),
];

/// Of clusters with outlier detection.
const OUTLIERS: &[OutlierFamily] = &[
    ("envoy_cluster_outlier_detection_ejections_active", Kind::Gauge, "Endpoints put out now.", |n| n.active),
    ("envoy_cluster_outlier_detection_ejections_enforced_total", Kind::Counter, "Endpoints put out.", |n| {
        n.enforced.iter().sum()
    }),
    (
        "envoy_cluster_outlier_detection_ejections_overflow",
        Kind::Counter,
        "Not put out: too many were.",
        |n| n.overflows,
    ),
    (
        "envoy_cluster_outlier_detection_ejections_detected_consecutive_5xx",
        Kind::Counter,
        "5xx in a row.",
        |n| n.detected[0],
    ),
    (
        "envoy_cluster_outlier_detection_ejections_enforced_consecutive_5xx",
        Kind::Counter,
        "Put out for it.",
        |n| n.enforced[0],
    ),
    (
        "envoy_cluster_outlier_detection_ejections_detected_consecutive_gateway_failure",
        Kind::Counter,
        "502, 503 and 504 in a row.",
        |n| n.detected[1],
    ),
    (
        "envoy_cluster_outlier_detection_ejections_enforced_consecutive_gateway_failure",
        Kind::Counter,
        "Put out for it.",
        |n| n.enforced[1],
    ),
    (
        "envoy_cluster_outlier_detection_ejections_detected_consecutive_local_origin_failure",
        Kind::Counter,
        "Failures without an answer in a row.",
        |n| n.detected[2],
    ),
    (
        "envoy_cluster_outlier_detection_ejections_enforced_consecutive_local_origin_failure",
        Kind::Counter,
        "Put out for it.",
        |n| n.enforced[2],
    ),
];

pub(super) fn write(page: &mut Page, facts: &Facts<'_>) {
    downstream(page, facts.measured);
    listeners(page, facts);
    clusters(page, facts.measured);
    server(page, facts);
}

fn downstream(page: &mut Page, measured: &Measurements) {
    for (name, kind, help, read) in HTTP {
        let mut family = page.family(name, *kind, help);
        for (prefix, numbers) in &measured.listeners {
            family.sample(&[("envoy_http_conn_manager_prefix", prefix)], read(numbers));
        }
    }
    let help = "Requests by class of status.";
    let mut classes = page.family("envoy_http_downstream_rq_xx", Kind::Counter, help);
    for (prefix, numbers) in &measured.listeners {
        for (class, count) in numbers.classes.iter().enumerate().skip(1) {
            let labels: [(&str, &dyn std::fmt::Display); 2] =
                [("envoy_http_conn_manager_prefix", prefix), ("envoy_response_code_class", &class)];
            classes.sample(&labels, count);
        }
    }
    let mut time = page.family("envoy_http_downstream_rq_time", Kind::Histogram, "Milliseconds of requests.");
    for (prefix, numbers) in &measured.listeners {
        MILLISECONDS.write(&mut time, &[("envoy_http_conn_manager_prefix", prefix)], [&numbers.time]);
    }
}

/// By bound address, where a prefix belongs to one listener only: numbers are kept by prefix.
fn listeners(page: &mut Page, facts: &Facts<'_>) {
    let Some(published) = &facts.published else { return };
    let all = &published.edge.listeners;
    let alone = |prefix: &str| all.iter().filter(|listener| listener.stats_prefix == prefix).count() == 1;
    let rows: Vec<(String, &ListenerNumbers)> = all
        .iter()
        .filter(|listener| alone(&listener.stats_prefix))
        .filter_map(|listener| {
            let numbers = facts.measured.listeners.get(listener.stats_prefix.as_str())?;
            Some((format!("{}_{}", listener.bind.ip(), listener.bind.port()), numbers))
        })
        .collect();
    for (name, kind, help, read) in LISTENER {
        let mut family = page.family(name, *kind, help);
        for (address, numbers) in &rows {
            family.sample(&[("envoy_listener_address", address)], read(numbers));
        }
    }
}

/// Clusters of one Envoy name.
#[derive(Default)]
struct Group<'a> {
    /// Of those that were used: with ten thousand clusters the zeros of the others would be most of the page.
    numbers: Vec<&'a ClusterNumbers>,
    endpoints: Vec<&'a EndpointHealth>,
}

fn clusters(page: &mut Page, measured: &Measurements) {
    let groups = groups(measured);
    let used = || groups.iter().filter(|(_, group)| !group.numbers.is_empty());
    for (name, kind, help, read) in CLUSTER {
        let mut family = page.family(name, *kind, help);
        for (cluster, group) in used() {
            let sum: u64 = group.numbers.iter().map(|numbers| read(numbers)).sum();
            family.sample(&[("envoy_cluster_name", cluster)], sum);
        }
    }
    for (name, kind, help, read) in OUTLIERS {
        let mut family = page.family(name, *kind, help);
        for (cluster, group) in used() {
            let mut watched = group.numbers.iter().filter_map(|numbers| numbers.outliers.as_ref()).peekable();
            if watched.peek().is_some() {
                family.sample(&[("envoy_cluster_name", cluster)], watched.map(read).sum::<u64>());
            }
        }
    }
    by_status(page, &groups);
    let mut time =
        page.family("envoy_cluster_upstream_rq_time", Kind::Histogram, "Milliseconds of attempts.");
    for (cluster, group) in used() {
        let histograms = group.numbers.iter().map(|numbers| &numbers.time);
        MILLISECONDS.write(&mut time, &[("envoy_cluster_name", cluster)], histograms);
    }
    let mut total = page.family("envoy_cluster_membership_total", Kind::Gauge, "Endpoints.");
    for (cluster, group) in &groups {
        total.sample(&[("envoy_cluster_name", cluster)], group.endpoints.len());
    }
    let mut healthy = page.family("envoy_cluster_membership_healthy", Kind::Gauge, "Healthy endpoints.");
    for (cluster, group) in &groups {
        let count = group.endpoints.iter().filter(|endpoint| endpoint.healthy).count();
        healthy.sample(&[("envoy_cluster_name", cluster)], count);
    }
}

fn by_status(page: &mut Page, groups: &BTreeMap<&str, Group<'_>>) {
    let of_group = |group: &Group<'_>, key: fn(u16) -> u16| {
        let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
        for (status, count) in group.numbers.iter().flat_map(|numbers| &numbers.statuses) {
            // 0 is no response at all.
            if *status >= 100 {
                *counts.entry(key(*status)).or_insert(0) += count;
            }
        }
        counts
    };
    let mut family = page.family("envoy_cluster_upstream_rq", Kind::Counter, "Attempts by status.");
    for (cluster, group) in groups {
        for (status, count) in of_group(group, |status| status) {
            family.sample(&[("envoy_cluster_name", cluster), ("envoy_response_code", &status)], count);
        }
    }
    let mut family =
        page.family("envoy_cluster_upstream_rq_xx", Kind::Counter, "Attempts by class of status.");
    for (cluster, group) in groups {
        for (class, count) in of_group(group, |status| status / 100) {
            family.sample(&[("envoy_cluster_name", cluster), ("envoy_response_code_class", &class)], count);
        }
    }
}

fn groups(measured: &Measurements) -> BTreeMap<&str, Group<'_>> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for (name, numbers) in
        measured.clusters.iter().filter(|(_, numbers)| **numbers != ClusterNumbers::default())
    {
        let shown = measured.stats_names.get(name).unwrap_or(name);
        groups.entry(shown).or_default().numbers.push(numbers);
    }
    for (name, endpoints) in &measured.endpoints {
        let shown = measured.stats_names.get(name).unwrap_or(name);
        groups.entry(shown).or_default().endpoints.extend(endpoints.iter().flatten());
    }
    groups
}

fn server(page: &mut Page, facts: &Facts<'_>) {
    let clusters = facts.published.as_ref().map_or(0, |published| published.edge.clusters.len());
    page.family("envoy_cluster_manager_active_clusters", Kind::Gauge, "Clusters.").sample(&[], clusters);
    page.family("envoy_server_live", Kind::Gauge, "1 while not draining.")
        .sample(&[], u8::from(facts.health.ready));
    let uptime = facts.state.started.0.elapsed().as_secs();
    page.family("envoy_server_uptime", Kind::Gauge, "Seconds since the start.").sample(&[], uptime);
}

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plenipo_model::{Listener, ProxyProtocol, Source};
use plenipo_proxy::metrics::{
    ClusterNumbers, EndpointHealth, ListenerNumbers, OutlierNumbers, RequestLabels,
};
use plenipo_resources::{Code, ObjectId, Problem};

use super::*;
use crate::testing;

const DOCS: &str = include_str!("../../../../docs/metrics.md");

fn histogram(bucket: usize, count: u64, sum: u64) -> Histogram {
    let mut histogram = Histogram { sum, ..Histogram::default() };
    histogram.buckets[bucket] = count;
    histogram
}

/// Something of everything, so that every family has a sample.
fn measured() -> Measurements {
    let listener = ListenerNumbers {
        classes: [0, 0, 3, 0, 1, 0],
        time: histogram(1, 4, 3_000),
        refused: [("not_tls", 2)].into(),
        ..Default::default()
    };
    let cluster = ClusterNumbers {
        statuses: [(0, 1), (200, 2), (503, 1)].into(),
        time: histogram(0, 2, 400),
        outliers: Some(OutlierNumbers { active: 1, detected: [2, 0, 0], enforced: [1, 0, 0], overflows: 1 }),
        ..Default::default()
    };
    let endpoint = |healthy| EndpointHealth {
        address: "127.0.0.1:1".parse().unwrap(),
        healthy,
        ejected: !healthy,
        priority: 0,
    };
    let request = RequestLabels {
        method: "GET",
        status: 200,
        route: "/quote/".into(),
        scheme: "https",
        version: "2",
        error: "",
    };
    let end = 1_800_000_000;
    Measurements {
        listeners: [("ingress_http".into(), listener)].into(),
        clusters: [("quote".into(), cluster.clone()), ("quote tls".into(), cluster)].into(),
        requests: [(request, histogram(22, 1, 7_200_000_000))].into(),
        endpoints: [
            ("quote".into(), Some(vec![endpoint(true), endpoint(false)])),
            ("quote tls".into(), None),
        ]
        .into(),
        stats_names: [("quote".into(), "quote".into()), ("quote tls".into(), "quote".into())].into(),
        certificates: vec![
            (Source::new("Host default/a"), vec!["a.example.com".into()], end + 1),
            (Source::new("Host default/a"), vec!["a.example.com".into()], end),
        ],
        key_fetches: [("https://issuer.example.com/keys".into(), (3, 1))].into(),
        ..Measurements::default()
    }
}

fn sample_page() -> String {
    let mut edge = Edge::default();
    edge.listeners.push(Listener {
        name: "http".into(),
        source: Source::new("Listener default/http"),
        bind: "0.0.0.0:8080".parse().unwrap(),
        transport: plenipo_model::Transport::Tcp,
        declared_port: 8080,
        proxy_protocol: ProxyProtocol::Off,
        inner_proxy_from: Vec::new(),
        stats_prefix: "ingress_http".into(),
        max_connections: None,
        chains: Vec::new(),
    });
    let (state, publish) = testing::state();
    let mut published = testing::published(edge);
    published.report.add(Problem {
        severity: plenipo_resources::Severity::Error,
        code: Code("bad-regex"),
        object: Some(ObjectId::new("Mapping", "default", "quote")),
        origin: None,
        field: String::new(),
        message: String::new(),
        fix: String::new(),
    });
    publish.send_replace(Some(Arc::new(published)));
    page(&state, &Health { alive: true, ready: true }, &measured())
}

fn families(page: &str) -> BTreeMap<&str, &str> {
    let mut found = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(found.insert(name, kind).is_none(), "{name} twice");
    }
    found
}

#[test]
fn names_are_those_of_the_documentation() {
    let page = sample_page();
    let named: BTreeSet<(&str, &str)> = families(&page).into_iter().collect();
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let name = cells.next()?.split(['`', '{']).next()?;
        Some((name, cells.next()?.trim()))
    };
    let documented: BTreeSet<(&str, &str)> = DOCS.lines().filter_map(row).collect();
    assert_eq!(named, documented);
}

#[test]
fn samples_belong_to_their_family_and_stand_there_once() {
    let page = sample_page();
    let mut family = ("", "");
    let mut seen = BTreeSet::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            family = kind.split_once(' ').unwrap();
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(series), "{series} twice");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            let suffixes: &[&str] =
                if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| name == format!("{}{suffix}", family.0)), "{line}");
        }
    }
}

#[test]
fn every_family_has_a_sample() {
    let page = sample_page();
    for name in families(&page).keys() {
        assert!(page.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn clusters_of_one_envoy_name_are_added() {
    let page = sample_page();
    let has = |line: &str| assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    has("envoy_cluster_upstream_rq{envoy_cluster_name=\"quote\",envoy_response_code=\"200\"} 4");
    has("envoy_cluster_upstream_rq_xx{envoy_cluster_name=\"quote\",envoy_response_code_class=\"5\"} 2");
    has("envoy_cluster_upstream_rq_total{envoy_cluster_name=\"quote\"} 8");
    has("envoy_cluster_membership_total{envoy_cluster_name=\"quote\"} 2");
    has("envoy_cluster_membership_healthy{envoy_cluster_name=\"quote\"} 1");
    has("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"quote\",le=\"0.5\"} 4");
    has("envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"quote\"} 0.8");
}

#[test]
fn times_have_the_unit_and_bounds_of_their_view() {
    let page = sample_page();
    let has = |line: &str| assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    has("envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"ingress_http\",le=\"1\"} 4");
    has("envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix=\"ingress_http\",le=\"0.5\"} 0");
    let labels = "http_request_method=\"GET\",http_response_status_code=\"200\",http_route=\"/quote/\",url_scheme=\"https\",\
                  network_protocol_version=\"2\",error_type=\"\"";
    has(&format!("http_server_request_duration_seconds_bucket{{{labels},le=\"10\"}} 0"));
    has(&format!("http_server_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 1"));
    has(&format!("http_server_request_duration_seconds_sum{{{labels}}} 7200"));
}

#[test]
fn bounds_shown_are_bounds_counted() {
    for bound in SECONDS.bounds.iter().chain(MILLISECONDS.bounds) {
        assert!(BOUNDS.contains(bound), "{bound}");
    }
}

#[test]
fn the_earliest_end_of_a_certificate_counts() {
    let page = sample_page();
    let line = "plenipo_certificate_expiry_timestamp_seconds{source=\"Host default/a\",host=\"a.example.com\"} 1800000000";
    assert!(page.lines().any(|other| other == line));
}

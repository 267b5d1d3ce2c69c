//! Which path of which Ingress takes a request, whatever people write, compared with the rule as the Kubernetes API tells it.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

mod fixture;

use std::sync::Arc;

use plenipo_model::{Action, Edge, Serve, VirtualHost};
use plenipo_resources::{Origin, Set, SetBuilder, decode};
use plenipo_translate::{Options, ingress_addresses, translate};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A path of an Ingress, as written.
#[derive(Clone, Debug)]
struct Written {
    ingress: usize,
    host: &'static str,
    path: &'static str,
    kind: &'static str,
}

const HOSTS: [&str; 4] = ["a.example.com", "b.example.com", "*.example.com", ""];
const PATHS: [&str; 9] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/a/b/c", "/b", "/abc/d"];
const REQUESTS: [&str; 14] = [
    "/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/bc", "/ab", "/ab/", "/abc", "/abc/d", "/b/x", "/c",
    "/a/b/c/d",
];
const NAMES: [&str; 5] = ["a.example.com", "b.example.com", "c.example.com", "x.y.example.com", "other.test"];

fn written() -> impl Strategy<Value = Written> {
    let kinds = prop::sample::select(vec!["Exact", "Prefix", "ImplementationSpecific"]);
    (0usize..4, prop::sample::select(&HOSTS[..]), prop::sample::select(&PATHS[..]), kinds)
        .prop_map(|(ingress, host, path, kind)| Written { ingress, host, path, kind })
}

/// Each path is for a Service of its own, whose name says which it is.
fn ingresses(all: &[Written]) -> Vec<Value> {
    let one = |ingress: usize| {
        let own = all.iter().enumerate().filter(|(_, written)| written.ingress == ingress);
        let rules: Vec<Value> = own
            .map(|(place, written)| {
                let backend = json!({"service": {"name": format!("s{place}"), "port": {"number": 80}}});
                let path = json!({"path": written.path, "pathType": written.kind, "backend": backend});
                json!({"host": written.host, "http": {"paths": [path]}})
            })
            .collect();
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": format!("i{}", 9 - ingress),
                "namespace": "default",
                "creationTimestamp": format!("2026-01-0{}T00:00:00Z", ingress + 1),
            },
            "spec": {"ingressClassName": "plenipo", "rules": rules},
        })
    };
    (0..4).map(one).collect()
}

fn set(values: Vec<Value>) -> Set {
    let mut builder = SetBuilder::default();
    for value in values {
        let decoded = decode(value, Origin::Cluster);
        assert!(decoded.problems.is_empty(), "{:?}", decoded.problems);
        decoded.objects.into_iter().for_each(|object| builder.add(Arc::new(object)));
    }
    builder.build()
}

/// The rule, written down as the API's documentation has it: a precise host goes before a wildcard, which is one label, and
/// that before none; then the longest path wins, and of two as long the exact one; then the older Ingress.
fn expected(all: &[Written], name: &str, path: &str) -> Option<usize> {
    let label = |name: &str| name.split_once('.').map(|(_, rest)| rest.to_owned());
    let host = HOSTS.into_iter().find(|host| {
        let takes = match host.strip_prefix("*.") {
            Some(suffix) => label(name).as_deref() == Some(suffix),
            None => host.is_empty() || *host == name,
        };
        takes && all.iter().any(|written| written.host == *host)
    })?;
    let trimmed = |text: &'static str| text.strip_suffix('/').unwrap_or(text);
    let element_wise = |text: &'static str| {
        let elements = |text: &str| text.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
        trimmed(text).is_empty() || elements(path).starts_with(&elements(trimmed(text)))
    };
    let mut taking: Vec<(usize, &Written)> = all
        .iter()
        .enumerate()
        .filter(|(_, written)| written.host == host)
        .filter(|(_, written)| match written.kind {
            "Exact" => written.path == path,
            "Prefix" => element_wise(written.path),
            _ => path.starts_with(written.path),
        })
        .collect();
    let rank = |written: &Written| {
        // `/` takes everything, whichever of the two it is called; and a prefix' last slash says nothing.
        let (length, kind) = match (written.kind, written.path) {
            ("Exact", text) => (text.len(), 0),
            ("Prefix", text) => (trimmed(text).len(), 1),
            (_, "/") => (0, 1),
            (_, text) => (text.len(), 2),
        };
        (written.kind != "Exact", std::cmp::Reverse(length), kind, written.ingress)
    };
    taking.sort_by_key(|(place, written)| (rank(written), *place));
    taking.first().map(|(place, _)| *place)
}

/// What the edge does: the place in the name of the cluster that the request goes to.
fn found(edge: &Edge, name: &str, path: &str) -> Option<usize> {
    let chains = edge.listeners.iter().flat_map(|listener| &listener.chains);
    let mut hosts: Vec<&VirtualHost> = chains
        .filter_map(|chain| match &chain.serve {
            Serve::Http(server) => Some(server),
            _ => None,
        })
        .flat_map(|server| &server.hosts)
        .filter(|host| host.host.matches(name))
        .collect();
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    let route = hosts.first()?.routes.iter().find(|route| route.matches.path.matches(path))?;
    let Action::Forward(forward) = &route.action else { panic!("{route:?}") };
    let service = forward.targets[0].cluster.strip_prefix("ingress/default/s")?;
    service.split_once(':')?.0.parse().ok()
}

proptest! {
    #[test]
    fn the_longest_path_takes_a_request(all in prop::collection::vec(written(), 1..16)) {
        let (edge, _) = translate(&set(ingresses(&all)), &Options::default());
        for name in NAMES {
            for path in REQUESTS {
                prop_assert_eq!(found(&edge, name, path), expected(&all, name, path), "{} {}", name, path);
            }
        }
    }

    #[test]
    fn the_order_of_objects_does_not_matter(
        all in prop::collection::vec(written(), 1..16),
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
    ) {
        let ingresses = ingresses(&all);
        let shuffled = order.iter().map(|place| ingresses[*place].clone()).collect();
        let (one, other) = (translate(&set(ingresses), &Options::default()), translate(&set(shuffled), &Options::default()));
        prop_assert_eq!(one, other);
    }
}

#[test]
fn our_ingresses_have_the_addresses_of_the_gateway() {
    let text = "
apiVersion: v1
kind: Service
metadata: {name: gateway, namespace: edge, annotations: {plenipo.io/gateway: 'true'}}
spec: {type: LoadBalancer, selector: {app: gateway}, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{hostname: b.elb.example}, {ip: 192.0.2.7}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ours}
spec: {ingressClassName: plenipo}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: theirs}
spec: {ingressClassName: haproxy}
";
    let addresses = ingress_addresses(&fixture::set(text), &Options::default());
    let shown: Vec<String> = addresses.iter().map(|(id, list)| format!("{id}: {}", list.join(" "))).collect();
    assert_eq!(shown, ["Ingress default/ours: 192.0.2.7 b.elb.example"]);
}

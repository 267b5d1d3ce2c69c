//! Which VirtualService a request gets behind Istio's Gateways, against a naive oracle.

#![allow(clippy::unwrap_used, reason = "a test ends where its fixture does not fit")]

use std::collections::BTreeMap;
use std::sync::Arc;

use plenipo_model::{Action, Edge, HostPattern, HttpServer, Serve};
use plenipo_resources::{Origin, Set, SetBuilder, decode};
use plenipo_translate::{Options, translate};
use proptest::prelude::*;
use serde_json::{Value, json};

const HOSTS: [&str; 6] =
    ["a.example.com", "b.example.com", "*.example.com", "a.b.example.com", "*.b.example.com", "*"];
const PATHS: [&str; 4] = ["/", "/a", "/a/b", "/b"];
const NAMESPACES: [&str; 2] = ["one", "two"];

/// A Gateway: the hosts of its only server, each perhaps for one namespace.
type Server = Vec<(Option<usize>, usize)>;

#[derive(Clone, Debug)]
struct Service {
    namespace: usize,
    created: u8,
    hosts: Vec<usize>,
    gateways: Vec<usize>,
    /// Prefixes, or none for a route without a match; and the gateway that a route is only for.
    routes: Vec<(Option<usize>, Option<usize>)>,
}

fn server() -> impl Strategy<Value = Server> {
    let namespace = prop::option::weighted(0.3, 0..NAMESPACES.len());
    prop::collection::vec((namespace, 0..HOSTS.len()), 1..4)
}

fn service() -> impl Strategy<Value = Service> {
    let route = (prop::option::weighted(0.8, 0..PATHS.len()), prop::option::weighted(0.2, 0..2usize));
    let distinct = |length| prop::sample::subsequence((0..length).collect::<Vec<usize>>(), 1..=length.min(3));
    let parts =
        (0..NAMESPACES.len(), 0..3u8, distinct(HOSTS.len()), distinct(2), prop::collection::vec(route, 1..4));
    parts.prop_map(|(namespace, created, hosts, gateways, routes)| Service {
        namespace,
        created,
        hosts,
        gateways,
        routes,
    })
}

fn set(servers: &[Server], services: &[Service]) -> Set {
    let mut builder = SetBuilder::default();
    let gateways = servers.iter().enumerate().map(|(index, server)| {
        let host = |(namespace, host): &(Option<usize>, usize)| match namespace {
            Some(namespace) => format!("{}/{}", NAMESPACES[*namespace], HOSTS[*host]),
            None => HOSTS[*host].to_owned(),
        };
        let hosts: Vec<String> = server.iter().map(host).collect();
        let port = json!({"number": 80, "name": "http", "protocol": "HTTP"});
        let spec = json!({"servers": [{"port": port, "hosts": hosts}]});
        object("Gateway", &json!({"name": format!("g{index}"), "namespace": "edge"}), &spec)
    });
    let virtual_services = services.iter().enumerate().map(|(index, service)| {
        let route = |(place, (path, gateway)): (usize, &(Option<usize>, Option<usize>))| {
            let mut one = json!({"name": format!("{index}/{place}"), "directResponse": {"status": 200}});
            let mut matching = serde_json::Map::new();
            if let Some(path) = path {
                matching.insert("uri".to_owned(), json!({"prefix": PATHS[*path]}));
            }
            if let Some(gateway) = gateway {
                matching.insert("gateways".to_owned(), json!([format!("edge/g{gateway}")]));
            }
            if !matching.is_empty() {
                one["match"] = json!([matching]);
            }
            one
        };
        let spec = json!({
            "hosts": service.hosts.iter().map(|host| HOSTS[*host]).collect::<Vec<_>>(),
            "gateways": service.gateways.iter().map(|gateway| format!("edge/g{gateway}")).collect::<Vec<_>>(),
            "http": service.routes.iter().enumerate().map(route).collect::<Vec<_>>(),
        });
        let created = format!("2024-01-0{}T00:00:00Z", service.created + 1);
        let namespace = NAMESPACES[service.namespace];
        let metadata = json!({"name": name(index), "namespace": namespace, "creationTimestamp": created});
        object("VirtualService", &metadata, &spec)
    });
    for value in gateways.chain(virtual_services) {
        let decoded = decode(value, Origin::Cluster);
        assert!(decoded.problems.is_empty(), "{:?}", decoded.problems);
        decoded.objects.into_iter().for_each(|object| builder.add(Arc::new(object)));
    }
    builder.build()
}

fn object(kind: &str, metadata: &Value, spec: &Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// In another order than their numbers.
fn name(index: usize) -> String {
    format!("v{}", 9 - index)
}

/// The route that a request gets, by the rules as they are documented: the most specific name that any VirtualService has
/// on the port decides which routes there are; those are tried Gateway by Gateway, the older VirtualService first, and what
/// takes every request last.
fn expected(servers: &[Server], services: &[Service], host: &str, path: &str) -> Option<String> {
    let mut order: Vec<usize> = (0..services.len()).collect();
    order.sort_by_key(|index| {
        (services[*index].created, name(*index), NAMESPACES[services[*index].namespace])
    });
    let mut found: BTreeMap<HostPattern, Vec<(String, String)>> = BTreeMap::new();
    for (gateway, server) in servers.iter().enumerate() {
        for index in &order {
            let service = &services[*index];
            if !service.gateways.contains(&gateway) {
                continue;
            }
            let mut names: Vec<HostPattern> = Vec::new();
            for wanted in &service.hosts {
                for (namespace, open) in server {
                    let allowed = namespace.is_none_or(|namespace| namespace == service.namespace);
                    let both = allowed.then(|| intersection(HOSTS[*wanted], HOSTS[*open])).flatten();
                    names.extend(both.filter(|name| !names.contains(name)));
                }
            }
            for name in names {
                let routes = found.entry(name).or_default();
                for (place, (path, only)) in service.routes.iter().enumerate() {
                    if only.is_some_and(|only| only != gateway) {
                        continue;
                    }
                    let path = path.map_or("/", |path| PATHS[path]).to_owned();
                    let route = (path.clone(), format!("{index}/{place}"));
                    if !routes.contains(&route) {
                        routes.push(route);
                    }
                    if path == "/" {
                        break;
                    }
                }
            }
        }
    }
    let (_, routes) = found.into_iter().find(|(name, _)| name.matches(host))?;
    let (last, first): (Vec<_>, Vec<_>) = routes.into_iter().partition(|(prefix, _)| prefix == "/");
    first.into_iter().chain(last).find(|(prefix, _)| path.starts_with(prefix.as_str())).map(|(_, name)| name)
}

fn intersection(one: &str, other: &str) -> Option<HostPattern> {
    let within = |inner: &str, outer: &str| match outer.strip_prefix('*') {
        Some(suffix) => inner.trim_start_matches('*').ends_with(suffix) && inner.len() >= outer.len(),
        None => inner == outer,
    };
    let narrow = if within(one, other) { one } else { within(other, one).then_some(other)? };
    HostPattern::parse(narrow).ok()
}

fn served(edge: &Edge, host: &str, path: &str) -> Option<String> {
    let chain = &edge.listeners.first()?.chains[0];
    let Serve::Http(server) = &chain.serve else { panic!("it is HTTP") };
    let HttpServer { hosts, .. } = &**server;
    let host = hosts.iter().find(|one| one.host.matches(host))?;
    let route = host.routes.iter().find(|route| route.matches.path.matches(path))?;
    assert!(matches!(route.action, Action::Respond(_)));
    Some(route.name.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_get_the_routes_that_istio_gives_them(
        servers in prop::collection::vec(server(), 2),
        services in prop::collection::vec(service(), 1..5),
    ) {
        let (edge, _) = translate(&set(&servers, &services), &Options::default());
        for host in ["a.example.com", "b.example.com", "c.example.com", "a.b.example.com", "x.y.b.example.com", "other.org"] {
            for path in ["/", "/a", "/a/b/c", "/b", "/c"] {
                prop_assert_eq!(
                    served(&edge, host, path), expected(&servers, &services, host, path), "{}{}", host, path
                );
            }
        }
    }
}

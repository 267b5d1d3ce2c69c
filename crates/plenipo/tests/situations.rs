//! What becomes of objects that get in each other's way, or that say too little: what clients see, and who is told.
//!
//! The situations are those that people who run Istio's ingress gateway ask about; each has a better outcome here, or the
//! same one and a finding.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

#[path = "situations/http.rs"]
mod http;
#[path = "situations/secrets.rs"]
mod secrets;
#[path = "situations/sharing.rs"]
mod sharing;
#[path = "situations/upstreams.rs"]
mod upstreams;

use std::net::SocketAddr;
use std::sync::Arc;

use plenipo_model::{Edge, PortMap};
use plenipo_proxy::{Proxy, Settings, Snapshot};
use plenipo_resources::{Origin, Report, Set, SetBuilder, decode, documents};
use plenipo_testkit::client::Target;
use plenipo_testkit::{Authority, Http, Issued, Raw, Upstream, free_port, tls};
use plenipo_translate::{LastGood, Options};

fn set(yaml: &str) -> Set {
    let mut builder = SetBuilder::default();
    for document in documents(yaml) {
        let origin = Origin::File { path: "in.yaml".into(), line: document.line };
        let decoded = decode(document.value().unwrap_or_else(|error| panic!("{error}")), origin);
        decoded.problems.into_iter().for_each(|problem| builder.problem(problem));
        for object in decoded.objects {
            builder.add(Arc::new(object));
        }
    }
    builder.build()
}

/// A gateway that runs on YAML, with an upstream `up` in namespace `default` behind it.
struct Scene {
    proxy: Proxy,
    snapshot: Arc<Snapshot>,
    upstream: Upstream,
    last_good: LastGood,
    ports: [(u16, u16); 2],
    edge: Edge,
    report: Report,
}

impl Scene {
    /// The ports 80 and 443 of the YAML are free ones of this machine.
    async fn of(yaml: &str) -> Self {
        let upstream = Upstream::http("up").start().await;
        let settings = Settings { workers: 1, min_drain: std::time::Duration::ZERO, ..Settings::default() };
        let ports = [(80, free_port()), (443, free_port())];
        let mut last_good = LastGood::default();
        let (edge, report) = Self::translate(yaml, &upstream, &mut last_good, ports);
        let snapshot = Snapshot::build(Arc::new(edge.clone()), None);
        let mut proxy = Proxy::start(settings).unwrap();
        let failed = proxy.publish(Arc::clone(&snapshot)).await;
        assert!(failed.is_empty(), "{failed:?}");
        Self { proxy, snapshot, upstream, last_good, ports, edge, report }
    }

    /// The YAML changes.
    async fn change(&mut self, yaml: &str) {
        let (edge, report) = Self::translate(yaml, &self.upstream, &mut self.last_good, self.ports);
        let snapshot = Snapshot::build(Arc::new(edge.clone()), Some(&self.snapshot));
        let failed = self.proxy.publish(Arc::clone(&snapshot)).await;
        assert!(failed.is_empty(), "{failed:?}");
        (self.snapshot, self.edge, self.report) = (snapshot, edge, report);
    }

    fn translate(
        yaml: &str,
        upstream: &Upstream,
        last_good: &mut LastGood,
        ports: [(u16, u16); 2],
    ) -> (Edge, Report) {
        let port = upstream.address().port().to_string();
        let options = Options {
            bind_address: [127, 0, 0, 1].into(),
            force_directory_endpoints: true,
            ..Options::default()
        };
        let (mut edge, report) =
            last_good.apply(&set(&format!("{yaml}{UP}").replace("PORT", &port)), &options);
        let mut map = PortMap::default();
        ports.iter().for_each(|(declared, bound)| map.insert(*declared, *bound));
        edge.map_ports(&map);
        (edge, report)
    }

    fn address(&self, declared: u16) -> SocketAddr {
        let (_, bound) = self.ports.iter().find(|(port, _)| *port == declared).unwrap();
        ([127, 0, 0, 1], *bound).into()
    }

    /// The status of a request to a host in clear text; 0 when there is no answer.
    async fn get(&self, host: &str, path: &str) -> u16 {
        let request = ::http::Request::get(path).header("host", host);
        Http::one(self.address(80)).send(request).await.map_or(0, |response| response.status.as_u16())
    }

    /// The same by TLS, to the server of that name; 0 when there is no connection.
    async fn secure(&self, server: &str, host: &str, servers: &Authority, shown: Option<&Issued>) -> u16 {
        let target = Target::tls(self.address(443), server, tls::client(servers, shown, &[]));
        let request = ::http::Request::get("/").header("host", host);
        Http::one(target).send(request).await.map_or(0, |response| response.status.as_u16())
    }

    /// Is a connection in clear text closed without a word?
    async fn closes(&self, declared: u16, bytes: &[u8]) -> bool {
        Raw::exchange(self.address(declared), bytes).await.map_or(true, |answer| answer.is_empty())
    }

    /// A finding about this object with this code has these words in it.
    #[track_caller]
    fn told(&self, object: &str, code: &str, words: &[&str]) {
        let found = self.report.problems().into_iter().any(|problem| {
            problem.object.as_ref().is_some_and(|id| id.to_string() == object)
                && problem.code.to_string() == code
                && words.iter().all(|word| problem.message.contains(word))
        });
        let all: Vec<String> = self.report.problems().iter().map(ToString::to_string).collect();
        assert!(found, "{object} [{code}] {words:?} is not among\n{}", all.join("\n"));
    }

    /// Nobody is told anything.
    #[track_caller]
    fn silent(&self) {
        let all: Vec<String> = self.report.problems().iter().map(ToString::to_string).collect();
        assert!(all.is_empty(), "{}", all.join("\n"));
    }
}

/// A service with one endpoint.
const UP: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: up, namespace: default}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: up-1, namespace: default, labels: {kubernetes.io/service-name: up}}
addressType: IPv4
ports: [{name: http, port: PORT, protocol: TCP}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
";

/// A Gateway in `default`, with these servers (YAML flow).
fn gateway(name: &str, servers: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{selector: {{istio: ingressgateway}}, servers: [{servers}]}}\n"
    )
}

/// A server in clear text.
fn clear(port: u16, hosts: &str) -> String {
    format!("{{port: {{number: {port}, name: http-{port}, protocol: HTTP}}, hosts: [{hosts}]}}")
}

/// A server that ends TLS with a Secret.
fn secured(hosts: &str, secret: &str) -> String {
    mutual(hosts, secret, "SIMPLE")
}

/// A server that ends TLS in this mode.
fn mutual(hosts: &str, secret: &str, mode: &str) -> String {
    format!(
        "{{port: {{number: 443, name: https-{secret}, protocol: HTTPS}}, hosts: [{hosts}], \
         tls: {{mode: {mode}, credentialName: {secret}}}}}"
    )
}

/// A server of another protocol.
fn other(port: u16, protocol: &str, hosts: &str, rest: &str) -> String {
    let name = format!("{}-{port}", protocol.to_ascii_lowercase());
    format!("{{port: {{number: {port}, name: {name}, protocol: {protocol}}}, hosts: [{hosts}]{rest}}}")
}

/// A VirtualService in `default` with this `spec` besides its hosts and gateways.
fn virtual_service(name: &str, hosts: &str, gateways: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\n\
         spec: {{hosts: [{hosts}], gateways: [{gateways}], {spec}}}\n"
    )
}

/// Everything goes to the upstream.
const TO_UP: &str = "http: [{route: [{destination: {host: up}}]}]";

//! Active health checks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use plenipo_model::{Cluster, HeaderEdits, HealthCheck, HealthProbe, HealthTransport, UpstreamProtocol};
use tokio::task::JoinHandle;

use super::connect::connect_by;
use crate::io::Stream;
use crate::snapshot::clusters::{EndpointState, Upstream};
use crate::snapshot::tls::{self, OriginatedTls};
use crate::worker::LocalExecutor;

/// How often the list of endpoints is looked at for ones that came or went.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Checks every endpoint of a cluster, until aborted.
pub(crate) async fn watch(upstream: Arc<Upstream>) {
    let mut watched: HashMap<SocketAddr, Watched> = HashMap::new();
    loop {
        let endpoints = upstream.live.resolved().await;
        watched.retain(|_, watched| {
            endpoints.endpoints.iter().any(|state| Arc::ptr_eq(state, &watched.endpoint))
        });
        for endpoint in &endpoints.endpoints {
            watched.entry(endpoint.address).or_insert_with(|| {
                let task = tokio::task::spawn_local(check(Arc::clone(&upstream), Arc::clone(endpoint)));
                Watched { endpoint: Arc::clone(endpoint), task }
            });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// An endpoint under watch; dropping it ends the watch.
struct Watched {
    endpoint: Arc<EndpointState>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks one endpoint forever.
async fn check(upstream: Arc<Upstream>, endpoint: Arc<EndpointState>) {
    let rules = &upstream.model.health_checks;
    let tls: Vec<_> = rules.iter().map(|rule| tls_of(&upstream, rule)).collect();
    let ask = async |at: usize| {
        let mut address = endpoint.address;
        address.set_port(rules[at].port.unwrap_or(address.port()));
        probe(&upstream, &tls[at], address, &rules[at]).await
    };
    judge(&upstream.model, &endpoint, ask).await;
}

/// Notes, forever, what the checks of a cluster find: `ask` carries out the one at a position. The first answer decides at
/// once; later ones need their threshold.
async fn judge(cluster: &Cluster, endpoint: &EndpointState, ask: impl AsyncFn(usize) -> bool) {
    let rules = &cluster.health_checks;
    let mut tallies: Vec<_> = rules.iter().map(|_| Tally::default()).collect();
    let shortest = rules.iter().map(|rule| rule.interval).min().unwrap_or_default();
    loop {
        for (at, (rule, tally)) in rules.iter().zip(&mut tallies).enumerate() {
            let passed = tokio::time::timeout(rule.timeout, ask(at)).await;
            tally.note(rule, passed.unwrap_or(false));
        }
        let healthy = tallies.iter().all(|tally| tally.healthy);
        if healthy != endpoint.healthy() {
            tracing::info!(cluster = %cluster.name, endpoint = %endpoint.address, healthy, "health changed");
        }
        endpoint.set_healthy(healthy);
        tokio::time::sleep(shortest.max(Duration::from_millis(10))).await;
    }
}

/// Answers in a row.
#[derive(Debug, Default)]
struct Tally {
    healthy: bool,
    answered: bool,
    row: u32,
}

impl Tally {
    fn note(&mut self, rule: &HealthCheck, passed: bool) {
        if !self.answered {
            (self.answered, self.healthy) = (true, passed);
            return;
        }
        if passed == self.healthy {
            self.row = 0;
            return;
        }
        self.row += 1;
        let needed = if passed { rule.healthy_after } else { rule.unhealthy_after };
        if self.row >= needed {
            (self.healthy, self.row) = (passed, 0);
        }
    }
}

type Tls = Result<Option<Arc<OriginatedTls>>, String>;

fn tls_of(upstream: &Upstream, rule: &HealthCheck) -> Tls {
    match &rule.transport {
        HealthTransport::Traffic => upstream.tls.clone(),
        HealthTransport::ClearText => Ok(None),
        HealthTransport::Tls(client) => {
            tls::originate(client, upstream.model.protocol).map(Some).map_err(|error| error.to_string())
        }
    }
}

async fn probe(upstream: &Upstream, tls: &Tls, address: SocketAddr, rule: &HealthCheck) -> bool {
    let Ok(connected) = connect_by(upstream, tls, address, None, None).await else { return false };
    match &rule.probe {
        HealthProbe::Tcp => true,
        HealthProbe::Http { path, host, headers, statuses } => {
            let host = host.as_deref().unwrap_or(&upstream.model.name);
            let Some(request) = http_request(path, host, headers, upstream) else { return false };
            let response = match upstream.model.protocol {
                UpstreamProtocol::Http1 => ask_http1(connected.stream, request).await,
                UpstreamProtocol::Http2 => ask_http2(connected.stream, request).await,
            };
            response.is_some_and(|response| {
                let status = response.status().as_u16();
                match statuses.as_slice() {
                    [] => status == 200,
                    ranges => ranges.iter().any(|(min, max)| (*min..=*max).contains(&status)),
                }
            })
        }
        HealthProbe::Grpc { service, authority } => {
            let authority = authority.as_deref().unwrap_or(&upstream.model.name);
            let Some(message) = check_message(service) else { return false };
            let request = grpc_request("/grpc.health.v1.Health/Check", authority, &message);
            match ask_grpc(connected.stream, request).await {
                Some((status, message)) => status.is_none_or(|status| status == 0) && serves(&message),
                None => false,
            }
        }
        HealthProbe::GrpcCall { path, statuses } => {
            let request = grpc_request(path, &address.to_string(), &[]);
            match ask_grpc(connected.stream, request).await {
                Some((Some(status), _)) => statuses.iter().any(|(min, max)| (*min..=*max).contains(&status)),
                _ => false,
            }
        }
    }
}

fn http_request(
    path: &str,
    host: &str,
    edits: &HeaderEdits,
    upstream: &Upstream,
) -> Option<Request<Full<Bytes>>> {
    let uri: Uri = match upstream.model.protocol {
        UpstreamProtocol::Http1 => path.parse().ok()?,
        UpstreamProtocol::Http2 => format!("http://{host}{path}").parse().ok()?,
    };
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    if upstream.model.protocol == UpstreamProtocol::Http1 {
        headers.insert(header::HOST, HeaderValue::from_str(host).ok()?);
    }
    headers.insert(header::USER_AGENT, HeaderValue::from_static("plenipo-health-check"));
    for edit in &edits.add {
        if let Some(value) = edit.value.as_literal().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(&edit.name, value);
        }
    }
    for name in &edits.remove {
        headers.remove(name);
    }
    Some(request)
}

async fn ask_http1(stream: Stream, request: Request<Full<Bytes>>) -> Option<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::task::spawn_local(connection);
    sender.send_request(request).await.ok()
}

async fn ask_http2(stream: Stream, request: Request<Full<Bytes>>) -> Option<Response<Incoming>> {
    let (mut sender, connection) = http2::handshake(LocalExecutor, TokioIo::new(stream)).await.ok()?;
    tokio::task::spawn_local(connection);
    sender.send_request(request).await.ok()
}

/// The request of `grpc.health.v1.Health/Check`, written by hand: one string field, number 1.
fn check_message(service: &str) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    if !service.is_empty() {
        let length = u8::try_from(service.len()).ok().filter(|length| *length < 128)?;
        message.extend_from_slice(&[0x0a, length]);
        message.extend_from_slice(service.as_bytes());
    }
    Some(message)
}

/// SERVING is 1 in field 1 of the answer.
fn serves(body: &[u8]) -> bool {
    body.get(5..).is_some_and(|message| message.starts_with(&[0x08, 0x01]))
}

fn grpc_request(path: &str, authority: &str, message: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).ok()?.to_be_bytes());
    body.extend_from_slice(message);
    let mut request = Request::post(format!("http://{authority}{path}")).body(Full::from(body)).ok()?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(HeaderName::from_static("te"), HeaderValue::from_static("trailers"));
    Some(request)
}

/// The status of a call, in its trailers or (without an answer) in its head, and the body.
async fn ask_grpc(stream: Stream, request: Option<Request<Full<Bytes>>>) -> Option<(Option<u16>, Bytes)> {
    let (head, body) = ask_http2(stream, request?).await?.into_parts();
    let body = body.collect().await.ok()?;
    let status = |fields: &HeaderMap| fields.get("grpc-status")?.to_str().ok()?.parse().ok();
    let told = body.trailers().and_then(status).or_else(|| status(&head.headers));
    Some((told, body.to_bytes()))
}

#[cfg(test)]
mod tests;

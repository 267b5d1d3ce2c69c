//! The word of an external service: may this request pass?
//!
//! A service that does not answer, or not so that we understand it, has not said yes.

mod grpc;
mod http;
mod message;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use plenipo_model::{ExternalAuthorization, ExternalProtocol, Priority, UpstreamProtocol};
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::codec::{self, Incoming};
use crate::exchange::Exchange;
use crate::fields::Fields;
use crate::headers;
use crate::message::{Request, RequestHead, Response, ResponseHead};
use crate::snapshot::clusters::Upstream;
use crate::upstream::balance;
use crate::upstream::connect::ConnectError;
use crate::upstream::lease::Lease;
use crate::upstream::pool::{LeaseError, LocalCluster};
use crate::worker::Worker;

/// Bytes of an answer.
const LARGEST: usize = 1024 * 1024;

/// What is asked about.
pub(crate) struct Question<'a> {
    pub(crate) exchange: &'a Exchange,
    /// The head, as it would go upstream.
    pub(crate) parts: &'a RequestHead,
    /// What was read of the body; none when the service does not get it.
    pub(crate) body: Option<Bytes>,
    /// There is more of it.
    pub(crate) partial: bool,
    /// What the configuration tells about the route.
    pub(crate) context: &'a BTreeMap<String, String>,
}

/// What a service says.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It may pass, changed like this.
    Yes(Changes),
    /// It may not: the client gets this.
    No(Refused),
}

/// What is changed in a request that passes, and in its response.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) remove: Vec<HeaderName>,
    pub(crate) request: Vec<Field>,
    /// Added to the response.
    pub(crate) response: Fields,
}

/// A field that is written.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
    pub(crate) how: How,
}

/// How a field is written where there may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// In its place.
    Set,
    /// Beside it.
    Append,
    /// Only where there is none.
    IfAbsent,
    /// Only where there is one.
    IfPresent,
}

/// What a client is told that may not pass.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) headers: Fields,
    pub(crate) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("there is no cluster {0}")]
    NoCluster(Arc<str>),
    #[error("the cluster speaks HTTP/1, gRPC needs HTTP/2")]
    NotHttp2,
    #[error("no endpoint can be asked")]
    NoEndpoint,
    #[error("a circuit breaker is open")]
    Overflow,
    #[error(transparent)]
    Connect(ConnectError),
    #[error("HTTP: {0}")]
    Http(#[from] codec::Error),
    #[error("the question is no HTTP: {0}")]
    Question(#[from] ::http::Error),
    #[error("the answer is longer than {LARGEST} bytes")]
    TooLong,
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is gRPC status {0}")]
    Grpc(i32),
    #[error("the answer cannot be read: {0}")]
    Malformed(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Asks a service about a request.
pub(crate) async fn ask(
    worker: &Worker,
    service: &ExternalAuthorization,
    question: &Question<'_>,
) -> Result<Answer, NoAnswer> {
    match &service.protocol {
        ExternalProtocol::Http(check) => http::ask(worker, service, check, question).await,
        ExternalProtocol::Grpc(check) => grpc::ask(worker, service, check, question).await,
    }
}

impl Changes {
    /// Changes a request. Where a message goes and where it ends is not theirs.
    pub(crate) fn apply(&self, headers: &mut Fields) {
        for name in self.remove.iter().filter(|name| !is_protected(name)) {
            headers::strip(name, headers);
        }
        for Field { name, value, how } in self.request.iter().filter(|field| !is_protected(&field.name)) {
            match how {
                How::Append => {
                    headers.append(name, value.clone());
                }
                How::IfAbsent if headers.contains_key(name) => {}
                How::IfPresent if !headers.contains_key(name) => {}
                How::Set => {
                    headers::strip(name, headers);
                    headers.insert(name, value.clone());
                }
                How::IfAbsent | How::IfPresent => {
                    headers.insert(name, value.clone());
                }
            }
        }
    }
}

/// What a request is changed by that passes without an answer: the fields that only the service may set are not left as
/// the client sent them.
pub(crate) fn unanswered(service: &ExternalAuthorization, sent: &Fields) -> Changes {
    match &service.protocol {
        ExternalProtocol::Http(check) => Changes { remove: http::own(check, sent), ..Changes::default() },
        ExternalProtocol::Grpc(_) => Changes::default(),
    }
}

fn is_protected(name: &HeaderName) -> bool {
    use header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
    [HOST, CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
}

/// The cluster of a service.
fn upstream(worker: &Worker, service: &ExternalAuthorization) -> Result<Arc<Upstream>, NoAnswer> {
    let found = worker.snapshot().upstream(&service.cluster).cloned();
    found.ok_or_else(|| NoAnswer::NoCluster(Arc::clone(&service.cluster)))
}

/// Sends a question and reads the answer: its head, and what comes of its body within the service's time. One that an idle
/// connection did not take is sent again on a fresh one: it asks, and changes nothing.
async fn exchange(
    worker: &Worker,
    service: &ExternalAuthorization,
    upstream: &Arc<Upstream>,
    question: &Question<'_>,
    request: impl Fn(UpstreamProtocol) -> Result<Request<RequestBody>, NoAnswer>,
) -> Result<(ResponseHead, Result<(Bytes, Fields), NoAnswer>), NoAnswer> {
    let end = Instant::now() + service.timeout;
    let late = |_| NoAnswer::TimedOut(service.timeout);
    let cluster = worker.cluster(upstream);
    let _place = cluster.admit(Priority::Default, false).map_err(|_| NoAnswer::Overflow)?;
    let head = head(&cluster, upstream, question, request);
    let (response, lease) = tokio::time::timeout_at(end, head).await.map_err(late)??;
    let Response { head: parts, body } = response;
    let read = tokio::time::timeout_at(end, whole(body)).await.map_err(late).flatten();
    drop(lease);
    Ok((parts, read))
}

async fn head(
    cluster: &Rc<LocalCluster>,
    upstream: &Upstream,
    question: &Question<'_>,
    request: impl Fn(UpstreamProtocol) -> Result<Request<RequestBody>, NoAnswer>,
) -> Result<(Response<Incoming>, Lease), NoAnswer> {
    let endpoints = upstream.live.resolved().await;
    let load = |address| cluster.load(address);
    let chosen = balance::choose(&endpoints, upstream.model.balance, &cluster.turn, None, load, &[]);
    let address = chosen.ok_or(NoAnswer::NoEndpoint)?.address;
    let mut fresh = false;
    loop {
        let began = Instant::now();
        let connection = &question.exchange.connection;
        let lease = cluster
            .lease((address, None, upstream.model.protocol), Priority::Default, connection, fresh)
            .await;
        let mut lease = lease.map_err(|error| unconnected(error, cluster))?;
        match lease.send(request(upstream.model.protocol)?).await {
            Ok(response) => {
                cluster.meter.answered(response.status().as_u16(), began.elapsed());
                return Ok((response, lease));
            }
            Err(_) if lease.reused && !fresh => fresh = true,
            Err(error) => {
                cluster.meter.answered(0, began.elapsed());
                return Err(error.error.into());
            }
        }
    }
}

fn unconnected(error: LeaseError, cluster: &LocalCluster) -> NoAnswer {
    match error {
        LeaseError::Overflow | LeaseError::Full => NoAnswer::Overflow,
        LeaseError::Connect(error) => {
            cluster.meter.answered(0, Duration::ZERO);
            NoAnswer::Connect(error)
        }
        LeaseError::Handshake(error) => NoAnswer::Http(error.into()),
    }
}

async fn whole(mut body: Incoming) -> Result<(Bytes, Fields), NoAnswer> {
    let (mut bytes, mut trailers) = (BytesMut::new(), Fields::new());
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) if bytes.len() + data.len() > LARGEST => return Err(NoAnswer::TooLong),
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default().into(),
        }
    }
    Ok((bytes.freeze(), trailers))
}

/// Fields of an answer that clients may get: none that frame it.
fn end_to_end(headers: &Fields, wanted: impl Fn(&HeaderName) -> bool) -> Fields {
    let fields = headers.iter().filter(|(name, _)| !is_protected(name) && *name != header::TRAILER);
    fields.filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

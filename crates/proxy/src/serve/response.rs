//! A response's body on its way to the client, and the end of the exchange.

use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use plenipo_model::Route;
use tokio::time::Instant;

use super::forward::keep_response;
use super::incoming::keep;
use super::patience::Patience;
use super::{HttpConnection, STALLED};
use crate::alarm::Alarm;
use crate::body::{BodyError, Inbound, passed};
use crate::codec::{AnswerBody, Incoming};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::headers::grpc_status;
use crate::message::ResponseHead;
use crate::metrics::{RequestLabels, known_method};
use crate::pipe::Pipe;
use crate::render::Facts;
use crate::snapshot::CompiledHttp;
use crate::snapshot::clusters::Upstream;
use crate::tcp::Carried;
use crate::upstream::lease::Lease;
use crate::upstream::outlier::Heard;
use crate::upstream::pool::{Admission, LocalCluster};

/// A response's body.
pub(crate) struct ResponseBody {
    kind: Kind,
    finish: Option<Box<Finish>>,
    /// For so long the client may take nothing of it; none = for ever.
    patience: Option<Duration>,
}

enum Kind {
    Whole(Bytes),
    Upstream(Incoming),
}

/// What is to be done when the last byte has gone, or none will go any more. Once, whichever comes first.
pub(crate) struct Finish {
    http: Rc<HttpConnection>,
    server: Arc<CompiledHttp>,
    route: Option<Arc<Route>>,
    pub(super) exchange: Box<Exchange>,
    upstream: Option<UpstreamSide>,
    patience: Option<Patience>,
    /// Last time that the upstream said something.
    heard: Instant,
    /// Only where the body makes us wait.
    alarm: Option<Alarm>,
    /// Ends when the endpoint is gone and its time to drain is over, where there is such a time.
    drained: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

struct UpstreamSide {
    cluster: Rc<LocalCluster>,
    lease: Option<Lease>,
    _admission: Admission,
    request_body: Option<Rc<RefCell<Inbound>>>,
}

impl ResponseBody {
    /// A body that is all there.
    pub(super) fn whole(body: Bytes, finish: Box<Finish>) -> Self {
        Self { kind: Kind::Whole(body), patience: finish.unread(), finish: Some(finish) }
    }

    /// The upstream's body.
    pub(super) fn upstream(body: Incoming, finish: Box<Finish>) -> Self {
        Self { kind: Kind::Upstream(body), patience: finish.unread(), finish: Some(finish) }
    }

    /// Empty, with nothing to be done at its end.
    pub(super) fn unrecorded() -> Self {
        Self { kind: Kind::Whole(Bytes::new()), patience: Some(STALLED), finish: None }
    }

    fn end(&mut self, complete: bool) {
        if let Some(mut finish) = self.finish.take() {
            if !complete && finish.http.activity.is_abandoned() {
                finish.failed(Failure::Silent(StatusCode::GATEWAY_TIMEOUT));
            }
            finish.end(complete);
        }
    }
}

impl Finish {
    pub(super) fn new(
        http: &Rc<HttpConnection>,
        server: &Arc<CompiledHttp>,
        route: Option<&Arc<Route>>,
        exchange: Box<Exchange>,
    ) -> Box<Self> {
        // From here on the response's body stands for the request.
        http.activity.begin();
        Box::new(Self {
            http: Rc::clone(http),
            server: Arc::clone(server),
            route: route.map(Arc::clone),
            upstream: None,
            patience: None,
            heard: exchange.begun,
            exchange,
            alarm: None,
            drained: None,
        })
    }

    pub(super) fn upstream(
        mut self: Box<Self>,
        cluster: Rc<LocalCluster>,
        lease: Lease,
        admission: Admission,
        request_body: Option<Rc<RefCell<Inbound>>>,
    ) -> Box<Self> {
        self.upstream =
            Some(UpstreamSide { cluster, lease: Some(lease), _admission: admission, request_body });
        self
    }

    /// The body has so much time; its upstream was last `heard` when its head came.
    pub(super) fn until(mut self: Box<Self>, patience: Patience, heard: Instant) -> Box<Self> {
        (self.patience, self.heard) = (Some(patience), heard);
        self
    }

    /// The body is cut when its endpoint has drained.
    pub(super) fn until_drained(
        mut self: Box<Self>,
        upstream: &Arc<Upstream>,
        address: SocketAddr,
    ) -> Box<Self> {
        if upstream.model.drain.is_some() {
            let upstream = Arc::clone(upstream);
            self.drained = Some(Box::pin(async move { upstream.drained(address).await }));
        }
        self
    }

    /// This is the head of the answer.
    pub(super) fn answers(&mut self, parts: &ResponseHead) {
        self.exchange.status = parts.status.as_u16();
        self.exchange.details = "via_upstream";
        keep_response(&self.server, &mut self.exchange, &parts.headers);
    }

    /// What was carried after an upgrade.
    pub(super) fn carried(&mut self, carried: Carried) {
        (self.exchange.bytes_received, self.exchange.bytes_sent) = (carried.up, carried.down);
    }

    fn failed(&mut self, failure: Failure) {
        let told = failure.told();
        (self.exchange.flags, self.exchange.details) = (told.flag, told.details);
    }

    /// Outlier detection hears how the response went on.
    fn heard(&self, heard: Heard) {
        if let Some(UpstreamSide { cluster, lease: Some(lease), .. }) = &self.upstream {
            cluster.upstream.borrow().live.heard(lease.address, heard);
        }
    }

    /// For so long the client may take nothing.
    fn unread(&self) -> Option<Duration> {
        self.patience.as_ref().map_or(Some(STALLED), Patience::idle)
    }

    /// Has the body made us wait for too long?
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if self.drained.as_mut().is_some_and(|drained| drained.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Failure::Drained);
        }
        let Some(patience) = &self.patience else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| self.http.worker.alarms.one());
        patience.poll_run_out(Some(self.heard), alarm, cx)
    }

    /// A piece of the body came, with so many bytes of content.
    fn came(&mut self, bytes: usize, last: bool) {
        if !last {
            self.heard = Instant::now();
        }
        self.exchange.bytes_sent += bytes as u64;
    }

    fn trailers(&mut self, trailers: &http::HeaderMap) {
        self.exchange.grpc_status = grpc_status(trailers.get("grpc-status"));
        if let Some(status) = self.exchange.grpc_status {
            self.heard(Heard::of_grpc(status));
        }
        if let Some(log) = &self.server.log {
            let names = log.formatter.kept_trailers();
            if !names.is_empty() {
                keep(&mut self.exchange.kept_trailers, &trailers.clone().into(), names);
            }
        }
    }

    pub(super) fn end(mut self: Box<Self>, complete: bool) {
        let duration = self.exchange.begun.elapsed();
        if !complete && self.exchange.flags.is_empty() {
            self.exchange.flags = "DC";
            self.exchange.details = "downstream_remote_disconnect";
        }
        if let Some(upstream) = &mut self.upstream {
            if let Some(body) = &upstream.request_body {
                self.exchange.bytes_received = body.borrow().bytes();
            }
            upstream.cluster.meter.sent.add(self.exchange.bytes_received);
            upstream.cluster.meter.received.add(self.exchange.bytes_sent);
            upstream.lease = None;
        }
        let exchange = &self.exchange;
        self.http.meter.finished(exchange.status, duration);
        self.http.meter.requests_active.set(self.http.meter.requests_active.get().saturating_sub(1));
        let route = self.route.as_ref().map(|route| Arc::clone(&route.pattern));
        let labels = RequestLabels {
            method: known_method(&exchange.method),
            status: exchange.status,
            route: route.unwrap_or_default(),
            scheme: exchange.scheme,
            version: match exchange.version {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            error: exchange.flags,
        };
        self.http.worker.requests.finished(labels, duration);
        if let Some(log) = &self.server.log {
            let facts = Facts { duration: Some(duration), ..Facts::of(exchange) };
            self.http.worker.log(log, |line| log.formatter.write(&facts, line));
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.http.activity.end();
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let body = match &mut this.kind {
            Kind::Whole(bytes) if bytes.is_empty() => {
                this.end(true);
                return Poll::Ready(None);
            }
            Kind::Whole(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                let frame = this.count(frame, true);
                this.end(true);
                return Poll::Ready(Some(Ok(frame)));
            }
            Kind::Upstream(body) => body,
        };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let ended = body.is_end_stream();
        match polled {
            Poll::Pending => {
                if let Some(finish) = &mut this.finish
                    && let Poll::Ready(failure) = finish.poll_late(cx)
                {
                    finish.failed(failure);
                    if let Some(upstream) = &finish.upstream {
                        upstream.cluster.meter.timeouts.add(1);
                    }
                    this.end(false);
                    return Poll::Ready(Some(Err(BodyError::TimedOut)));
                }
                Poll::Pending
            }
            Poll::Ready(None) => {
                this.end(true);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(finish) = &mut this.finish {
                    finish.heard(Heard::Failure);
                    (finish.exchange.flags, finish.exchange.details) =
                        ("UC", "upstream_reset_after_response_started{connection_termination}");
                }
                this.end(false);
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let frame = this.count(frame, ended);
                if ended {
                    this.end(true);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Upstream(body) => body.size_hint(),
        }
    }
}

impl ResponseBody {
    fn count(&mut self, frame: Frame<Bytes>, last: bool) -> Frame<Bytes> {
        let frame = passed(frame);
        if let Some(finish) = &mut self.finish {
            finish.came(frame.data_ref().map_or(0, Bytes::len), last);
            if let Some(trailers) = frame.trailers_ref() {
                finish.trailers(trailers);
            }
        }
        frame
    }
}

impl AnswerBody for ResponseBody {
    fn pipe(&mut self, most: u64) -> Option<Pipe> {
        let Kind::Upstream(body) = &mut self.kind else { return None };
        let pipe = body.pipe(most)?;
        let ended = body.is_end_stream();
        if let Some(finish) = &mut self.finish {
            finish.came(pipe.held(), ended);
        }
        if ended {
            self.end(true);
        }
        Some(pipe)
    }

    fn patience(&self) -> Option<Duration> {
        self.patience
    }

    fn abandon(&mut self) {
        if let Some(mut finish) = self.finish.take() {
            finish.failed(Failure::Silent(StatusCode::GATEWAY_TIMEOUT));
            finish.end(false);
        }
    }
}

impl Drop for ResponseBody {
    /// The codec drops a body when it has all of it, when there is nothing to send of it (HEAD, 304) or when the client
    /// is gone.
    fn drop(&mut self) {
        let complete = self.is_end_stream()
            || self.finish.as_ref().is_some_and(|finish| {
                finish.exchange.method == http::Method::HEAD || matches!(finish.exchange.status, 204 | 304)
            });
        self.end(complete);
    }
}

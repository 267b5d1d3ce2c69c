//! HTTP on one downstream connection: the codec, and the way of one request.

mod answer;
mod begun;
mod cors;
pub(crate) mod decide;
mod forward;
mod incoming;
mod patience;
mod redirect;
mod response;
mod retry;
mod upgrade;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use plenipo_model::{HttpLimits, TlsServer};
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use crate::conn::Understood;
use crate::exchange::Connection;
use crate::framing::Framing;
use crate::gate::{Activity, Gate, Times};
use crate::io::{Prefixed, Stream};
use crate::metrics::ListenerMeter;
use crate::snapshot::routes::Asked;
use crate::snapshot::{CompiledHttp, Snapshot};
use crate::worker::{LocalExecutor, Worker};
use decide::Decision;
use incoming::Arrived;
use response::ResponseBody;

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A request without a byte in either direction for so long ends, unless its route says otherwise.
const STALLED: Duration = Duration::from_secs(300);
/// When the end has come, a connection without a request yet is given so long for one.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// Resets by one client before an HTTP/2 connection is closed (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 50;
/// Resets that one client provoked before an HTTP/2 connection is closed (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 256;

/// What all requests of a connection share.
pub(crate) struct HttpConnection {
    pub(crate) worker: Rc<Worker>,
    pub(crate) facts: Rc<Connection>,
    pub(crate) meter: Rc<ListenerMeter>,
    pub(crate) activity: Arc<Activity>,
    bind: SocketAddr,
    tls_rules: Option<Arc<TlsServer>>,
    /// Its side of the snapshot, by the snapshot's revision.
    current: RefCell<(u64, Option<Arc<CompiledHttp>>)>,
}

/// Serves requests until the connection ends.
pub(crate) async fn connection(worker: Rc<Worker>, understood: Understood) -> io::Result<()> {
    let Understood { mut stream, connection, bind, mut http2, tls_rules, meter, closing } = understood;
    let activity = Arc::new(Activity::default());
    let http = HttpConnection {
        worker,
        facts: connection,
        meter,
        activity: Arc::clone(&activity),
        bind,
        tls_rules,
        current: RefCell::new((0, None)),
    };
    let Some(server) = http.server() else { return Ok(()) };
    let limits = server.model.limits;
    if let Stream::Plain(plain) = stream {
        let (plain, preface) = speaks_http2(plain, limits.header_timeout).await?;
        (stream, http2) = (Stream::Plain(plain), preface);
    }
    let http = Rc::new(http);
    let times = Times { head: limits.header_timeout, idle: limits.idle_timeout, stalled: STALLED };
    let framing = (!http2).then(|| Framing::new(limits.header_bytes, server.model.allow_chunked_length));
    let gate = TokioIo::new(Gate::new(stream, framing, Arc::clone(&activity), times));
    let requests = Rc::clone(&http);
    let service = service_fn(move |request| {
        let http = Rc::clone(&requests);
        async move { Ok::<_, Infallible>(request_of(http, request).await) }
    });
    let served = if http2 {
        let mut connection = pin!(http2_codec(limits).serve_connection(gate, service));
        tokio::select! {
            served = connection.as_mut() => served,
            () = leave(&closing, &activity) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    } else {
        let codec = http1_codec(limits, server.model.proper_case);
        let mut connection = pin!(codec.serve_connection(gate, service).with_upgrades());
        tokio::select! {
            served = connection.as_mut() => served,
            () = leave(&closing, &activity) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    http.meter.received.add(activity.read.load(Ordering::Relaxed));
    http.meter.sent.add(activity.written.load(Ordering::Relaxed));
    if let Err(error) = served {
        tracing::debug!(peer = %http.facts.direct, %error, "HTTP connection ended early");
    }
    Ok(())
}

/// Ends when the connection shall take no more requests. One that has just been made has its first request on the way:
/// closing it now would lose that.
async fn leave(closing: &CancellationToken, activity: &Activity) {
    closing.cancelled().await;
    if activity.read.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(FIRST_REQUEST).await;
    }
}

fn http1_codec(limits: HttpLimits, proper_case: bool) -> http1::Builder {
    let mut codec = http1::Builder::new();
    codec
        .timer(TokioTimer::new())
        // The gate keeps the times: the codec's own would also end idle connections.
        .header_read_timeout(None)
        .max_headers(limits.header_fields)
        .max_buf_size(limits.header_bytes.max(64 * 1024))
        .title_case_headers(proper_case);
    codec
}

fn http2_codec(limits: HttpLimits) -> http2::Builder<LocalExecutor> {
    let mut codec = http2::Builder::new(LocalExecutor);
    codec
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .max_send_buf_size(256 * 1024);
    codec
}

/// Reads until the bytes tell HTTP/2 with prior knowledge from HTTP/1.
async fn speaks_http2(
    stream: Prefixed<tokio::net::TcpStream>,
    limit: Duration,
) -> io::Result<(Prefixed<tokio::net::TcpStream>, bool)> {
    let (mut early, mut socket) = stream.into_parts();
    let telling = async {
        loop {
            let length = early.len().min(PREFACE.len());
            if early[..length] != PREFACE[..length] {
                return Ok::<_, io::Error>(false);
            }
            if length == PREFACE.len() {
                return Ok(true);
            }
            if socket.read_buf(&mut early).await? == 0 {
                return Ok(false);
            }
        }
    };
    let http2 = tokio::time::timeout(limit, telling).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok((Prefixed::new(early, socket), http2))
}

/// The way of one request: one line for each stage.
async fn request_of(http: Rc<HttpConnection>, request: Request<Incoming>) -> Response<ResponseBody> {
    let _in_flight = InFlight::begin(&http);
    let Some(server) = http.server() else { return answer::without_server(&http) };
    let mut arrived = match incoming::arrive(&http, &server, request) {
        Ok(arrived) => arrived,
        Err((exchange, failure)) => return answer::failure(&http, &server, None, exchange, failure),
    };
    let asked = Asked {
        host: &arrived.host.name,
        port: arrived.host.port,
        path: arrived.path(),
        query: arrived.query(),
        method: &arrived.parts.method,
        headers: &arrived.parts.headers,
        draw: arrived.draw,
    };
    let named = http.facts.tls.as_ref().is_some_and(|tls| tls.server_name.is_some());
    match decide::decide(&server, &asked, arrived.scheme, named) {
        Decision::Fail(failure) => answer::failure(&http, &server, None, arrived.exchange, failure),
        Decision::RedirectToHttps => {
            let location = redirect::to_https(&arrived);
            answer::redirect(
                &http,
                &server,
                None,
                arrived.exchange,
                http::StatusCode::MOVED_PERMANENTLY,
                &location,
            )
        }
        Decision::Route(picked) => {
            arrived.exchange.taken_by(&picked.route.model);
            route(http, &server, picked, arrived).await
        }
    }
}

/// What a route does with a request.
async fn route(
    http: Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    picked: crate::snapshot::routes::Picked<'_>,
    arrived: Box<Arrived>,
) -> Response<ResponseBody> {
    use plenipo_model::Action;
    let model = &picked.route.model;
    if let Some(cors) = &model.cors
        && let Some(preflight) = cors::preflight(cors, &arrived.parts)
    {
        return answer::made_here(&http, server, Some(model), arrived.exchange, preflight, "cors_preflight");
    }
    match &model.action {
        Action::Respond(respond) => answer::respond(&http, server, model, arrived, respond),
        Action::Redirect(rule) => {
            let location = redirect::location(rule, &model.matches.path, &arrived);
            answer::redirect(&http, server, Some(model), arrived.exchange, rule.status, &location)
        }
        Action::Forward(forward) => forward::forward(http, server, picked, forward, arrived).await,
    }
}

impl HttpConnection {
    /// What this connection's requests are served by now; none when its chain is gone, or asks for other client
    /// certificates than this connection was made with.
    fn server(&self) -> Option<Arc<CompiledHttp>> {
        let snapshot = self.worker.snapshot();
        let mut current = self.current.borrow_mut();
        if current.0 != snapshot.revision() {
            let before = current.1.take();
            *current = (snapshot.revision(), self.look_up(&snapshot, before));
        }
        current.1.clone()
    }

    fn look_up(&self, snapshot: &Snapshot, before: Option<Arc<CompiledHttp>>) -> Option<Arc<CompiledHttp>> {
        let Some(listener) = snapshot.listener(self.bind) else {
            // The listener is gone: its connections finish on what they had.
            return before;
        };
        let server_name = self.facts.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        if let Some(made_by) = &self.tls_rules {
            let rules = listener.tls_rules(server_name)?;
            if rules.client_auth != made_by.client_auth {
                return None;
            }
        }
        listener.http(self.tls_rules.is_some(), server_name).cloned()
    }
}

/// Counts a request until its response is handed to the codec; the response's body goes on counting.
struct InFlight {
    activity: Arc<Activity>,
}

impl InFlight {
    fn begin(http: &HttpConnection) -> Self {
        http.activity.begin();
        Self { activity: Arc::clone(&http.activity) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.end();
    }
}

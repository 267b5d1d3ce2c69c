//! HTTP on one downstream connection: the codec, and the way of one request.

mod answer;
mod begun;
mod cors;
pub(crate) mod decide;
mod fault;
mod forward;
mod grpc;
mod hash_key;
mod incoming;
mod mirror;
mod patience;
mod preface;
mod redirect;
mod refused;
mod response;
mod retry;
mod security;
mod upgrade;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, TryFutureExt as _};
use http::{HeaderValue, StatusCode, header};
use plenipo_model::{Action, Desync, HttpLimits, HttpServer, Route, TlsServer};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::balancer;
use crate::client_identity::Remembered;
use crate::codec::{self, Incoming};
use crate::conn::{Serving, Understood};
use crate::exchange::Connection;
use crate::framing::Framing;
use crate::gate::{Activity, Gate, Times};
use crate::http1::encode::Case;
use crate::io::Stream;
use crate::message::{Request, Response};
use crate::metrics::ListenerMeter;
use crate::refusal::RefusedRequest;
use crate::snapshot::routes::Asked;
use crate::snapshot::{CompiledHttp, Snapshot};
use crate::worker::Worker;
use crate::{http1, http2};
use decide::Decision;
use incoming::Arrived;
use response::ResponseBody;

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
    pub(crate) activity: Rc<Activity>,
    /// Certificates of clients that a load balancer told of.
    pub(crate) remembered: Remembered,
    bind: SocketAddr,
    tls_rules: Option<Arc<TlsServer>>,
    /// Requests so far.
    requests: Cell<u64>,
    /// Its side of the snapshot, by the snapshot's revision.
    current: RefCell<(u64, Option<Arc<CompiledHttp>>)>,
}

/// What serves requests until the connection ends; none when it has ended, or there is nobody to serve them.
pub(crate) async fn connection(worker: Rc<Worker>, understood: Understood) -> io::Result<Option<Serving>> {
    let Understood { mut stream, connection, bind, mut http2, tls_rules, meter, closing } = understood;
    let activity = Rc::new(Activity::default());
    let http = HttpConnection {
        worker,
        facts: connection,
        meter,
        activity: Rc::clone(&activity),
        remembered: Remembered::default(),
        bind,
        tls_rules,
        requests: Cell::new(0),
        current: RefCell::new((0, None)),
    };
    let Some(server) = http.server() else { return Ok(None) };
    let limits = server.model.limits;
    let http = Rc::new(http);
    // Load balancers speak HTTP/2 where ALPN asks for it, and nowhere else.
    if server.model.balancer.is_none()
        && let Stream::Plain(plain) = stream
    {
        let begun = Instant::now();
        let Some((plain, preface)) = preface::speaks_http2(plain, limits.header_timeout).await? else {
            refused::request(&http, &server, RefusedRequest::slow(begun));
            return Ok(None);
        };
        (stream, http2) = (Stream::Plain(plain), preface);
    }
    let gate = gate(stream, http2, &server, &activity);
    let requests = Rc::clone(&http);
    let leave = Box::pin(leave(closing, activity, limits.lifetime));
    Ok(Some(if http2 {
        let start = move |request, respond| {
            let answer = Box::pin(request_of(Rc::clone(&requests), request));
            tokio::task::spawn_local(http2::reply::reply(answer, respond));
        };
        let served =
            http2::server::serve(gate, http2_rules(limits), leave, start).map_err(codec::Error::Http2);
        Box::pin(served.map(move |served| ended(&http, &server, true, served)))
    } else {
        let rules = http1_rules(limits, server.model.proper_case);
        let service = move |request| request_of(Rc::clone(&requests), request);
        let served = http1::server::serve(gate, rules, leave, service).map_err(codec::Error::Http1);
        Box::pin(served.map(move |served| ended(&http, &server, false, served)))
    }))
}

/// Counts what a connection carried, and tells why it ended, if that is worth it.
fn ended(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    http2: bool,
    served: Result<(), codec::Error>,
) {
    let activity = &http.activity;
    http.meter.received.add(activity.read.get());
    http.meter.sent.add(activity.written.get());
    match &served {
        Err(codec::Error::Http1(error)) => refused::http1(http, server, Some(error)),
        Ok(()) if !http2 => refused::http1(http, server, None),
        Err(codec::Error::Http2(error)) => refused::http2(http, server, error),
        _ => {}
    }
    if let Err(error) = served {
        tracing::debug!(peer = %http.facts.direct, %error, "HTTP connection ended early");
    }
}

/// What stands between the connection and the codec.
fn gate(stream: Stream, http2: bool, server: &CompiledHttp, activity: &Rc<Activity>) -> Gate {
    let HttpServer { limits, balancer, allow_chunked_length, .. } = &*server.model;
    let times = Times { head: limits.header_timeout, idle: limits.idle_timeout, stalled: STALLED };
    let framing = (!http2).then(|| Framing::new(limits.header_bytes, *allow_chunked_length));
    let Some(rules) = balancer else { return Gate::new(stream, framing, Rc::clone(activity), times) };
    let framing = framing.map(|framing| framing.with_request_lines().with_desync(rules.desync));
    Gate::new(stream, framing, Rc::clone(activity), times)
        .answered_by_stages(balancer::answers::slow_head(rules.answers))
        .unfolding(rules.desync != Desync::Strictest)
}

/// Ends when the connection shall take no more requests. One that has just been made has its first request on the way:
/// closing it now would lose that.
async fn leave(closing: CancellationToken, activity: Rc<Activity>, lifetime: Option<Duration>) {
    match lifetime {
        None => closing.cancelled().await,
        // It may end earlier than somebody says so.
        Some(limit) => drop(Box::pin(tokio::time::timeout(limit, closing.cancelled())).await),
    }
    if activity.read.get() == 0 {
        Box::pin(tokio::time::sleep(FIRST_REQUEST)).await;
    }
}

fn http1_rules(limits: HttpLimits, proper_case: bool) -> http1::server::Rules {
    http1::server::Rules {
        most_fields: limits.header_fields,
        longest_head: limits.header_bytes.max(64 * 1024),
        case: if proper_case { Case::Title } else { Case::Lower },
    }
}

fn http2_rules(limits: HttpLimits) -> http2::server::Rules {
    http2::server::Rules {
        streams: limits.max_streams,
        head: u32::try_from(limits.header_bytes).unwrap_or(u32::MAX),
        window: (64 * 1024, 1024 * 1024),
        resets: (MAX_PENDING_RESETS, MAX_LOCAL_RESETS),
    }
}

/// The way of one request. (No future of its own: what it is made of would be copied once more.)
fn request_of(
    http: Rc<HttpConnection>,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ResponseBody>> {
    http.requests.set(http.requests.get() + 1);
    answer_of(Rc::clone(&http), request).map(move |mut response| {
        if http.is_last() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    })
}

/// One line for each stage.
async fn answer_of(http: Rc<HttpConnection>, request: Request<Incoming>) -> Response<ResponseBody> {
    let _in_flight = InFlight::begin(&http);
    let Some(server) = http.server() else { return answer::without_server(&http) };
    let mut arrived = match incoming::arrive(&http, &server, request) {
        Ok(arrived) => arrived,
        Err((exchange, failure)) => return answer::failure(&http, &server, None, exchange, failure),
    };
    // In a box, like all that most requests do without: theirs stay small.
    if security::is_asked(&server)
        && let Err(stopped) = Box::pin(security::admit(&http, &server, &mut arrived)).await
    {
        return answer::stopped(&http, &server, None, arrived.exchange, stopped);
    }
    loop {
        let picked = match decided(&http, &server, &arrived) {
            Decision::Route(picked) => picked,
            Decision::RedirectToHttps => return to_https(&http, &server, arrived),
            Decision::Fail(failure) => {
                return answer::failure(&http, &server, None, arrived.exchange, failure);
            }
        };
        let model = &picked.route.model;
        arrived.exchange.taken_by(model);
        if model.guard.is_some() || model.fault.is_some() || model.cors.is_some() {
            match Box::pin(held_up(&http, &server, model, arrived)).await {
                Held::Passes(passing) => arrived = passing,
                Held::DecidedAnew(changed) => {
                    arrived = changed;
                    continue;
                }
                Held::Answered(response) => return response,
            }
        }
        return match &model.action {
            Action::Respond(respond) => answer::respond(&http, &server, model, arrived, respond),
            Action::Redirect(rule) => {
                let location = redirect::location(rule, &model.matches.path, &arrived);
                answer::redirect(&http, &server, Some(model), arrived.exchange, rule.status, &location)
            }
            Action::Forward(forward) => {
                // Pinned where it is made: it is large, and to be moved is to be copied.
                pin!(forward::forward(http, &server, picked, forward, arrived)).await
            }
        };
    }
}

/// What becomes of a request that is let in.
fn decided<'a>(http: &HttpConnection, server: &'a CompiledHttp, arrived: &Arrived) -> Decision<'a> {
    let asked = Asked {
        host: &arrived.host.name,
        port: arrived.host.port,
        path: arrived.path(),
        query: arrived.query(),
        method: &arrived.parts.method,
        authority: &arrived.exchange.authority,
        scheme: arrived.scheme,
        headers: &arrived.parts.headers,
        peer: Some(http.facts.peer.ip()),
        claims: arrived.claims.as_deref(),
        draw: arrived.draw,
    };
    let named = http.facts.tls.as_ref().is_some_and(|tls| tls.server_name.is_some());
    decide::decide(server, &asked, arrived.scheme, named)
}

/// Sends a request to the same place by TLS.
fn to_https(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    arrived: Box<Arrived>,
) -> Response<ResponseBody> {
    let location = redirect::to_https(&arrived);
    answer::redirect(http, server, None, arrived.exchange, StatusCode::MOVED_PERMANENTLY, &location)
}

/// What becomes of a request that its route looks at before it does with it what it is for.
enum Held {
    Passes(Box<Arrived>),
    /// Somebody has changed it: another route may have to take it.
    DecidedAnew(Box<Arrived>),
    Answered(Response<ResponseBody>),
}

/// Answers preflights, asks whom the route wants asked, and does to the request what the route does on purpose.
async fn held_up(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    model: &Arc<Route>,
    mut arrived: Box<Arrived>,
) -> Held {
    if let Some(cors) = &model.cors
        && let Some(preflight) = cors::preflight(cors, &arrived.parts)
    {
        let exchange = arrived.exchange;
        let answer = answer::made_here(http, server, Some(model), exchange, preflight, "cors_preflight");
        return Held::Answered(answer);
    }
    if let Some(guard) = &model.guard {
        match security::guard(http, server, guard, &mut arrived).await {
            Ok(false) => {}
            Ok(true) => return Held::DecidedAnew(arrived),
            Err(stopped) => {
                let exchange = arrived.exchange;
                return Held::Answered(answer::stopped(http, server, Some(model), exchange, stopped));
            }
        }
    }
    if let Some(rule) = &model.fault {
        let (waited, aborted) = fault::befall(rule, &http.worker.random, &arrived.parts).await;
        if waited {
            arrived.exchange.flags = "DI";
        }
        if let Some(aborted) = aborted {
            return Held::Answered(answer::aborted(http, server, model, arrived.exchange, aborted));
        }
    }
    Held::Passes(arrived)
}

impl HttpConnection {
    /// Is the request that is served now (of HTTP/1) the last of this connection and that to the upstream?
    pub(crate) fn is_last(&self) -> bool {
        self.activity.last.get() == self.requests.get()
    }

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
    activity: Rc<Activity>,
}

impl InFlight {
    fn begin(http: &HttpConnection) -> Self {
        http.activity.begin();
        Self { activity: Rc::clone(&http.activity) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.end();
    }
}

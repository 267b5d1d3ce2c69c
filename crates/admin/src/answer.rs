//! Which path gives which answer, and to whom.

use std::fmt::Write;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use serde_json::{Value, json};

use crate::health::Health;
use crate::routes::route_table;
use crate::state::State;
use crate::{access, diagnostics, exposition, metrics};

/// An answer with its whole body.
pub(crate) type Answer = Response<Full<Bytes>>;

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Index,
    CheckAlive,
    CheckReady,
    Live,
    Ready,
    Metrics,
    Edge,
    Report,
    Routes,
    Clusters,
    Source,
    Diagnostics,
    LogLevel,
}

/// Path, page, what it is.
const PAGES: &[(&str, Page, &str)] = &[
    ("/", Page::Index, "this list"),
    ("/ambassador/v0/check_alive", Page::CheckAlive, "liveness probe"),
    ("/ambassador/v0/check_ready", Page::CheckReady, "readiness probe"),
    ("/live", Page::Live, "liveness probe"),
    ("/ready", Page::Ready, "readiness probe; ?verbose says why"),
    ("/metrics", Page::Metrics, "Prometheus metrics"),
    ("/edge", Page::Edge, "what is served, as JSON"),
    ("/report", Page::Report, "what became of every object, as JSON"),
    ("/routes", Page::Routes, "the route table in match order, as JSON"),
    ("/clusters", Page::Clusters, "upstreams and their endpoints, as JSON"),
    ("/source", Page::Source, "how well the source of objects is known, as JSON"),
    ("/ambassador/v0/diag/", Page::Diagnostics, "diagnostics, as JSON; ?filter=errors"),
    ("/log-level", Page::LogLevel, "the log filter; PUT or POST one to change it"),
];

impl Page {
    fn find(path: &str) -> Option<Self> {
        let same = |known: &str| path == known || (known.len() > 1 && path == known.trim_end_matches('/'));
        PAGES.iter().find(|(known, ..)| same(known)).map(|(_, page, _)| *page)
    }

    /// Probes and metrics are for everybody.
    fn is_public(self) -> bool {
        matches!(self, Self::CheckAlive | Self::CheckReady | Self::Live | Self::Ready | Self::Metrics)
    }

    fn allows(self, method: &Method) -> bool {
        let reads = method == Method::GET || method == Method::HEAD;
        reads || (self == Self::LogLevel && (method == Method::PUT || method == Method::POST))
    }

    fn allowed(self) -> &'static str {
        if self == Self::LogLevel { "GET, HEAD, PUT, POST" } else { "GET, HEAD" }
    }
}

/// Answers one request; its body has been read whole.
pub(crate) async fn answer(state: &State, peer: SocketAddr, request: Request<Bytes>) -> Answer {
    let head_only = request.method() == Method::HEAD;
    let mut answer = page_answer(state, peer, &request).await;
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if head_only {
        // The length stays that of the body that GET would give (RFC 9110 §9.3.2).
        let length = http_body::Body::size_hint(answer.body()).exact().unwrap_or(0);
        answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        *answer.body_mut() = Full::default();
    }
    answer
}

async fn page_answer(state: &State, peer: SocketAddr, request: &Request<Bytes>) -> Answer {
    let Some(page) = Page::find(request.uri().path()) else {
        return text(StatusCode::NOT_FOUND, "no such page; / lists them\n");
    };
    if !page.is_public() && !access::is_trusted(peer, request.headers(), state.token.as_ref()) {
        return text(StatusCode::FORBIDDEN, "only from this machine, or with the admin token\n");
    }
    if !page.allows(request.method()) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "not with this method\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(page.allowed()));
        return answer;
    }
    let query = request.uri().query().unwrap_or("");
    match page {
        Page::Index => index(),
        Page::CheckAlive => {
            check(Health::ask(&state.proxy).await.alive, ["is alive and well", "is not alive"])
        }
        Page::CheckReady => {
            check(is_ready(state, &Health::ask(&state.proxy).await), ["is ready and waiting", "is not ready"])
        }
        Page::Live => {
            let alive = Health::ask(&state.proxy).await.alive;
            text(status(alive), if alive { "live\n" } else { "not live\n" })
        }
        Page::Ready => ready(state, parameter(query, "verbose").is_some()).await,
        Page::Metrics => metrics_page(state).await,
        Page::Edge => state.current().map_or_else(nothing_yet, |published| json_page(&*published.edge)),
        Page::Report => {
            state.current().map_or_else(nothing_yet, |published| json_page(&report_json(&published)))
        }
        Page::Routes => {
            state.current().map_or_else(nothing_yet, |published| json_page(&route_table(&published.edge)))
        }
        Page::Clusters => clusters(state).await,
        Page::Source => json_page(&**state.source.borrow()),
        Page::Diagnostics => {
            let health = Health::ask(&state.proxy).await;
            json_page(&diagnostics::document(state, &health, parameter(query, "filter")))
        }
        Page::LogLevel => log_level(state, request),
    }
}

fn is_ready(state: &State, health: &Health) -> bool {
    health.ready && state.current().is_some_and(|published| !published.edge.listeners.is_empty())
}

fn index() -> Answer {
    let mut body = String::new();
    for (path, _, what) in PAGES {
        writeln!(body, "{path:<28} {what}").expect("a String takes all that is written");
    }
    text(StatusCode::OK, body)
}

/// The sentences are those of Emissary's probes, which scripts compare.
fn check(passes: bool, [good, bad]: [&str; 2]) -> Answer {
    text(status(passes), format!("Ambassador {}", if passes { good } else { bad }))
}

async fn ready(state: &State, verbose: bool) -> Answer {
    let health = Health::ask(&state.proxy).await;
    let ready = is_ready(state, &health);
    let short = if ready { "ready\n" } else { "not ready\n" };
    text(status(ready), if verbose { health.explain(state) } else { short.to_owned() })
}

async fn metrics_page(state: &State) -> Answer {
    let health = Health::ask(&state.proxy).await;
    if !health.alive {
        return text(StatusCode::SERVICE_UNAVAILABLE, "the data threads do not answer\n");
    }
    let measured = state.proxy.measure().await;
    let body = metrics::page(state, &health, &measured);
    respond(StatusCode::OK, exposition::CONTENT_TYPE, body)
}

fn report_json(published: &crate::Published) -> Value {
    let unbound: Vec<Value> =
        published.unbound.iter().map(|(address, why)| json!({ "address": address, "why": why })).collect();
    let broken: Vec<Value> =
        published.broken.iter().map(|(source, why)| json!({ "source": source, "why": why })).collect();
    json!({ "revision": published.revision, "report": published.report, "broken": broken, "unbound": unbound })
}

async fn clusters(state: &State) -> Answer {
    let Some(published) = state.current() else { return nothing_yet() };
    let measured = state.proxy.measure().await;
    json_page(&metrics::clusters(&published.edge, &measured))
}

fn log_level(state: &State, request: &Request<Bytes>) -> Answer {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return text(StatusCode::OK, format!("{}\n", state.log_level.current()));
    }
    let filter = String::from_utf8_lossy(request.body());
    match state.log_level.change(filter.trim()) {
        Ok(()) => {
            tracing::info!(filter = filter.trim(), "log filter changed");
            text(StatusCode::OK, format!("{}\n", state.log_level.current()))
        }
        Err(why) => text(StatusCode::BAD_REQUEST, format!("{why}\n")),
    }
}

/// The value of a query parameter; `""` when it stands there without one.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name)
        .map(|(_, v)| v)
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn nothing_yet() -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, "no configuration has been read yet\n")
}

fn json_page(value: &impl Serialize) -> Answer {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            respond(StatusCode::OK, "application/json", body)
        }
        Err(error) => {
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot be written as JSON: {error}\n"))
        }
    }
}

pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    *answer.headers_mut() =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
    answer
}

#[cfg(test)]
mod tests;

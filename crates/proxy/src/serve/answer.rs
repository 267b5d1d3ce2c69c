//! Responses: those of upstreams on their last steps, and those made here.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version, header};
use plenipo_model::{Action, ErrorBody, ErrorResponse, Respond, Route, Target, Template};

use super::HttpConnection;
use super::begun::Begun;
use super::fault::Aborted;
use super::forward::keep_response;
use super::incoming::Arrived;
use super::response::{Finish, ResponseBody};
use super::security::Stopped;
use crate::balancer;
use crate::codec::Incoming;
use crate::exchange::Exchange;
use crate::external;
use crate::failure::{Blame, Failure};
use crate::fields::Fields;
use crate::headers::{self, Side, grpc_status};
use crate::message::{Response, ResponseHead};
use crate::render::{self, Facts};
use crate::snapshot::CompiledHttp;

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

/// The answer to a request that failed.
pub(super) fn failure(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: Option<&Arc<Route>>,
    mut exchange: Begun,
    failure: Failure,
) -> Response<ResponseBody> {
    let told = failure.told();
    (exchange.flags, exchange.details) = (told.flag, told.details);
    let balancer = server.model.balancer.as_deref();
    if told.blame == Blame::Us {
        tracing::debug!(?failure, authority = exchange.authority, "a request was refused");
    }
    let status = balancer.map_or(told.status, |rules| balancer::answers::status(rules.answers, failure));
    let mut parts = ResponseHead::of(status);
    if failure == Failure::Overflow && server.model.adds_envoy_headers() {
        parts.headers.insert(OVERLOADED, HeaderValue::from_static("true"));
    }
    if let Failure::Token(_) = failure {
        parts.headers.insert(header::WWW_AUTHENTICATE, challenge(&exchange));
    }
    let body = match balancer {
        Some(rules) => balancer::answers::page(rules.answers, &mut parts),
        None => Bytes::from_static(told.body.as_bytes()),
    };
    if !told.body.is_empty() && balancer.is_none() {
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    if matches!(failure, Failure::Request(..) | Failure::BodyTooLarge | Failure::Silent(_))
        && exchange.version != Version::HTTP_2
    {
        // What follows on the connection may not be what it seems.
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    local(http, server, route, exchange, parts, body)
}

/// What is asked of the client whose token is worth nothing (RFC 6750 §3). The query, where tokens stand, is not told.
fn challenge(exchange: &Exchange) -> HeaderValue {
    let Exchange { scheme, authority, original_path, .. } = exchange;
    let path = original_path.split('?').next().unwrap_or_default();
    let realm: String =
        format!("{scheme}://{authority}{path}").replace(['"', '\\'], "").chars().take(256).collect();
    let full = HeaderValue::from_str(&format!("Bearer realm=\"{realm}\", error=\"invalid_token\""));
    full.unwrap_or(HeaderValue::from_static("Bearer error=\"invalid_token\""))
}

/// The answer to a request that may not pass.
pub(super) fn stopped(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: Option<&Arc<Route>>,
    exchange: Begun,
    stopped: Stopped,
) -> Response<ResponseBody> {
    match stopped {
        Stopped::Failed(why) => failure(http, server, route, exchange, why),
        Stopped::Refused(refused) => refusal(http, server, route, exchange, refused),
    }
}

/// What whoever was asked about the request answers instead.
fn refusal(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: Option<&Arc<Route>>,
    mut exchange: Begun,
    refused: external::Refused,
) -> Response<ResponseBody> {
    (exchange.flags, exchange.details) = ("UAEX", "ext_authz_denied");
    let mut parts = ResponseHead::of(refused.status);
    parts.headers = refused.headers;
    local(http, server, route, exchange, parts, refused.body)
}

/// The answer of a route that answers by itself.
pub(super) fn respond(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: &Arc<Route>,
    arrived: Box<Arrived>,
    rule: &Respond,
) -> Response<ResponseBody> {
    let mut exchange = arrived.exchange;
    exchange.details = "direct_response";
    let mut parts = ResponseHead::of(rule.status);
    if let Some(content_type) = rule.content_type.as_deref().and_then(|text| HeaderValue::from_str(text).ok())
    {
        parts.headers.insert(header::CONTENT_TYPE, content_type);
    }
    let body = Bytes::copy_from_slice(rule.body.bytes());
    local(http, server, Some(route), exchange, parts, body)
}

/// The answer to a request that a fault, put in on purpose, does not let through.
pub(super) fn aborted(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: &Arc<Route>,
    mut exchange: Begun,
    aborted: Aborted,
) -> Response<ResponseBody> {
    (exchange.flags, exchange.details) = ("FI", "fault_filter_abort");
    let mut parts = ResponseHead::of(aborted.status);
    let is_grpc = !aborted.fields.is_empty();
    parts.headers = aborted.fields;
    if is_grpc {
        exchange.grpc_status = grpc_status(parts.headers.get("grpc-status"));
        return local(http, server, Some(route), exchange, parts, Bytes::new());
    }
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    local(http, server, Some(route), exchange, parts, Bytes::from_static(b"fault filter abort"))
}

/// A redirect.
pub(super) fn redirect(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: Option<&Arc<Route>>,
    mut exchange: Begun,
    status: StatusCode,
    location: &str,
) -> Response<ResponseBody> {
    exchange.details = "direct_response";
    let mut parts = ResponseHead::of(status);
    match HeaderValue::from_str(location) {
        Ok(location) => {
            parts.headers.insert(header::LOCATION, location);
            let balancer = server.model.balancer.as_deref();
            let body = balancer.map(|rules| balancer::answers::page(rules.answers, &mut parts));
            local(http, server, route, exchange, parts, body.unwrap_or_default())
        }
        // A rewrite made something that is no URL.
        Err(_) => {
            let refused = Failure::Request(StatusCode::BAD_REQUEST, "redirect_invalid");
            failure(http, server, route, exchange, refused)
        }
    }
}

/// An empty 200 with these headers.
pub(super) fn made_here(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: Option<&Arc<Route>>,
    mut exchange: Begun,
    headers: Fields,
    details: &'static str,
) -> Response<ResponseBody> {
    exchange.details = details;
    let mut parts = ResponseHead::of(StatusCode::OK);
    parts.headers = headers;
    local(http, server, route, exchange, parts, Bytes::new())
}

/// The answer when nothing serves the connection any more: the client is asked to make a new one.
pub(super) fn without_server(http: &Rc<HttpConnection>) -> Response<ResponseBody> {
    tracing::debug!(peer = %http.facts.direct, "a connection's chain is gone or asks for other client certificates");
    let mut parts = ResponseHead::of(StatusCode::MISDIRECTED_REQUEST);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Response { head: parts, body: ResponseBody::unrecorded() }
}

/// An upstream's response.
pub(super) fn from_upstream(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: &Arc<Route>,
    mut parts: ResponseHead,
    body: Incoming,
    mut finish: Box<Finish>,
) -> Response<ResponseBody> {
    finish.exchange.status = parts.status.as_u16();
    finish.exchange.grpc_status = grpc_status(parts.headers.get("grpc-status"));
    let replaced = replacement(server, Some(route), &finish.exchange, &parts.headers);
    if let Some((content_type, body)) = &replaced {
        replace(&mut parts.headers, content_type, body);
    }
    complete(http, server, Some(route), &mut finish.exchange, &mut parts);
    let body = match replaced {
        // Whatever an upstream sends where there can be no body, it is none.
        _ if is_bodiless(&finish.exchange) => ResponseBody::whole(Bytes::new(), finish),
        Some((_, body)) => ResponseBody::whole(body, finish),
        None => ResponseBody::upstream(body, finish),
    };
    Response { head: parts, body }
}

/// RFC 9110 §6.4.1.
fn is_bodiless(exchange: &Exchange) -> bool {
    exchange.method == Method::HEAD || matches!(exchange.status, 204 | 304)
}

/// A response made here.
fn local(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    route: Option<&Arc<Route>>,
    mut exchange: Begun,
    mut parts: ResponseHead,
    mut body: Bytes,
) -> Response<ResponseBody> {
    exchange.status = parts.status.as_u16();
    if let Some(rules) = &server.model.balancer {
        balancer::answers::sign(rules.answers, &mut parts);
    }
    if let Some((content_type, own)) = replacement(server, route, &exchange, &parts.headers) {
        replace(&mut parts.headers, &content_type, &own);
        body = own;
    }
    complete(http, server, route, &mut exchange, &mut parts);
    if is_bodiless(&exchange) {
        if exchange.method == Method::HEAD {
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        body.clear();
    }
    let finish = Finish::new(http, server, route, exchange.answered());
    Response { head: parts, body: ResponseBody::whole(body, finish) }
}

/// The last steps of every response.
fn complete(
    http: &HttpConnection,
    server: &CompiledHttp,
    route: Option<&Arc<Route>>,
    exchange: &mut Exchange,
    parts: &mut ResponseHead,
) {
    if let Some(name) = &server.server_name {
        parts.headers.insert(header::SERVER, name.clone());
    }
    let target = exchange.target.and_then(|place| target(route?, place));
    let edits = [
        target.map(|target| &target.response_headers),
        route.map(|route| &route.response_headers),
        Some(&server.model.response_headers),
    ];
    if let Some(added) = exchange.added.take() {
        parts.headers.replace(*added);
    }
    for edits in edits {
        if let Some(edits) = edits.filter(|edits| !edits.is_empty()) {
            headers::apply(edits, &mut parts.headers, Side::Response, &Facts::of(exchange));
        }
    }
    if http.worker.is_lame() && exchange.version != Version::HTTP_2 {
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    // The codec writes its own version.
    parts.version = Version::HTTP_11;
    keep_response(server, exchange, &parts.headers);
}

fn target(route: &Route, place: usize) -> Option<&Target> {
    match &route.action {
        Action::Forward(forward) => forward.targets.get(place),
        Action::Redirect(_) | Action::Respond(_) => None,
    }
}

/// The body that the configuration wants for this status, and its type.
fn replacement(
    server: &CompiledHttp,
    route: Option<&Arc<Route>>,
    exchange: &Exchange,
    response: &Fields,
) -> Option<(HeaderValue, Bytes)> {
    if exchange.status < 400 || route.is_some_and(|route| route.plain_errors) {
        return None;
    }
    let own = route.map_or(&[][..], |route| &route.error_responses);
    let rules: &[Arc<ErrorResponse>] = if own.is_empty() { &server.model.error_responses } else { own };
    let rule = rules.iter().find(|rule| rule.status == exchange.status)?;
    let facts = Facts { response: Some(response), ..Facts::of(exchange) };
    let mut body = Vec::new();
    match &rule.body {
        ErrorBody::Text(template) => render::render(template, &facts, &mut body),
        ErrorBody::Json(fields) => json(fields, &facts, &mut body),
    }
    let content_type = HeaderValue::from_str(&rule.content_type).ok()?;
    Some((content_type, body.into()))
}

fn json(fields: &BTreeMap<String, Template>, facts: &Facts<'_>, body: &mut Vec<u8>) {
    let mut separator = b'{';
    for (name, template) in fields {
        body.push(separator);
        separator = b',';
        let mut value = Vec::new();
        render::render(template, facts, &mut value);
        crate::access_log::json_string(name.as_bytes(), body);
        body.push(b':');
        crate::access_log::json_string(&value, body);
    }
    body.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
}

fn replace(headers: &mut Fields, content_type: &HeaderValue, body: &Bytes) {
    for name in [header::CONTENT_ENCODING, header::ETAG, header::LAST_MODIFIED, header::TRAILER] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, content_type.clone());
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
}

//! A request that goes upstream: what of it is sent, and what comes back.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use http_body::Body as _;
use plenipo_model::{Forward, HostRewrite, PathRewrite, Route, Target, UpstreamProtocol};
use tokio::time::Instant;

use super::incoming::{Arrived, keep};
use super::patience::Patience;
use super::response::{Finish, ResponseBody};
use super::{HttpConnection, answer, cors, hash_key, mirror, retry, upgrade};
use crate::balancer::{affinity, head};
use crate::body::{Inbound, RequestBody};
use crate::codec::Incoming;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::headers::{self, Side};
use crate::http1::encode::Head;
use crate::message::{Request, RequestHead, Response};
use crate::render::Facts;
use crate::request;
use crate::snapshot::CompiledHttp;
use crate::snapshot::clusters::Upstream;
use crate::snapshot::routes::Picked;
use crate::upstream::lease::{Lease, SendError};

const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
const EXPECTED_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// A request as it goes upstream; every attempt is made from it.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) headers: Fields,
    path: PathAndQuery,
    authority: HeaderValue,
    pub(super) body: Option<Rc<RefCell<Inbound>>>,
    tls: bool,
}

impl Outgoing {
    /// The host that it goes upstream with.
    pub(super) fn host(&self) -> Option<&str> {
        self.authority.to_str().ok()
    }

    /// Envoy logs a request as it has changed it.
    fn tell(&self, server: &CompiledHttp, route: &Route, target: &Target, exchange: &mut Exchange) {
        let rewritten = self.path.as_str() != exchange.original_path;
        if rewritten {
            exchange.sent_path = Some(self.path.clone());
        }
        if target.host != HostRewrite::Keep
            && let Ok(host) = self.authority.to_str()
        {
            host.clone_into(&mut exchange.authority);
        }
        if rewritten || !route.request_headers.is_empty() || !target.request_headers.is_empty() {
            exchange.kept_request.clear();
            keep(&mut exchange.kept_request, &self.headers, &server.kept_request);
        }
    }

    /// Makes one attempt. Another `may_follow`.
    pub(super) async fn send(
        &mut self,
        lease: &mut Lease,
        may_follow: bool,
    ) -> Result<Response<Incoming>, SendError> {
        if lease.is_http1() {
            let (method, target) = (&self.method, self.path.as_str());
            let head = Head { method, target, headers: &self.headers };
            return lease.send_http1(head, self.upload()).await;
        }
        // The head is moved, not copied, when nothing can follow this attempt.
        let headers = if may_follow { self.headers.clone() } else { std::mem::take(&mut self.headers) };
        // In a box, which HTTP/1 does without.
        let mut sent = Box::pin(lease.send(self.request(UpstreamProtocol::Http2, headers))).await;
        if let Err(SendError { fields, .. }) = &mut sent
            && let Some(fields) = fields.take()
        {
            self.headers = *fields;
        }
        sent
    }

    fn upload(&self) -> RequestBody {
        self.body.as_ref().map_or_else(RequestBody::empty, RequestBody::inbound)
    }

    /// A request for somebody.
    pub(super) fn request(&self, protocol: UpstreamProtocol, mut headers: Fields) -> Request<RequestBody> {
        let (uri, version) = match protocol {
            UpstreamProtocol::Http1 => (Uri::from(self.path.clone()), Version::HTTP_11),
            UpstreamProtocol::Http2 => {
                let mut parts = http::uri::Parts::default();
                parts.scheme =
                    Some(if self.tls { http::uri::Scheme::HTTPS } else { http::uri::Scheme::HTTP });
                let authority = headers.remove(header::HOST).unwrap_or_else(|| self.authority.clone());
                parts.authority = http::uri::Authority::from_maybe_shared(authority).ok();
                parts.path_and_query = Some(self.path.clone());
                // With an authority that is no URI's (an underscore in a host name) the path alone is sent.
                let uri = Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(self.path.clone()));
                (uri, Version::HTTP_2)
            }
        };
        let head = RequestHead { method: self.method.clone(), uri, version, headers };
        Request { head, body: self.upload() }
    }

    /// The upstream is told the number of the attempt, where it is told the first.
    pub(super) fn is_attempt(&mut self, number: usize) {
        if let Some(told) = self.headers.get_mut(ATTEMPT_COUNT) {
            *told = headers::number(number as u64);
        }
    }

    fn upgrades_to(&mut self, wish: &str) {
        self.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Ok(wish) = HeaderValue::from_str(wish) {
            self.headers.insert(header::UPGRADE, wish);
        }
    }
}

/// Sends a request upstream and makes the response.
pub(super) async fn forward(
    http: Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    picked: Picked<'_>,
    rule: &Forward,
    arrived: Box<Arrived>,
) -> Response<ResponseBody> {
    let route = &picked.route.model;
    let position = affinity::target(rule, &arrived.parts.headers).unwrap_or(picked.target);
    let (target, upstream) = (&rule.targets[position], &picked.route.upstreams[position]);
    let mut arrived = arrived;
    arrived.exchange.target = Some(position);
    arrived.exchange.cluster = Some(Arc::clone(&upstream.model.name));
    if let Err(failure) = admitted(rule, server, route, &mut arrived) {
        return answer::failure(&http, server, Some(route), arrived.exchange, failure);
    }
    let cluster = http.worker.cluster(upstream);
    let Ok(admission) = cluster.admit(rule.priority, false) else {
        return answer::failure(&http, server, Some(route), arrived.exchange, Failure::Overflow);
    };
    let (key, cookie) = hash_key::of(&http, rule, &arrived);
    let endpoint = affinity::endpoint(&upstream.model, &arrived.parts.headers);
    let origin = route.cors.as_ref().and_then(|rules| cors::admitted(rules, &arrived.parts.headers));
    let Arrived { mut exchange, parts, body, looked_at, upgrade, on_upgrade, .. } = *arrived;
    let (limit, replay) = (body_limit(server, route), rule.retry.is_some());
    let looked_at = looked_at.map(|body| body.go_on(limit, replay));
    let body = looked_at.or_else(|| body.map(|body| Inbound::new(body, limit, replay)));
    let body = body.map(|body| Rc::new(RefCell::new(body)));
    let timeout = super::grpc::timeout(target, &parts.headers);
    let mut outgoing = outgoing(server, route, (target, timeout), upstream, parts, body, &exchange);
    outgoing.tell(server, route, target, &mut exchange);
    if let Some(wish) = &upgrade {
        outgoing.upgrades_to(wish);
    }
    mirrored(&http, rule, &picked.route.mirrors, &outgoing, exchange.version);
    // What came before (a fault put in, the word of somebody outside) is not the upstream's.
    let patience = Patience::new(Instant::now(), timeout, target.idle_timeout, outgoing.body.as_ref());
    bear(&http, target.idle_timeout, exchange.version);
    let balancer = server.model.balancer.as_deref();
    let tries = retry::Tries::new(&http, &cluster, rule, (key, endpoint), balancer, &patience);
    let result = tries.run(&mut outgoing, &mut exchange).await;
    let heard = tries.heard_at();
    if let Some(body) = &outgoing.body {
        exchange.bytes_received = body.borrow().bytes();
    }
    let (mut response, lease) = match result {
        Ok(answered) => answered,
        Err(failure) => return answer::failure(&http, server, Some(route), exchange, failure),
    };
    if let Some(rules) = balancer {
        let headers = response.headers_mut();
        affinity::remember(rules.answers, rule, &upstream.model, endpoint, lease.address, headers);
    }
    let address = lease.address;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = on_upgrade else {
            // Nobody asked for it.
            return answer::failure(&http, server, Some(route), exchange, Failure::BadResponse);
        };
        let finish = Finish::new(&http, server, Some(route), exchange.answered());
        let finish = finish.upstream(cluster, lease, admission, outgoing.body);
        let reached = (Arc::clone(upstream), address);
        return upgrade::accept(&http, finish, target.idle_timeout, client, response, reached);
    }
    let Response { head: mut parts, body } = response;
    incoming(server, route, &exchange, origin.as_ref(), cookie, &mut parts.headers);
    exchange.details = "via_upstream";
    let finish = Finish::new(&http, server, Some(route), exchange.answered())
        .until_drained(upstream, address)
        .upstream(cluster, lease, admission, outgoing.body)
        .until(patience, heard);
    answer::from_upstream(&http, server, route, parts, body, finish)
}

/// Sends copies to whom the rule names, each by its own chance.
fn mirrored(
    http: &Rc<HttpConnection>,
    rule: &Forward,
    shadows: &[Arc<Upstream>],
    outgoing: &Outgoing,
    version: Version,
) {
    for (mirror, shadow) in rule.mirrors.iter().zip(shadows) {
        if mirror.part.draws((http.worker.random.next() >> 32) as u32) {
            mirror::send(http, shadow, outgoing, mirror.host_suffix, version);
        }
    }
}

/// The client's connection waits as long as the upstream may.
fn bear(http: &HttpConnection, idle_timeout: Option<Duration>, version: Version) {
    http.activity.bear(idle_timeout);
    if version != Version::HTTP_2 {
        http.activity.bear_unread(idle_timeout);
    }
}

/// May the request go upstream, as far as its protocol is concerned? A gateway refuses an upgrade that it does not let
/// through; a balancer takes it for the wish that it is.
fn admitted(
    rule: &Forward,
    server: &CompiledHttp,
    route: &Route,
    arrived: &mut Arrived,
) -> Result<(), Failure> {
    let limit = body_limit(server, route);
    if arrived.body.as_ref().zip(limit).is_some_and(|(body, limit)| body.size_hint().lower() > limit) {
        return Err(Failure::BodyTooLarge);
    }
    if rule.client_protocol.is_some_and(|demand| !head::speaks(demand, &arrived.parts)) {
        return Err(Failure::ClientProtocol);
    }
    if arrived.upgrade.as_ref().is_some_and(|wish| !rule.upgrades.contains(wish)) {
        if server.model.balancer.is_none() {
            return Err(Failure::UpgradeRefused);
        }
        arrived.upgrade = None;
    }
    Ok(())
}

/// Bytes of a body that both the server and the route let through.
fn body_limit(server: &CompiledHttp, route: &Route) -> Option<u64> {
    let (own, limit) = (route.body_bytes, server.model.limits.body_bytes);
    own.into_iter().chain(limit).min()
}

/// Everything that is changed on the way.
fn outgoing(
    server: &CompiledHttp,
    route: &Route,
    (target, timeout): (&Target, Option<Duration>),
    upstream: &Upstream,
    parts: RequestHead,
    body: Option<Rc<RefCell<Inbound>>>,
    exchange: &Exchange,
) -> Outgoing {
    let RequestHead { method, uri, mut headers, .. } = parts;
    let original = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let path = rewritten(&target.rewrite, route, &original);
    let tells = server.model.adds_envoy_headers();
    if let Some(path) = &path
        && *path != original
        && tells
        && let Ok(value) = HeaderValue::from_str(original.as_str())
    {
        headers.insert(ORIGINAL_PATH, value);
    }
    let new_host = match &target.host {
        HostRewrite::Keep => None,
        HostRewrite::To(host) => HeaderValue::from_str(host).ok(),
        HostRewrite::Upstream => upstream.dns().and_then(|dns| HeaderValue::from_str(&dns.name).ok()),
    };
    if let Some(host) = new_host
        && let Some(before) = headers.insert(header::HOST, host)
        && server.model.balancer.is_none()
    {
        headers.insert(ORIGINAL_HOST, before);
    }
    if let Some(timeout) = timeout
        && tells
    {
        headers.insert(EXPECTED_TIMEOUT, headers::number(timeout.as_millis() as u64));
    }
    if server.model.attempt_count {
        headers.insert(ATTEMPT_COUNT, HeaderValue::from_static("1"));
    }
    if !target.request_headers.is_empty() {
        headers::apply(&target.request_headers, &mut headers, Side::Request, &Facts::of(exchange));
    }
    if !route.request_headers.is_empty() {
        headers::apply(&route.request_headers, &mut headers, Side::Request, &Facts::of(exchange));
    }
    let authority = headers.get(header::HOST).cloned().unwrap_or_else(|| HeaderValue::from_static(""));
    let tls = upstream.model.tls.is_some();
    Outgoing { method, headers, path: path.unwrap_or(original), authority, body, tls }
}

/// What is changed in the head of a response on its way back.
fn incoming(
    server: &CompiledHttp,
    route: &Route,
    exchange: &Exchange,
    origin: Option<&HeaderValue>,
    cookie: Option<HeaderValue>,
    headers: &mut Fields,
) {
    request::strip_hop_by_hop(headers);
    if let (Some(rules), Some(origin)) = (&route.cors, origin) {
        cors::allow(rules, origin, headers);
    }
    if let Some(cookie) = cookie {
        headers.append(header::SET_COOKIE, cookie);
    }
    if server.model.adds_envoy_headers()
        && let Some(time) = exchange.upstream_time
    {
        headers.insert(SERVICE_TIME, headers::number(time.as_millis() as u64));
    }
}

/// The path as it is sent; none when it stays, also when the new one would not be a path.
fn rewritten(rewrite: &PathRewrite, route: &Route, original: &PathAndQuery) -> Option<PathAndQuery> {
    let path = original.path();
    let mut new = match rewrite {
        PathRewrite::Keep => return None,
        PathRewrite::Matched(replacement) => {
            let matched = route.matches.path.matched_len(path);
            if path[..matched] == **replacement {
                return None;
            }
            format!("{replacement}{}", &path[matched..])
        }
        PathRewrite::Segments(replacement) => {
            let rest = path[route.matches.path.matched_len(path)..].trim_start_matches('/');
            let replacement = replacement.trim_end_matches('/');
            // Without anything after it, the slash stands for the root alone.
            if rest.is_empty() && !replacement.is_empty() && !path.ends_with('/') {
                replacement.to_owned()
            } else {
                format!("{replacement}/{rest}")
            }
        }
        PathRewrite::Regex(pattern, substitution) => pattern.replace_all(path, substitution),
    };
    if !new.starts_with('/') {
        new.insert(0, '/');
    }
    if let Some(query) = original.query() {
        new.push('?');
        new.push_str(query);
    }
    PathAndQuery::try_from(new).ok()
}

/// Reads a body to its end, so that its connection can be used again.
pub(super) async fn drain(response: Response<Incoming>, lease: Lease) {
    use http_body_util::BodyExt as _;
    let mut body = response.body;
    while let Some(Ok(_)) = body.frame().await {}
    drop(lease);
}

/// Copies what the log reads of a response.
pub(super) fn keep_response(server: &CompiledHttp, exchange: &mut Exchange, headers: &Fields) {
    if let Some(log) = &server.log {
        keep(&mut exchange.kept_response, headers, log.formatter.kept_response());
    }
}

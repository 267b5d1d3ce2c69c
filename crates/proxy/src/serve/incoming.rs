//! A request as it came, made into the one that everything after this looks at.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode, Version, header};
use http_body::Body as _;
use plenipo_jwt::Claims;
use plenipo_model::{ExternalAuthorization, HttpServer};
use tokio::sync::oneshot;

use super::HttpConnection;
use super::begun::Begun;
use crate::balancer;
use crate::body::Inbound;
use crate::codec::Incoming;
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::gate::REFUSED_METHOD;
use crate::http1::server::Upgraded;
use crate::message::{Request, RequestHead};
use crate::refusal::RefusedRequest;
use crate::request::{self, Client, Host, Peer, Refused};
use crate::snapshot::CompiledHttp;
use crate::xfcc;

pub(crate) const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");

/// A request that may be looked at.
pub(crate) struct Arrived {
    pub(crate) exchange: Begun,
    /// Its head: canonical path, no hop-by-hop fields, forwarded headers as the next hop shall see them.
    pub(crate) parts: RequestHead,
    /// Its host, as routes compare it.
    pub(crate) host: Host,
    /// As believed; none when the peer is believed and says nothing.
    pub(crate) scheme: Option<&'static str>,
    /// Its body; none when it has none.
    pub(crate) body: Option<Incoming>,
    /// Its body, when somebody has looked at the beginning; then it is nowhere else.
    pub(crate) looked_at: Option<Box<Inbound>>,
    /// What it wants to upgrade to, lower case.
    pub(crate) upgrade: Option<String>,
    /// The other side of an upgrade, should it be granted.
    pub(crate) on_upgrade: Option<oneshot::Receiver<Upgraded>>,
    pub(crate) draw: u32,
    /// What its verified token says.
    pub(crate) claims: Option<Rc<Claims>>,
    /// Who was asked about it, and let it pass.
    pub(crate) passed: Vec<Arc<ExternalAuthorization>>,
}

impl Arrived {
    /// Canonical path.
    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The first bytes of its body, and whether there are more. `limit` is that of the whole body.
    ///
    /// # Errors
    /// When the body broke off, or is larger than allowed.
    pub(crate) async fn look_at_body(
        &mut self,
        most: usize,
        limit: Option<u64>,
    ) -> Result<(Bytes, bool), &Inbound> {
        if let Some(body) = self.body.take() {
            self.looked_at = Some(Box::new(Inbound::new(body, limit, false)));
        }
        let Some(body) = &mut self.looked_at else { return Ok((Bytes::new(), false)) };
        body.look_at(most).await.ok_or(body)
    }

    /// Query, as it came.
    pub(crate) fn query(&self) -> Option<&str> {
        self.parts.uri.query()
    }
}

/// Takes a request in, or tells why not.
pub(super) fn arrive(
    http: &Rc<HttpConnection>,
    server: &Arc<CompiledHttp>,
    request: Request<Incoming>,
) -> Result<Box<Arrived>, (Begun, Failure)> {
    let upgrade = wanted_upgrade(&request);
    let on_upgrade = upgrade.as_ref().and_then(|_| request.body.on_upgrade());
    let Request { head: mut parts, body } = request;
    if parts.version == Version::HTTP_2 {
        request::join_cookies(&mut parts.headers);
    }
    let mut exchange = Begun::new(http, server, begin(http, &parts));
    let understood = understand(http, server, &mut parts, &mut exchange);
    // Envoy logs request headers as it has changed them (`x-forwarded-for` with the peer appended).
    keep(&mut exchange.kept_request, &parts.headers, &server.kept_request);
    match understood {
        Ok((host, client)) => {
            if exceeds(server, &body) {
                return Err((exchange, Failure::BodyTooLarge));
            }
            let body = (!body.is_end_stream()).then_some(body);
            let draw = (http.worker.random.next() >> 32) as u32;
            Ok(Box::new(Arrived {
                exchange,
                parts,
                host,
                scheme: client.scheme,
                body,
                looked_at: None,
                upgrade,
                on_upgrade,
                draw,
                claims: None,
                passed: Vec::new(),
            }))
        }
        Err(failure) => Err((exchange, failure)),
    }
}

/// Copies the fields that the log will read.
pub(crate) fn keep(kept: &mut Fields, from: &Fields, names: &[http::HeaderName]) {
    for name in names {
        for value in from.get_all(name).iter() {
            kept.append(name, value.clone());
        }
    }
}

fn begin(http: &Rc<HttpConnection>, parts: &RequestHead) -> Box<Exchange> {
    let authority = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = authority.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str));
    let mut exchange = Box::new(Exchange::begin(&http.facts));
    exchange.method = parts.method.clone();
    exchange.version = parts.version;
    exchange.authority = authority.unwrap_or_default().to_owned();
    exchange.original_path = parts.uri.path_and_query().map_or("", PathAndQuery::as_str).to_owned();
    exchange
}

/// Every check and normalisation, in the order in which each may rely on those before it.
fn understand(
    http: &HttpConnection,
    server: &CompiledHttp,
    parts: &mut RequestHead,
    exchange: &mut Exchange,
) -> Result<(Host, Client), Failure> {
    let model = &server.model;
    if parts.version == Version::HTTP_2 {
        request::check_length(&parts.headers)?;
    }
    if let Some(rules) = &model.balancer {
        if parts.method.as_str() == REFUSED_METHOD
            && let Some(refused) = http.activity.refused.get()
        {
            return Err(unread(exchange, refused));
        }
        let random = &http.worker.random;
        let (host, client) = balancer::head::understand(rules, &model.limits, &http.facts, random, parts)?;
        return admit(model, http.facts.peer.ip(), &client).map(|()| (host, client));
    }
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    request::check_limits(target.len(), &parts.headers, &model.limits)?;
    if parts.version < Version::HTTP_11 && !model.http10 {
        return Err(Failure::Request(StatusCode::UPGRADE_REQUIRED, "low_version"));
    }
    if parts.method == Method::CONNECT {
        return Err(Failure::Request(StatusCode::METHOD_NOT_ALLOWED, "connect_refused"));
    }
    let authority = request::authority(parts.version, &parts.uri, &parts.headers)?;
    let host = request::parse_authority(authority)?;
    let mut forwarded_host = authority;
    if model.strip_matching_port && host.port == Some(http.facts.declared_port) {
        forwarded_host = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
    }
    // Mostly it is the field that came. Else what `authority` accepted is a header value.
    let host_field = match parts.uri.authority() {
        None if forwarded_host.len() == authority.len() => None,
        _ => Some(HeaderValue::from_str(forwarded_host).map_err(|_| malformed("host_invalid"))?),
    };
    normalise(model, parts, exchange)?;
    request::check_headers(&mut parts.headers, model.underscores)?;

    let peer = Peer::from(&*http.facts);
    let client = request::client(model.forwarding, &parts.headers, peer);
    exchange.client = client.address;
    if let Some(scheme) = client.scheme {
        exchange.scheme = scheme;
    }
    admit(model, peer.address, &client)?;
    let mut told = Fields::new();
    if let Some(identity) = server.identity(&host) {
        let taken = identity.take(&http.facts, &http.remembered, &mut parts.headers)?;
        (exchange.identity, told) = (taken.identity, taken.fields);
    }
    request::forward(&mut parts.headers, model.forwarding, peer, &client, &http.facts.peer_text);
    if !told.is_empty() {
        parts.headers.replace(told);
    }
    request::strip_hop_by_hop(&mut parts.headers);
    xfcc::client_cert_header(&model.client_cert, exchange.shown(), &mut parts.headers);
    if let Some(host) = host_field {
        parts.headers.insert(header::HOST, host);
    }
    identify(http, model.keep_request_id, parts, exchange);
    Ok((host, client))
}

/// The path in its one form, which is from here on all that there is of it.
fn normalise(model: &HttpServer, parts: &mut RequestHead, exchange: &mut Exchange) -> Result<(), Failure> {
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let path = request::canonical_path(target, model.path)?;
    // RFC 9112 §3.2.4.
    if path == "*" && parts.method != Method::OPTIONS {
        return Err(malformed("path_not_absolute"));
    }
    if path != target || parts.uri.authority().is_some() {
        let path = PathAndQuery::try_from(path.as_ref()).map_err(|_| malformed("path_invalid"))?;
        path.as_str().clone_into(&mut exchange.original_path);
        parts.uri = path.into();
    }
    Ok(())
}

fn malformed(details: &'static str) -> Failure {
    Failure::Request(StatusCode::BAD_REQUEST, details)
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Request(refused.status, refused.details)
    }
}

/// The gate refused a request, which nobody has read: nothing is known of it but that.
fn unread(exchange: &mut Exchange, refused: &RefusedRequest) -> Failure {
    exchange.begun = refused.since;
    exchange.started -= refused.since.elapsed();
    exchange.method = Method::from_bytes(b"-").expect("a token");
    exchange.authority.clear();
    exchange.original_path.clear();
    Failure::Request(refused.status, refused.details)
}

/// Is somebody with this peer let in at all?
fn admit(model: &HttpServer, peer: IpAddr, client: &Client) -> Result<(), Failure> {
    let Some(rules) = &model.addresses else { return Ok(()) };
    // On a socket of both versions, an address of version 4 comes as one of version 6 (RFC 4291 §2.5.5.2).
    let (peer, remote) = (peer.to_canonical(), client.address.to_canonical());
    let listed = rules.peer.iter().any(|network| network.contains(&peer))
        || rules.remote.iter().any(|network| network.contains(&remote));
    if listed == rules.allow { Ok(()) } else { Err(Failure::AddressDenied) }
}

fn identify(http: &HttpConnection, keep: bool, parts: &mut RequestHead, exchange: &mut Exchange) {
    let sent = if keep { parts.headers.get(REQUEST_ID).filter(|id| !id.is_empty()) } else { None };
    let id = match sent {
        Some(id) => id.clone(),
        None => {
            let id = http.worker.random.uuid();
            parts.headers.insert(REQUEST_ID, id.clone());
            id
        }
    };
    exchange.request_id = Some(id);
}

/// What the client wants to upgrade to. `h2c` is no wish that anybody has to grant (RFC 9113 §3.1 removed it).
fn wanted_upgrade(request: &Request<Incoming>) -> Option<String> {
    if request.head.version != Version::HTTP_11 {
        return None;
    }
    let headers = &request.head.headers;
    let wish = headers.get(header::UPGRADE)?;
    let nominated = headers.get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let wish = wish.to_str().ok()?.trim().to_ascii_lowercase();
    (nominated && wish != "h2c" && !wish.is_empty()).then_some(wish)
}

fn exceeds(server: &CompiledHttp, body: &Incoming) -> bool {
    server.model.limits.body_bytes.is_some_and(|limit| body.size_hint().lower() > limit)
}

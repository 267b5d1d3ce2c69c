//! The HTTP side: what reached the server, as JSON, steered by `x-echo-*` request headers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER, UPGRADE};
use http::{Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Channel, Full};
use hyper::body::Incoming;
use rustls::ServerConnection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Answer, State, grpc, lock, websocket};

/// What reached the server: the JSON body of every ordinary answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Echoed {
    /// Name of the upstream that answered.
    pub backend: String,
    /// Its connection that carried the request; the first is 1.
    pub connection: usize,
    /// Peer of that connection.
    pub peer: SocketAddr,
    /// Request method.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// `Host` or `:authority`.
    pub host: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Headers in the order they came (those of one name together), names in lower case, values as far as they are
    /// UTF-8.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: EchoedBody,
    /// Request trailers.
    pub trailers: Vec<(String, String)>,
    /// How TLS was spoken, if it was.
    pub tls: Option<EchoedTls>,
    /// The PROXY protocol header of the connection in hexadecimal digits, if one was expected.
    pub proxy_header: Option<String>,
}

/// A request body, too long to repeat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EchoedBody {
    /// Length in bytes.
    pub length: usize,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The first 256 bytes, as far as they are UTF-8.
    pub start: String,
}

/// What a TLS handshake brought.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EchoedTls {
    /// Server name the client sent.
    pub sni: Option<String>,
    /// Protocol agreed by ALPN.
    pub alpn: Option<String>,
    /// `TLSv1_2` or `TLSv1_3`.
    pub version: String,
    /// Subject of the client's certificate, such as `CN=alice, O=plenipo tests`.
    pub client_subject: Option<String>,
    /// Whether the session was resumed.
    pub resumed: bool,
}

/// One connection of the upstream.
#[derive(Debug)]
pub(super) struct Connection {
    state: Arc<State>,
    number: usize,
    peer: SocketAddr,
    proxy_header: Option<String>,
    tls: Option<EchoedTls>,
}

/// Body of every answer.
pub(super) type Body = BoxBody<Bytes, Infallible>;

impl Echoed {
    /// The values of this header, in order.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }
}

impl EchoedTls {
    /// Reads a finished handshake.
    pub(super) fn of(connection: &ServerConnection) -> Self {
        let subject =
            connection.peer_certificates().and_then(|chain| chain.first()).and_then(|certificate| {
                X509Certificate::from_der(certificate).ok().map(|(_, parsed)| parsed.subject().to_string())
            });
        Self {
            sni: connection.server_name().map(str::to_owned),
            alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            version: connection.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default(),
            client_subject: subject,
            resumed: connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
        }
    }
}

impl Connection {
    pub(super) fn new(
        state: Arc<State>,
        peer: SocketAddr,
        header: Option<&[u8]>,
        tls: Option<EchoedTls>,
    ) -> Self {
        let number = state.accepted.fetch_add(1, Ordering::SeqCst) + 1;
        state.open.fetch_add(1, Ordering::SeqCst);
        Self { state, number, peer, proxy_header: header.map(hex), tls }
    }

    fn saw(&self, echoed: Echoed) {
        lock(&self.state.seen).push(echoed);
    }

    /// Runs a task that outlives its request but not its upstream.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.state.tasks).spawn(task);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.state.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers one request. An error ends the connection (HTTP/1) or the stream (HTTP/2) without an answer.
pub(super) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>> {
    if is(&request, CONTENT_TYPE, "application/grpc") {
        connection.saw(describe(&connection, &request, &Bytes::new(), None));
        return grpc::answer(request);
    }
    if is(&request, UPGRADE, "websocket") {
        connection.saw(describe(&connection, &request, &Bytes::new(), None));
        return websocket::answer(&connection, request);
    }
    let (parts, body) = request.into_parts();
    let head = Request::from_parts(parts, ());
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    let echoed = describe(&connection, &head, &collected.to_bytes(), trailers.as_ref());
    connection.saw(echoed.clone());
    let planned = lock(&connection.state.plan).pop_front();
    let mut status = None;
    match planned {
        None => {}
        Some(Answer::Status(code)) => status = Some(StatusCode::from_u16(code)?),
        Some(Answer::Reset) => bail!("reset as planned"),
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::After(delay)) => tokio::time::sleep(delay).await,
    }
    let mut response = steered(head.headers(), &echoed).await?;
    if let Some(status) = status {
        *response.status_mut() = status;
    }
    Ok(response)
}

fn is<B>(request: &Request<B>, name: HeaderName, prefix: &str) -> bool {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.to_ascii_lowercase().starts_with(prefix)
}

fn describe<B>(
    connection: &Connection,
    request: &Request<B>,
    body: &Bytes,
    trailers: Option<&HeaderMap>,
) -> Echoed {
    let host = match request.uri().authority() {
        Some(authority) => authority.to_string(),
        None => request.headers().get("host").map(text).unwrap_or_default(),
    };
    Echoed {
        backend: connection.state.name.clone(),
        connection: connection.number,
        peer: connection.peer,
        method: request.method().to_string(),
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        host,
        version: format!("{:?}", request.version()),
        headers: listed(request.headers()),
        body: EchoedBody {
            length: body.len(),
            sha256: hex(&Sha256::digest(body)),
            start: String::from_utf8_lossy(&body[..body.len().min(256)]).into_owned(),
        },
        trailers: trailers.map(listed).unwrap_or_default(),
        tls: connection.tls.clone(),
        proxy_header: connection.proxy_header.clone(),
    }
}

/// Does what the `x-echo-*` headers say:
///
/// | header | answer |
/// |---|---|
/// | `x-echo-status: 503` | has this status |
/// | `x-echo-delay-ms: 200` | comes this much later |
/// | `x-echo-body-bytes: 1048576` | has a body of so many `x` instead of the JSON |
/// | `x-echo-header: name=value` | has this header too (repeatable) |
/// | `x-echo-trailers: name=value` | has this trailer (repeatable); an HTTP/1 client must send `te: trailers` |
/// | `x-echo-close: 1` | is the last on its HTTP/1 connection |
/// | `x-echo-reset: 1` | never comes: the connection or stream is reset |
async fn steered(asked: &HeaderMap, echoed: &Echoed) -> Result<Response<Body>> {
    let one = |name: &str| asked.get(name).map(text);
    if let Some(delay) = one("x-echo-delay-ms") {
        tokio::time::sleep(Duration::from_millis(delay.parse()?)).await;
    }
    if asked.contains_key("x-echo-reset") {
        bail!("reset as asked");
    }
    let payload = match one("x-echo-body-bytes") {
        Some(length) => Bytes::from(vec![b'x'; length.parse()?]),
        None => Bytes::from(serde_json::to_vec_pretty(echoed)?),
    };
    let trailers = pairs(asked, "x-echo-trailers")?;
    let mut response =
        Response::builder().header(CONTENT_TYPE, "application/json").header("x-backend", &echoed.backend);
    if let Some(status) = one("x-echo-status") {
        response = response.status(status.parse::<u16>()?);
    }
    if asked.contains_key("x-echo-close") && echoed.version != format!("{:?}", Version::HTTP_2) {
        response = response.header(CONNECTION, "close");
    }
    for (name, value) in &pairs(asked, "x-echo-header")? {
        response = response.header(name, value);
    }
    // HTTP/1 sends only announced trailers (RFC 9110 section 6.6.2).
    for name in trailers.keys() {
        response = response.header(TRAILER, name.as_str());
    }
    if trailers.is_empty() {
        return Ok(response.body(Full::new(payload).boxed())?);
    }
    // Not `Full::with_trailers`: its known length would choose content-length, which leaves no room for trailers.
    let (mut sender, body) = Channel::new(2);
    sender.send_data(payload).await?;
    sender.send_trailers(trailers).await?;
    Ok(response.body(body.boxed())?)
}

/// All `name=value` of one header.
fn pairs(asked: &HeaderMap, name: &str) -> Result<HeaderMap> {
    let mut pairs = HeaderMap::new();
    for value in asked.get_all(name) {
        let Some((key, value)) = value.to_str()?.split_once('=') else { bail!("{name} wants name=value") };
        pairs.append(HeaderName::try_from(key)?, HeaderValue::try_from(value)?);
    }
    Ok(pairs)
}

fn listed(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

pub(super) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

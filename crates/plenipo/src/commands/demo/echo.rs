//! The services behind the examples: each answers by saying what reached it.
//!
//! One server speaks it all: HTTP/1.1, HTTP/2 with prior knowledge, WebSocket (messages come back), gRPC (messages come
//! back, whatever the method), with TLS or without.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Empty, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// More of a body is not shown.
const MAX_BODY: usize = 64 * 1024;

type Body = BoxBody<Bytes, hyper::Error>;

/// What is known of a connection.
struct Connection {
    service: &'static str,
    peer: SocketAddr,
    tls: Option<&'static str>,
    client: Option<String>,
}

/// Starts a service on a free port of 127.0.0.1; it serves as long as the runtime.
pub(super) async fn start(service: &'static str, tls: Option<Arc<ServerConfig>>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let acceptor = tls.map(TlsAcceptor::from);
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            tokio::spawn(converse(stream, peer, service, acceptor.clone()));
        }
    });
    Ok(address)
}

/// What goes wrong here the client sees; there is nobody else to tell.
async fn converse(stream: TcpStream, peer: SocketAddr, service: &'static str, acceptor: Option<TlsAcceptor>) {
    let Some(acceptor) = acceptor else {
        return serve(stream, Connection { service, peer, tls: None, client: None }).await;
    };
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let (_, session) = stream.get_ref();
    let tls = session.protocol_version().and_then(|version| version.as_str());
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let client = shown
        .and_then(|leaf| X509Certificate::from_der(leaf).ok())
        .map(|(_, certificate)| name(&certificate));
    serve(stream, Connection { service, peer, tls, client }).await;
}

/// Its name in a mesh, if it has one, else its subject.
fn name(certificate: &X509Certificate<'_>) -> String {
    let names = certificate.subject_alternative_name().ok().flatten();
    let mut uris = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.next().unwrap_or_else(|| certificate.subject().to_string())
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: Connection) {
    let connection = Arc::new(connection);
    let service = service_fn(move |request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(answer(&connection, request).await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

async fn answer(connection: &Connection, request: Request<Incoming>) -> Response<Body> {
    let is = |name, what: &str| {
        let value = request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().starts_with(what))
    };
    if is(header::UPGRADE, "websocket") {
        return websocket(request);
    }
    if is(header::CONTENT_TYPE, "application/grpc") {
        return grpc(connection, request);
    }
    mirror(connection, request).await
}

/// The request, told in JSON.
async fn mirror(connection: &Connection, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut headers = Map::new();
    for name in head.headers.keys() {
        let values = head.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        headers.insert(name.to_string(), Value::String(values.collect::<Vec<_>>().join(", ")));
    }
    let host = head.uri.authority().map(ToString::to_string);
    let body = Limited::new(body, MAX_BODY).collect().await.map(http_body_util::Collected::to_bytes);
    let told = json!({
        "service": connection.service,
        "method": head.method.as_str(),
        "path": head.uri.path_and_query().map(ToString::to_string),
        "protocol": format!("{:?}", head.version),
        "host": host.or_else(|| headers.get("host").and_then(Value::as_str).map(str::to_owned)),
        "headers": headers,
        "body": body.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default(),
        "peer": connection.peer,
        "tls": connection.tls,
        "client_certificate": connection.client,
    });
    let mut response = Response::new(whole(format!("{told:#}\n")));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Every message comes back, with status OK.
fn grpc(connection: &Connection, request: Request<Incoming>) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-service", HeaderValue::from_static(connection.service));
    // Without the length of what came, which would be sent on: what goes back ends with trailers.
    let body = StreamBody::new(BodyStream::new(request.into_body()));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The handshake of RFC 6455 §4.2.2; then every message comes back.
fn websocket(mut request: Request<Incoming>) -> Response<Body> {
    let accept =
        request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let Some(accept) = accept.and_then(|accept| HeaderValue::try_from(accept).ok()) else {
        let mut refusal = Response::new(whole("no sec-websocket-key\n"));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return refusal;
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            // Pings and closes are answered by the library.
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    response
}

fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed()
}

//! A service asked by gRPC: `envoy.service.auth.v3.Authorization/Check`.

use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use plenipo_model::{ExternalAuthorization, GrpcCheck, UpstreamProtocol};
use prost::Message as _;

use super::message::{
    Address, AppendAction, AttributeContext, AttributeRequest, CheckRequest, CheckResponse,
    DeniedHttpResponse, HeaderValueOption, HttpRequest, HttpResponse, Peer, SocketAddress, Timestamp,
    TlsSession,
};
use super::{Answer, Changes, Field, How, NoAnswer, Question, Refused, exchange, is_protected, upstream};
use crate::body::RequestBody;
use crate::client_certificate::url_encoded_pem;
use crate::exchange::Exchange;
use crate::fields::Fields;
use crate::message::{Request, RequestHead};
use crate::worker::Worker;

const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";
/// A flag (not compressed) and the length stand before each message.
const PREFIX: usize = 5;

pub(super) async fn ask(
    worker: &Worker,
    service: &ExternalAuthorization,
    check: &GrpcCheck,
    question: &Question<'_>,
) -> Result<Answer, NoAnswer> {
    let upstream = upstream(worker, service)?;
    if upstream.model.protocol != UpstreamProtocol::Http2 {
        return Err(NoAnswer::NotHttp2);
    }
    let raw = service.body.is_some_and(|body| body.raw);
    let message = framed(&attributes(question, raw));
    let scheme = if upstream.model.tls.is_some() { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(&*check.authority).path_and_query(METHOD).build()?;
    let timeout = HeaderValue::from(service.timeout.as_millis().min(99_999_999) as u64);
    let timeout = HeaderValue::from_bytes(&[timeout.as_bytes(), b"m"].concat()).expect("digits and a letter");
    let request = |_| {
        let mut headers = Fields::new();
        headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.append(header::TE, HeaderValue::from_static("trailers"));
        headers.append("grpc-timeout", timeout.clone());
        let (method, uri, version) = (Method::POST, uri.clone(), Version::HTTP_2);
        let head = RequestHead { method, uri, version, headers };
        Ok(Request { head, body: RequestBody::whole(message.clone()) })
    };
    let (parts, whole) = exchange(worker, service, &upstream, question, request).await?;
    let (body, trailers) = whole?;
    if parts.status != StatusCode::OK {
        return Err(NoAnswer::Status(parts.status));
    }
    let code = |headers: &Fields| headers.get("grpc-status")?.to_str().ok()?.parse::<i32>().ok();
    match code(&trailers).or_else(|| code(&parts.headers)) {
        Some(0) => read(&body),
        other => Err(NoAnswer::Grpc(other.unwrap_or(2))),
    }
}

fn framed(message: &CheckRequest) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

fn attributes(question: &Question<'_>, raw: bool) -> CheckRequest {
    let exchange = question.exchange;
    let connection = &exchange.connection;
    let shown = exchange.shown();
    let source = Peer {
        // Who is vouched for by nobody may call himself what he likes.
        principal: shown
            .filter(|shown| shown.verified)
            .map(|shown| named(&shown.client.uris, &shown.client.dns, &shown.client.subject))
            .unwrap_or_default(),
        certificate: shown
            .map(|shown| url_encoded_pem(shown.chain.get(..1).unwrap_or_default()))
            .unwrap_or_default(),
        ..peer(SocketAddr::new(exchange.client, connection.peer.port()))
    };
    let own = shown.and_then(|shown| shown.own_uris.first().cloned()).unwrap_or_default();
    let sni = connection.tls.as_ref().and_then(|tls| tls.server_name.clone());
    let since = exchange.started.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or_default(),
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            destination: Some(Peer { principal: own, ..peer(connection.local) }),
            request: Some(AttributeRequest {
                time: Some(time),
                http: Some(http_request(question, exchange, raw)),
            }),
            context_extensions: question.context.clone(),
            tls_session: sni.map(|sni| TlsSession { sni }),
        }),
    }
}

/// As Envoy names a peer: by the first URI of its certificate, else the first DNS name, else the subject.
fn named(uris: &[String], dns: &[String], subject: &str) -> String {
    uris.first().or(dns.first()).map_or(subject, String::as_str).to_owned()
}

fn peer(address: SocketAddr) -> Peer {
    let socket = SocketAddress { address: address.ip().to_string(), port_value: Some(address.port().into()) };
    Peer { address: Some(Address { socket_address: Some(socket) }), ..Peer::default() }
}

fn http_request(question: &Question<'_>, exchange: &Exchange, raw: bool) -> HttpRequest {
    let parts = question.parts;
    let path = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = parts.headers.get(header::HOST).map(text).unwrap_or_default();
    let mut request = HttpRequest {
        id: exchange.request_id.as_ref().map(text).unwrap_or_default(),
        method: parts.method.to_string(),
        scheme: exchange.scheme.to_owned(),
        size: parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| text(length).parse().ok())
            .unwrap_or(-1),
        protocol: if exchange.version == Version::HTTP_2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned(),
        path,
        host,
        ..HttpRequest::default()
    };
    for (name, value) in &parts.headers {
        let joined = request.headers.entry(name.as_str().to_owned()).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(&text(value));
    }
    request.headers.remove(header::HOST.as_str());
    for (name, value) in [
        (":method", &request.method),
        (":path", &request.path),
        (":authority", &request.host),
        (":scheme", &request.scheme),
    ] {
        request.headers.insert(name.to_owned(), value.clone());
    }
    if let Some(body) = &question.body {
        if raw {
            request.raw_body = body.clone();
        } else {
            request.body = String::from_utf8_lossy(body).into_owned();
        }
        request.headers.insert("x-envoy-auth-partial-body".to_owned(), question.partial.to_string());
    }
    request
}

/// An answer without a status says yes (it is the default of the message), as Envoy takes it.
fn read(body: &[u8]) -> Result<Answer, NoAnswer> {
    let malformed = |why: &str| NoAnswer::Malformed(why.to_owned());
    let (prefix, message) = body.split_at_checked(PREFIX).ok_or_else(|| malformed("no message"))?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if prefix[0] != 0 {
        return Err(malformed("it is compressed"));
    }
    if u32::try_from(message.len()) != Ok(length) {
        return Err(malformed("its length is another one"));
    }
    let response = CheckResponse::decode(message).map_err(|error| malformed(&error.to_string()))?;
    let code = response.status.map_or(0, |status| status.code);
    match response.http_response {
        Some(HttpResponse::Ok(ok)) if code == 0 => {
            // A field that cannot be written as the service says is not left as the client sent it.
            let unwritable = ok.headers.iter().filter(|option| field((*option).clone()).is_none());
            let unwritable = unwritable.filter_map(|option| option.header.as_ref()).map(|header| &header.key);
            let remove = ok.headers_to_remove.iter().chain(unwritable);
            let remove = remove.filter_map(|name| name.parse().ok()).collect();
            let request = ok.headers.into_iter().filter_map(field).collect();
            let mut response = Fields::new();
            for field in ok.response_headers_to_add.into_iter().filter_map(field) {
                response.append(field.name, field.value);
            }
            Ok(Answer::Yes(Changes { remove, request, response }))
        }
        None if code == 0 => Ok(Answer::Yes(Changes::default())),
        // What is denied under a good status is denied.
        Some(HttpResponse::Denied(denied)) => Ok(Answer::No(refused(denied))),
        _ => Ok(Answer::No(refused(DeniedHttpResponse::default()))),
    }
}

fn refused(denied: DeniedHttpResponse) -> Refused {
    let status = denied.status.and_then(|status| StatusCode::from_u16(u16::try_from(status.code).ok()?).ok());
    // What is below is no answer. (With a success some show a page to sign in.)
    let status = status.filter(|status| status.as_u16() >= 200);
    let mut headers = Fields::new();
    for Field { name, value, how } in denied.headers.into_iter().filter_map(field) {
        match how {
            How::Append => headers.append(name, value),
            _ => drop(headers.insert(name, value)),
        }
    }
    Refused { status: status.unwrap_or(StatusCode::FORBIDDEN), headers, body: Bytes::from(denied.body) }
}

fn field(option: HeaderValueOption) -> Option<Field> {
    let action = option.append_action();
    let header = option.header?;
    let name = HeaderName::from_bytes(header.key.as_bytes()).ok().filter(|name| !is_protected(name))?;
    let bytes = if header.value.is_empty() { &header.raw_value } else { header.value.as_bytes() };
    let value = HeaderValue::from_bytes(bytes).ok()?;
    let how = match (option.append, action) {
        (Some(append), _) => {
            if append.value {
                How::Append
            } else {
                How::Set
            }
        }
        (None, AppendAction::AddIfAbsent) => How::IfAbsent,
        (None, AppendAction::OverwriteIfExists) => How::IfPresent,
        // The default of the message, which services that say nothing mean as "set" (Envoy, `external_auth.proto`).
        (None, AppendAction::AppendIfExistsOrAdd | AppendAction::OverwriteIfExistsOrAdd) => How::Set,
    };
    Some(Field { name, value, how })
}

#[cfg(test)]
mod tests;

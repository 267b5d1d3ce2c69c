//! HTTP/1.1 and HTTP/2 requests, and the WebSocket handshake.

use std::fmt;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::AbortHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Stream, Target};
use crate::upstream::Echoed;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status.
    pub status: StatusCode,
    /// Version of the connection.
    pub version: Version,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Trailers, empty when there are none.
    pub trailers: HeaderMap,
}

impl Response {
    /// What the echo upstream says that reached it.
    ///
    /// # Errors
    /// When the body is not an echo, as after a local reply; the message shows it.
    pub fn echoed(&self) -> Result<Echoed> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: no echo: {:?}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// First value of this header, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Reads an answer to its end.
    ///
    /// # Errors
    /// When the body is cut short.
    pub async fn read(response: http::Response<Incoming>) -> Result<Self> {
        let (head, body) = response.into_parts();
        let collected = body.collect().await.context("response body")?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let (status, version, headers) = (head.status, head.version, head.headers);
        Ok(Self { status, version, headers, body: collected.to_bytes(), trailers })
    }
}

/// A client with one request a connection; [`Http::connect`] keeps one.
#[derive(Clone, Debug)]
pub struct Http {
    target: Target,
    http2: bool,
}

impl Http {
    /// HTTP/1.1.
    pub fn one(target: impl Into<Target>) -> Self {
        Self { target: target.into(), http2: false }
    }

    /// HTTP/2; in clear text with prior knowledge.
    pub fn two(target: impl Into<Target>) -> Self {
        Self { target: target.into(), http2: true }
    }

    /// GET of `http://host/path` or `/path` on a connection of its own.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub async fn get(&self, url: &str) -> Result<Response> {
        self.send(Request::get(url)).await
    }

    /// A request without a body on a connection of its own.
    ///
    /// # Errors
    /// When the request is malformed or there is no complete answer.
    pub async fn send(&self, request: http::request::Builder) -> Result<Response> {
        self.send_with(request, Bytes::new()).await
    }

    /// A request with a body on a connection of its own.
    ///
    /// # Errors
    /// When the request is malformed or there is no complete answer.
    pub async fn send_with(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Result<Response> {
        self.connect().await?.send(request.body(Full::new(body.into()))?).await
    }

    /// Opens a connection for several requests.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn connect(&self) -> Result<HttpConnection> {
        let stream = TokioIo::new(self.target.connect().await?);
        let authority = self.target.authority();
        if self.http2 {
            let handshake =
                http2::Builder::new(TokioExecutor::new()).timer(TokioTimer::new()).handshake(stream);
            let (sender, connection) = handshake.await?;
            let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
            return Ok(HttpConnection { sender: Sender::Two(sender), authority, driver });
        }
        let (sender, connection) = http1::Builder::new().handshake(stream).await?;
        let driver = tokio::spawn(async move { drop(connection.with_upgrades().await) }).abort_handle();
        Ok(HttpConnection { sender: Sender::One(sender), authority, driver })
    }

    /// Opens a WebSocket; the request may carry further headers.
    ///
    /// # Errors
    /// When the connection fails or the answer is not 101; the message shows the status.
    pub async fn websocket(&self, request: http::request::Builder) -> Result<WebSocket> {
        let mut request = request.body(())?;
        let host = request.uri().authority().map_or_else(|| self.target.authority(), ToString::to_string);
        if request.uri().authority().is_none() {
            *request.uri_mut() = format!("ws://{host}{}", request.uri()).parse()?;
        }
        let headers = request.headers_mut();
        headers.entry("host").or_insert(host.parse()?);
        headers.insert("connection", "Upgrade".parse()?);
        headers.insert("upgrade", "websocket".parse()?);
        headers.insert("sec-websocket-version", "13".parse()?);
        headers.insert(
            "sec-websocket-key",
            tokio_tungstenite::tungstenite::handshake::client::generate_key().parse()?,
        );
        let stream = self.target.connect().await?;
        let (stream, response) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(WebSocket { stream, headers: response.headers().clone() })
    }
}

/// A kept connection. Dropping it closes it.
pub struct HttpConnection {
    sender: Sender,
    authority: String,
    driver: AbortHandle,
}

/// Any body that a request may have.
pub(super) type RequestBody = BoxBody<Bytes, anyhow::Error>;

enum Sender {
    One(http1::SendRequest<RequestBody>),
    Two(http2::SendRequest<RequestBody>),
}

impl fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl HttpConnection {
    /// GET of `http://host/path` or `/path`.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub async fn get(&mut self, url: &str) -> Result<Response> {
        self.send(Request::get(url).body(Full::default())?).await
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub async fn send<B>(&mut self, request: Request<B>) -> Result<Response>
    where
        B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<anyhow::Error>,
    {
        Response::read(self.begin(request).await?).await
    }

    /// Sends a request and gives the answer as soon as its head is there. A URL with a host sets `Host` (unless there is
    /// one) or `:authority`; without one it is the server name or the address.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn begin<B>(&mut self, request: Request<B>) -> Result<http::Response<Incoming>>
    where
        B: http_body::Body<Data = Bytes> + Send + Sync + 'static,
        B::Error: Into<anyhow::Error>,
    {
        let mut request = request.map(|body| BoxBody::new(body.map_err(Into::into)));
        let host = request.uri().authority().map_or_else(|| self.authority.clone(), ToString::to_string);
        match &mut self.sender {
            Sender::One(sender) => {
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).parse()?;
                *request.uri_mut() = path;
                request.headers_mut().entry("host").or_insert(host.parse()?);
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
            Sender::Two(sender) => {
                if request.uri().authority().is_none() {
                    *request.uri_mut() = format!("http://{host}{}", request.uri()).parse()?;
                }
                sender.ready().await?;
                Ok(sender.send_request(request).await?)
            }
        }
    }

    /// Whether the other side has closed (or, in HTTP/2, said GOAWAY).
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Two(sender) => sender.is_closed(),
        }
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// An open WebSocket.
pub struct WebSocket {
    stream: WebSocketStream<Box<dyn Stream>>,
    headers: HeaderMap,
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("headers", &self.headers).finish_non_exhaustive()
    }
}

impl WebSocket {
    /// Headers of the 101 answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// The next text message.
    ///
    /// # Errors
    /// When the connection ends or something else comes.
    pub async fn receive(&mut self) -> Result<String> {
        match self.stream.next().await.context("the socket ended")?? {
            Message::Text(text) => Ok(text.to_string()),
            other => bail!("expected text, got {other:?}"),
        }
    }

    /// Closes and waits for the other side to close too.
    ///
    /// # Errors
    /// When the connection breaks instead.
    pub async fn close(mut self) -> Result<()> {
        self.stream.close(None).await?;
        while let Some(message) = self.stream.next().await {
            message?;
        }
        Ok(())
    }
}

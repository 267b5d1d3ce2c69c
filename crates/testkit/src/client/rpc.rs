//! gRPC calls with messages as byte strings.

use std::fmt;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Channel, channel};
use hyper::body::Incoming;

use super::HttpConnection;
use crate::upstream::{frame_message, take_message};

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RpcStatus {
    /// `grpc-status`; 2 (unknown) when there was none.
    pub code: u16,
    /// `grpc-message`, percent-encoded as sent.
    pub message: String,
}

/// A call under way; both directions are open.
pub struct Call {
    sender: Option<channel::Sender<Bytes, anyhow::Error>>,
    headers: HeaderMap,
    body: Incoming,
    pending: BytesMut,
    trailers: Option<HeaderMap>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("headers", &self.headers).finish_non_exhaustive()
    }
}

impl HttpConnection {
    /// Calls `/package.Service/Method` with these messages and gives the answers and the status.
    ///
    /// # Errors
    /// When the connection fails or the answer is not gRPC.
    pub async fn call(
        &mut self,
        request: http::request::Builder,
        messages: &[&str],
    ) -> Result<(Vec<String>, RpcStatus)> {
        let mut call = self.open_call(request).await?;
        for message in messages {
            call.send(message.as_bytes()).await?;
        }
        call.finish();
        let mut answers = Vec::new();
        while let Some(answer) = call.receive().await? {
            answers.push(String::from_utf8_lossy(&answer).into_owned());
        }
        Ok((answers, call.status()))
    }

    /// Opens a streaming call: the request builder is a POST of the method's path, with any metadata as headers.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn open_call(&mut self, request: http::request::Builder) -> Result<Call> {
        let (sender, body) = Channel::<Bytes, anyhow::Error>::new(16);
        let request: Request<_> = request
            .method("POST")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)?;
        let (head, body) = self.begin(request).await?.into_parts();
        Ok(Call {
            sender: Some(sender),
            headers: head.headers,
            body,
            pending: BytesMut::new(),
            trailers: None,
        })
    }
}

impl Call {
    /// Headers of the answer.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the stream has ended.
    pub async fn send(&mut self, message: &[u8]) -> Result<()> {
        let sender = self.sender.as_mut().context("finished before")?;
        Ok(sender.send_data(frame_message(message)).await?)
    }

    /// Ends our direction.
    pub fn finish(&mut self) {
        self.sender = None;
    }

    /// The next message; none at the end.
    ///
    /// # Errors
    /// When the stream is reset.
    pub async fn receive(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(message) = take_message(&mut self.pending) {
                return Ok(Some(message));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            match frame?.into_data() {
                Ok(data) => self.pending.extend_from_slice(&data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
    }

    /// The status, once [`Call::receive`] gave none. A "trailers-only" answer has it among the headers.
    pub fn status(&self) -> RpcStatus {
        let trailers = self.trailers.as_ref().unwrap_or(&self.headers);
        let value = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        RpcStatus {
            code: value("grpc-status").parse().unwrap_or(2),
            message: value("grpc-message").to_owned(),
        }
    }
}

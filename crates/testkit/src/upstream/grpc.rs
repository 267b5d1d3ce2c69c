//! gRPC echo without generated code: a message is a byte string, whatever is in it.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use anyhow::Result;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Channel};
use hyper::body::Incoming;

use super::echo::{Body, text};

/// The method of the standard health service; it is answered SERVING.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// `HealthCheckResponse { status: SERVING }`.
const SERVING: &[u8] = &[0x08, 0x01];

/// Sends every request message back as soon as it came (so unary, streaming and bidirectional calls all work), as often
/// as `x-echo-repeat` says, and ends with `grpc-status` from `x-echo-grpc-status`.
pub(super) fn answer(request: Request<Incoming>) -> Result<Response<Body>> {
    let asked = |name: &str| request.headers().get(name).map(text);
    let repeat = asked("x-echo-repeat").map_or(Ok(1), |value| value.parse::<usize>())?;
    let status = HeaderValue::try_from(asked("x-echo-grpc-status").unwrap_or_else(|| "0".into()))?;
    let fixed = (request.uri().path() == HEALTH_CHECK).then(|| Bytes::from_static(SERVING));
    let (sender, answer) = Channel::new(16);
    tokio::spawn(send_back(request.into_body(), sender, repeat, fixed, status));
    let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
    Ok(response.body(answer.boxed())?)
}

/// Ends early when the client has gone: then nobody is left to tell.
async fn send_back(
    mut body: Incoming,
    mut sender: http_body_util::channel::Sender<Bytes>,
    repeat: usize,
    fixed: Option<Bytes>,
    status: HeaderValue,
) {
    let mut pending = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        pending.extend_from_slice(&data);
        while let Some(message) = take_message(&mut pending) {
            let reply = frame_message(fixed.as_ref().unwrap_or(&message));
            for _ in 0..repeat {
                if sender.send_data(reply.clone()).await.is_err() {
                    return;
                }
            }
        }
    }
    let mut trailers = HeaderMap::new();
    if status != "0" {
        trailers.insert("grpc-message", HeaderValue::from_static("as asked"));
    }
    trailers.insert("grpc-status", status);
    let _ = sender.send_trailers(trailers).await;
}

/// A message in its five-byte frame, not compressed.
pub(crate) fn frame_message(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// Takes the first whole message out of the buffer.
pub(crate) fn take_message(pending: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(pending.get(1..5)?.try_into().ok()?) as usize;
    if pending.len() < 5 + length {
        return None;
    }
    pending.advance(5);
    Some(pending.split_to(length).freeze())
}
